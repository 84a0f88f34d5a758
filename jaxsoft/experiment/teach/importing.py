"""From a file of PyTorch to a teacher: read, given our names, measured on validation images, refused at chance."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import errors, files, models, numerics
from jaxsoft.data import normalize
from jaxsoft.data.formats import tensors
from jaxsoft.experiment.teach.imported import KIND, Imported
from jaxsoft.training.matching import Measured, measured, reordering
from jaxsoft.types import Dataset

_REASONS = "another order of classes, another normalisation (--mean, --std), another data set or size of images"


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


def _refusal(file: Path, dataset: Dataset, found: Measured, record: dict[str, Any]) -> str:
    used = "; ".join(f"{name} {', '.join(f'{each:.4g}' for each in record[name])}" for name in ("mean", "std"))
    told = f"{file} is right about {found.accuracy:.1%} of the {found.images:,} validation images of {dataset.name}"
    told += f", which is no better than the {found.chance:.1%} of always naming one class (used: {used})"
    better = reordering(found, dataset.class_names)
    return f"{told}; usual reasons: {_REASONS}" + f"; {better}" * bool(better)
