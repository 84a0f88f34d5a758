"""From a file of PyTorch to a teacher: read, given our names, measured on validation images, refused at chance."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from scipy.stats import binom, entropy

from jaxsoft import errors, files, models, numerics
from jaxsoft.data import normalize
from jaxsoft.data.classes import rank
from jaxsoft.data.formats import tensors
from jaxsoft.experiment.teach.imported import KIND, Imported
from jaxsoft.types import Dataset

_CERTAIN = 1e-3  # how seldom chance may do as well
_BETTER = 0.05  # how much another order of classes has to gain
_REASONS = "another order of classes, another normalisation (--mean, --std), another data set or size of images"


class Measured(NamedTuple):
    """What a network says about labelled images.

    Attributes:
      images, correct: how many there are, and how many of them it is right about.
      chance: the share of the most frequent class.
      entropy: of its labels, in nats; mean.
      order: for each class of the network that of ours which it may mean, if that is far better; else none.
      reordered: the accuracy with that order, on images that it was not chosen on.
    """

    images: int
    correct: int
    chance: float
    entropy: float
    order: tuple[int, ...]
    reordered: float

    @property
    def accuracy(self) -> float:
        """A fraction."""
        return self.correct / self.images

    @property
    def is_at_chance(self) -> bool:
        """Whether always naming the most frequent class does as well more than once in a thousand times."""
        return bool(binom.sf(self.correct - 1, self.images, self.chance) > _CERTAIN)


def measured(logits: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> Measured:
    """Compare logits with true classes; another order of the classes is sought on every second image of a class.

    >>> found = measured(np.eye(3)[[1, 2, 0] * 40] * 9.0, np.array([0, 1, 2] * 40))
    >>> found.accuracy, found.order, found.reordered
    (0.0, (2, 0, 1), 1.0)
    """
    said, classes = logits.argmax(1), logits.shape[1]
    right, chance = said == labels, float(np.bincount(labels).max() / len(labels))
    rest = rank(labels) % 2 == 1
    table = np.zeros((classes, classes), int)
    np.add.at(table, (said[~rest], labels[~rest]), 1)
    order = linear_sum_assignment(-table)[1]
    again = order[said[rest]] == labels[rest]
    least = max(chance, float(right[rest].mean()) if again.size else 1.0)
    is_better = (
        again.size and again.mean() > least + _BETTER and binom.sf(again.sum() - 1, again.size, least) < _CERTAIN
    )
    own = (tuple(order.tolist()), float(again.mean())) if is_better else ((), 0.0)
    return Measured(len(labels), int(right.sum()), chance, float(entropy(softmax(logits, 1), axis=1).mean()), *own)


@numerics.pinned()
def import_file(
    file: Path, folder: Path, dataset: Dataset, model: str = "", mean: Sequence[float] = (), std: Sequence[float] = ()
) -> tuple[dict[str, Any], Measured]:
    """Keep the network of a file as a teacher; returns its record, and what it reaches on the validation images.

    Args:
      file: .pt, .pth or .safetensors of a state_dict.
      folder: of the teacher, which is made.
      dataset: that it labels images of.
      model: the spec of its architecture; if not given, inferred.
      mean, std: of each channel, in [0, 1]; if not given, those of the train images.

    Raises:
      ConfigError: a setting does not fit, or it is no better than chance. DataError: the file holds no such network.
    """
    KIND.check_free(folder)
    if len(dataset.validation) == 0:
        raise errors.ConfigError(f"{dataset.name} has no validation images, on which a teacher is measured")
    own = normalize.standardize(dataset.train.images)
    mean, std = mean or (-own.shift / (255 * own.scale)).tolist(), std or (1 / (255 * own.scale)).tolist()
    found = _network(file, dataset, model)
    record = {
        "model": found.model,
        "class_names": list(dataset.class_names),
        "image_shape": list(dataset.image_shape),
        **{name: np.resize(each, len(own.scale)).tolist() for name, each in (("mean", mean), ("std", std))},
    }
    result = measured(Imported(record, found.variables).logits(dataset.validation.images), dataset.validation.labels)
    if result.is_at_chance:
        raise errors.ConfigError(_refusal(file, dataset, result, record))
    with files.opened(file) as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    record |= {
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "validation_images": result.images},
        "accuracy": result.accuracy,
        "label_entropy": result.entropy,
        "source": {"file": file.name, "sha256": sha256},
    }
    return KIND.keep(folder, record, found.variables), result


def _network(file: Path, dataset: Dataset, model: str) -> models.Found:
    """The network of a file, for images of a data set; whatever is refused names the file."""
    try:
        found = models.from_state_dict(tensors.read(file), dataset.image_shape, model)
    except errors.DataError as problem:
        told = str(problem)
        raise errors.DataError(told if str(file) in told else f"{file}: {told}") from None
    if found.num_classes != dataset.num_classes:
        told = f"{file} is of {found.num_classes} classes; {dataset.name} has {dataset.num_classes}"
        raise errors.DataError(told)
    return found


def reordering(found: Measured, class_names: Sequence[str]) -> str:
    """What is said of another order of classes; nothing if none is far better."""
    if not found.order:
        return ""
    moved = [f"{ours} ({class_names[ours]}) is its {own}" for own, ours in enumerate(found.order) if own != ours]
    more = ", ..." if len(moved) > 4 else ""
    told = f"in another order of the classes it is right about {found.reordered:.1%}, and in this one about "
    return f"{told}{found.accuracy:.1%}: {', '.join(moved[:4])}{more}"


def _refusal(file: Path, dataset: Dataset, found: Measured, record: dict[str, Any]) -> str:
    used = "; ".join(f"{name} {', '.join(f'{each:.4g}' for each in record[name])}" for name in ("mean", "std"))
    told = f"{file} is right about {found.accuracy:.1%} of the {found.images:,} validation images of {dataset.name}"
    told += f", which is no better than the {found.chance:.1%} of always naming one class (used: {used})"
    better = reordering(found, dataset.class_names)
    return f"{told}; usual reasons: {_REASONS}" + f"; {better}" * bool(better)
