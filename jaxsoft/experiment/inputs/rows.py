"""The label bank of a run: every row that any student reads, and where each student's rows begin.

Most labels belong to an image: one finished row for each (label spec, image), whoever uses it. Labels of views and
learned labels belong to an image of one subset, and are kept subset by subset.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import config
from jaxsoft.experiment.inputs.views import view_probabilities
from jaxsoft.experiment.learned.learn import LearningProgress, learn_labels
from jaxsoft.experiment.learned.one import ImageSet
from jaxsoft.experiment.plan.sweep import MemberSpec, Subset
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import LogitBank, label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset

Images = Int32[np.ndarray, "_"]  # subsets differ in size
Labelled = tuple[str, Subset]
"""A subset as one label spec labels it."""


class LabelRows(NamedTuple):
    """Rows, and for each member the row of each of its images (the first of several, where labels are of views)."""

    rows: Float32[np.ndarray, "R K"]
    places: list[Images]


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
      settings: of students, whose augmentation views go through, and of learning.
      dataset: whose training images are labelled.
      experts: of whom the label specs speak.
      folder: of the run, where learned labels are kept; nowhere if not given.
      on_progress: called at each look at labels in learning.
    """
    used = np.unique(np.concatenate(list(images.values())))
    specs = {text: LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in members)}
    shared = [text for text, spec in specs.items() if not spec.is_of_subset]
    epochs = sorted({epoch for text in shared if (epoch := specs[text].epoch) is not None})
    asked = list(dict.fromkeys((m.labels, m.subset) for m in members))
    own = [labelled for labelled in asked if specs[labelled[0]].is_of_subset]
    parts = [rows_of_specs(shared, experts.logits(dataset.train, used, epochs)).reshape(-1, dataset.num_classes)]
    parts += _of_subsets(own, images, settings, dataset, experts, folder, on_progress)
    starts = dict(zip(own, np.cumsum([len(part) for part in parts]).tolist()))
    begins = {text: turn * len(used) for turn, text in enumerate(shared)}
    places: dict[Labelled, Images] = {}
    for text, subset in asked:
        if (text, subset) in starts:
            place = starts[text, subset] + np.arange(len(images[subset])) * max(1, specs[text].views)
        else:
            place = begins[text] + np.searchsorted(used, images[subset])
        places[text, subset] = place.astype(np.int32)
    return LabelRows(np.concatenate(parts), [places[m.labels, m.subset] for m in members])


def rows_of_specs(specs: Sequence[str], bank: LogitBank) -> Float32[np.ndarray, "A N K"]:
    """Every label spec's rows for every image of a logit bank."""
    rows = [np.asarray(label_rows(LabelSpec.parse(text), bank)) for text in specs]
    return np.stack(rows) if rows else np.zeros((0, *bank.logits.shape[2:]), np.float32)


def _of_subsets(
    labelled: Sequence[Labelled],
    images: Mapping[Subset, Images],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None,
    on_progress: Callable[[LearningProgress], None],
) -> list[Float32[np.ndarray, "R K"]]:
    """The rows of each labelled subset: learned ones all at once, those of views spec by spec."""
    asked: dict[str, list[Subset]] = {}
    for text, subset in labelled:
        asked.setdefault(text, []).append(subset)
    arrays: dict[Subset, Any] = {subset: (np.int32(subset.seed), images[subset]) for _, subset in labelled}
    sets = {subset: ImageSet(*both) for subset, both in arrays.items()}
    specs = {text: LabelSpec.parse(text) for text in asked}
    wanted = list(dict.fromkeys(subset for text, subset in labelled if specs[text].is_learned))
    learned = learn_labels(settings, dataset, experts, [sets[s] for s in wanted], folder, on_progress)
    learned_rows, rows = dict(zip(wanted, learned)), {}
    for text, subsets in asked.items():
        if (spec := specs[text]).is_learned:
            given = iter([learned_rows[subset] for subset in subsets])
        else:
            given = view_probabilities(spec, settings, dataset, experts, [sets[s] for s in subsets])
        for subset, each in zip(subsets, given, strict=True):
            rows[text, subset] = _treated(spec, each, dataset.train.labels[images[subset]], images[subset])
    return [rows[one] for one in labelled]


def _treated(
    spec: LabelSpec, given: Float[np.ndarray, "R K"], classes: Int[np.ndarray, "S"], images: Images
) -> Float32[np.ndarray, "R K"]:
    """The operations of a spec on given rows, several of each image where labels are of views."""
    each = len(given) // len(classes)
    return np.asarray(_treat(replace(spec, epoch=None), given, np.repeat(classes, each), np.repeat(images, each)))


@functools.partial(jax.jit, static_argnums=0)
def _treat(spec: LabelSpec, rows: Array, classes: Array, images: Array) -> Array:
    return jax.vmap(spec.treat)(rows, classes, images)
