"""How much of a soft label should a student get, for how many images? The data-knowledge scaling of the paper.

`SOURCE|topk(k)` keeps the k largest probabilities; the source itself keeps all, hard labels say the least.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.exchange import Iso, iso_accuracy
from jaxsoft.analysis.grid import Grid, column, grid
from jaxsoft.analysis.page import Block, Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate, means
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 5


class Gain(NamedTuple):
    """One source at one IPC: the k chosen, its test accuracy, and what it adds to hard labels and to the smallest k."""

    ipc: int
    k: float
    test: Estimate
    over_hard: Estimate
    over_least: Estimate


class Surface(NamedTuple):
    """One source: mean test accuracy by k (infinite: all is kept) and IPC, that of hard labels, and the gains."""

    source: str
    ks: tuple[float, ...]
    ipcs: tuple[int, ...]
    accuracy: np.ndarray
    hard: np.ndarray
    gains: list[Gain]
    counts: tuple[int, ...]


class Scaling(NamedTuple):
    """All surfaces of a group in the order of their epochs, the best of them at each IPC, and the split of choice.

    `iso` tells of the source that is best most often, and of hard labels, the images that a few accuracies take.
    """

    surfaces: list[Surface]
    best: dict[int, tuple[Surface, Gain]]
    on: str
    iso: Iso


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section: accuracy by knowledge and data, a figure for each source of labels."""
    return parts.by_group(rows, scaling, _sections)


def scaling(rows: Sequence[Row]) -> Scaling | None:
    """The surfaces of one group of members; None unless some source was cut to several k."""
    kept: dict[str, dict[float, str]] = {}
    for labels in dict.fromkeys(row["labels"] for row in rows):
        source, call = parts.split(labels)
        if call and call.name == "topk":
            kept.setdefault(source, {})[float(parts.argument(call))] = labels
    kept = {source: ks for source, ks in kept.items() if len(ks) > 1}
    if not kept:
        return None
    table = grid(rows)
    whole = {source: {math.inf: source} for source in kept if source in table.labels}
    specs = {source: dict(sorted((ks | whole.get(source, {})).items())) for source, ks in kept.items()}
    order = sorted(specs, key=lambda source: (parts.epoch(source) or 0, source))
    surfaces = {source: _surface(table, source, specs[source]) for source in order}
    best = {}
    for ipc in table.ipcs:
        owners = {labels: (source, k) for source in order for k, labels in specs[source].items()}
        if pick := parts.chosen(table, ipc, list(owners)):
            source, k = owners[pick]
            best[ipc] = surfaces[source], next(g for g in surfaces[source].gains if g.ipc == ipc and g.k == k)
    most = surfaces[statistics.mode(surface.source for surface, _ in best.values())]
    labels = [labels for labels in ("hard", *specs[most.source].values()) if labels in table.labels]
    iso = iso_accuracy(table, _targets(most), labels)
    return Scaling(list(surfaces.values()), best, parts.chosen_on(rows), iso)


def draw(surface: Surface, norm: Normalize, levels: Sequence[float]) -> Figure:
    """Test accuracy by k and IPC with lines of equal accuracy, hard labels as a row below; dots: the k chosen."""
    hard = bool(np.isfinite(surface.hard).any())
    figure = Figure((plots.WIDTH, 1.5 + 0.3 * (len(surface.ks) + hard)))
    heights = [len(surface.ks), 1] if hard else [1]
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    columns, names = [str(ipc) for ipc in surface.ipcs], [_name(k) for k in surface.ks]
    image = parts.heat_map(panels[0], 100 * surface.accuracy, norm, names, columns)
    _iso_lines(panels[0], 100 * surface.accuracy, levels)
    path = [(surface.ipcs.index(g.ipc), surface.ks.index(g.k)) for g in surface.gains]
    panels[0].plot(*zip(*path), "o", ms=6.5, color=plots.ORANGE, mec="white", mew=1, ls=":", lw=1.4)
    panels[0].set_ylabel("k, probabilities kept")
    if hard:
        parts.heat_map(panels[1], 100 * surface.hard[None], norm, ["hard"], columns)
        panels[0].tick_params(labelbottom=False)
    panels[-1].set_xlabel("IPC, images per class")
    bar = figure.colorbar(image, ax=list(panels), aspect=30, pad=0.02)
    bar.set_label("test accuracy, %")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    parts.say_n(figure, surface.counts, "lines: equal accuracy, %; dots: the k chosen")
    return figure


