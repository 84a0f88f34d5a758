"""The one function that draws figures: Matplotlib's objects only, no global state."""

import io
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatterSciNotation, NullLocator

from jaxsoft import errors
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import (
    GREY,
    HEAT,
    INK,
    ORANGE,
    PALETTE,
    Chart,
    Heat,
    Level,
    Panel,
    Range,
    Series,
    Upright,
    cut,
)
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate

_WIDTH, _MOST_TEXTS, _DASHED = 5.2, 160, (0, (4, 3))
_MARKERS = "osD^vP*X"
log = logging.getLogger(__name__)
_STYLE: dict[Any, Any] = {
    "font.size": 9.5, "axes.labelsize": 9.5, "axes.edgecolor": "#7b828c", "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": "#454c56", "ytick.color": "#454c56", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e3e6ea", "grid.linewidth": 0.8, "legend.frameon": False,
    "legend.fontsize": 8.5, "figure.facecolor": "white", "figure.constrained_layout.use": True, "text.parse_math": False,
    "svg.fonttype": "none", "svg.hashsalt": "jaxsoft", "pdf.fonttype": 42,
}  # fmt: skip
_UNDATED = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Files name neither their day nor who wrote them."""


class Bytes(LogFormatterSciNotation):
    """Names of the ticks of a logarithmic axis of bytes."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The name of a tick, such as 2.0 kB; "" where there is room for none."""
        return words.bits(round(8 * x)) if super().__call__(x, pos) else ""


def png(chart: Chart) -> bytes:
    """A figure as PNG; equal input gives equal bytes, whatever the user's own settings are.

    A figure that cannot be drawn says so in its place, and in a warning: what stands around it is not lost.
    """
    return drawn(chart, "png")


def drawn(chart: Chart, form: str) -> bytes:
    """A figure as `png` says, also as "svg", whose text stays text, or as "pdf"."""
    try:
        return _saved(_draw, chart, form)
    except Exception as problem:  # of one figure, whatever it is
        said = f"{type(problem).__name__}: {errors.shown(str(problem))[:200]}"
        log.warning("the figure %s could not be drawn: %s", chart.name, said)
        return _saved(_missing, said, form)


def _saved(draw: Callable[[Any], Figure], what: Any, form: str) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font lacks shows boxes
        draw(what).savefig(buffer, format=form, dpi=200, metadata=_UNDATED[form])
    return buffer.getvalue()


def _missing(said: str) -> Figure:
    figure = Figure((_WIDTH, 1.2))
    figure.text(0.5, 0.5, f"This figure could not be drawn.\n{cut(said, 80)}", ha="center", va="center")
    return figure


def _draw(chart: Chart) -> Figure:
    panels, across = chart.panels, min(len(chart.panels), chart.across)
    heights = [max(p.height for p in panels[i : i + across]) for i in range(0, len(panels), across)]
    figure = Figure((_WIDTH, 0.9 + sum(heights)))
    places = figure.subplots(len(heights), across, squeeze=False, height_ratios=heights, sharey=chart.same_y)
    for axes in places.flat[len(panels) :]:
        axes.remove()
    drawn = list(places.flat[: len(panels)])
    for axes, panel in zip(drawn, panels):
        _draw_panel(axes, panel, 1 / across)
    _colour_bars(figure, drawn, panels)
    alike_x, alike_y = (len({getattr(p, side) for p in panels}) == 1 for side in ("x", "y"))
    for axes in drawn[: -across if alike_x else 0]:
        axes.set_xlabel("")
    for axes in [axes for i, axes in enumerate(drawn) if alike_y and i % across]:
        axes.set_ylabel("")
    _legend(figure, drawn)
    values = (value for p in panels for mark in p.marks if isinstance(mark, Series) for value in mark.y)
    counts = {value.n for value in values if isinstance(value, Estimate)} - {0}
    n = f"mean of {' to '.join(map(str, sorted({min(counts), max(counts)})))} {chart.units}; " if counts else ""
    if n or chart.said:
        figure.suptitle(f"{n}{chart.said}", x=0.01, ha="left", fontsize=8.5, color=GREY)
    figure.align_ylabels()
    return figure


