"""The label bank of a run: every row that any student reads, and where each student's rows begin.

Most labels belong to an image: one finished row for each (label spec, image), whoever uses it. Labels of views and
learned labels belong to an image of one subset, and are kept subset by subset.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import config
from jaxsoft.experiment.inputs.views import view_probabilities
from jaxsoft.experiment.learned.learn import LearningProgress, learn_labels
from jaxsoft.experiment.learned.one import ImageSet
from jaxsoft.experiment.plan.sweep import MemberSpec, Subset
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset

Images = Int32[np.ndarray, "_"]  # subsets differ in size


class LabelRows(NamedTuple):
    """Rows, and for each member the row of each of its images (the first of several, where labels are of views)."""

    rows: Float32[np.ndarray, "R K"]
    places: list[Int[np.ndarray, "_"]]


def finish_rows(
    members: Sequence[MemberSpec],
    images: Mapping[Subset, Images],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    on_progress: Callable[[LearningProgress], None] = lambda _: None,
) -> LabelRows:
    """Ask the experts, learn what is to be learned, and treat all of it as the label specs say.

    Args:
      members: with resolved label specs.
      images: of each subset, positions in train.
      settings, dataset, experts, folder, on_progress: as `prepare` has them.
    """
    used = np.unique(np.concatenate(list(images.values())))
    asked: dict[str, list[Subset]] = {}
    for text, subset in dict.fromkeys((m.labels, m.subset) for m in members):
        asked.setdefault(text, []).append(subset)
    specs = {text: LabelSpec.parse(text) for text in asked}
    epochs = {spec.epoch for spec in specs.values() if spec.epoch is not None and not spec.is_of_subset}
    bank = experts.logits(dataset.train, used, sorted(epochs))
    sets = {subset: ImageSet(np.array(subset.seed, np.int32), ids) for subset, ids in images.items()}
    lessons = {m.subset: sets[m.subset] for m in members if specs[m.labels].is_learned}
    learned_rows = learn_labels(settings, dataset, experts, list(lessons.values()), folder, on_progress)
    learned = dict(zip(lessons, learned_rows))
    parts, places, begin = [], {}, 0
    for text, subsets in asked.items():
        spec = specs[text]
        if not spec.is_of_subset:
            parts.append(np.asarray(label_rows(spec, bank)))
            places |= {(text, subset): begin + np.searchsorted(used, images[subset]) for subset in subsets}
            begin += len(used)
            continue
        if spec.is_learned:
            given = iter([learned[subset] for subset in subsets])
        else:
            given = view_probabilities(spec, settings, dataset, experts, [sets[subset] for subset in subsets])
        for subset, rows in zip(subsets, given, strict=True):
            parts.append(_treated(spec, rows, dataset.train.labels[images[subset]], images[subset]))
            places[text, subset] = begin + np.arange(len(images[subset])) * max(1, spec.views)
            begin += len(rows)
    return LabelRows(np.concatenate(parts), [places[m.labels, m.subset] for m in members])


def _treated(
    spec: LabelSpec, rows: Float[np.ndarray, "R K"], classes: Int[np.ndarray, "S"], images: Images
) -> Float32[np.ndarray, "R K"]:
    """The operations of a spec on given rows, several of each image where labels are of views."""
    whose = (np.repeat(each, max(1, spec.views)) for each in (classes, images))
    return np.asarray(_treat(replace(spec, epoch=None), rows, *whose))


@functools.partial(jax.jit, static_argnums=0)
def _treat(spec: LabelSpec, rows: Array, classes: Array, images: Array) -> Array:
    return jax.vmap(spec.treat)(rows, classes, images)
