"""The swap test: which places of a soft label carry the accuracy?

`SOURCE|swap(i)` exchanges the i-th largest probability with the smallest. The entropy stays; what stood in place i is lost.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.frontier import rank_correlation
from jaxsoft.analysis.grid import Grid, column, grid
from jaxsoft.analysis.page import Block, Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate, interval, means, resampled_means
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 10
_ORDINALS = ("", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "ninth ", "tenth ")


class Curve(NamedTuple):
    """One IPC: accuracy under swap(i), relative to no swap, by rank i; over i > 1 its mean and rank correlation with i.

    The largest probability is left out of both: without it a label names another class, whatever the rest says.
    """

    ipc: int
    ranks: tuple[int, ...]
    plain: Estimate
    relative: list[Estimate]
    area: Estimate
    trend: Estimate


def understands(row: Row) -> bool:
    """Swapped labels are a probe, no rival of hard labels."""
    return _swapped(row["labels"])


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section for each source of labels that was swapped."""
    return parts.by_group(rows, curves, _sections)


def curves(rows: Sequence[Row]) -> dict[str, list[Curve]]:
    """The swap curves of one group of members, by source; none where the source itself was not trained on."""
    if not any(_swapped(row["labels"]) for row in rows):
        return {}
    table = grid(rows)
    sources: dict[str, dict[int, str]] = {}
    for labels in table.labels:
        source, call = parts.split(labels)
        if call and _swapped(labels):
            sources.setdefault(source, {})[int(parts.argument(call))] = labels
    found = {source: _curves(table, source, dict(sorted(ranks.items()))) for source, ranks in sources.items()}
    return {source: lines for source, lines in found.items() if lines}


