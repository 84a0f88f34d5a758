"""Figures of a run. Matplotlib's objects only, no global state; colours that colour-blind readers can tell apart."""

import io
import logging
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatterSciNotation, NullLocator

from jaxsoft import errors
from jaxsoft.analysis import words
from jaxsoft.analysis.frontier import Choice, Frontier, family
from jaxsoft.analysis.grid import label_order, tuned
from jaxsoft.analysis.read import Examples
from jaxsoft.analysis.stats import summarize
from jaxsoft.types import Row

INK, BLUE, ORANGE = "#1d232b", "#0072b2", "#d55e00"
# Okabe and Ito, without black (hard labels) and without yellow, which is hard to see on white.
PALETTE = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a5c3e", "#6a6f78")
WIDTH = 5.2
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
log = logging.getLogger(__name__)
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.edgecolor": "#7b828c",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#454c56",
    "ytick.color": "#454c56",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "text.parse_math": False,
}


def png(draw: Callable[..., Figure], *args: Any) -> bytes:
    """Draw a figure and return it as PNG; equal input gives equal bytes, whatever the user's own settings are.

    A figure that cannot be drawn says so in its place, and in a warning: what stands around it is not lost.
    """
    try:
        return _png(draw, *args)
    except Exception as problem:  # of one figure, whatever it is
        said = f"{type(problem).__name__}: {errors.shown(str(problem))[:200]}"
        log.warning("the figure %s.%s could not be drawn: %s", draw.__module__, draw.__name__, said)
        return _png(_missing, said)


def _png(draw: Callable[..., Figure], *args: Any) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font lacks shows boxes
        draw(*args).savefig(buffer, dpi=200, metadata={"Software": None})
    return buffer.getvalue()


def _missing(said: str) -> Figure:
    figure = Figure((WIDTH, 1.2))
    figure.text(0.5, 0.5, f"This figure could not be drawn.\n{cut(said, 80)}", ha="center", va="center")
    return figure


def cut(name: str, length: int = 60) -> str:
    """A name that fits a figure."""
    return name if len(name) <= length else name[: length - 1] + "…"


class Powers(LogFormatterSciNotation):
    """Names of the ticks of a logarithmic axis in plain text: in our figures a dollar is a dollar."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The name of a tick, such as 10³ or 2×10³."""
        name = re.sub(r"\$|\\mathdefault|[{}]", "", str(super().__call__(x, pos))).replace(r"\times", "×")
        return re.sub(r"\^(-?\d+)", lambda power: power[1].translate(_RAISED), name)


def accuracy_curves(rows: Sequence[Row]) -> Figure:
    """Test accuracy against IPC for each label spec, with 95 % bands; hard labels in black."""
    cells = summarize(tuned(rows))
    order = label_order(rows)
    colours, ordered = _colours(order)
    figure = Figure((WIDTH, 4.2 if ordered else 3.9 + 0.1 * len(order)))
    axes = figure.subplots()
    for labels in order:
        line = [c for c in cells if c.labels == labels and c.test.n]
        ipc = [c.ipc for c in line]
        mean, low, high = (100 * np.array([getattr(c.test, part) for c in line]) for part in ("mean", "low", "high"))
        hard = labels == "hard"
        style = {"color": colours[labels], "lw": 2.2 if hard else 1.6, "zorder": 4 if hard else 3}
        axes.plot(ipc, mean, "o-", ms=4.5 if hard else 3.5, label=labels, **style)
        axes.fill_between(ipc, low, high, color=colours[labels], alpha=0.12, lw=0)
    _ipc_axis(axes, sorted({c.ipc for c in cells}))
    axes.set_ylabel("test accuracy, %")
    _say_n(axes, [c.test.n for c in cells], "bands")
    _legend(figure, axes, order, colours, ordered)
    return figure


