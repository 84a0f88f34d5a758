"""The swap test: which places of a soft label carry the accuracy?

`SOURCE|swap(i)` exchanges the i-th largest probability with the smallest. The entropy stays; what stood in place i is lost.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxsoft.analysis.findings import rank_correlation
from jaxsoft.analysis.questions._verbs import treated
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Level, Panel, Series, cut, shades
from jaxsoft.analysis.showing.page import Section, Table, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, curves, drawn, estimate

ORDER = 10
_MOST_SHOWN = 4


class Curve(NamedTuple):
    """One IPC: accuracy under swap(i), relative to no swap, by rank i; over i > 1 its mean and rank correlation with i.

    The largest probability is left out of both: without it a label names another class, whatever the rest says.
    """

    plain: Estimate
    relative: dict[int, Estimate]
    area: Estimate
    trend: Estimate


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each source of labels that was swapped, where the source itself was trained on, too."""
    sources = {source: {0.0: group.of(source), **swaps} for source, swaps in treated(group, "swap").items()}
    found = {source: lines for source, arms in sources.items() if (lines := relative(group, arms))}
    return [
        Section(_title(lines, source if len(found) > 1 else ""), [*_said(lines), _chart(source, lines), _table(lines)])
        for source, lines in found.items()
    ]


def relative(group: Group, arms: Mapping[float, Arms]) -> dict[int, Curve]:
    """Accuracy with the arms of each rank, relative to rank 0, which swaps nothing: a curve for each IPC.

    Of units that were run with and without every swap, so that all points are paired.
    """
    found = {}
    for i, ipc in enumerate(group.ipcs):
        picks = {int(rank): arm for rank, own in arms.items() if (arm := group.choose(ipc, own)) is not None}
        values = group.test[:, i, list(picks.values())]
        values = values[np.isfinite(values).all(1)]
        if 0 in picks and len(picks) > 1 and len(values):
            ranks, n, draws = list(picks)[1:], len(values), curves(values)
            plain = draws[:, :1]
            relative = np.where(plain > 0, draws[:, 1:] / np.where(plain > 0, plain, 1.0), math.nan)
            rest = relative[:, np.array(ranks) > 1]
            area = drawn(rest.mean(1), n) if rest.shape[1] else NOTHING
            trend = drawn(rank_correlation(rest), n) if rest.shape[1] > 2 else NOTHING
            by_rank = {rank: drawn(line, n) for rank, line in zip(ranks, relative.T)}
            found[ipc] = Curve(estimate(values[:, 0]), by_rank, area, trend)
    return found


def _shared(lines: Mapping[int, Curve]) -> list[int]:
    """The ranks that all budgets have; last the largest probability, as that it carries most goes without saying."""
    every = set.intersection(*(set(curve.relative) for curve in lines.values()))
    return sorted(every or next(iter(lines.values())).relative, key=lambda rank: (rank == 1, rank))


def _title(lines: Mapping[int, Curve], source: str) -> str:
    """What is left at the budget whose loss, or gain, is the largest of those that can be told; of one `source` of several."""
    rank = _shared(lines)[0]
    left = {ipc: curve.relative[rank] for ipc, curve in lines.items() if rank in curve.relative}
    ipc, sign = words.most({n: e._replace(mean=e.mean - 1, low=e.low - 1, high=e.high - 1) for n, e in left.items()})
    what = f"swap({rank}) of `{cut(source, 22)}`" if source else f"Swapping the probability of rank {rank}"
    size = f"{words.accuracy(left[ipc])} %"
    return f"{what}{f' leaves {size} of accuracy' if sign else f': no clear loss, {size} left'} at IPC {ipc}"


def _said(lines: Mapping[int, Curve]) -> list[Text]:
    """Which rank beside the largest costs most on average, and whether relative accuracy rises with the rank."""
    each = {i: [c.relative[i].mean for c in lines.values() if i in c.relative] for i in _shared(lines) if i > 1}
    left = {rank: float(np.mean(values)) for rank, values in each.items()}
    least, said = min(left, key=left.__getitem__, default=0), []
    if len(left) > 1 and not math.isnan(left[least]):
        said.append(f"Beyond rank 1, rank {least} costs most: {words.percent(left[least])} % is left on average.")
    if signs := {ipc: curve.trend.sign for ipc, curve in lines.items() if curve.trend.n}:
        some = {verb: [ipc for ipc in signs if signs[ipc] == side] for verb, side in (("rises", 1), ("falls", -1))}
        parts = [f"{verb} with the rank {words.where(ipcs, list(signs))}" for verb, ipcs in some.items() if ipcs]
        why = ": the smaller a probability, the less its place is worth" if len(some["rises"]) == len(signs) else ""
        how = words.listed(parts or ["shows no clear rise with the rank"])
        said.append(f"Beyond rank 1, relative accuracy {how}{why}.")
    return [Text(text) for text in said]


def _chart(source: str, lines: Mapping[int, Curve]) -> Chart:
    """Relative accuracy against the rank that is swapped, one line for each IPC."""
    colours = zip(lines.items(), shades(len(lines)))
    marks = [Series.of(f"IPC {ipc}", curve.relative, "band", colour=colour) for (ipc, curve), colour in colours]
    last = max(rank for curve in lines.values() for rank in curve.relative)
    x = "rank i of the probability that is exchanged with the smallest"
    panel = Panel([Level(1.0), *marks], "relative accuracy, %", x, log=last > 15, height=3.0, from_zero=True)
    caption = (
        f"Accuracy with `{source}|swap(i)` in percent of that with `{source}`, each seed against itself. A swap changes "
        "neither the entropy nor any probability's size, only the class that it speaks of."
    )
    return Chart("swap", [panel], caption, "bands: 95 % intervals over seeds")


def _table(lines: Mapping[int, Curve]) -> Table:
    """Every budget with a few ranks, evenly apart in their logarithm."""
    ranks = sorted({rank for curve in lines.values() for rank in curve.relative})
    wanted = np.geomspace(ranks[0], ranks[-1], _MOST_SHOWN)
    shown = sorted({min(ranks, key=lambda i: abs(math.log(i / goal))) for goal in wanted})
    records = []
    for ipc, c in lines.items():
        cells = {f"swap({i}), %": c.relative.get(i) for i in shown}
        cells |= {"area, i > 1, %": c.area, "rises with i > 1": c.trend, "n": c.plain.n}
        records.append({"IPC": ipc, "no swap, %": c.plain, **cells})
    caption = (
        "Accuracy without a swap, then relative accuracy in percent. Area: its mean over the measured ranks but the first, 100 "
        "where no place matters. Rises: its rank correlation with i, the first left out. 95 % intervals over "
        "seeds, measured to cover 93 to 95 %."
    )
    return table(records, caption)
