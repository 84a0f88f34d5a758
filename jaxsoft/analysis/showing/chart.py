"""Figures as values: panels of marks, in colours that colour-blind readers can tell apart. `drawing` draws them.

Names of axes and colour bars carry their units: what ends with `%` or `points` holds fractions, and is drawn a hundredfold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from jaxsoft.analysis.statistics.inference import Estimate

INK, GREY, BLUE, ORANGE, GREEN = "#1d232b", "#6a6f78", "#0072b2", "#d55e00", "#009e73"
# Okabe and Ito, without black (hard labels) and without yellow, which is hard to see on white.
PALETTE = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00", "#7a5c3e", GREY)
IPC = "IPC, images per class"
# Light enough at both ends for dark lines and figures to stand on it.
HEAT = ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0.02, 0.62, 256))).with_extremes(bad="#eceef1")


class Series(NamedTuple):
    """Values by place, with their intervals as "bars", a "band", "columns" with bars, or "steps" without.

    `colour` and `marker` are by the position in the panel where they are not given; `hollow` marks are white inside.
    """

    name: str
    x: Sequence[float]
    y: Sequence[Estimate | float]
    look: str = "bars"
    line: bool = True
    colour: Any = None
    marker: str = ""
    hollow: bool = False
    size: float = 5.0
    texts: Sequence[str] = ()

    @classmethod
    def of(cls, name: str, values: Mapping[Any, Estimate | float], look: str = "bars", **style: Any) -> "Series":
        """Values by their places."""
        return cls(name, list(values), list(values.values()), look, **style)


class Level(NamedTuple):
    """A horizontal line, dashed unless it is at zero."""

    y: float
    name: str = ""
    colour: str = INK


class Upright(NamedTuple):
    """A dashed vertical line with a text beside it."""

    x: float
    text: str = ""


class Range(NamedTuple):
    """An interval of x, as a bar at the foot of a panel."""

    low: float
    high: float
    colour: Any = INK


class Heat(NamedTuple):
    """Cells in colour [R, C] from the first row at the bottom; `frames` and the path of `dots` are at (row, column).

    `limits` are those of the colours, by default of the values; `diverging` centres them on zero. `levels`: of contours.
    """

    values: Float[np.ndarray, "R C"]
    rows: Sequence[str]
    columns: Sequence[str]
    label: str
    limits: tuple[float, float] | None = None
    diverging: bool = False
    texts: Sequence[Sequence[str]] = ()
    frames: Sequence[tuple[int, int]] = ()
    dots: Sequence[tuple[int, int]] = ()
    levels: Sequence[float] = ()


Mark = Series | Level | Upright | Range | Heat | Callable[[Axes], None]
"""A function draws on the axes itself."""


class Panel(NamedTuple):
    """Marks on one pair of axes; `names` are those of the places 0, 1, ... of x, which is else measured, on a `log` axis."""

    marks: Sequence[Mark]
    y: str = "test accuracy, %"
    x: str = IPC
    title: str = ""
    names: Sequence[str] = ()
    log: bool = True
    height: float = 2.6
    from_zero: bool = False


class Chart(NamedTuple):
    """A figure: its file name without ending, its panels, its caption, and a line above that says what marks are.

    `alt` is for those who cannot see it, by default the caption and the heading; n is counted in all estimates.
    """

    name: str
    panels: Sequence[Panel]
    caption: str
    said: str = "bars: 95 % intervals"
    alt: str = ""
    across: int = 2
    units: str = "seeds"
    same_y: bool = False


def cut(name: str, length: int = 60) -> str:
    """A name that fits a figure."""
    return name if len(name) <= length else name[: length - 1] + "…"


def spread(length: int, most: int) -> list[int]:
    """At most `most` positions of a sequence, evenly, both ends included."""
    return sorted({int(i) for i in np.linspace(0, length - 1, min(length, most)).round()})


def shades(count: int) -> list[Any]:
    """Colours of an ordered series, dark to light."""
    return list(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, count)))
