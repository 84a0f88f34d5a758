"""How old should the teacher be?

Curves of test accuracy over the teacher's epoch, with what the teacher itself knew then, for a few budgets; of many
budgets the frontier of the whole group tells. Asked where the epochs of one source are all that labels differ in, and
are more than the two or three stages that other questions let validation choose from.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from jaxsoft import spec
from jaxsoft.analysis import frontier, plots, words
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.plots import BLUE, INK, ORANGE, PALETTE, WIDTH
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, interval, means, resampled_means
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 3
_MOST_IPCS, _FEWEST_EPOCHS = 4, 4

History = Mapping[int, tuple[float, float]]
"""Validation accuracy (fraction) and label entropy (nats) of a teacher by epoch."""


class Course(NamedTuple):
    """Accuracy at one IPC by teacher epoch P. `best` indexes P, chosen on the selection column.

    `low` and `high` bound the best epoch: its 95 % interval over resampled seeds, NaN with too few.
    """

    ipc: int
    epochs: tuple[int, ...]
    test: tuple[Estimate, ...]
    best: int
    low: float
    high: float
    hard: Estimate | None

    @property
    def epoch(self) -> int:
        """The best epoch."""
        return self.epochs[self.best]

    @property
    def told(self) -> bool:
        """Whether the interval leaves out some epoch that was tried."""
        return self.low > min(self.epochs) or self.high < max(self.epochs)


class Courses(NamedTuple):
    """The courses of all budgets for one source of labels, and how the best epoch moves from the first IPC to the last.

    `moves` is 1 (later) or -1 (earlier) where the interval of the difference leaves out zero, else 0.
    """

    source: str
    courses: tuple[Course, ...]
    moves: int
    on: str


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """The best teacher epoch of each budget, with its interval, the teacher's accuracy and the entropy of its labels."""
    asking = [row for row in rows if row["protocol"] != "both"]  # which asks of optimism
    return _parts.by_group(asking, find_courses, functools.partial(_tell, runs))


def find_courses(rows: Sequence[Row]) -> Courses | None:
    """The courses of one group of rows; None unless one bare source has several epochs, at a few IPC."""
    soft = {row["labels"] for row in rows} - {"hard"}
    sources = {frontier.family(labels) for labels in soft}
    if len(sources) != 1 or len(soft) < _FEWEST_EPOCHS or any("|" in name for name in sources):
        return None
    table = grid(rows)
    members = [a for a, epoch in enumerate(table.epochs) if epoch is not None]
    if len(table.ipcs) > _MOST_IPCS or len(members) < len(soft):
        return None
    draws = resampled_means(table.selection[:, :, members])
    there = [i for i in range(len(table.ipcs)) if np.isfinite(table.selection[:, i, members]).any()]
    courses = tuple(_course(table, i, members, draws[:, i]) for i in there)
    first, last = (_best_epochs(draws[:, i], courses[0].epochs) for i in (there[0], there[-1]))
    low, high = interval(last - first, len(table.units))
    return Courses(sources.pop(), courses, int(low > 0) - int(high < 0), _parts.chosen_on(rows))


def _course(table: Grid, i: int, members: Sequence[int], draws: np.ndarray) -> Course:
    epochs = tuple(int(table.epochs[a] or 0) for a in members)
    best = int(np.nanargmax(np.round(means(table.selection[:, i, list(members)]), 12)))
    ipc = table.ipcs[i]
    test = tuple(_parts.accuracy(table, ipc, table.labels[a]) for a in members)
    hard = _parts.accuracy(table, ipc, "hard") if "hard" in table.labels else None
    return Course(ipc, epochs, test, best, *interval(_best_epochs(draws, epochs), test[best].n), hard)


def _best_epochs(draws: np.ndarray, epochs: Sequence[int]) -> np.ndarray:
    """The best epoch of every draw of mean accuracies, NaN where there is none."""
    best = np.argmax(np.nan_to_num(np.round(draws, 12), nan=-1.0), axis=1)
    return np.where(np.isfinite(draws).any(1), np.array(epochs, float)[best], np.nan)