def draw(found: Sequence[Curve]) -> Figure:
    """Relative accuracy against the rank that is swapped, one line for each IPC."""
    figure = Figure((plots.WIDTH, 3.6))
    axes = figure.subplots()
    axes.axhline(100, color=plots.INK, lw=1)
    for curve, colour, marker in zip(found, parts.shades(len(found)), parts.MARKERS * len(found)):
        ends = 100 * np.array([[e.mean, e.low, e.high] for e in curve.relative])
        axes.plot(curve.ranks, ends[:, 0], marker=marker, ms=4.5, lw=1.6, color=colour, label=f"IPC {curve.ipc}")
        axes.fill_between(curve.ranks, ends[:, 1], ends[:, 2], color=colour, alpha=0.14, lw=0)
    ranks = sorted({i for curve in found for i in curve.ranks})
    title = "rank i of the probability that is exchanged with the smallest"
    parts.measured_axis(axes, ranks, title, log=len(ranks) > 1 and ranks[-1] > 15)
    axes.set_ylabel("relative accuracy, %")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.legend(loc="lower right", ncols=1 + len(found) // 5)
    parts.say_n(figure, [curve.plain.n for curve in found], "bands: 95 % intervals over seeds")
    return figure


def _swapped(labels: str) -> bool:
    call = parts.split(labels)[1]
    return call is not None and call.name == "swap"


def _curves(table: Grid, source: str, swapped: dict[int, str]) -> list[Curve]:
    """One curve for each IPC; of seeds that finished with and without every swap, so that all points are paired."""
    if source not in table.labels:
        return []
    found = []
    for i, ipc in enumerate(table.ipcs):
        values = table.test[:, i, [column(table, labels) for labels in (source, *swapped.values())]]
        there = np.asarray(np.isfinite(values).any(0))
        values = values[:, there]
        values = values[np.isfinite(values).all(1)]
        ranks = tuple(rank for rank, known in zip(swapped, there[1:]) if known)
        if there[0] and ranks and len(values):
            found.append(_curve(ipc, ranks, values))
    return found


def _curve(ipc: int, ranks: tuple[int, ...], values: np.ndarray) -> Curve:
    n = len(values)
    both = np.concatenate([means(values)[None], resampled_means(values)])
    plain = both[:, :1]
    relative = np.where(plain > 0, both[:, 1:] / np.where(plain > 0, plain, 1.0), math.nan)
    points = [_estimate(relative[:, j], n) for j in range(len(ranks))]
    rest = relative[:, np.array(ranks) > 1]
    rest = rest[np.isfinite(rest).all(1)] if points[0].n else rest[:0]
    area = _estimate(rest.mean(1), n) if rest.size else estimate(np.empty(0))
    trend = _estimate(rank_correlation(rest), n) if rest.shape[1] > 2 and len(rest) else estimate(np.empty(0))
    return Curve(ipc, ranks, estimate(values[:, 0]), points, area, trend)


def _estimate(draws: np.ndarray, n: int) -> Estimate:
    """The first draw is the data's own; n = 0 where it is NaN."""
    if math.isnan(draws[0]):
        return estimate(np.empty(0))
    return Estimate(float(draws[0]), float(np.nanstd(draws[1:])), *interval(draws[1:], n), n)


def _sections(found: dict[str, list[Curve]], suffix: str) -> list[Section]:
    sections = []
    for i, (source, lines) in enumerate(found.items(), 1):
        title, rising = _title(lines), _rising(lines)
        if len(found) > 1:
            title = f"`{source}`: {title}"
        alt = f"Curves of accuracy relative to no swap against the rank that is swapped, one for each IPC. {title}."
        caption = (
            f"Accuracy with `{source}|swap(i)` in percent of that with `{source}`, each seed against itself. A swap "
            "changes neither the entropy nor any probability's size, only the class that it speaks of."
        )
        name = f"swap{suffix}" + (f"-{i}" if len(found) > 1 else "")
        picture = Picture(name, plots.png(draw, lines), alt, caption)
        blocks: list[Block] = [*([Text(rising)] if rising else []), picture, _table(lines)]
        sections.append(Section(title, blocks))
    return sections


def _title(lines: Sequence[Curve]) -> str:
    """What the first rank beside the largest costs: that the largest carries most goes without saying."""
    shared = sorted(set.intersection(*(set(curve.ranks) for curve in lines))) or list(lines[0].ranks)
    rank = next((rank for rank in shared if rank > 1), shared[0])
    at = [dict(zip(curve.ranks, curve.relative)) for curve in lines]
    costs = _costs({curve.ipc: found[rank] for curve, found in zip(lines, at) if rank in found})
    if rank == 1:
        return f"Exchanging the largest probability {costs}"
    name = _ordinal(rank).removesuffix(" largest")
    everywhere = [i for i in shared if i > 1 and all(i in found for found in at)]
    if any(rank in found and found[rank].high < 1 for found in at) and len(everywhere) > 1:
        left = {i: np.nanmean([found[i].mean for found in at]) for i in everywhere}
        if min(left, key=left.__getitem__) == rank:
            return f"Beside the largest probability, the {name} matters most: exchanging it {costs}"
    return f"Beside the largest probability, exchanging the {name} {costs}"


def _costs(values: dict[int, Estimate]) -> str:
    """Lost shares of accuracy in percent, where a loss can be told: one with its interval, or the range of several."""
    lost = {ipc: e for ipc, e in values.items() if e.high < 1}
    won = {ipc: e for ipc, e in values.items() if e.low > 1}
    rest = [ipc for ipc in values if ipc not in lost and ipc not in won]
    said = []
    for verb, sign, told in (("costs", 1, lost), ("gains", -1, won)):
        if told:
            said.append(f"{verb} {_shares(list(told.values()), sign)} of accuracy at {words.budgets(list(told))}")
    if rest:
        nothing = "nothing that can be told"
        said.append(f"{nothing} at {words.listed(rest)}" if said else f"costs {nothing} at {words.budgets(rest)}")
    return words.listed(said)


def _shares(values: Sequence[Estimate], sign: int) -> str:
    """How far relative accuracies lie below 1, or above it for a negative sign, in percent."""
    ends = [sorted((sign * (1 - e.low), sign * (1 - e.high))) for e in values]
    shares = [sign * (1 - e.mean) for e in values]
    if len(values) == 1:
        return f"{_whole(shares[0])} % [{_whole(ends[0][0])}, {_whole(ends[0][1])}]"
    low, high = _whole(min(shares)), _whole(max(shares))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _rising(lines: Sequence[Curve]) -> str:
    """Whether relative accuracy rises with the rank."""
    told = [curve for curve in lines if curve.trend.n]
    if not told:
        return ""
    up, down = ([c.ipc for c in told if parts.sign(c.trend) == s] for s in (1, -1))
    every = [c.ipc for c in told]
    beside = "Beside the largest probability, relative accuracy"
    if len(up) == len(told):
        return f"{beside} rises with the rank {parts.where(up, every)}: the smaller a probability, the less its place is worth."
    if not up and not down:
        return f"{beside} shows no rise with the rank that can be told."
    said = [
        f"{verb} with the rank {parts.where(some, every)}" for verb, some in (("rises", up), ("falls", down)) if some
    ]
    return f"{beside} {words.listed(said)}."


def _table(lines: Sequence[Curve]) -> Table:
    ranks = sorted({i for curve in lines for i in curve.ranks})
    wanted = np.geomspace(ranks[0], ranks[-1], min(len(ranks), 4))
    shown = sorted({min(ranks, key=lambda i: abs(math.log(i / goal))) for goal in wanted})
    rows = []
    for c in lines:
        at = dict(zip(c.ranks, c.relative))
        cells = [words.accuracy(at[i]) if i in at else words.NONE for i in shown]
        trend = words.NONE
        if c.trend.n:
            ends = "" if math.isnan(c.trend.low) else f" [{c.trend.low:.2f}, {c.trend.high:.2f}]"
            trend = f"{c.trend.mean:.2f}{ends}".replace("-", "−")
        rows.append((str(c.ipc), words.accuracy(c.plain), *cells, words.accuracy(c.area), trend, str(c.plain.n)))
    header = ("IPC", "no swap, %", *(f"swap({i})" for i in shown), "area, i > 1", "rises with i > 1", "n")
    caption = (
        "Accuracy without a swap, then relative accuracy in percent. Area: its mean over the measured ranks but the first, 100 "
        "where no place matters. Rises: its rank correlation with i, the first left out. 95 % intervals over seeds."
    )
    return Table(header, rows, caption)


def _ordinal(rank: int) -> str:
    """A rank in words.

    >>> _ordinal(1), _ordinal(9), _ordinal(64)
    ('largest', 'ninth largest', '64th largest')
    """
    if rank <= len(_ORDINALS):
        return f"{_ORDINALS[rank - 1]}largest"
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending} largest"


def _whole(share: float) -> str:
    return f"{round(100 * share)}"
