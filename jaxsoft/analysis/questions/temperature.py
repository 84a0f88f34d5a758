"""Does temperature replace early stopping?

`SOURCE|temperature(t)`, or `SOURCE|power(1/t)`, over teacher epochs: a late teacher can be softened, but is it then an early one?
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.frontier import family
from jaxsoft.analysis.grid import Grid, column, grid
from jaxsoft.analysis.page import Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, means
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 12
_MOST_POINTS = 0.2
_MOST_TEXTS = 10


class Cell(NamedTuple):
    """Where a label spec stands: teacher epoch and temperature."""

    epoch: int
    t: float


class Contest(NamedTuple):
    """One IPC: the best temperature of the last epoch against the best epoch at temperature 1, and the best of all cells.

    All are chosen on the selection column; the differences are of test accuracy, each seed against itself.
    """

    ipc: int
    late: Cell
    early: Cell
    best: Cell
    late_minus_early: Estimate
    best_minus_early: Estimate


class Field(NamedTuple):
    """One source: mean test accuracy by IPC, teacher epoch P and temperature T, with the contest of each IPC."""

    source: str
    epochs: tuple[int, ...]
    temperatures: tuple[float, ...]
    accuracy: dict[int, np.ndarray]
    contests: list[Contest]
    counts: tuple[int, ...]
    on: str


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section for each source whose epoch and temperature were both varied."""
    return parts.by_group(rows, fields, _sections)


def fields(rows: Sequence[Row]) -> list[Field]:
    """Every source of one group with at least two epochs and two temperatures, the largest first."""
    cells = {labels: placed for labels in {row["labels"] for row in rows} if (placed := place(labels))}
    varied = {source for source, cell in cells.values() if cell.t != 1}
    table = grid(rows) if varied else None
    found = []
    for source in sorted(varied) if table else ():
        own = {cell: labels for labels, (name, cell) in sorted(cells.items()) if name == source}
        if table and len({c.epoch for c in own}) > 1 and len({c.t for c in own}) > 1:
            found.append(_field(table, source, own, parts.chosen_on(rows)))
    return sorted((f for f in found if f.contests), key=lambda f: -len(f.epochs) * len(f.temperatures))


def place(labels: str) -> tuple[str, Cell] | None:
    """The source of a label spec without its epoch, and its cell; None where no epoch is named.

    >>> place("teacher(epoch=5)|power(0.5)")
    ('teacher', Cell(epoch=5, t=2.0))
    """
    base, call = parts.split(labels)
    epoch = parts.epoch(labels)
    if epoch is None:
        return None
    if call is None or call.name not in ("temperature", "power"):
        return family(labels), Cell(epoch, 1.0)
    value = float(parts.argument(call))
    return family(base), Cell(epoch, float(f"{value if call.name == 'temperature' else 1 / value:.6g}"))


def draw(found: Field) -> Figure:
    """For each IPC a heat map of test accuracy below its best cell, by epoch and temperature; the chosen cell framed."""
    below = {ipc: 100 * (values - np.nanmax(values)) for ipc, values in found.accuracy.items()}
    deepest = max(float(-np.nanmin(values)) for values in below.values())
    lowest = -max(1.0, min(100 * _MOST_POINTS, deepest))
    norm = Normalize(lowest, 0)
    across = 1 if len(found.temperatures) > 12 else 3 if len(below) == 3 else 2
    height = 0.55 + min(0.26 * len(found.epochs), 2.6)
    figure, panels = parts.panels(len(below), height, across, sharex=True, sharey=True)
    named = len(found.temperatures) * min(across, len(below)) <= _MOST_TEXTS
    image = None
    for axes, contest, values in zip(panels, found.contests, found.accuracy.values()):
        frame = found.epochs.index(contest.best.epoch), found.temperatures.index(contest.best.t)
        texts = [["" if np.isnan(v) else words.percent(v) for v in line] for line in values] if named else None
        names = [str(epoch) for epoch in found.epochs], [f"{t:.3g}" for t in found.temperatures]
        image = parts.heat_map(axes, below[contest.ipc], norm, *names, frame, texts)
        if len(found.temperatures) * min(across, len(below)) > 12:
            axes.tick_params(axis="x", rotation=90, labelsize=7.5)
        axes.set(xlabel="temperature t", ylabel="teacher epoch")
        axes.set_title(f"IPC {contest.ipc}: best {words.percent(float(np.nanmax(values)))} %", loc="left", fontsize=9)
    parts.name_outer(panels, across)
    if image is not None:
        bar = figure.colorbar(image, ax=panels, extend="min" if deepest > -lowest else "neither", aspect=35, pad=0.02)
        bar.set_label("test points below best")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    parts.say_n(figure, found.counts, f"framed: chosen on {found.on}")
    return figure


def _field(table: Grid, source: str, own: dict[Cell, str], on: str) -> Field:
    epochs, temperatures = sorted({c.epoch for c in own}), sorted({c.t for c in own})
    contests, accuracy, counts = [], {}, set()
    for i, ipc in enumerate(table.ipcs):
        values = np.full((len(epochs), len(temperatures)), np.nan)
        for cell, labels in own.items():
            test = table.test[:, i, column(table, labels)]
            values[epochs.index(cell.epoch), temperatures.index(cell.t)] = means(test)
            counts |= {int(np.isfinite(test).sum())} - {0}
        if contest := _contest(table, ipc, own):
            contests.append(contest)
            accuracy[ipc] = values
    return Field(source, tuple(epochs), tuple(temperatures), accuracy, contests, tuple(sorted(counts)), on)