def _targets(surface: Surface) -> list[float]:
    """A few round accuracies among those of a surface."""
    ends = 100 * np.nanquantile(surface.accuracy, (0, 1))
    return [
        float(level) / 100
        for level in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(*ends)
        if ends[0] < level < ends[1]
    ]


def _surface(table: Grid, source: str, specs: dict[float, str]) -> Surface:
    columns = [column(table, labels) for labels in specs.values()]
    there = np.asarray(np.isfinite(table.test[:, :, columns]).any((0, 2)))
    ipcs = tuple(ipc for ipc, known in zip(table.ipcs, there) if known)
    values = means(table.test[:, there][:, :, columns]).T
    hard = np.full(len(ipcs), np.nan)
    if hard_too := "hard" in table.labels:
        hard = means(table.test[:, there, column(table, "hard")])
    count = np.isfinite(table.test[:, there][:, :, columns]).sum(0)
    gains = []
    for ipc in ipcs:
        pick = parts.chosen(table, ipc, list(specs.values()))
        k = next(k for k, labels in specs.items() if labels == pick)
        kept, least = list(specs.values()), next(iter(specs.values()))
        over_hard = parts.chosen_minus(table, ipc, kept, ["hard"]) if hard_too else estimate(np.empty(0))
        over_least = parts.chosen_minus(table, ipc, kept, [least])
        gains.append(Gain(ipc, k, parts.accuracy(table, ipc, specs[k]), over_hard, over_least))
    return Surface(source, tuple(specs), ipcs, values, hard, gains, tuple(sorted({int(n) for n in count.flat if n})))


def _iso_lines(axes: Axes, values: np.ndarray, levels: Sequence[float]) -> None:
    """Contours at the levels that the values reach; between two measured IPC they run in log IPC."""
    inside = [level for level in levels if np.nanmin(values) < level < np.nanmax(values)]
    if min(values.shape) > 1 and inside:
        rows, columns = (np.arange(n) for n in values.shape)
        lines = axes.contour(columns, rows, np.ma.masked_invalid(values), inside, colors=plots.INK, linewidths=0.9)
        axes.clabel(lines, fmt="%g", fontsize=7.5)


def _sections(found: Scaling, suffix: str) -> list[Section]:
    title = _title(found)
    measured = np.concatenate([np.append(s.accuracy.ravel(), s.hard) for s in found.surfaces]) * 100
    norm = Normalize(float(np.nanmin(measured)), float(np.nanmax(measured)))
    levels = list(MaxNLocator(12, steps=[1, 2, 5, 10]).tick_values(*np.nanquantile(measured, (0, 1))))
    blocks: list[Block] = [Text(f"{text}.") for text in _said(found)]
    for i, surface in enumerate(found.surfaces, 1):
        name = f"knowledge{suffix}" + (f"-{i}" if len(found.surfaces) > 1 else "")
        chosen = "; ".join(f"IPC {g.ipc}: k = {_name(g.k)}" for g in surface.gains)
        caption = (
            f"Test accuracy with `{surface.source}|topk(k)`: the k largest probabilities are kept, the others zeroed. On a line "
            f"knowledge is exchanged for images at equal accuracy. Dots: the k chosen on {found.on}."
        )
        alt = (
            f"Heat map of test accuracy by probabilities kept and images per class, {surface.source}. Chosen: {chosen}."
        )
        blocks.append(Picture(name, plots.png(draw, surface, norm, levels), alt, caption))
    blocks.append(_table(found, folded=False))
    blocks += [_iso_table(found)] if found.iso.targets else []
    if len(found.surfaces) > 1:
        blocks.append(_table(found, folded=True))
    return [Section(title, blocks)]


