"""The swap test: which places of a soft label carry the accuracy?

`SOURCE|swap(i)` exchanges the i-th largest probability with the smallest. The entropy stays; what stood in place i is lost.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import Chart, Level, Panel, Series, shades
from jaxsoft.analysis.findings import rank_correlation
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import NOTHING, Estimate, curves, drawn, estimate
from jaxsoft.analysis.page import Block, Section, Table, Text, table
from jaxsoft.analysis.read import Run

ORDER = 10
_ORDINALS = ("largest", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


class Curve(NamedTuple):
    """One IPC: accuracy under swap(i), relative to no swap, by rank i; over i > 1 its mean and rank correlation with i.

    The largest probability is left out of both: without it a label names another class, whatever the rest says.
    """

    plain: Estimate
    relative: dict[int, Estimate]
    area: Estimate
    trend: Estimate


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Swapped labels are a probe, no rival of hard labels."""
    return members["op"] == "swap"


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each source of labels that was swapped, where the source itself was trained on, too."""
    swapped = group.arms.iloc[group.find(op="swap")]
    found = {source: _curves(group, source, own) for source, own in swapped.groupby("base", sort=False)}
    found = {str(source): lines for source, lines in found.items() if lines}
    sections = []
    for i, (source, lines) in enumerate(found.items(), 1):
        title = f"`{source}`: {_title(lines)}" if len(found) > 1 else _title(lines)
        blocks: list[Block] = [Text(text) for text in (_costs(lines), _rising(lines)) if text]
        name = "swap" + (f"-{i}" if len(found) > 1 else "")
        sections.append(Section(title, [*blocks, _chart(name, source, lines), _table(lines)]))
    return sections


def _curves(group: Group, source: str, swapped: pd.DataFrame) -> dict[int, Curve]:
    """One curve for each IPC; of units that were run with and without every swap, so that all points are paired."""
    found = {}
    for i, ipc in enumerate(group.ipcs):
        arms = {int(k): group.find(op="swap", base=source, value=k) for k in sorted(swapped["value"])}
        picks = [group.choose(ipc, own) for own in (group.of(source), *arms.values())]
        ranks = [rank for rank, arm in zip(arms, picks[1:]) if arm is not None]
        if picks[0] is None or not ranks:
            continue
        values = group.test[:, i, [arm for arm in picks if arm is not None]]
        values = values[np.isfinite(values).all(1)]
        if len(values):
            found[ipc] = _curve(ranks, values)
    return found


def _curve(ranks: Sequence[int], values: np.ndarray) -> Curve:
    n, draws = len(values), curves(values)
    plain = draws[:, :1]
    relative = np.where(plain > 0, draws[:, 1:] / np.where(plain > 0, plain, 1.0), math.nan)
    rest = relative[:, np.array(ranks) > 1]
    known = rest.shape[1] and np.isfinite(rest).all()
    area = drawn(rest.mean(1), n) if known else NOTHING
    trend = drawn(rank_correlation(rest), n) if known and rest.shape[1] > 2 else NOTHING
    return Curve(estimate(values[:, 0]), {rank: drawn(line, n) for rank, line in zip(ranks, relative.T)}, area, trend)


def _shared(lines: dict[int, Curve]) -> int:
    """The first rank beside the largest that all budgets have: that the largest carries most goes without saying."""
    every = sorted(set.intersection(*(set(curve.relative) for curve in lines.values()))) or list(
        next(iter(lines.values())).relative
    )
    return next((rank for rank in every if rank > 1), every[0])


def _title(lines: dict[int, Curve]) -> str:
    rank = _shared(lines)
    values = {ipc: curve.relative[rank] for ipc, curve in lines.items() if rank in curve.relative}
    lost = {ipc: value for ipc, value in values.items() if value.high < 1}
    if not lost:
        ipc, value = next(iter(values.items()))
        return f"Swapping the {_ordinal(rank)} probability: no clear loss, {_whole(value)} of accuracy left at IPC {ipc}"
    ipc = min(lost, key=lambda ipc: lost[ipc].mean)
    return f"Swapping the {_ordinal(rank)} probability leaves {_whole(lost[ipc])} of accuracy at IPC {ipc}"


def _whole(value: Estimate) -> str:
    ends = "" if math.isnan(value.low) else f" [{100 * value.low:.0f}, {100 * value.high:.0f}]"
    return f"{100 * value.mean:.0f} %{ends}"


def _costs(lines: dict[int, Curve]) -> str:
    """The rank beside the largest whose exchange costs most on average, where all budgets have several."""
    every = sorted(set.intersection(*(set(curve.relative) for curve in lines.values())) - {1})
    if len(every) < 2:
        return ""
    left = {rank: float(np.mean([curve.relative[rank].mean for curve in lines.values()])) for rank in every}
    least = min(left, key=left.__getitem__)
    return f"Beside the largest, exchanging the {_ordinal(least)} probability costs most: {100 * left[least]:.0f} % is left on average."


def _rising(lines: dict[int, Curve]) -> str:
    """Whether relative accuracy rises with the rank."""
    signs = {ipc: curve.trend.sign for ipc, curve in lines.items() if curve.trend.n}
    up, down = ([ipc for ipc, sign in signs.items() if sign == side] for side in (1, -1))
    if not signs:
        return ""
    beside = "Beside the largest probability, relative accuracy"
    if not up and not down:
        return f"{beside} shows no clear rise with the rank."
    parts = [
        f"{verb} with the rank {words.where(some, list(signs))}"
        for verb, some in (("rises", up), ("falls", down))
        if some
    ]
    why = ": the smaller a probability, the less its place is worth" if len(up) == len(signs) else ""
    return f"{beside} {words.listed(parts)}{why}."


def _chart(name: str, source: str, lines: dict[int, Curve]) -> Chart:
    """Relative accuracy against the rank that is swapped, one line for each IPC."""
    marks = [
        Series(f"IPC {ipc}", list(curve.relative), list(curve.relative.values()), "band", colour=colour)
        for (ipc, curve), colour in zip(lines.items(), shades(len(lines)))
    ]
    x = "rank i of the probability that is exchanged with the smallest"
    last = max(rank for curve in lines.values() for rank in curve.relative)
    panel = Panel([Level(1.0), *marks], "relative accuracy, %", x, log=last > 15, height=3.0, from_zero=True)
    caption = (
        f"Accuracy with `{source}|swap(i)` in percent of that with `{source}`, each seed against itself. A swap changes "
        "neither the entropy nor any probability's size, only the class that it speaks of."
    )
    return Chart(name, [panel], caption, "bands: 95 % intervals over seeds")


def _table(lines: dict[int, Curve]) -> Table:
    ranks = sorted({rank for curve in lines.values() for rank in curve.relative})
    wanted = np.geomspace(ranks[0], ranks[-1], min(len(ranks), 4))
    shown = sorted({min(ranks, key=lambda i: abs(math.log(i / goal))) for goal in wanted})
    records = []
    for ipc, c in lines.items():
        cells = {f"swap({i}), %": c.relative.get(i) for i in shown}
        area = {"area, i > 1, %": c.area if c.area.n else None, "rises with i > 1": c.trend if c.trend.n else None}
        records.append({"IPC": ipc, "no swap, %": c.plain, **cells, **area, "n": c.plain.n})
    caption = (
        "Accuracy without a swap, then relative accuracy in percent. Area: its mean over the measured ranks but the first, 100 "
        "where no place matters. Rises: its rank correlation with i, the first left out. 95 % intervals over seeds."
    )
    return table(records, caption)


def _ordinal(rank: int) -> str:
    """A rank in words.

    >>> _ordinal(1), _ordinal(9), _ordinal(64)
    ('largest', 'ninth largest', '64th largest')
    """
    if rank <= len(_ORDINALS):
        return _ORDINALS[rank - 1] + (" largest" if rank > 1 else "")
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending} largest"
