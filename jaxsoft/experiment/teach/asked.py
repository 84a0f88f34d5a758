"""A network that is asked about the images of somebody else's set: what its user names, or a small expert that is taught here."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Shaped

from jaxsoft import config, data, files, numerics, presets
from jaxsoft.data import arrays, classes, encoded
from jaxsoft.data.normalize import Normalizer
from jaxsoft.distilled.importing import Asked
from jaxsoft.experiment.teach import experts, imported
from jaxsoft.experiment.teach.experts import OnEpoch
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.evaluate import answers
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, Split

FOLDER = "experts"
_DEAR = 1 << 31  # numbers that an expert reads; two CPU cores read five million of CIFAR-10 a second


def teacher(name: str, dataset: Dataset, root: str = "") -> Asked:
    """An imported teacher; errors as `imported.read`, and a ConfigError if it is of other images."""
    imported.check(LabelSpec.parse(f"imported({name!r})"), config.Data(root=root), dataset)
    found = imported.read(name, root)
    return Asked(f"the teacher {name!r}", functools.partial(_said, found.recipe, found.normalizer, found.variables))


def pixels(dataset: Dataset) -> int:
    """How many numbers of images an expert reads while it is taught."""
    settings, limit = _settings(dataset.name)
    images = np.minimum(np.bincount(dataset.train.labels), limit or len(dataset.train)).sum()
    return int(settings.epochs * images * np.prod(dataset.image_shape))


def is_dear(dataset: Dataset) -> bool:
    """Whether teaching an expert would take long."""
    return pixels(dataset) > _DEAR


@numerics.pinned()
def expert(dataset: Dataset, root: Path | None, on_epoch: OnEpoch) -> Asked:
    """The expert of a data set's `:quick` study, taught once; it is kept beside the prepared data.

    Raises:
      ConfigError, CheckpointError: as `teach`.
    """
    settings, limit = _settings(dataset.name)
    store = data.root_folder(root) / FOLDER
    taught = experts.teach(_first(dataset, limit), settings, folder=store, on_epoch=on_epoch)
    recipe, variables = taught.network(0, settings.epochs)
    accuracy = taught.histories[0][-1]["val_accuracy"]
    words = f"an expert ({settings.model}, {settings.epochs} epochs" + (f", {accuracy:.1%})" if accuracy else ")")
    return Asked(words, functools.partial(_said, recipe, taught.normalizer, variables))


def _settings(name: str) -> tuple[config.Teacher, int]:
    """How the expert of a data set is taught, and of how many images of each class; 0: of all."""
    study = presets.study("import", f"quick,data={name if name in data.names() else 'own'}").config
    return config.Teacher(**dict(study.teacher) | {"experts": 1, "store": "", "expected": ()}), study.data.limit


def _first(dataset: Dataset, limit: int) -> Dataset:
    """The dataset with the first so many train images of each class."""
    if not limit:
        return dataset
    rows = np.flatnonzero(classes.rank(dataset.train.labels) < limit)
    train = Split(encoded.taken(dataset.train.images, rows), dataset.train.labels[rows])
    for array in (train.images, train.labels):
        array.flags.writeable = False
    fingerprint = files.digest([dataset.fingerprint, f"first {limit}"])
    return arrays.vouched(dataclasses.replace(dataset, train=train, fingerprint=fingerprint))


@numerics.pinned()
def _said(
    recipe: Recipe, normalizer: Normalizer, variables: Any, images: Shaped[np.ndarray, "N H W C"]
) -> Float32[np.ndarray, "N K"]:
    """Logits of one network; images are not cut to [0, 1], as those that were distilled leave it."""
    stored = images if images.dtype == np.uint8 else images.astype(np.float32) * np.float32(255)
    stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], variables)
    ((said,),) = answers(recipe, normalizer, stored, [stacked])
    return said
