"""Can a class be learned without its images, or without its share in the labels of others?

A subject class c is judged by test accuracy on c alone, under three treatments of one source of labels:

  control  nothing is taken away
  images   the images of c are left out (`without`); other images keep what their labels say of c
  labels   its images stay, but no other image's label speaks of it (`drop_class(c)`)
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsoft import spec
from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import label_order, selection_column, tuned
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.plots import BLUE, INK, ORANGE, WIDTH
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.questions._bars import interval_bars
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 4
TREATMENTS = ("control", "images", "labels")
_TELLS = {"control": "nothing left out", "images": "without its images", "labels": "without its labels elsewhere"}
_LOOKS = {"control": (INK, "s"), "images": (BLUE, "o"), "labels": (ORANGE, "^")}
_FEW = 20
"""With at most so many classes each subject is drawn."""


class Subjects(NamedTuple):
    """Accuracy on each subject class S for one source of labels at one IPC, by treatment T and unit U.

    Inside a unit a subject that one of the treatments tried lacks is NaN in all of them, so that means are paired.
    """

    source: str
    ipc: int
    classes: tuple[int, ...]
    num_classes: int
    accuracy: Float[np.ndarray, "T U S"]
    selection: float
    """Mean of the control on the selection column; NaN without control."""

    def mean(self, treatment: str) -> Estimate:
        """Mean over subjects inside a unit, then over units; n = 0 where the treatment was not tried."""
        return estimate(_means(self.accuracy[TREATMENTS.index(treatment)]))

    def subject(self, treatment: str, s: int) -> Estimate:
        """The same for subject s alone."""
        values = self.accuracy[TREATMENTS.index(treatment), :, s]
        return estimate(values[np.isfinite(values)])

    def loss(self, treatment: str) -> Estimate:
        """Treatment minus control, each seed against itself."""
        return estimate(_means(self.accuracy[TREATMENTS.index(treatment)] - self.accuracy[0]))


def understands(row: Row) -> bool:
    """Rows without a class's images or labels; they belong on no curve of soft against hard labels."""
    return _treated(row)[1] != "control"


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """Accuracy on the class that was left out, by treatment and IPC, against chance."""
    one = len({row["dataset"] for row in rows}) == 1  # of several, a run does not say which one it names classes of
    names = next((run.examples.class_names for run in runs if one and run.examples is not None), ())

    def tell(found: list[Subjects], suffix: str) -> list[Section]:
        return _tell(found, suffix, names)

    return _parts.by_group(rows, find_subjects, tell, together=("without",))


def find_subjects(rows: Sequence[Row]) -> list[Subjects]:
    """The subjects of every source of labels and IPC, soft sources first, IPC rising; empty when nothing was left out."""
    rows = tuned(
        [row for row in rows if (row.get("accuracy_by_class") or "").split() and _treated(row)[1] in TREATMENTS]
    )
    order = {labels: i for i, labels in enumerate(label_order(rows))}
    cells: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: order[row["labels"]]):
        cells.setdefault((_treated(row)[0], row["ipc"]), []).append(row)
    found = [_subjects(source, ipc, cell) for (source, ipc), cell in cells.items() if any(map(understands, cell))]
    return sorted(found, key=lambda s: (s.source == "hard", s.ipc))


def _subjects(source: str, ipc: int, rows: Sequence[Row]) -> Subjects:
    units = sorted({(row["seed"], row["subset_seed"]) for row in rows})
    classes = sorted({c for row in rows if (c := _treated(row)[2]) is not None})
    by_class = {row["member"]: by_class_of(row["accuracy_by_class"]) for row in rows}
    num_classes = max(map(len, by_class.values()))
    accuracy = np.full((len(TREATMENTS), len(units), len(classes)), np.nan)
    for row in rows:
        _, treatment, subject = _treated(row)
        u, values = units.index((row["seed"], row["subset_seed"])), by_class[row["member"]]
        for s in range(len(classes)) if subject is None else [classes.index(subject)]:
            known = 0 <= classes[s] < len(values)
            accuracy[TREATMENTS.index(treatment), u, s] = values[classes[s]] if known else np.nan
    tried = np.isfinite(accuracy).any((1, 2))
    accuracy[:, ~np.isfinite(accuracy[tried]).all(0)] = np.nan
    control = [row[selection_column(rows)] for row in rows if _treated(row)[1] == "control"]
    selection = float(np.mean(control)) if control else math.nan
    return Subjects(source, ipc, tuple(classes), num_classes, accuracy, selection)


def by_class_of(text: str) -> Float[np.ndarray, "K"]:
    """Accuracies by class; NaN for what is no fraction, as of a class without test images.

    >>> by_class_of("0.5 - 1")
    array([0.5, nan, 1. ])
    """
    return np.array([_fraction(word) for word in text.split()], float)


