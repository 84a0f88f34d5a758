"""What a comparison of sets tells beside its cells: other architectures and augmentations, selection on test, scores of the field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxsoft.analysis.questions import augmentations, optimism
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, GREEN, INK
from jaxsoft.analysis.showing.page import Table, table
from jaxsoft.analysis.statistics import comparison, scores
from jaxsoft.analysis.statistics.comparison import HARD, ITS, KINDS, OWN, RANDOM, SOFT, Cell, Cells, Condition
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, by_unit, contrast, means

_WEIGHT = 0.5  # of IOR in LRS, as published tables have it
COLOURS = {OWN: GREEN, HARD: INK, SOFT: BLUE}
MARKERS = {OWN: "^", HARD: "o", SOFT: "s"}
_LOST = "others minus first, points"


def named(of: Cells) -> dict[str, Any]:
    """The first columns of a table: budget, architecture and augmentation where there are several, and set."""
    told = zip(("model", "augmentation"), of.condition)
    return {"IPC": of.ipc, **{name: words.code(text) for name, text in told if text}, "set": words.code(of.name)}


def with_kind(kind: str) -> str:
    """A kind of labels in words."""
    return kind if kind == OWN else f"{kind} labels"


def transferred(group: Group, found: Mapping[Condition, Sequence[Cells]]) -> list[Table]:
    """What the images of each set are worth by architecture, and what of it is lost on others than the first."""
    models = list(dict.fromkeys(under.model for under in found))
    if len(models) < 2:
        return []
    by_place: dict[tuple[int, str, str], dict[str, Cells]] = {}
    for of in (of for every in found.values() for of in every):
        by_place.setdefault((of.ipc, of.condition.augment, of.name), {})[of.condition.model] = of
    lines = [line for of in by_place.values() for kind in KINDS for line in _transfer(group, models, of, kind)]
    caption = (
        "What the images are worth, its images minus random ones, by the students' architecture, and by how much less or more it "
        f"is on average for the others than for the first, {words.code(models[0])}; each seed against itself."
    )
    return [table(lines, caption, folded=len(lines) > 24)]


def _transfer(group: Group, models: Sequence[str], of: Mapping[str, Cells], kind: str) -> Iterator[dict[str, Any]]:
    terms = comparison.images(kind)
    worth = {name: comparison.value(group, of[name], terms) for name in models if name in of}
    known = [name for name, value in worth.items() if value.n]
    if len(known) > 1 and known[0] == models[0]:
        share = 1 / (len(known) - 1)
        others = [(of[name], {cell: share * weight for cell, weight in terms.items()}) for name in known[1:]]
        lost = comparison.total(group, [*others, (of[known[0]], {cell: -weight for cell, weight in terms.items()})])
        some = of[known[0]]
        line = {**named(some._replace(condition=some.condition._replace(model=""))), "labels": kind}
        yield {**line, **{f"{name}, points": worth[name] for name in known}, _LOST: lost, "n": lost.n}


def robust(group: Group, found: Mapping[Condition, Sequence[Cells]]) -> list[Table]:
    """What augmentation adds, what the images of each set are worth with it and without, and the score that weighs both."""
    base = augmentations.base([under.augment for under in found])
    every = {(of.condition, of.ipc, of.name): of for own in found.values() for of in own}
    lines = []
    for (under, ipc, name), of in every.items():
        plain = every.get((under._replace(augment=base), ipc, name))
        if plain is None or under.augment == base:
            continue
        for kind in KINDS:
            if all({(ITS, kind), (RANDOM, kind)} <= one.arms.keys() for one in (of, plain)):
                arms = [one.arms[images, kind] for one in (of, plain) for images in (ITS, RANDOM)]
                gains = zip((ITS, RANDOM), (group.contrast(ipc, *arms[i::2]) for i in (0, 1)))
                line = {**named(of), "labels": kind} | {
                    f"{images} minus {base}, points": gain for images, gain in gains
                }
                lines.append(line | augmentations.robust(group, ipc, arms, base))
    caption = (
        f"What augmentation adds on each kind of images, minus {words.code(base)}, and what the images are worth with it and "
        f"without: its images minus random ones, with the same labels. {augmentations.ARS}"
    )
    return [table(lines, caption, folded=len(lines) > 24)]


def flattered(group: Group, every: Sequence[Cells]) -> list[Table]:
    """What a table would have said that selects on test, cell by cell; nothing where no run looked."""
    sealed, paper = optimism.protocols(group)
    lines = []
    for of in every:
        line = {
            f"{images}: {kind}, points": gap
            for (images, kind), arms in sorted(of.arms.items())
            if (gap := _gap(sealed, paper, group.ipcs.index(of.ipc), arms))
        }
        lines += [{**named(of), **line}] if line else []
    caption = (
        "What is added to each cell where checkpoint, label spec and rate are selected on test, by all seeds at once, as "
        "published tables are."
    )
    return [table(lines, caption, folded=True)]


def _gap(sealed: optimism.Reported, paper: optimism.Reported, at: int, arms: Sequence[int]) -> Estimate | None:
    ours, theirs = optimism.side(sealed, at, arms, -1.0), optimism.side(paper, at, arms)
    found = contrast(theirs, ours) if ours and theirs else None
    return found if found and found.n else None


def full(runs: Sequence[Run], model: str) -> float:
    """Accuracy with all images and hard labels: that of experts of an architecture on validation, after their last epoch.

    Returns:
      A fraction, the mean over experts and runs; NaN where none is of that architecture.
    """
    last = []
    for run in runs:
        experts, teacher = run.teachers.get("experts", []), run.teachers.get("teacher", {})
        models = teacher.get("models") or [teacher.get("model")] * len(experts)
        kept = [own["history"][-1] for own, name in zip(experts, models) if name == model and own["history"]]
        last += [record["val_accuracy"] for record in kept if record.get("val_accuracy") is not None]
    return float(np.mean(last)) if last else np.nan


def scored(group: Group, every: Sequence[Cells], runs: Sequence[Run]) -> list[Table]:
    """The scores of DD-Ranking for each set: of its images with an expert's soft labels, and with its own."""
    lines = []
    for of in every:
        real = full(runs, of.condition.model or str(group.members["model"].iat[0]))
        line = {}
        for kind in (SOFT, OWN):
            if {(ITS, HARD), (ITS, kind), (RANDOM, kind)} <= of.arms.keys() and not np.isnan(real):
                line |= _scores(group, of, kind, real)
        lines += [{**named(of), **line}] if line else []
    caption = (
        "Scores of DD-Ranking, of accuracies as fractions. HLR: all real images minus its images, both with hard labels; the first "
        "are experts of that architecture on validation after their last epoch, trained as experts are. IOR: its images minus "
        f"random ones, with the same labels. LRS: (e^a − 1/e)/(e − 1/e), a = {_WEIGHT:g} IOR − {1 - _WEIGHT:g} HLR, per seed; "
        "26.9 % where both are 0."
    )
    return [table(lines, caption)]


def _scores(group: Group, of: Cells, kind: str, real: float) -> dict[str, Estimate]:
    def runs(cell: Cell) -> np.ndarray:
        return by_unit(group.side(of.ipc, of.arms[cell]))[:, 0]

    each = scores.label_scores(real, runs((ITS, HARD)), runs((ITS, kind)), runs((RANDOM, kind)), _WEIGHT)
    recovered = comparison.value(group, of, {(ITS, HARD): 1.0})
    weighed = {(ITS, kind): _WEIGHT, (RANDOM, kind): -_WEIGHT, (ITS, HARD): 1 - _WEIGHT}
    alpha = comparison.value(group, of, weighed)
    low, high = (float(scores.score(end - (1 - _WEIGHT) * real)) for end in (alpha.low, alpha.high))
    lrs = Estimate(float(means(each.lrs)), float("nan"), low, high, alpha.n)
    hlr = Estimate(real - recovered.mean, recovered.sem, real - recovered.high, real - recovered.low, recovered.n)
    ior = comparison.value(group, of, comparison.images(kind))
    return {"HLR, points": hlr, f"IOR, {kind}, points": ior, f"LRS, {kind}, %": lrs}