def _title(found: Scaling) -> str:
    """What lies beyond the smallest k, at the smallest and at the largest budget where it can be told."""
    told = [gain for _, gain in found.best.values() if parts.sign(gain.over_least) > 0]
    least = {surface.ks[0] for surface, _ in found.best.values()}
    beyond = "the largest probability" if least == {1} else f"the {_name(max(least))} largest probabilities"
    if not told:
        most = max((gain for _, gain in found.best.values()), key=lambda gain: gain.over_least.mean)
        number = f"{parts.signed(most.over_least)} at {words.budgets([most.ipc])}"
        return f"What a label says beyond {beyond} cannot be told to help: {number}"
    numbers = [f"{parts.size(g.over_least)} at {words.budgets([g.ipc])}" for g in dict.fromkeys((told[0], told[-1]))]
    return f"What a label says beyond {beyond} is worth {' and '.join(numbers)}"


def _said(found: Scaling) -> list[str]:
    """Against hard labels, and how k moves with the budget."""
    said = []
    hard = [gain for _, gain in found.best.values() if parts.sign(gain.over_hard) > 0]
    if any(gain.over_hard.n for _, gain in found.best.values()):
        where = parts.where([gain.ipc for gain in hard], list(found.best))
        said.append(f"With the k and the source chosen on {found.on} soft labels beat hard labels {where}")
    path = {ipc: f"{_name(gain.k)} of `{surface.source}`" for ipc, (surface, gain) in found.best.items()}
    ipcs = list(path)
    if len(set(path.values())) == 1:
        said.append(f"Best k: {path[ipcs[0]]} {parts.where(ipcs, ipcs)}")
    elif path:
        said.append(f"Best k: {path[ipcs[0]]} at IPC {ipcs[0]}, {path[ipcs[-1]]} at IPC {ipcs[-1]}")
    return said


def _table(found: Scaling, folded: bool) -> Table:
    """The best source of each IPC; folded, all of them."""
    hard = any(gain.over_hard.n for surface in found.surfaces for gain in surface.gains)
    lines = []
    for surface in found.surfaces:
        for g in surface.gains:
            best = found.best[g.ipc][0] is surface and found.best[g.ipc][1] is g
            if not (best or folded):
                continue
            cells = [words.difference(g.over_hard)] if hard else []
            cells = [words.accuracy(g.test), *cells, words.difference(g.over_least), str(g.test.n)]
            lines.append((str(g.ipc), f"`{surface.source}`{' (best)' if best and folded else ''}", _name(g.k), *cells))
    least = {surface.ks[0] for surface in found.surfaces}
    header = ("over hard, points",) if hard else ()
    smallest = f"over k = {_name(min(least))}, points" if len(least) == 1 else "over the smallest k, points"
    caption = (
        f"For each {'source and ' if folded else ''}IPC the k{'' if folded else ' and the source'} chosen on {found.on}: test "
        "accuracy, and gains, each seed against itself with the k that the other seeds choose; 95 % intervals."
    )
    lines.sort(key=lambda line: int(line[0]))
    return Table(("IPC", "source", "best k", "test, %", *header, smallest, "n"), lines, caption, folded)


def _iso_table(found: Scaling) -> Table:
    """The images per class that accuracies take, by label spec; beyond those measured a bound."""
    ipcs, iso = list(found.best), found.iso

    def told(ipc: float) -> str:
        return f"≤ {min(ipcs)}" if math.isnan(ipc) else f"> {max(ipcs)}" if math.isinf(ipc) else words.times(ipc)

    def cell(ipc: float, low: float, high: float) -> str:
        return told(ipc) + (f" [{told(low)}, {told(high)}]" if math.isfinite(ipc) and not math.isnan(high) else "")

    lines = [(f"`{labels}`", *map(cell, *(part[:, a] for part in iso[2:]))) for a, labels in enumerate(iso.labels)]
    caption = "Images per class that an accuracy takes, interpolated between the measured budgets, with 95 % intervals."
    return Table(("labels", *(f"images for {100 * target:g} %" for target in iso.targets)), lines, caption)


def _name(k: float) -> str:
    return "all" if math.isinf(k) else str(int(k))