def _contest(table: Grid, ipc: int, own: dict[Cell, str]) -> Contest | None:
    """None where an epoch at temperature 1, or the last epoch, is missing."""
    finished = [
        c for c, labels in own.items() if np.isfinite(table.test[:, table.ipcs.index(ipc), column(table, labels)]).any()
    ]
    last = max((c.epoch for c in finished), default=0)
    cells = {labels: cell for cell, labels in own.items() if cell in finished}
    ordered = sorted(cells, key=cells.__getitem__)
    late, early = (
        [labels for labels in ordered if keep(cells[labels])]
        for keep in (lambda c: c.epoch == last, lambda c: c.t == 1)
    )
    picks = [cells[pick] for labels in (late, early, ordered) if (pick := parts.chosen(table, ipc, labels))]
    if len(picks) < 3:
        return None
    late_minus_early, best_minus_early = (parts.chosen_minus(table, ipc, labels, early) for labels in (late, ordered))
    return Contest(ipc, picks[0], picks[1], picks[2], late_minus_early, best_minus_early)


def _sections(found: list[Field], suffix: str) -> list[Section]:
    sections = []
    for i, field in enumerate(found, 1):
        title = _title(field.contests)
        if len(found) > 1:
            title = f"`{field.source}`: {title}"
        chosen = "; ".join(f"IPC {c.ipc}: epoch {c.best.epoch}, t = {c.best.t:.3g}" for c in field.contests)
        caption = (
            f"Test accuracy of `{field.source}` labels by teacher epoch and temperature, in points below the best cell "
            f"of each budget; colours end at {100 * _MOST_POINTS:.0f}. Temperatures above 1 soften. Framed: chosen on {field.on}."
        )
        alt = f"Heat maps of test accuracy by teacher epoch and temperature, one for each IPC. Chosen: {chosen}."
        name = f"temperature{suffix}" + (f"-{i}" if len(found) > 1 else "")
        picture = Picture(name, plots.png(draw, field), alt, caption)
        sections.append(Section(title, [Text(_both(field)), picture, _table(field)]))
    return sections


def _title(contests: Sequence[Contest]) -> str:
    """Does it? On either side the budget with the largest difference is told in full."""
    if said := "; ".join(filter(None, (_side(contests, -1), _side(contests, 1)))):
        return said[0].upper() + said[1:]
    if all(c.late == c.early for c in contests):
        return (
            "The last teacher at temperature 1 is best at every budget: neither another temperature nor an earlier epoch "
            "helps by itself"
        )
    ipc, among = parts.largest(everywhere := {c.ipc: c.late_minus_early for c in contests})
    where = f"at {words.budgets([ipc])}{among}"
    return f"No difference between the best temperature and the best epoch can be told: {parts.signed(everywhere[ipc])} {where}"


def _side(contests: Sequence[Contest], side: int) -> str:
    """Where the last teacher loses to the best epoch, for side -1, or beats it; empty where it does not."""
    values = {c.ipc: c.late_minus_early for c in contests if parts.sign(c.late_minus_early) == side}
    if not values:
        return ""
    ipc, _ = parts.largest(values)
    count = "" if len(values) == len(contests) else f" at {len(values)} of {len(contests)} budgets"
    size, last = parts.size(values[ipc]), "the last teacher at its best temperature"
    where = f"at {words.budgets([ipc])}{' (the largest difference of these)' if len(values) > 1 else ''}"
    if side < 0:
        return f"Temperature does not replace early stopping{count}: {last} stays {size} below the best epoch {where}"
    return f"{last} beats the best epoch{count}, by {size} {where}"


def _both(field: Field) -> str:
    """What choosing both adds to choosing the epoch alone."""
    gains = {c.ipc: c.best_minus_early for c in field.contests}
    told = {ipc: gain for ipc, gain in gains.items() if parts.sign(gain) > 0}
    ipc, among = parts.largest(told or gains, "gain")
    where = f"at {words.budgets([ipc])}"
    if not told:
        nothing = "Choosing a temperature beside the epoch adds nothing that can be told to choosing the epoch alone"
        return f"{nothing}: {parts.signed(gains[ipc])} {where}{among}."
    among = "" if len(gains) == 1 else f", told at {len(told)} of {len(gains)} budgets"
    upto = "up to " if len(told) > 1 else ""
    return f"A temperature beside the best epoch adds {upto}{parts.size(told[ipc])} {where} to choosing the epoch alone{among}."


def _table(field: Field) -> Table:
    lines = [
        (
            str(c.ipc),
            f"epoch {c.late.epoch}, t = {c.late.t:.3g}",
            f"epoch {c.early.epoch}, t = 1",
            words.difference(c.late_minus_early),
            f"epoch {c.best.epoch}, t = {c.best.t:.3g}",
            words.difference(c.best_minus_early),
            str(c.late_minus_early.n),
        )
        for c in field.contests
    ]
    header = (
        "IPC",
        "last epoch, best t",
        "best epoch, t = 1",
        "difference, points",
        "best of both",
        "gain, points",
        "n",
    )
    caption = (
        f"Chosen on {field.on}, compared on test, each seed against itself with what the other seeds choose, 95 % intervals. "
        "Difference: the last epoch with "
        "its best temperature minus the best epoch at temperature 1. Gain: best of both minus the best epoch at temperature 1."
    )
    return Table(header, lines, caption)