def _draw_panel(axes: Axes, panel: Panel, part: float) -> None:
    lines = [mark for mark in panel.marks if isinstance(mark, Series)]
    for mark in panel.marks:
        if isinstance(mark, Series):
            _draw_series(axes, mark, panel, lines.index(mark), len(lines))
        elif isinstance(mark, Level):
            style = _DASHED if mark.y else "-"
            axes.axhline(words.scale(panel.y) * mark.y, color=mark.colour, lw=1.2, ls=style, label=mark.name)
        elif isinstance(mark, Upright):
            axes.axvline(mark.x, color=INK, lw=0.9, ls=_DASHED, zorder=1)
            where = {"textcoords": "offset points", "va": "top", "rotation": 90, "fontsize": 8}
            axes.annotate(mark.text, (mark.x, 1), (2, -2), xycoords=("data", "axes fraction"), **where)
        elif isinstance(mark, Range):
            foot = {"transform": axes.get_xaxis_transform(), "solid_capstyle": "butt"}
            axes.plot([mark.low, mark.high], [0.04, 0.04], color=mark.colour, lw=4, alpha=0.5, **foot)
        elif isinstance(mark, Heat):
            _draw_heat(axes, mark)
        else:
            mark(axes)
    axes.set_title(cut(panel.title), loc="left", fontsize=9)
    axes.set(xlabel=panel.x, ylabel=panel.y)
    if panel.names:
        names = [cut(name, 40) for name in panel.names]
        axes.set_xticks(range(len(names)), names)
        axes.grid(axis="x", visible=False)
        if sum(map(len, names)) > 60 * part:
            axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    elif places := sorted({float(x) for line in lines for x in line.x}):
        _measured_axis(axes, places, panel.log, part)
    if lines:
        axes.margins(y=0.1)
    if panel.from_zero:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _draw_series(axes: Axes, mark: Series, panel: Panel, i: int, count: int) -> None:
    values = [v if isinstance(v, Estimate) else NOTHING._replace(mean=v) for v in mark.y]
    known = [(float(x), (v.mean, v.low, v.high)) for x, v in zip(mark.x, values) if not math.isnan(v.mean)]
    if not known:
        return
    colour = PALETTE[i % len(PALETTE)] if mark.colour is None else mark.colour
    marker = mark.marker or _MARKERS[i % len(_MARKERS)]
    x = _beside([x for x, _ in known], i, count, panel) if mark.look in ("bars", "columns") else [x for x, _ in known]
    ends = words.scale(panel.y) * np.array([v for _, v in known])
    mean, low, high = np.where(np.isnan(ends), ends[:, :1], ends).T
    error = np.maximum([mean - low, high - mean], 0)  # an interval may leave out its own estimate of 0
    if mark.look == "columns":
        width = 0.8 / count
        axes.bar(x, mean, 0.92 * width, yerr=error, color=colour, label=mark.name, ecolor=INK, capsize=3)
    elif mark.look == "steps":
        axes.step(x, mean, where="post", color=colour, lw=1.6, zorder=1, label=mark.name)
    else:
        fill = {"mfc": "white", "mec": colour, "mew": 1.4} if mark.hollow else {"mec": "white", "mew": 0.6}
        style = {"color": colour, "marker": marker, "ms": mark.size, "lw": 1.6, "ls": "-" if mark.line else "none"}
        if mark.look == "band":
            axes.plot(x, mean, label=mark.name, **style, **fill)
            axes.fill_between(x, low, high, color=colour, alpha=0.14, lw=0)
        else:
            axes.errorbar(x, mean, error, label=mark.name, capsize=3, **style, **fill)
    for place, top, text in zip(x, high, mark.texts):
        axes.annotate(text, (place, top), (0, 4), textcoords="offset points", ha="center", va="bottom", fontsize=8)


def _beside(x: Sequence[float], i: int, count: int, panel: Panel) -> list[float]:
    """Where series i of several stands, so that series do not hide each other."""
    away = i - (count - 1) / 2
    if panel.names:
        return [place + away * 0.8 / max(count, 3) for place in x]
    if not panel.log or min(x) <= 0:
        return list(x)
    return [place * max(1.3, max(x) / min(x)) ** (0.014 * away) for place in x]