def differences(choices: Sequence[Choice]) -> Figure:
    """Paired difference, chosen soft labels minus hard labels, against IPC, with 95 % intervals."""
    choices = [c for c in choices if c.difference.n]
    figure = Figure((WIDTH, 3.2))
    axes = figure.subplots()
    axes.axhline(0, color=INK, lw=1)
    ends = np.array([[c.difference.mean, c.difference.low, c.difference.high] for c in choices]) * 100
    mean, low, high = np.where(np.isnan(ends), ends[:, :1], ends).T
    for i, c in enumerate(choices):
        colour = {"soft": BLUE, "hard": ORANGE, "": "#6a6f78"}[words.verdict(c)]
        error = [[mean[i] - low[i]], [high[i] - mean[i]]]
        axes.errorbar(c.ipc, mean[i], error, fmt="o", color=colour, ms=6, lw=2, capsize=3.5, mec="white")
        name = "" if c.teacher_epoch is None else str(c.teacher_epoch)
        up = mean[i] >= 0
        where = {"textcoords": "offset points", "ha": "center", "va": "bottom" if up else "top", "fontsize": 8}
        axes.annotate(name, (c.ipc, high[i] if up else low[i]), (0, 4 if up else -4), **where)
    _ipc_axis(axes, [c.ipc for c in choices])
    axes.margins(y=0.16)
    axes.set_ylabel("soft minus hard, test points")
    numbered = any(c.teacher_epoch is not None for c in choices)
    _say_n(axes, [c.difference.n for c in choices], "numbers: teacher epoch; bars" if numbered else "bars")
    return figure


def frontier_map(found: Frontier) -> Figure:
    """Soft minus hard by teacher epoch and IPC; the best epoch of each IPC is framed."""
    values = 100 * found.difference
    rows, columns = values.shape
    figure = Figure((WIDTH, min(1.5 + 0.36 * rows, 9.0)))
    axes = figure.subplots()
    # Gains are what matters: one early teacher that loses 40 points must not turn them all pale.
    limit = max(1.0, 2 * float(np.nanmax(np.append(values, 0.0))))
    image = axes.imshow(values, "PuOr", norm=Normalize(-limit, limit), aspect="auto", origin="lower")
    if rows * columns <= 160:
        for (p, i), value in np.ndenumerate(values):
            pale = not abs(value) > 0.65 * limit
            text = words.points(value / 100) if not abs(value) > 9.95 else f"{value:+.0f}".replace("-", "−")
            size = 8.5 if columns <= 8 else 7.0
            axes.text(i, p, text, ha="center", va="center", fontsize=size, color=INK if pale else "white")
    for i, p in enumerate(found.best):
        if p >= 0:
            axes.add_patch(Rectangle((i - 0.47, p - 0.47), 0.94, 0.94, fill=False, ec=INK, lw=1.8))
    axes.grid(False)
    axes.set_xticks(range(columns), [str(n) for n in found.ipcs])
    axes.set_yticks(range(rows), [str(epoch) for epoch in found.epochs])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("IPC, images per class")
    axes.set_ylabel("teacher epoch")
    lowest = float(np.nanmin(np.append(values, 0.0)))
    bar = figure.colorbar(image, ax=axes, extend="min" if lowest < -limit else "neither", aspect=30, pad=0.02)
    bar.set_label("soft minus hard, test points")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def teacher_history(experts: Sequence[Sequence[Mapping[str, Any]]], marks: Mapping[int, str]) -> Figure:
    """Validation accuracy and label entropy of the experts by epoch, one line each, chosen epochs marked."""
    figure = Figure((WIDTH, 4.4))
    panels = figure.subplots(2, 1, sharex=True)
    scales = (
        ("val_accuracy", 100.0, "validation\naccuracy, %", BLUE),
        ("label_entropy", 1.0, "label entropy,\nnats", ORANGE),
    )
    for axes, (name, scale, title, colour) in zip(panels, scales):
        for history in experts:
            known = [(h["epoch"], scale * h[name]) for h in history if h.get(name) is not None]
            axes.plot(*zip(*known), color=colour, lw=1.8 if len(experts) == 1 else 1.2, alpha=0.9)
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.02)
        for epoch in marks:
            axes.axvline(epoch, color=INK, lw=0.9, ls=(0, (4, 3)), zorder=1)
    for epoch, text in marks.items():
        where = {"textcoords": "offset points", "va": "top", "ha": "left", "rotation": 90, "fontsize": 8}
        panels[1].annotate(text, (epoch, 1), (2, -2), xycoords=("data", "axes fraction"), **where)
    panels[1].set_xlabel("teacher epoch (0 is the initialisation)")
    figure.align_ylabels()
    return figure


