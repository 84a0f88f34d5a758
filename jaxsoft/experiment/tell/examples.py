"""What a run keeps of its labels for the report: a few images with theirs, and samples large enough to count on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int, Num, UInt8

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

    Three sets of images are labelled: a few of the training images, kept with their pixels, of clips those of the first frame; a sample of the training
    images; and the validation images, if there are any, or a sample if they are many. Samples are float16.

    Raises:
      CheckpointError: the folder cannot be written, or an epoch of the teacher is damaged.
    """
    source, epochs = _labels_of(plan, experts)
    train, validation, room = dataset.train, dataset.validation, (len(epochs), dataset.num_classes)
    shown = np.unique(train.labels, return_index=True)[1][:_SHOWN]  # the first image of a class
    chosen = {
        "": (train, shown),
        "train_": (train, sample(train, _most(train, _TRAIN, *room))),
        "validation_": (validation, sample(validation, _most(validation, _VALIDATION, *room))),
    }
    images = np.concatenate([split.images[ids] for split, ids in chosen.values()])
    labels = [split.labels[ids] for split, ids in chosen.values()]
    together = Split(images, np.concatenate(labels))
    bank = experts.logits(together, np.arange(len(together), dtype=np.int32), epochs)
    said = np.stack([np.asarray(label_rows(replace(source, epoch=epoch), bank), np.float32) for epoch in epochs])
    arrays = {
        "images": _bytes(first_frames(images[: len(shown)])),
        "epochs": np.array(epochs, np.int32),
        "class_names": np.array(dataset.class_names),
        "experts": np.array(source.experts, np.int32),
    }
    for prefix, own, rows in zip(chosen, labels, np.split(said, np.cumsum([*map(len, labels)])[:-1], axis=1)):
        if len(own):
            kind = np.float16 if prefix else np.float32
            arrays |= {f"{prefix}labels": own, f"{prefix}probabilities": rows.astype(kind)}
    write_arrays(folder.path / NAME, {"sha256": np.array(digest(arrays)), **arrays})


def _bytes(images: Num[np.ndarray, "n H W C"]) -> UInt8[np.ndarray, "n H W C"]:
    """Images to look at: those of a user's own may be floats in [0, 1]."""
    return images if images.dtype == np.uint8 else np.round(255 * images).astype(np.uint8)


def first_frames(images: Num[np.ndarray, "n *S C"]) -> Num[np.ndarray, "n H W C"]:
    """Images as they are; of clips the first frame, for what shows them."""
    return images if images.ndim == 4 else images[:, 0]


def are_whole(folder: RunFolder) -> bool:
    """Whether the folder has them as they were written; those of an earlier version have no digest, only a format."""
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
    pool = "probabilities" if first.pool == "probabilities" else "logits"  # of a committee the plain mean
    return LabelSpec(experts=first.experts, pool=pool), used[:: max(1, len(used) // 4)]


def _most(split: Split, most: int, epochs: int, classes: int) -> int:
    """As many images as the file and the device have room for."""
    return min(most, _LABEL_BYTES // (2 * epochs * classes), _IMAGE_BYTES // max(1, split.images[:1].nbytes))
