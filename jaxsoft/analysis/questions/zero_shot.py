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
import pandas as pd
from jaxtyping import Float

from jaxsoft import spec
from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, GREY, INK, ORANGE, Chart, Level, Panel, Series
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import NOTHING, Estimate, estimate
from jaxsoft.analysis.page import Section, table
from jaxsoft.analysis.read import Run, examples_of

ORDER = 4
TOGETHER = ("without",)
_TELLS = {"control": "nothing left out", "images": "without its images", "labels": "without its labels elsewhere"}
_COLOURS = {"control": INK, "images": BLUE, "labels": ORANGE}
_FEW = 20
"""With at most so many classes each subject is drawn."""


class Subjects(NamedTuple):
    """Accuracy on S subject classes for one source of labels at one IPC, by treatment and unit U; absent if not tried.

    Inside a unit a subject that one of the treatments tried lacks is NaN in all of them, so that means are paired.
    `selection` is the mean of the control on the selection column.
    """

    source: str
    ipc: int
    classes: tuple[int, ...]
    accuracy: dict[str, Float[np.ndarray, "U S"]]
    selection: float

    def mean(self, treatment: str) -> Estimate:
        """Mean over subjects inside a unit, then over units."""
        return estimate(_means(self.accuracy[treatment])) if treatment in self.accuracy else NOTHING

    def loss(self, treatment: str) -> Estimate | None:
        """Treatment minus control, each unit against itself."""
        if not {treatment, "control"} <= set(self.accuracy):
            return None
        return estimate(_means(self.accuracy[treatment] - self.accuracy["control"]))


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members without a class's images or labels; they belong on no curve of soft against hard labels."""
    return members["without"].notna() | members["operations"].map(lambda names: "drop_class" in names)


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy on the class that was left out, by treatment and IPC, against chance."""
    found = _subjects(group)
    if not found:
        return None
    examples = examples_of(runs, group.members["dataset"].iat[0])
    soft = [s for s in found if s.source != "hard"] or found
    most = max(s.ipc for s in soft)
    lead = max((s for s in soft if s.ipc == most), key=lambda s: np.nan_to_num(s.selection, nan=-1.0))
    lines = []
    for s in found:
        means = {f"{_TELLS[t]}, %": s.mean(t) if t in s.accuracy else None for t in _TELLS}
        losses = {f"{t} minus control, points": s.loss(t) for t in ("images", "labels")}
        n = max(s.mean(t).n for t in _TELLS)
        lines.append({"IPC": s.ipc, "labels": f"`{s.source}`", **means, **losses, "subjects": len(s.classes), "n": n})
    caption = (
        "Test accuracy on the subject class: mean over subjects inside a seed, then over n seeds, with 95 % intervals; "
        "differences are paired by seed and subject."
    )
    chart = _chart(
        [s for s in soft if s.source == lead.source], group.classes, examples.class_names if examples else ()
    )
    return Section(_title(lead, group.classes), [chart, table(lines, caption)])


def _subjects(group: Group) -> list[Subjects]:
    """The subjects of every source of labels and IPC, soft sources first; empty when nothing was left out."""
    members = group.members[group.members["accuracy_by_class"].fillna("").str.strip() != ""]
    guess = np.full(group.classes, 1 / max(group.classes, 1))
    lines = []
    for row in members.itertuples():
        source, dropped = _dropped(row.labels)
        without = None if pd.isna(row.without) else int(row.without)
        if len(dropped) + (without is not None) < 2:
            treatment = "labels" if dropped else "control" if without is None else "images"
            values = by_class_of(row.accuracy_by_class) if row.status == "done" else guess
            lines.append((source, row.ipc, row.unit, row.arm, treatment, dropped[0] if dropped else without, values))
    found, order = [], list(dict.fromkeys(map(lambda labels: _dropped(labels)[0], group.arms["labels"])))
    for source, ipc in sorted(
        {line[:2] for line in lines}, key=lambda pair: (pair[0] == "hard", pair[1], order.index(pair[0]))
    ):
        own = [line for line in lines if line[:2] == (source, ipc)]
        classes = tuple(sorted({line[5] for line in own if line[5] is not None}))
        if classes:
            found.append(_of_source(group, source, ipc, own, classes))
    return found


def _of_source(group: Group, source: str, ipc: int, lines: Sequence[tuple], classes: tuple[int, ...]) -> Subjects:
    """One source at one IPC, at the setting that is best for the control."""
    control = group.choose(ipc, [line[3] for line in lines if line[4] == "control"])
    settings = [c for c in ("learning_rate", "weight_decay", "steps") if c in group.arms]
    best = None if control is None else group.arms[settings].iloc[control]
    cells: dict[str, dict[tuple[int, int], list[float]]] = {}
    for _, _, unit, arm, treatment, subject, values in lines:
        if best is None or (group.arms[settings].iloc[arm] == best).all():
            for s, c in enumerate(classes):
                if subject in (None, c) and 0 <= c < len(values):
                    cells.setdefault(treatment, {}).setdefault((group.units.index(unit), s), []).append(values[c])
    accuracy = {}
    for treatment in (t for t in _TELLS if t in cells):
        accuracy[treatment] = np.full((len(group.units), len(classes)), np.nan)
        for at, values in cells[treatment].items():
            accuracy[treatment][at] = np.mean(values)
    whole = np.logical_and.reduce([np.isfinite(values) for values in accuracy.values()])
    accuracy = {treatment: np.where(whole, values, np.nan) for treatment, values in accuracy.items()}
    at = group.ipcs.index(ipc)
    selection = math.nan if control is None else float(np.nanmean(group.selection[:, at, control]))
    return Subjects(source, ipc, classes, accuracy, selection)


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


@functools.cache
def _dropped(labels: str) -> tuple[str, tuple[int, ...]]:
    """A label spec without the classes that it drops, and these."""
    calls = spec.parse(labels)
    dropped = tuple(int((*call.args, *call.kwargs.values())[0]) for call in calls if call.name == "drop_class")
    return spec.render(tuple(call for call in calls if call.name != "drop_class")), dropped


def _means(values: Float[np.ndarray, "U S"]) -> Float[np.ndarray, "u"]:
    """Mean over the subjects of every unit that has one."""
    there = np.isfinite(values)
    return np.array([line[known].mean() for line, known in zip(values, there) if known.any()])


def _title(lead: Subjects, classes: int) -> str:
    told = next((t for t in ("images", "labels") if lead.mean(t).n), None)
    if told is None:
        return "Too few members have finished to say what a class is without its images or labels"
    what = "its images" if told == "images" else "its labels elsewhere"
    value, chance = words.accuracy(lead.mean(told)), words.percent(1 / classes)
    return f"Without {what} a class reaches {value} % at IPC {lead.ipc} (chance {chance} %)"


def _chart(line: Sequence[Subjects], classes: int, names: Sequence[str]) -> Chart:
    """Accuracy on the subjects by IPC and treatment, and on each subject at the largest IPC if there are few classes."""
    tried, last = [t for t in _TELLS if any(t in s.accuracy for s in line)], line[-1]
    chance = Level(1 / classes, "chance", GREY)
    series = [
        Series(_TELLS[t], range(len(line)), [s.mean(t) for s in line], line=False, colour=_COLOURS[t]) for t in tried
    ]
    axis = "accuracy on the\nsubject class, %"
    panels = [Panel([*series, chance], axis, names=[str(s.ipc) for s in line], from_zero=True)]
    if classes <= _FEW:
        each = [
            Series(_TELLS[t], range(len(last.classes)), [estimate(column) for column in last.accuracy[t].T], line=False, colour=_COLOURS[t])
            for t in tried if t in last.accuracy
        ]  # fmt: skip
        shown = [names[c] if c < len(names) else str(c) for c in last.classes]
        panels.append(
            Panel([*each, chance], axis, f"subject class, at {words.budgets([last.ipc])}", names=shown, from_zero=True)
        )
    caption = (
        f"Test accuracy on the subject class alone with labels `{last.source}`; mean over subjects inside a seed, then over "
        f"seeds. Dashed: chance, 1 of {classes} classes."
    )
    said = f"{len(last.classes)} subject classes; bars: 95 % intervals"
    alt = "; ".join(
        f"IPC {s.ipc}: " + ", ".join(f"{_TELLS[t]} {words.accuracy(s.mean(t))} %" for t in tried) for s in line
    )
    return Chart("zero-shot", panels, caption, said, f"Accuracy on subjects. {alt}.", across=1)