def teacher_history(source: str, runs: Sequence[Run]) -> History:
    """What single experts of a source knew at each epoch, on average; empty where no run says. Pooled, they know more."""
    call = spec.parse(source)[0]
    asked = range(call.args[0] if call.args else 3) if call.name == "teachers" else [call.kwargs.get("expert", 0)]
    for run in runs:
        experts = run.teachers.get("experts", [])
        if experts and max(asked) < len(experts):
            records = [_known(experts[e]["history"]) for e in asked]
            shared = sorted(set.intersection(*map(set, records)))
            pooled = {epoch: np.mean([record[epoch] for record in records], axis=0) for epoch in shared}
            return {epoch: (float(accuracy), float(entropy)) for epoch, (accuracy, entropy) in pooled.items()}
    return {}


def _known(history: Sequence[Mapping]) -> dict[int, tuple[Any, Any]]:
    """The epochs of one expert that hold both numbers."""
    pairs = {record["epoch"]: (record.get("val_accuracy"), record.get("label_entropy")) for record in history}
    return {epoch: pair for epoch, pair in pairs.items() if None not in pair}


def draw_courses(found: Courses, history: History) -> Figure:
    """Test accuracy by teacher epoch, one panel for each IPC with its best epoch; below, what the teacher knew."""
    count = len(found.courses)
    heights = [1.0 if count > 1 else 1.5] * count + [0.8] * bool(history)
    figure = Figure((WIDTH, 0.9 + 1.75 * sum(heights)))
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    for axes, course, colour in zip(panels, found.courses, PALETTE):
        _draw_course(axes, course, colour)
    if history:
        _draw_teacher(panels[-1], history, _whose(found.source))
    _epoch_axis(panels, found.courses[0].epochs)
    what = "bands: 95 %; star, bar: best epoch; dashed: hard labels"
    _parts.say_n(figure, [e.n for c in found.courses for e in c.test if e.n], what)
    return figure


def _draw_course(axes: Axes, course: Course, colour: str) -> None:
    """One curve; epochs so bad that they would flatten it leave the panel below."""
    mean, low, high = 100 * np.array([[e.mean, e.low, e.high] for e in course.test]).T
    axes.plot(course.epochs, mean, "o-", color=colour, ms=3.5, lw=1.6)
    axes.fill_between(course.epochs, low, high, color=colour, alpha=0.14, lw=0)
    axes.plot(course.epoch, mean[course.best], "*", color=colour, ms=13, mec="white", zorder=5)
    level = np.nanquantile(mean, 0.3)
    if course.hard and course.hard.n:
        axes.axhline(100 * course.hard.mean, color=INK, lw=1.1, ls=(0, (4, 3)))
        level = min(level, 100 * course.hard.mean)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, level - 0.6 * (top - level)), top)
    place = axes.get_xaxis_transform()
    axes.plot(
        [course.low, course.high], [0.04, 0.04], color=colour, lw=4, alpha=0.5, transform=place, solid_capstyle="butt"
    )
    axes.set_title(words.budgets([course.ipc]), loc="left", fontsize=9)
    axes.set_ylabel("test accuracy, %")


def _draw_teacher(axes: Axes, history: History, whose: str) -> None:
    """Validation accuracy on the left, label entropy on the right."""
    epochs, values = list(history), np.array(list(history.values()))
    axes.plot(epochs, 100 * values[:, 0], color=BLUE, lw=1.6)
    axes.set_ylabel(f"{whose}\nvalidation, %", color=BLUE)
    right = axes.twinx()
    right.plot(epochs, values[:, 1], color=ORANGE, lw=1.6, ls=(0, (5, 2)))
    right.set_ylabel("label entropy,\nnats", color=ORANGE)
    right.grid(False)
    right.spines["right"].set_visible(True)
    for side in (axes, right):
        side.set_ylim(bottom=0)