def _fraction(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return math.nan
    return value if 0 <= value <= 1 else math.nan


def _treated(row: Row) -> tuple[str, str, int | None]:
    """The source of a row's labels, the treatment ("several" is no treatment of ours), and the subject class or None."""
    source, dropped = _dropped(row["labels"])
    without = row.get("without")
    if not dropped:
        return source, "control" if without is None else "images", without
    return (source, "labels", dropped[0]) if without is None and len(dropped) == 1 else (source, "several", None)


@functools.cache
def _dropped(labels: str) -> tuple[str, tuple[int, ...]]:
    """A label spec without the classes that it drops, and these."""
    calls = spec.parse(labels)
    dropped = tuple(int(_parts.argument(call)) for call in calls if call.name == "drop_class")
    return spec.render(tuple(call for call in calls if call.name != "drop_class")), dropped


def _means(values: Float[np.ndarray, "U S"]) -> Float[np.ndarray, "u"]:
    """Mean over the subjects of every unit that has one."""
    there = np.isfinite(values)
    return np.array([line[known].mean() for line, known in zip(values, there) if known.any()])


def draw_subjects(found: Sequence[Subjects], names: Sequence[str]) -> Figure:
    """Accuracy on the subjects by IPC and treatment, and on each subject at the largest IPC if there are few classes."""
    last, few = found[-1], found[-1].num_classes <= _FEW
    figure = Figure((WIDTH, 5.8 if few else 3.1))
    panels = figure.subplots(2 if few else 1, 1, squeeze=False)[:, 0]
    _draw(panels[0], [[s.mean(t) for s in found] for t in TREATMENTS], last.num_classes)
    panels[0].set_xticks(range(len(found)), [str(s.ipc) for s in found])
    panels[0].set_xlabel("IPC, images per class")
    if few:
        each = [[last.subject(t, s) for s in range(len(last.classes))] for t in TREATMENTS]
        _draw(panels[1], each, last.num_classes)
        shown = [plots.cut(names[c], 30) if c < len(names) else str(c) for c in last.classes]
        panels[1].set_xticks(range(len(shown)), shown, rotation=30 * (max(map(len, shown)) > 3), ha="center")
        panels[1].set_xlabel(f"subject class, at {words.budgets([last.ipc])}")
    (chance, *handles), (name, *labels) = panels[0].get_legend_handles_labels()
    figure.legend([*handles, chance], [*labels, name], loc="outside lower center", ncols=2)
    counts = [s.mean(t).n for s in found for t in TREATMENTS if s.mean(t).n]
    _parts.say_n(figure, counts, f"{len(last.classes)} subject classes; bars: 95 % intervals")
    return figure


def _draw(axes: Axes, values: Sequence[Sequence[Estimate]], num_classes: int) -> None:
    """Estimates of every treatment side by side, and what guessing would reach."""
    tried = [i for i, line in enumerate(values) if any(value.n for value in line)]
    for place, i in enumerate(tried):
        colour, marker = _LOOKS[TREATMENTS[i]]
        places = [x + 0.2 * (place - (len(tried) - 1) / 2) for x in range(len(values[i]))]
        interval_bars(axes, places, values[i], fmt=marker, color=colour, label=_TELLS[TREATMENTS[i]])
    axes.axhline(100 / num_classes, color=_parts.GREY, lw=1, ls=(0, (4, 3)), label="chance")
    axes.grid(axis="x", visible=False)
    axes.set_xlim(-0.5, len(values[0]) - 0.5)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_ylabel("accuracy on the\nsubject class, %")


def _tell(found: Sequence[Subjects], suffix: str, names: Sequence[str]) -> list[Section]:
    soft = [s for s in found if s.source != "hard"] or list(found)
    most = max(s.ipc for s in soft)
    lead = max((s for s in soft if s.ipc == most), key=lambda s: np.nan_to_num(s.selection, nan=-1.0))
    line = [s for s in soft if s.source == lead.source]
    caption = (
        f"Test accuracy on the subject class alone with labels `{lead.source}`; mean over subjects inside a seed, then "
        f"over seeds. Dashed: chance, 1 of {lead.num_classes} classes."
    )
    told = "; ".join(f"IPC {s.ipc}: {_said(s)}" for s in line)
    picture = Picture(
        f"zero-shot{suffix}", plots.png(draw_subjects, line, names), f"Accuracy on subjects. {told}.", caption
    )
    return [Section(_title(lead), [picture, _table(found)])]


def _said(s: Subjects) -> str:
    return ", ".join(f"{_TELLS[t]} {words.accuracy(s.mean(t))} %" for t in TREATMENTS if s.mean(t).n)


def _title(lead: Subjects) -> str:
    images, labels = lead.mean("images"), lead.mean("labels")
    parts = []
    if images.n:
        parts.append(f"Without a single image of a class students reach {words.accuracy(images)} % on it")
    if labels.n:
        start = "without its labels" if images.n else "Without a class in the labels of other images students reach"
        parts.append(f"{start} {words.accuracy(labels)} %")
    if not parts:
        return "Too few members have finished to say what a class is without its images or labels"
    few = (
        f", n = {(images.n or labels.n)} gives no interval" if math.isnan((images if images.n else labels).low) else ""
    )
    return f"{'; '.join(parts)} ({words.budgets([lead.ipc])}, chance {words.percent(1 / lead.num_classes)} %{few})"


def _table(found: Sequence[Subjects]) -> Table:
    lines = []
    for s in found:
        means = [words.accuracy(s.mean(t)) for t in TREATMENTS]
        losses = [words.difference(s.loss(t)) for t in TREATMENTS[1:]]
        n = max(s.mean(t).n for t in TREATMENTS)
        lines.append((str(s.ipc), f"`{s.source}`", *means, *losses, str(len(s.classes)), str(n)))
    header = ("IPC", "labels", *(f"{_TELLS[t]}, %" for t in TREATMENTS), "images minus control, points")
    header += ("labels minus control, points", "subjects", "n")
    caption = (
        "Test accuracy on the subject class: mean over subjects inside a seed, then over n seeds, with 95 % intervals; "
        "differences are paired by seed and subject."
    )
    return Table(header, lines, caption)
