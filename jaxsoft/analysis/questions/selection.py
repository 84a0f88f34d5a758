"""Does it matter which images are chosen, once their labels are soft?

Members that differ in `select`. What choosing is worth is the spread: the way of choosing that is best on validation
minus the one that is worst there, both read off the test set, so that noise is not taken for a difference.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import Stack, stack, tuned
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.plots import BLUE, INK, WIDTH
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.questions._bars import interval_bars
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate, means
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 21
_DECILE = re.compile(r"decile\((?:i=)?(\d)\)")
_MOST_PANELS = 3


class Spread(NamedTuple):
    """Test accuracy at one IPC with one label spec, by unit U and way of choosing W; NaN where no member finished.

    `best` and `worst` index the ways, as validation ranks them.
    """

    labels: str
    ways: tuple[str, ...]
    test: Float[np.ndarray, "U W"]
    best: int
    worst: int

    @property
    def values(self) -> Float[np.ndarray, "U"]:
        """Best way minus worst way, unit by unit: what choosing is worth."""
        return self.test[:, self.best] - self.test[:, self.worst]


class Finding(NamedTuple):
    """The spreads at one IPC; `lessened` is hard minus soft, each seed against itself, n = 0 without both."""

    ipc: int
    hard: Spread | None
    soft: Spread | None
    lessened: Estimate


def understands(row: Row) -> bool:
    """Rows whose images were not drawn at random; a table from before the column does not say."""
    return row.get("select") not in (None, "random")


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """What choosing images is worth by IPC, with hard and with soft labels."""
    return _parts.by_group(rows, find_spreads, _tell, together=("select",))


def find_spreads(rows: Sequence[Row]) -> list[Finding]:
    """One finding for each IPC at which two ways of choosing finished; empty when all images were chosen alike."""
    # Tuned over all ways at once: a way is not to win by its learning rate.
    table = stack(tuned(rows), "select")
    specs = {kind: [a for a, labels in enumerate(table.labels) if (labels == "hard") == kind] for kind in (True, False)}
    found = []
    for i, ipc in enumerate(table.ipcs):
        hard, soft = (_spread(table, i, specs[kind]) for kind in (True, False))
        if hard or soft:
            both = hard.values - soft.values if hard and soft else np.array([])
            found.append(Finding(ipc, hard, soft, _estimate(both)))
    return found


def _spread(table: Stack, i: int, specs: Sequence[int]) -> Spread | None:
    """The spread at one IPC, with the spec that most ways have and whose mean over them is best on validation."""
    scores = means(table.selection[:, :, i, list(specs)])
    ways = np.isfinite(scores).sum(0)
    if not len(specs) or ways.max() < 2:
        return None
    kept = [(int(n), round(float(np.nanmean(line)), 12)) if n else (0, 0.0) for n, line in zip(ways, scores.T)]
    a = max(range(len(kept)), key=kept.__getitem__)
    best, worst = int(np.nanargmax(scores[:, a])), int(np.nanargmin(scores[:, a]))
    return Spread(table.labels[specs[a]], table.values, table.test[:, :, i, specs[a]], best, worst)


def _estimate(values: Float[np.ndarray, "U"]) -> Estimate:
    return estimate(values[np.isfinite(values)])


def draw_selection(found: Sequence[Finding]) -> Figure:
    """Accuracy by way of choosing, one panel for each of a few budgets; the tenths of difficulty stand in their order."""
    shown = [found[i] for i in sorted({int(i) for i in np.linspace(0, len(found) - 1, _MOST_PANELS).round()})]
    figure = Figure((WIDTH, 1.3 + 2.0 * len(shown)))
    panels = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    ways = sorted({way for f in shown for s in (f.hard, f.soft) if s for way in s.ways}, key=_rank)
    for axes, f in zip(panels, shown):
        for i, (spread, name, colour) in enumerate(((f.hard, "hard labels", INK), (f.soft, "soft labels", BLUE))):
            if spread is None:
                continue
            values = [_estimate(spread.test[:, spread.ways.index(way)]) for way in ways if way in spread.ways]
            places = [ways.index(way) + 0.16 * (i - 0.5) for way in ways if way in spread.ways]
            interval_bars(axes, places, values, color=colour, fmt="os"[i], label=name)
        axes.set_title(words.budgets([f.ipc]), loc="left", fontsize=9)
        axes.set_ylabel("test accuracy, %")
        axes.grid(axis="x", visible=False)
        _name_ways(axes, ways)
    tenths = any(_DECILE.fullmatch(way) for way in ways)
    panels[-1].set_xlabel("images from this tenth of difficulty, 0: easiest" if tenths else "which images")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    counts = [len(s.test) for f in shown for s in (f.hard, f.soft) if s]
    _parts.say_n(figure, counts, "bars: 95 % intervals")
    return figure


def _name_ways(axes: Axes, ways: Sequence[str]) -> None:
    """Tenths are digits below the axis; longer names lean."""
    names = [match[1] if (match := _DECILE.fullmatch(way)) else plots.cut(way, 40) for way in ways]
    axes.set_xticks(range(len(ways)), names)
    for tick in axes.get_xticklabels():
        if len(tick.get_text()) > 1:
            tick.set(rotation=35, ha="right", rotation_mode="anchor")


def _rank(way: str) -> tuple[int, str]:
    """Tenths in their order, then all other ways by name."""
    return (0 if _DECILE.fullmatch(way) else 1, way)


def _worth(spread: Spread | None) -> Estimate:
    return _estimate(spread.values if spread else np.array([]))


def _title(found: Sequence[Finding]) -> str:
    both = [f for f in found if f.lessened.n]
    if not both:
        f = found[0]
        kind, spread = ("hard", f.hard) if f.hard else ("soft", f.soft)
        moved = f"{_parts.signed(_worth(spread))} with {kind} labels at {words.budgets([f.ipc])}"
        return f"Which images are chosen moves accuracy by {moved}"
    ipc, among = _parts.largest({f.ipc: f.lessened for f in both})
    f = next(f for f in both if f.ipc == ipc)
    worth = {"hard": _worth(f.hard), "soft": _worth(f.soft)}
    numbers = f"{_parts.signed(worth['hard'])} with hard labels, {_parts.signed(worth['soft'])} with soft ones"
    numbers = f"{numbers} at {words.budgets([ipc])}{among}"
    # Where the way that validation likes best loses on test, a difference of such numbers says nothing of what matters.
    sign = _parts.sign(f.lessened)
    if sign and _parts.sign(worth["hard" if sign > 0 else "soft"]) > 0:
        return f"Which images are chosen matters {'less' if sign > 0 else 'more'} once labels are soft: {numbers}"
    return f"Whether the choice of images matters less with soft labels cannot be told: {numbers}"


def _tell(found: Sequence[Finding], suffix: str) -> list[Section]:
    lines = []
    for f in found:
        for kind, spread in (("hard", f.hard), ("soft", f.soft)):
            if spread:
                ways = (f"`{spread.ways[spread.best]}`", f"`{spread.ways[spread.worst]}`")
                worth = _worth(spread)
                lessened = words.difference(f.lessened) if kind == "soft" and f.lessened.n else words.NONE
                line = (str(f.ipc), f"`{spread.labels}`", *ways, words.difference(worth), lessened, str(worth.n))
                lines.append(line)
    header = ("IPC", "labels", "best way", "worst way", "best minus worst, points", "hard minus soft, points", "n")
    caption = (
        "What choosing images is worth: the ways that are best and worst on validation, compared on test, each seed "
        "against itself, with 95 % intervals. Hard minus soft: how much less choosing is worth with soft labels."
    )
    title = _title(found)
    shown = "Test accuracy by the way in which images were chosen, with the label spec that is best over all ways."
    picture = Picture(f"selection{suffix}", plots.png(draw_selection, found), f"{shown} {title}.", shown)
    return [Section(title, [picture, Table(header, lines, caption)])]