def label_bars(examples: Examples, most_images: int = 5, most_epochs: int = 4) -> Figure:
    """Real images, each with the label that the teacher gives it after a few epochs; the true class in orange."""
    images = _spread(len(examples.images), most_images)
    epochs = _spread(len(examples.epochs), most_epochs)
    bars = min(5, len(examples.class_names))
    # For each image the classes that matter, the same in every column so that a bar can be followed.
    weight = examples.probabilities[epochs].mean(0)
    top = [np.sort(np.argsort(-weight[n], kind="stable")[:bars]) for n in images]
    places = np.concatenate([np.arange(bars) + row * (bars + 1) for row in range(len(images))])
    figure = Figure((WIDTH, 1.15 * len(images) + 0.6))
    pictures, *columns = figure.subplots(1, 1 + len(epochs), width_ratios=[1.0] + [1.1] * len(epochs))
    for row, n in enumerate(images):
        pixels = examples.images[n]
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        bottom = row * (bars + 1) + bars - 0.5
        pictures.imshow(pixels, cmap="gray", extent=(0, bars, bottom, bottom - bars), aspect="auto")
    pictures.set(xlim=(0, bars))
    pictures.set_box_aspect((places[-1] + 1.4) / bars)  # square pixels
    pictures.axis("off")
    for axes, p in zip(columns, epochs):
        values = np.concatenate([100 * examples.probabilities[p, n, k] for n, k in zip(images, top)])
        true = np.concatenate([k == examples.labels[n] for n, k in zip(images, top)])
        axes.barh(places, values, color=np.where(true, ORANGE, BLUE), height=0.75)
        axes.set_xlim(0, 100)
        axes.set_xticks([0, 50, 100])
        axes.set_yticks(
            places, [cut(examples.class_names[c], 11) for k in top for c in k] if axes is columns[0] else []
        )
        axes.tick_params(length=0, labelsize=8)
        axes.grid(axis="y", visible=False)
        axes.set_title(f"epoch {examples.epochs[p]}", fontsize=9.5)
    for axes in (pictures, *columns):
        axes.set_ylim(places[-1] + 0.7, -0.7)
    figure.supxlabel("probability, %", fontsize=9)
    return figure


def _colours(order: Mapping[str, int | None]) -> tuple[dict[str, Any], bool]:
    """Colour of each label spec, and whether all soft ones are one family ordered by teacher epoch."""
    soft = [labels for labels in order if labels != "hard"]
    ordered = len(soft) > 2 and all(order[s] is not None for s in soft) and len({family(s) for s in soft}) == 1
    if ordered or len(soft) > len(PALETTE):
        shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(soft)))
        return {"hard": "black", **dict(zip(soft, shades))}, ordered
    return {"hard": "black", **dict(zip(soft, PALETTE))}, False


def _legend(figure: Figure, axes: Axes, order: Mapping[str, int | None], colours: Mapping[str, Any], ordered: bool):
    """Names below the axes; a long series of teacher epochs as a colour bar."""
    soft = [labels for labels in order if labels != "hard"]
    barred = ordered and len(soft) > len(PALETTE)
    lines = [line for line in axes.get_lines() if not barred or line.get_label() == "hard"]
    names = [str(order[k]) if ordered and k != "hard" else cut(k) for k in (str(line.get_label()) for line in lines)]
    columns = max(1, min(len(names), 84 // (max(map(len, names), default=1) + 8)))
    title = "hard labels, and soft labels by teacher epoch" if ordered and not barred else None
    figure.legend(lines, names, loc="outside lower center", ncols=columns, title=title)
    if barred:
        shades = ListedColormap([colours[labels] for labels in soft])
        bar = figure.colorbar(ScalarMappable(Normalize(-0.5, len(soft) - 0.5), shades), ax=axes, aspect=40, pad=0.02)
        shown = _spread(len(soft), 20)
        bar.set_ticks(shown, labels=[str(order[soft[i]]) for i in shown])
        bar.ax.tick_params(length=0, labelsize=8)
        bar.set_label("teacher epoch")


def _ipc_axis(axes: Axes, ipcs: Sequence[int]) -> None:
    """Logarithmic, with the measured values as ticks, as far as they do not touch."""
    axes.set_xscale("log")
    shown: list[int] = []
    room = 0.045 * math.log(max(ipcs) / min(ipcs))
    for ipc in ipcs:
        if not shown or math.log(ipc / shown[-1]) >= room:
            shown.append(ipc)
    axes.set_xticks(ipcs, [str(ipc) if ipc in shown else "" for ipc in ipcs])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.06)
    axes.set_xlabel("IPC, images per class")


def _say_n(axes: Axes, counts: Sequence[int], what: str) -> None:
    n = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    axes.set_title(f"mean of {n} seeds; {what}: 95 % intervals", loc="left", fontsize=8.5, color="#6a6f78")


def _spread(length: int, most: int) -> list[int]:
    """At most `most` positions of a sequence, evenly, both ends included."""
    return sorted({int(i) for i in np.linspace(0, length - 1, min(length, most)).round()})