def _measured_axis(axes: Axes, values: Sequence[float], log_scale: bool, part: float) -> None:
    """Ticks at the measured values, as far as their names do not touch; logarithmic, with a place for 0."""
    if log_scale and len(values) > 1:
        least = min((v for v in values if v > 0), default=1.0)
        axes.set_xscale("symlog", linthresh=least, linscale=0.4) if values[0] <= 0 else axes.set_xscale("log")
    axes.margins(x=0.06)
    if len(values) > 16 and not log_scale:
        return
    places = axes.transData.transform([(v, axes.get_ylim()[0]) for v in values])[:, 0]
    places = (places - places[0]) / max(places[-1] - places[0], 1e-12)
    in_bytes = isinstance(axes.xaxis.get_major_formatter(), Bytes)
    names, shown = [words.bits(round(8 * value)) if in_bytes else f"{value:g}" for value in values], [0]
    for i in range(1, len(values)):
        letters = (len(names[i]) + len(names[shown[-1]])) / 2
        if places[i] - places[shown[-1]] >= (0.02 + 0.02 * letters) / part:
            shown.append(i)
    axes.set_xticks(values, [name if i in shown else "" for i, name in enumerate(names)])
    axes.xaxis.set_minor_locator(NullLocator())


def _norm(heat: Heat) -> Normalize:
    ends = np.array(heat.limits or (np.nanmin(heat.values), np.nanmax(heat.values)), float) * words.scale(heat.label)
    most = max(1e-9, float(np.abs(ends).max()))
    return Normalize(-most, most) if heat.diverging else Normalize(*ends)


def _draw_heat(axes: Axes, heat: Heat) -> None:
    values, norm = words.scale(heat.label) * heat.values, _norm(heat)
    axes.imshow(values, "PuOr" if heat.diverging else HEAT, norm=norm, aspect="auto", origin="lower")
    size = 8.5 if values.shape[1] <= 8 else 7.0
    for r, line in enumerate(heat.texts if values.size <= _MOST_TEXTS else ()):
        for c, text in enumerate(line):
            dark = heat.diverging and abs(values[r, c]) > 0.65 * (norm.vmax or 0.0)
            axes.text(c, r, text, ha="center", va="center", fontsize=size, color="white" if dark else INK)
    for r, c in heat.frames:
        edge = INK if heat.diverging else ORANGE
        axes.add_patch(Rectangle((c - 0.47, r - 0.47), 0.94, 0.94, fill=False, ec=edge, lw=2))
    if heat.dots:
        rows, columns = zip(*heat.dots)
        axes.plot(columns, rows, "o", ms=6.5, color=ORANGE, mec="white", mew=1, ls=":", lw=1.4)
    inside = [level for level in heat.levels if np.nanmin(values) < level < np.nanmax(values)]
    if min(values.shape) > 1 and inside:
        lines = axes.contour(np.ma.masked_invalid(values), inside, colors=INK, linewidths=0.9)
        axes.clabel(lines, fmt="%g", fontsize=7.5)
    axes.set_xticks(range(len(heat.columns)), heat.columns)
    axes.set_yticks(range(len(heat.rows)), heat.rows)
    if sum(map(len, heat.columns)) > 60:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _colour_bars(figure: Figure, drawn: Sequence[Axes], panels: Sequence[Panel]) -> None:
    """One bar for all heat maps of one name and scale."""
    found: dict[tuple, list[Axes]] = {}
    for axes, heat in ((axes, m) for axes, panel in zip(drawn, panels) for m in panel.marks if isinstance(m, Heat)):
        norm = _norm(heat)
        found.setdefault((heat.label, heat.diverging, norm.vmin, norm.vmax), []).append(axes)
    for (label, diverging, *limits), own in found.items():
        colours = ScalarMappable(Normalize(*limits), "PuOr" if diverging else HEAT)
        bar = figure.colorbar(colours, ax=own, aspect=30, pad=0.02)
        bar.set_label(label)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _legend(figure: Figure, drawn: Sequence[Axes]) -> None:
    """The names of all panels below them, each once; a single one needs none."""
    handles = {label: handle for axes in drawn for handle, label in zip(*axes.get_legend_handles_labels())}
    if len(handles) > 1:
        names = [cut(name) for name in handles]
        columns = max(1, min(len(names), 84 // (max(map(len, names)) + 8)))
        figure.legend(handles.values(), names, loc="outside lower center", ncols=columns)
