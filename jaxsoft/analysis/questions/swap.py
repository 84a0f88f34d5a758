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
    """One IPC: accuracy under swap(i), relative to no swap, by rank i; its mean over i; its rank correlation with i."""

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
    parts.say_n(figure, [curve.area.n for curve in found], "bands: 95 % intervals over seeds")
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
    known = np.asarray(np.isfinite(relative).all(1))
    trend = _estimate(rank_correlation(relative[known]), n) if len(ranks) > 2 and known[0] else estimate(np.empty(0))
    points = [_estimate(relative[:, j], n) for j in range(len(ranks))]
    return Curve(ipc, ranks, estimate(values[:, 0]), points, _estimate(relative.mean(1), n), trend)


def _estimate(draws: np.ndarray, n: int) -> Estimate:
    """The first draw is the data's own."""
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
    """What the first and the last rank cost; with several IPC the range of costs."""
    shared = sorted(set.intersection(*(set(curve.ranks) for curve in lines))) or list(lines[0].ranks)
    first, last = shared[0], shared[-1]
    top = [dict(zip(curve.ranks, curve.relative)).get(first, curve.relative[0]) for curve in lines]
    if not any(e.high < 1 for e in top):
        return f"No cost of exchanging the {_ordinal(first)} probability can be told: {_costs(top)} of accuracy"
    where = f" at {words.budgets([curve.ipc for curve in lines])}" if len(lines) <= 3 else ""
    said = f"Exchanging the {_ordinal(first)} probability costs {_costs(top)} of accuracy{where}"
    if last == first:
        return said
    end = [dict(zip(curve.ranks, curve.relative)).get(last, curve.relative[-1]) for curve in lines]
    return f"{said}, the {_ordinal(last).removesuffix(' largest')} {_costs(end)}"


def _costs(values: Sequence[Estimate]) -> str:
    """Lost shares of accuracy in percent: one with its interval, or the range of several."""
    low, high = min(1 - e.mean for e in values), max(1 - e.mean for e in values)
    if len(values) == 1:
        e = values[0]
        between = "" if math.isnan(e.low) else f" [{_whole(1 - e.high)}, {_whole(1 - e.low)}]"
        return f"{_whole(low)} %{between}"
    return f"{_whole(low)} %" if _whole(low) == _whole(high) else f"{_whole(low)} to {_whole(high)} %"


def _rising(lines: Sequence[Curve]) -> str:
    """Whether relative accuracy rises with the rank."""
    told = [curve for curve in lines if curve.trend.n]
    if not told:
        return ""
    up, down = ([c.ipc for c in told if parts.sign(c.trend) == s] for s in (1, -1))
    every = [c.ipc for c in told]
    if len(up) == len(told):
        return "The curve rises with the rank at every budget: the smaller a probability, the less its place is worth."
    said = f"The curve rises with the rank {parts.where(up, every)}" if up else "No rise with the rank can be told"
    return f"{said}; it falls {parts.where(down, every)}." if down else f"{said}."


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
        rows.append((str(c.ipc), words.accuracy(c.plain), *cells, words.accuracy(c.area), trend, str(c.area.n)))
    header = ("IPC", "no swap, %", *(f"swap({i})" for i in shown), "area", "rises with i", "n")
    caption = (
        "Accuracy without a swap, then relative accuracy in percent. Area: its mean over the measured ranks, 100 where no "
        "place matters. Rises: its rank correlation with i. 95 % intervals over seeds."
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
    return words.NONE if math.isnan(share) else f"{round(100 * share)}".replace("-", "−")
