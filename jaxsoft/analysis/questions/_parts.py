"""What several questions share: label specs taken apart, choices and paired differences, axes and heat maps."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from jaxsoft import spec
from jaxsoft.analysis import words
from jaxsoft.analysis.choice import estimate_chosen
from jaxsoft.analysis.grid import Grid, column, group_names, groups, selection_column
from jaxsoft.analysis.page import Section
from jaxsoft.analysis.plots import INK, ORANGE, WIDTH
from jaxsoft.analysis.stats import FEWEST, Estimate, estimate, means
from jaxsoft.types import Row

MARKERS = "osD^vP*X"
GREY = "#6a6f78"
# Light enough at both ends for dark lines and figures to stand on it.
HEAT = ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0.02, 0.62, 256))).with_extremes(bad="#eceef1")


@functools.cache
def split(labels: str) -> tuple[str, spec.Call | None]:
    """A label spec without its last operation, and that operation; None for a bare source.

    >>> split("teacher(epoch=5)|topk(3)")[0], split("hard")
    ('teacher(epoch=5)', ('hard', None))
    """
    *rest, last = spec.parse(labels)
    return (spec.render(tuple(rest)), last) if rest else (spec.render((last,)), None)


def argument(call: spec.Call) -> Any:
    """The one argument of an operation, whether by position or by name."""
    return (*call.args, *call.kwargs.values())[0]


def epoch(labels: str) -> int | None:
    """The teacher epoch that a label spec names."""
    return spec.parse(labels)[0].kwargs.get("epoch")


def by_group(
    rows: Sequence[Row],
    find: Callable[[list[Row]], Any],
    tell: Callable[[Any, str], list[Section]],
    together: Sequence[str] = (),
) -> list[Section]:
    """The sections of every group of rows that asks.

    Args:
      rows: finished members.
      find: what one group has to say; falsy where it does not ask.
      tell: sections of what was found, given the suffix of their picture files. Where several groups ask, titles begin
        with the group's name.
      together: columns that the question compares, and that therefore part no groups.
    """
    asking = [(group, found) for group in groups(rows, together) if (found := find(group))]
    sections, names = [], group_names([group for group, _ in asking])
    for i, ((_, found), name) in enumerate(zip(asking, names), 1):
        told = tell(found, f"-{i}" if len(asking) > 1 else "")
        prefix = f"{name[:1].upper()}{name[1:]}: " if name else ""
        sections += [section._replace(title=prefix + section.title) for section in told]
    return sections


def chosen(table: Grid, ipc: int, specs: Sequence[str]) -> str | None:
    """The spec with the best mean on the selection column at an IPC, ties to the first; None where nothing finished."""
    there = [labels for labels in specs if labels in table.labels]
    columns = [column(table, labels) for labels in there]
    mean = np.round(means(table.selection[:, table.ipcs.index(ipc), columns]), 12)
    return there[int(np.nanargmax(mean))] if np.isfinite(mean).any() else None


def accuracy(table: Grid, ipc: int, labels: str) -> Estimate:
    """Test accuracy of a label spec at an IPC."""
    values = table.test[:, table.ipcs.index(ipc), column(table, labels)]
    return estimate(values[np.isfinite(values)])


def paired(table: Grid, ipc: int, treatment: str, baseline: str) -> Estimate:
    """Test accuracy of one label spec minus another's at an IPC, each seed against itself; a fraction."""
    at = table.test[:, table.ipcs.index(ipc)]
    difference = at[:, column(table, treatment)] - at[:, column(table, baseline)]
    return estimate(difference[np.isfinite(difference)])


def chosen_minus(table: Grid, ipc: int, specs: Sequence[str], others: Sequence[str]) -> Estimate:
    """Test accuracy of the best of some label specs minus that of the best of others; a seed judges what the others chose.

    Each side is chosen on the selection column: the pair with the best sum there holds the best of either.
    """
    at, score = (part[:, table.ipcs.index(ipc)] for part in (table.test, table.selection))
    a, b = (np.array([column(table, labels) for labels in side]) for side in (specs, others))
    difference = (at[:, a, None] - at[:, None, b]).reshape(len(at), -1)
    return estimate_chosen(difference, (score[:, a, None] + score[:, None, b]).reshape(len(at), -1))


def sign(value: Estimate) -> int:
    """1 or -1 where the interval leaves out zero, else 0."""
    return int(value.low > 0) - int(value.high < 0)


def largest(values: Mapping[int, Estimate], what: str = "difference") -> tuple[int, str]:
    """The IPC whose value to tell, told ones first, and what must be said of it: the largest of many is large by luck too.

    >>> largest({1: Estimate(0.2, 0.1, 0.1, 0.3, 5), 5: Estimate(0.1, 0.1, 0.0, 0.2, 5)})
    (1, ' (told at 1 of 2 budgets)')
    >>> largest({1: Estimate(0.2, 0.1, 0.1, 0.3, 5)})
    (1, '')
    """
    signs = {ipc: sign(value) for ipc, value in values.items()}
    pick = max(values, key=lambda ipc: (signs[ipc] != 0, abs(values[ipc].mean)))
    told = sum(s == signs[pick] != 0 for s in signs.values())
    if len(values) == 1:
        return pick, ""
    if told == 1:
        return pick, f" (told at 1 of {len(values)} budgets)"
    part = f", told at {told}" if 0 < told < len(values) else ""
    return pick, f" (the largest {what} among {len(values)} budgets{part})"


