"""Can a class be learned without its images, or without its share in the labels of others?

A subject class c is judged by test accuracy on c alone, under three treatments of one source of labels:

  control  nothing is taken away
  images   the images of c are left out (`without`); other images keep what their labels say of c
  labels   its images stay, but no other image's label speaks of it (`drop_class(c)`)
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from jaxsoft import spec
from jaxsoft.analysis.questions._verbs import examples
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, GREY, INK, IPC, ORANGE, Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics import inference
from jaxsoft.analysis.statistics.groups import TUNABLE, Group
from jaxsoft.analysis.statistics.inference import Estimate, estimate

ORDER = 4
TOGETHER = ("without",)
_TELLS = {"control": "nothing left out", "images": "without its images", "labels": "without its labels elsewhere"}
_COLOURS = {"control": INK, "images": BLUE, "labels": ORANGE}
_FEW = 20
"""With at most so many classes each subject is drawn."""


class Subjects(NamedTuple):
    """Accuracy on S subject classes for one source of labels at one IPC, by treatment and unit U; NaN if not tried.

    Inside a unit a subject that one of the treatments tried lacks is NaN in all of them, so that means are paired.
    `selection` is the mean of the control on the selection column.
    """

    source: str
    ipc: int
    classes: list[int]
    accuracy: dict[str, Float[np.ndarray, "U S"]]
    selection: float

    def mean(self, treatment: str, base: str = "") -> Estimate:
        """Mean over subjects inside a unit, then over units; minus that of a `base`, each unit against itself."""
        values = self.accuracy[treatment] - (self.accuracy[base] if base else 0.0)
        return estimate(inference.means(values.T))


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy on a class whose images, or whose labels elsewhere, were left out."""
    found = _subjects(group)
    if not found:
        return None
    soft = [s for s in found if s.source != "hard"] or found
    lead = max(soft, key=lambda s: (s.ipc, np.nan_to_num(s.selection, nan=-1.0)))
    lines = []
    for s in found:
        line = {"IPC": s.ipc, "labels": f"`{s.source}`"} | {f"{tells}, %": s.mean(t) for t, tells in _TELLS.items()}
        line |= {f"{t} minus control, points": s.mean(t, "control") for t in ("images", "labels")}
        lines.append({**line, "subjects": len(s.classes), "n": max(s.mean(t).n for t in _TELLS)})
    caption = (
        "Test accuracy on the subject class: mean over subjects inside a seed, then over n seeds, with 95 % intervals; "
        "differences are paired by seed and subject."
    )
    title = "Too few members have finished to say what a class is without its images or labels"
    if told := [t for t in ("images", "labels") if lead.mean(t).n]:
        value, chance = words.accuracy(lead.mean(told[0])), words.percent(1 / group.classes)
        title = f"{_TELLS[told[0]].capitalize()} a class reaches {value} % at IPC {lead.ipc} (chance {chance} %)"
    names = kept.class_names if (kept := examples(group, runs)) else ()
    chart = _chart([s for s in soft if s.source == lead.source], group.classes, names)
    return Section(title, [chart, table(lines, caption)])


def _subjects(group: Group) -> list[Subjects]:
    """The subjects of every source of labels and IPC, soft sources first; empty when nothing was left out."""
    members = group.members
    split, without = members["labels"].map(_dropped), members["without"].map(lambda c: () if pd.isna(c) else (int(c),))
    left_out = split.str[1] + without
    treatment = np.select([left_out.str.len() == 0, without.str.len() == 0], ["control", "labels"], "images")
    subject = left_out.str[0].to_numpy(float)
    texts = members["accuracy_by_class"].fillna("").astype(str)
    accuracy = texts.str.split(expand=True).apply(pd.to_numeric, errors="coerce")
    accuracy = accuracy.where((accuracy >= 0) & (accuracy <= 1))  # a class without test images has no fraction
    accuracy[members["status"] != "done"] = 1 / max(group.classes, 1)
    there = np.isnan(subject)[:, None] | (subject[:, None] == accuracy.columns.to_numpy())
    lines = members[["unit", "ipc", "arm"]].assign(source=split.str[0], treatment=treatment, subject=subject)
    lines = lines.join(accuracy.where(there))[left_out.str.len() < 2]
    budgets = [(ipc, lines[lines["ipc"] == ipc].groupby("source", sort=False)) for ipc in group.ipcs]
    parts = [(str(source), ipc, own) for ipc, sources in budgets for source, own in sources]
    parts.sort(key=lambda part: part[0] == "hard")
    return [_of_source(group, *part) for part in parts if part[2]["subject"].isin(accuracy.columns).any()]


