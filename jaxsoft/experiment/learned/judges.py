"""How good each expert of a committee is for students: students of a subset, trained on the labels of one expert alone.

They are trained as `config.student` says, whatever a sweep varies, from seeds of their own that the seed of the subset
gives, the same for every expert; after their last step they are asked about the validation images, never the test set.
A run folder keeps what they reached in `committee.json`.

Reference: Cui et al. (2025), "Dataset Distillation via Committee Voting", section 3: the prior performance.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32

from jaxsoft import config, errors, files, numerics, sources, target
from jaxsoft.experiment.learned import many
from jaxsoft.experiment.learned.learn import lesson
from jaxsoft.experiment.learned.one import ImageSet, Lesson
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.committee import alone
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import operation
from jaxsoft.training import cost
from jaxsoft.training import recipe as recipes
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

JUDGES = 3
"""Students for each subset and expert; their mean is what counts."""
KEPT = "committee.json"

Asked = tuple[LabelSpec, ImageSet]
"""Labels of one expert alone, and a subset that they are of."""
Rows = Callable[[LabelSpec, ImageSet], Float32[np.ndarray, "R K"]]
"""Finished labels as the loss of students wants them, several of an image where they are of views."""


class JudgingProgress(NamedTuple):
    """What is told before judging and after each turn: pairs of a subset and an expert behind, of all, and a mean."""

    done: int
    pairs: int
    val_accuracy: float


def priors(
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    committees: Sequence[Asked],
    rows: Rows,
    folder: Path | None = None,
    on_progress: Callable[[JudgingProgress], None] = lambda _: None,
) -> list[LabelSpec]:
    """The committees with priors in numbers: the mean validation accuracy of students of each expert alone, in percent.

    Args:
      settings, dataset, experts: how students are trained, and who labels.
      committees: each with a subset, whose prior is of students.
      rows: gives the labels of one expert for a subset.
      folder: of the run, which keeps what is known; nowhere if not given.
      on_progress: called before any is trained, and after every turn; may raise to stop.

    Raises:
      ConfigError: all students of an expert diverged.
      CheckpointError: what the folder has cannot be read.
    """
    keys = [[_key(settings, dataset, experts, one, subset) for one in alone(spec)] for spec, subset in committees]
    pairs = {key: (one, subset) for own, (spec, subset) in zip(keys, committees) for key, one in zip(own, alone(spec))}
    found = _read(folder) if folder else {}
    missing = {key: pair for key, pair in pairs.items() if key not in found}
    if missing:
        on_progress(JudgingProgress(len(pairs) - len(missing), len(pairs), _mean(found, pairs)))
    lessons = functools.cache(functools.partial(_lesson, settings, dataset, experts))
    for together in _turns(settings, dataset, missing):
        asked = [pairs[key] for key in together]
        subsets = ImageSet(*(np.array(part, np.int32) for part in zip(*(subset for _, subset in asked))))
        first = asked[0][0]
        given = many.place(lessons(subsets.images.shape[1], (first.views, first.mixing)), subsets)
        judged = many.judge(*given, np.stack([rows(*pair) for pair in asked]), "student").accuracy.tolist()
        found |= {key: _story(key, *pairs[key], accuracy) for key, accuracy in zip(together, judged)}
        if folder:
            RunFolder(folder).write_json(KEPT, {"judges": JUDGES, "experts": list(found.values())})
        on_progress(JudgingProgress(sum(key in found for key in pairs), len(pairs), _mean(found, pairs)))
    percents = ([100 * found[key]["val_accuracy"] for key in own] for own in keys)
    return [replace(spec, prior=tuple(own)) for (spec, _), own in zip(committees, percents)]


def recipe_of(settings: config.Settings, num_classes: int, slots: int, seen: tuple[int, str] = (0, "none")) -> Recipe:
    """How students are trained that judge experts; `seen` are the views of an image, and how they are mixed."""
    own, (views, mix) = settings.student, seen
    how = own.optimizer, own.schedule, own.augment, recipes.precision(settings.precision), views, own.loss, mix
    return Recipe(own.model, num_classes, slots, min(own.batch, slots), *how)


def identity(settings: config.Settings) -> dict[str, Any]:
    """What determines the numbers of students that judge experts, beside data, experts, labels and images."""
    return {"judges": JUDGES, "student": vars(settings.student), "code": recipe_of(settings, 1, 1).code()}


def _turns(settings: config.Settings, dataset: Dataset, pairs: Mapping[str, Asked]) -> list[list[str]]:
    """Keys of pairs that are judged at once: of equal shape, as many as are quick and fit in memory."""
    seen = {key: (spec.views, spec.mixing) for key, (spec, _) in pairs.items()}
    shape, devices = dataset.image_shape, target.current().devices // jax.process_count()
    found = []
    for views in dict.fromkeys(seen.values()):
        alike = {key: len(subset.images) for key, (_, subset) in pairs.items() if seen[key] == views}

        def most(size: int, views: tuple[int, str] = views) -> int:
            recipe = recipe_of(settings, dataset.num_classes, size, views)
            quick = cost.choose_block(recipe, shape, JUDGES * len(pairs), recipe.batch) * devices // JUDGES
            each = many.subset_bytes(replace(settings.learned, students=0, judges=JUDGES), recipe, shape)
            return min(quick, memory.budget_bytes(settings) // jax.process_count() // each)

        found += many.turns(alike, most)
    return found


def _lesson(settings: config.Settings, dataset: Dataset, experts: Experts, slots: int, seen: tuple[int, str]) -> Lesson:
    """Of all pairs of one shape."""
    own, recipe = settings.student, recipe_of(settings, dataset.num_classes, slots, seen)
    steps = own.steps or own.epochs * recipe.steps_per_epoch(slots)
    rates = {"learning_rate": own.learning_rate, "weight_decay": own.weight_decay}
    how = replace(settings.learned, judges=JUDGES, unroll_steps=steps, **rates)
    return lesson(settings, how, recipe, dataset, experts)


def _story(key: str, spec: LabelSpec, subset: ImageSet, accuracy: float) -> dict[str, Any]:
    own = {"labels": str(spec), "subset": int(subset.seed), "images": len(subset.images)}
    return {"key": key, **own, "val_accuracy": round(accuracy, 6)}


def _mean(found: Mapping[str, Mapping[str, Any]], pairs: Mapping[str, Asked]) -> float:
    known = [found[key]["val_accuracy"] for key in pairs if key in found]
    return float(np.mean(known)) if known else float("nan")


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    """What is known, by key."""
    if not (folder / KEPT).exists():
        return {}
    told = RunFolder(folder).read_json(KEPT)
    try:
        found = {story["key"]: story for story in told["experts"]}
        if not all(0 <= story["val_accuracy"] <= 1 for story in found.values()):
            raise ValueError("an accuracy is no fraction")
        return found
    except (KeyError, TypeError, ValueError) as problem:
        told = f"cannot read {folder / KEPT} ({errors.shown(str(problem))})"
        raise errors.CheckpointError(f"{told}; delete it and run the same command again") from None


def _key(settings: config.Settings, dataset: Dataset, experts: Experts, spec: LabelSpec, subset: ImageSet) -> str:
    """A hash over what determines what students of an expert reach."""
    called = {call.name: sources.digest(operation(call.name)) for call in spec.operations}
    around = sources.engine(), numerics.identity(), recipes.precision(settings.precision), settings.data.normalize
    own = identity(settings), called, dataset.fingerprint, experts.key, *around
    who = [str(spec), int(subset.seed), np.asarray(subset.images).tolist()]
    return files.digest([json.dumps([own, who], sort_keys=True)])[:12]
