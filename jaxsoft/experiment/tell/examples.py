"""What a run keeps of its labels for the report: a few images with theirs, and samples large enough to count on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.folder import RunFolder, read_arrays, write_arrays
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import digest, label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset, Split

NAME = "examples.npz"
_SHOWN = 4  # images that are kept themselves
_TRAIN, _VALIDATION = 2_000, 10_000  # at most so many images of a split have their labels kept
_LABEL_BYTES, _IMAGE_BYTES = 14 * 2**20, 256 * 2**20  # of a split: in the file, and on the device


def write(folder: RunFolder, plan: Plan, dataset: Dataset, experts: Experts) -> None:
    """Store labels of the sweep's first teacher at a few of the sweep's epochs; the same run writes the same arrays.

    Three sets of images are labelled: a few of the training images, kept with their pixels; a sample of the training
    images; and the validation images, if there are any, or a sample if they are many. Samples are float16.

    Raises:
      CheckpointError: the folder cannot be written, or an epoch of the teacher is damaged.
    """
    source, epochs = _labels_of(plan, experts)
    train, validation = dataset.train, dataset.validation
    ids = (
        np.array([np.flatnonzero(train.labels == c)[0] for c in np.unique(train.labels)[:_SHOWN]]),
        sample(train, _most(train, _TRAIN, len(epochs), dataset.num_classes)),
        sample(validation, _most(validation, _VALIDATION, len(epochs), dataset.num_classes)),
    )
    parts = [Split(split.images[i], split.labels[i]) for split, i in zip((train, train, validation), ids)]
    shown, large, held_out = np.split(
        _probabilities(experts, parts, source, epochs), np.cumsum([*map(len, ids)])[:-1], 1
    )
    held: dict[str, Any] = {
        "validation_probabilities": held_out.astype(np.float16),
        "validation_labels": parts[2].labels,
    }
    arrays: dict[str, Any] = dict(
        images=parts[0].images,
        labels=parts[0].labels,
        epochs=np.array(epochs, np.int32),
        probabilities=shown,
        class_names=np.array(dataset.class_names),
        train_probabilities=large.astype(np.float16),
        train_labels=parts[1].labels,
        **(held if len(validation) else {}),
    )
    write_arrays(folder.path / NAME, {"sha256": np.array(digest(arrays)), **arrays})


def are_whole(folder: RunFolder) -> bool:
    """Whether the folder has them as they were written; those of an earlier version have no digest, and need be readable."""
    try:
        arrays = read_arrays(folder.path / NAME)
        return "sha256" not in arrays or str(arrays.pop("sha256")) == digest(arrays)
    except Exception:  # damage can surface anywhere in the zip and array readers
        return False


def sample(split: Split, most: int) -> Int[np.ndarray, "n"]:
    """Images spread evenly over a split ordered by class, so that every class has its share; in the split's order."""
    if len(split) <= most:
        return np.arange(len(split))
    by_class = np.argsort(split.labels, kind="stable")
    return np.sort(by_class[np.linspace(0, len(split) - 1, most).round().astype(int)])


def _labels_of(plan: Plan, experts: Experts) -> tuple[LabelSpec, Sequence[int]]:
    """Where the sweep's labels come from, before any treatment, and some of the epochs that it uses."""
    specs = [LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in plan.members)]
    first = next((s for s in specs if s.needs_teacher), LabelSpec(experts=(0,)))
    used = sorted({s.epoch for s in specs if s.epoch is not None}) or [experts.settings.epochs]
    return LabelSpec(experts=first.experts, pool=first.pool), used[:: max(1, len(used) // 4)]


def _most(split: Split, most: int, epochs: int, classes: int) -> int:
    """As many images as the file and the device have room for."""
    return min(most, _LABEL_BYTES // (2 * epochs * classes), _IMAGE_BYTES // max(1, split.images[:1].nbytes))


def _probabilities(
    experts: Experts, parts: Sequence[Split], source: LabelSpec, epochs: Sequence[int]
) -> Float32[np.ndarray, "P N K"]:
    """The labels of all parts, one after another, at each epoch."""
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    bank = experts.logits(Split(images, labels), np.arange(len(labels), dtype=np.int32), epochs)
    rows = [label_rows(replace(source, epoch=epoch), bank) for epoch in epochs]
    return np.stack([np.asarray(row, np.float32) for row in rows])
