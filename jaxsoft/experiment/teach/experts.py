"""The teachers: E experts of one architecture or of several, and what they say about images.

Experts of equal architecture are trained at once, different architectures one after the other.
"""

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int

from jaxsoft import config, errors, files, numerics
from jaxsoft.data import arrays, normalize
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.store.lock import OnWait
from jaxsoft.experiment.teach import epochs as teaching
from jaxsoft.experiment.teach.cohort import Cohort, by_architecture
from jaxsoft.experiment.teach.cohort import make_bank as make_bank
from jaxsoft.experiment.teach.epochs import OnEpoch, Task
from jaxsoft.labels.bank import LogitBank
from jaxsoft.training import fit
from jaxsoft.training.fit import Recipe
from jaxsoft.types import Dataset, History, Split


class Experts(NamedTuple):
    """Trained experts, by architecture.

    Attributes:
      settings: how they were trained.
      normalization, normalizer: what they see.
      cohorts: the experts of each architecture; expert 0 is the first of the first.
      key: a hash over all that determines their numbers.
    """

    settings: config.Teacher
    normalization: str
    normalizer: Normalizer
    cohorts: tuple[Cohort, ...]
    key: str

    @property
    def recipe(self) -> Recipe:
        """How expert 0 was trained; others differ in nothing but the architecture."""
        return self.cohorts[0].recipe

    @property
    def histories(self) -> tuple[History, ...]:
        """For each expert one record of every epoch."""
        found = {place: history for c in self.cohorts for place, history in zip(c.places, c.histories)}
        return tuple(found[e] for e in range(len(found)))

    def network(self, expert: int, epoch: int) -> tuple[Recipe, Any]:
        """One expert's network, and its variables after so many epochs.

        Raises:
          ConfigError: there is no such expert.
        """
        for cohort in self.cohorts:
            if expert in cohort.places:
                variables = cohort.state(epoch).variables
                return cohort.recipe, jax.tree.map(operator.itemgetter(cohort.places.index(expert)), variables)
        raise errors.ConfigError(f"expert={expert} but there are {self.settings.experts} experts, counted from 0")

    def logits(self, split: Split, image_ids: Int[np.ndarray, "N"], epochs: Sequence[int]) -> LogitBank:
        """What every expert says at these epochs about these images.

        Args:
          split: where the images lie.
          image_ids: which of them.
          epochs: into the trajectory.
        """
        ids = np.asarray(image_ids, np.int32)
        stored = self.normalizer.store(split.images[ids])
        shape = self.settings.experts, len(epochs), len(ids), self.recipe.num_classes
        logits = np.zeros(shape, np.float32)
        for cohort in self.cohorts:
            logits[list(cohort.places)] = cohort.logits(self.normalizer, stored, epochs)
        return LogitBank(logits, tuple(epochs), ids, split.labels[ids])

    def last_logits(self, dataset: Dataset) -> Float32[np.ndarray, "N K"]:
        """What expert 0 says after its last epoch about every training image."""
        stored = self.normalizer.store(dataset.train.images)
        return self.cohorts[0].logits(self.normalizer, stored, [self.settings.epochs])[0, 0]

    def class_order(self, dataset: Dataset) -> Int[np.ndarray, "K"]:
        """The classes by the accuracy of expert 0 on the training images after its last epoch, worst first.

        Of classes with equal accuracy the lower one comes first.
        """
        train, classes = dataset.train, dataset.num_classes
        right = self.last_logits(dataset).argmax(-1) == train.labels
        correct = np.bincount(train.labels[right], minlength=classes)
        images = np.bincount(train.labels, minlength=classes)
        return np.argsort(correct / np.maximum(images, 1), kind="stable")


@numerics.pinned()
def teach(
    dataset: Dataset,
    settings: config.Teacher | None = None,
    normalization: str = "standardize",
    folder: Path | str | None = None,
    on_epoch: OnEpoch = lambda *_: None,
    precision: str = "auto",
    lowering: str = "auto",
    on_wait: OnWait | None = None,
) -> Experts:
    """Train experts on all training images with hard labels, and keep every epoch.

    Args:
      dataset: from `load`, or your own arrays; train and validation are used, test is not.
      settings: how.
      normalization: what networks see, fitted on the training images.
      folder: where to keep the trajectories, and to go on from what is there; in memory if not given.
      on_epoch: called after each epoch; epochs are counted through all architectures.
      precision: of feature maps, as `config.Settings` has it.
      lowering: of convolutions, as `config.Compute` has it.
      on_wait: called while another process teaches these experts in the folder; if not given, the log says so once.

    Raises:
      ConfigError: an architecture is unknown, there is not one for each expert, or an expert diverged.
      DataError: arrays of your own are not what they must be.
      CheckpointError: the folder cannot be read or written.
    """
    dataset, settings, folder = arrays.checked(dataset), settings or config.Teacher(), Path(folder) if folder else None
    normalization = normalize.canonical(normalization)
    architectures = by_architecture(settings)
    task = Task(dataset, settings, normalization, fit.precision(precision))
    normalizer = normalize.fit(normalization, dataset.train.images)
    cohorts = []
    for model, places in architectures.items():
        counted = _counted(on_epoch, len(cohorts) * settings.epochs, len(architectures) * settings.epochs)
        cohorts.append(teaching.teach(task, model, places, normalizer, lowering, folder, counted, on_wait))
    return Experts(settings, normalization, normalizer, tuple(cohorts), _key(task))


def teacher_key(settings: config.Teacher, dataset: Dataset, normalization: str, precision: str) -> str:
    """A hash over what determines the experts' numbers."""
    return _key(Task(dataset, settings, normalization, precision))


def _key(task: Task) -> str:
    """Of the keys of all architectures; the experts' order is in their seeds."""
    return files.digest([" ".join(task.key(*who) for who in by_architecture(task.settings).items())])[:12]


def _counted(on_epoch: OnEpoch, before: int, total: int) -> OnEpoch:
    """Count the epochs of one architecture among those of all."""
    return lambda epoch, _, records: on_epoch(before + epoch, total, records)