def _epoch_axis(panels: Sequence[Axes], epochs: Sequence[int]) -> None:
    """The epochs that were tried; logarithmic where their steps grow, with a place for epoch 0."""
    steps, low, high = np.diff(epochs), min(e for e in epochs if e > 0), max(epochs)
    grows = steps.max() > 4 * steps.min()
    if grows:
        panels[-1].set_xscale("symlog", linthresh=low, linscale=0.4)
    margin = 0.03 * (high - epochs[0])
    panels[-1].set_xlim(*((0.85 * epochs[0], 1.15 * high) if grows else (epochs[0] - margin, high + margin)))
    places = panels[-1].transData.transform([(e, 0) for e in epochs])[:, 0]
    room, shown = 0.075 * (places[-1] - places[0]), [0]
    for i in range(1, len(epochs)):
        if places[i] - places[shown[-1]] >= room:
            shown.append(i)
    panels[-1].set_xticks([epochs[i] for i in shown], [str(epochs[i]) for i in shown])
    panels[-1].xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("teacher epoch (0 is the initialisation)")


def _between(course: Course) -> str:
    return "" if math.isnan(course.low) else f" [{course.low:.0f}, {course.high:.0f}]"


def _title(found: Courses, history: History) -> str:
    first, last = found.courses[0], found.courses[-1]
    known = history if _whose(found.source) == "teacher's" else {}
    nats = [f"{known[c.epoch][1]:.2f}" if c.epoch in known else "" for c in (first, last)]
    if first is last:
        at = words.budgets([first.ipc])
        if not first.told and not math.isnan(first.low):
            return f"Which teacher epoch is best at {at} cannot be told: {first.epoch}{_between(first)}"
        hold = f", whose labels hold {nats[0]} nats," if nats[0] else ""
        reached = words.accuracy(first.test[first.best])
        return f"At {at} the best teacher is that of epoch {first.epoch}{_between(first)}{hold} with {reached} %"
    path = f"epoch {first.epoch}{_between(first)} to {last.epoch}{_between(last)}"
    span = f"from {words.budgets([first.ipc])} to {last.ipc}"
    nature = f"its labels hold {nats[0]} and {nats[1]} nats" if all(nats) else ""
    if not found.moves:
        return f"Whether the best labels sharpen {span} cannot be told: {path}{nature and '; ' + nature}"
    verb = "sharpen" if found.moves > 0 else "soften"
    change = f" {nats[0]} to {nats[1]} nats," if all(nats) else ""
    return f"The best labels {verb} {span}:{change} {path} of the teacher"


def _whose(source: str) -> str:
    """Of pooled experts single ones alone are known."""
    return "single experts'" if spec.parse(source)[0].name == "teachers" else "teacher's"


def _tell(runs: Sequence[Run], found: Courses, suffix: str) -> list[Section]:
    history = teacher_history(found.source, runs)
    title, lines = _title(found, history), []
    for c in found.courses:
        knew = history.get(c.epoch)
        teacher = (f"{words.percent(knew[0])}", f"{knew[1]:.2f}") if knew else (words.NONE, words.NONE)
        reached = words.accuracy(c.test[c.best])
        lines.append((str(c.ipc), f"{c.epoch}{_between(c)}", reached, *teacher, str(c.test[c.best].n)))
    whose = _whose(found.source)
    header = ("IPC", "best epoch", "test, %", f"{whose} validation, %", f"{whose} label entropy, nats", "n")
    caption = (
        f"Best epoch of `{found.source}` on {found.on}, of the epochs tried and for this one set of experts; its 95 % interval "
        "is that of the best epoch in resampled sets of seeds. Accuracy: mean over n seeds with its 95 % interval."
    )
    shown = "Test accuracy by teacher epoch for each number of images per class"
    below = f", above the {whose} own validation accuracy (blue) and label entropy (orange)" if history else ""
    picture = Picture(
        f"epochs{suffix}", plots.png(draw_courses, found, history), f"{shown}{below}. {title}.", f"{shown}{below}."
    )
    return [Section(title, [picture, Table(header, lines, caption)])]