def _of_source(group: Group, source: str, ipc: int, lines: pd.DataFrame) -> Subjects:
    """One source at one IPC, at the setting that is best for the control."""
    classes = sorted(int(c) for c in lines["subject"].dropna().unique() if c in lines)
    control = group.choose(ipc, lines.loc[lines["treatment"] == "control", "arm"].unique().tolist())
    if control is not None:
        settings = group.arms[[c for c in TUNABLE if c in group.arms]]
        lines = lines[lines["arm"].map((settings == settings.iloc[control]).all(axis=1))]
    means = lines.groupby(["treatment", "unit"])[classes].mean()
    cells = pd.MultiIndex.from_product([list(_TELLS), group.units])
    accuracy = means.reindex(cells).to_numpy(float).reshape(len(_TELLS), len(group.units), -1)
    tried = lines["treatment"].unique()
    accuracy = np.where(np.isfinite(accuracy[np.isin(list(_TELLS), tried)]).all(0), accuracy, np.nan)
    selection = math.nan if control is None else inference.means(group.selection[:, group.ipcs.index(ipc), control])
    return Subjects(source, ipc, classes, dict(zip(_TELLS, accuracy)), float(selection))


@functools.cache
def _dropped(labels: str) -> tuple[str, tuple[int, ...]]:
    """A label spec without the classes that it drops, and these."""
    calls = spec.parse(labels)
    dropped = tuple(int((*call.args, *call.kwargs.values())[0]) for call in calls if call.name == "drop_class")
    return spec.render(tuple(call for call in calls if call.name != "drop_class")), dropped


def _chart(line: Sequence[Subjects], classes: int, names: Sequence[str]) -> Chart:
    """Accuracy on the subjects by IPC and treatment, and on each subject at the largest IPC if there are few classes."""
    last, tried = line[-1], [t for t in _TELLS if any(s.mean(t).n for s in line)]

    def panel(values: Mapping[str, Sequence[Estimate]], x: str, names: Sequence[str]) -> Panel:
        looks = [Series(_TELLS[t], range(len(v)), v, line=False, colour=_COLOURS[t]) for t, v in values.items()]
        marks = [*looks, Level(1 / classes, "chance", GREY)]
        return Panel(marks, "accuracy on the\nsubject class, %", x, names=names, from_zero=True)

    panels = [panel({t: [s.mean(t) for s in line] for t in tried}, IPC, [str(s.ipc) for s in line])]
    if classes <= _FEW:
        each = {t: [estimate(subject) for subject in last.accuracy[t].T] for t in tried}
        shown = [names[c] if c < len(names) else str(c) for c in last.classes]
        panels.append(panel(each, f"subject class, at {words.budgets([last.ipc])}", shown))
    caption = f"Test accuracy on the subject class alone, labels `{last.source}`. Dashed: chance, 1 of {classes}."
    told = [f"IPC {s.ipc}: {', '.join(f'{_TELLS[t]} {words.accuracy(s.mean(t))} %' for t in tried)}" for s in line]
    said = f"{len(last.classes)} subject classes; bars: 95 % intervals"
    return Chart("zero-shot", panels, caption, said, f"Accuracy on subjects. {'; '.join(told)}.", across=1)