def size(value: Estimate) -> str:
    """How large a difference is whose sign is told in words, such as "2.1 points [1.0, 3.2]".

    >>> size(Estimate(-0.02, 0.003, -0.03, -0.01, 8))
    '2.0 points [1.0, 3.0]'
    """
    mean, low, high = (words.points(np.sign(value.mean) * end) for end in (value.mean, value.low, value.high))
    if value.mean < 0:
        low, high = high, low
    between = "" if words.NONE in (low, high) else f" [{low}, {high}]"
    return f"{mean} points{between}".replace("+", "")


def signed(value: Estimate) -> str:
    """A difference in points with its sign and interval, or with what stands in the way of an interval."""
    if value.n < FEWEST:
        return f"{words.points(value.mean)} points (n = {value.n} gives no interval)"
    return f"{words.points(value.mean)} points{words.difference(value).removeprefix(words.points(value.mean))}"


def where(some: Sequence[int], of: Sequence[int]) -> str:
    """At which of several IPC.

    >>> where([1, 5], [1, 5]), where([5], [1, 5]), where([], [1, 5])
    ('at every budget', 'at 5 images per class', 'at no budget')
    """
    if len(some) == len(of) > 1:
        return "at every budget"
    return f"at {words.budgets(some)}" if some else "at no budget"


def chosen_on(rows: Sequence[Row]) -> str:
    """The split on which choices are made, in words."""
    return "validation" if selection_column(rows) == "val_accuracy" else "test"


def say_n(figure: Figure, counts: Sequence[int], what: str) -> None:
    """One line above all panels: the number of seeds, and what the bars or bands are."""
    n = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    figure.suptitle(f"mean of {n} seeds; {what}", x=0.01, ha="left", fontsize=8.5, color=GREY)


def panels(count: int, height: float, across: int = 2, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, row by row, and what `Figure.subplots` shares among them; `height` inches each."""
    across = min(count, across)
    down = -(-count // across)
    figure = Figure((WIDTH, 0.9 + height * down))
    places = figure.subplots(down, across, squeeze=False, **shared)
    for axes in places.flat[count:]:
        axes.remove()
    return figure, list(places.flat[:count])


def name_outer(axes: Sequence[Axes], across: int = 2, same_y: bool = True) -> None:
    """Leave the names of shared axes to the panels on the left and those with none below; `same_y`: all share their y."""
    for i, panel in enumerate(axes):
        left, low = i % across == 0, i + across >= len(axes)
        panel.tick_params(labelbottom=low, labelleft=left or not same_y)
        panel.set(**({} if low else {"xlabel": ""}), **({} if left else {"ylabel": ""}))


def measured_axis(axes: Axes, values: Sequence[int | float], title: str, log: bool = True, part: float = 1.0) -> None:
    """An x axis whose ticks are the measured values, as far as their names do not touch; `part` of the figure is its width."""
    values = sorted(set(values))
    if log:
        axes.set_xscale("log")
    places = np.log(values) if log else np.array(values, float)
    places = (places - places[0]) / max(places[-1] - places[0], 1e-12)
    names = [f"{value:g}" for value in values]
    shown = [0]
    for i in range(1, len(values)):
        letters = (len(names[i]) + len(names[shown[-1]])) / 2
        if places[i] - places[shown[-1]] >= (0.02 + 0.02 * letters) / part:
            shown.append(i)
    axes.set_xticks(values, [name if i in shown else "" for i, name in enumerate(names)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.06)
    axes.set_xlabel(title)


def shades(count: int) -> list[Any]:
    """Colours of an ordered series, dark to light."""
    return list(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.82, count)))


def heat_map(
    axes: Axes,
    values: Float[np.ndarray, "R C"],
    norm: Normalize,
    rows: Sequence[str],
    columns: Sequence[str],
    frame: tuple[int, int] | None = None,
    texts: Sequence[Sequence[str]] | None = None,
) -> AxesImage:
    """Cells in colour from the first row at the bottom, one of them framed, perhaps with a text in each."""
    image = axes.imshow(values, HEAT, norm=norm, aspect="auto", origin="lower")
    for r, line in enumerate(texts or ()):
        for c, text in enumerate(line):
            axes.text(c, r, text, ha="center", va="center", fontsize=7.5, color=INK)
    if frame is not None:
        r, c = frame
        axes.add_patch(Rectangle((c - 0.47, r - 0.47), 0.94, 0.94, fill=False, ec=ORANGE, lw=2))
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return image
