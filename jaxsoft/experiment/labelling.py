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
from jaxsoft.experiment.experts import Experts
from jaxsoft.experiment.learning import Progress, learn_labels
from jaxsoft.experiment.subsets import Subset, subset_of
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.experiment.viewing import view_probabilities
from jaxsoft.labels.bank import LogitBank, label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset

Images = Int32[np.ndarray, "_"]  # subsets differ in size
Block = tuple[str, Subset]
"""Labels of one subset by one spec, in the order of its images."""


class Labels(NamedTuple):
    """Rows, and for each member the row of each of its images (the first of several, where labels are of views)."""

    rows: Float32[np.ndarray, "R K"]
    places: list[Images]


def finish_labels(
    members: Sequence[MemberSpec],
    images: Mapping[Subset, Images],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    look: Callable[[Progress], None] = lambda _: None,
) -> Labels:
    """Ask the experts, learn what is to be learned, and treat all of it as the label specs say.

    Args:
      members: with resolved label specs.
      images: of each subset, positions in train.
      settings: of students, whose augmentation views go through, and of learning.
      dataset: whose training images are labelled.
      experts: of whom the label specs speak.
      folder: of the run, where learned labels are kept; nowhere if not given.
      look: called at each look at labels in learning.
    """
    used = np.unique(np.concatenate(list(images.values())))
    specs = {text: LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in members)}
    shared = [text for text, spec in specs.items() if not spec.is_of_subset]
    epochs = sorted({epoch for text in shared if (epoch := specs[text].epoch) is not None})
    asked = list(dict.fromkeys((m.labels, subset_of(m)) for m in members))
    blocks = [block for block in asked if specs[block[0]].is_of_subset]
    parts = [label_rows_of(shared, experts.logits(dataset.train, used, epochs)).reshape(-1, dataset.num_classes)]
    parts += _of_subsets(blocks, images, settings, dataset, experts, folder, look)
    starts = dict(zip(blocks, np.cumsum([len(part) for part in parts]).tolist()))
    begins = {text: turn * len(used) for turn, text in enumerate(shared)}
    places: dict[Block, Images] = {}
    for text, subset in asked:
        if (text, subset) in starts:
            place = starts[text, subset] + np.arange(len(images[subset])) * max(1, specs[text].views)
        else:
            place = begins[text] + np.searchsorted(used, images[subset])
        places[text, subset] = place.astype(np.int32)
    return Labels(np.concatenate(parts), [places[m.labels, subset_of(m)] for m in members])


def label_rows_of(labels: Sequence[str], bank: LogitBank) -> Float32[np.ndarray, "A N K"]:
    """Every label spec's rows for every image of a logit bank."""
    rows = [np.asarray(label_rows(LabelSpec.parse(text), bank)) for text in labels]
    return np.stack(rows) if rows else np.zeros((0, *bank.logits.shape[2:]), np.float32)


def _of_subsets(
    blocks: Sequence[Block],
    images: Mapping[Subset, Images],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None,
    look: Callable[[Progress], None],
) -> list[Float32[np.ndarray, "R K"]]:
    """The rows of each block: learned ones all at once, those of views spec by spec."""
    specs = {text: LabelSpec.parse(text) for text, _ in blocks}
    wanted = list(dict.fromkeys(subset for text, subset in blocks if specs[text].is_learned))
    tables = [((s.seed,), images[s][:, None]) for s in wanted]
    learned = dict(zip(wanted, learn_labels(settings, dataset, experts, tables, folder, look)))
    rows: dict[Block, Float32[np.ndarray, "R K"]] = {}
    asked: dict[str, list[Subset]] = {text: [] for text in specs}
    for text, subset in blocks:
        asked[text].append(subset)
    for text, mine in asked.items():
        spec = specs[text]
        if spec.is_learned:
            given = iter([learned[subset] for subset in mine])
        else:
            views = [(subset.seed, images[subset]) for subset in mine]
            given = view_probabilities(spec, settings, dataset, experts, views)
        for subset, each in zip(mine, given, strict=True):
            rows[text, subset] = _treated(spec, each, dataset.train.labels[images[subset]], images[subset])
    return [rows[block] for block in blocks]


def _treated(
    spec: LabelSpec, given: Float[np.ndarray, "R K"], labels: Int[np.ndarray, "S"], images: Images
) -> Float32[np.ndarray, "R K"]:
    """The operations of a spec on given rows, several of each image where labels are of views."""
    each = len(given) // len(labels)
    return np.asarray(_treat(replace(spec, epoch=None), given, np.repeat(labels, each), np.repeat(images, each)))


@functools.partial(jax.jit, static_argnums=0)
def _treat(spec: LabelSpec, rows: Array, labels: Array, images: Array) -> Array:
    return jax.vmap(spec.treat)(rows, labels, images)
