"""Experts whose images lie on the devices: a chunk of the program is an epoch."""

from collections.abc import Generator
from typing import Any

import numpy as np

from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.teach.course import Seen
from jaxsoft.training import cost, ensemble
from jaxsoft.training.ensemble import Member, Program, Report, Students
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, make_bank
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, Split

ENTROPY_IMAGES = 2000
"""The mean label entropy of an epoch is taken over so many training images."""


class Resident:
    """Teaches from images that are put on the devices once."""

    def __init__(self, program: Program, members: Member, dataset: Dataset, normalizer: Normalizer):
        self._program, self._members, (bucket,) = program, members, program.buckets
        self._bank, self._evals = _material(dataset, normalizer, bucket.recipe)
        self._steps = bucket.chunk_steps

    def look(self, students: tuple[Students, ...]) -> Report:
        """What experts say of the validation images and of a sample of the training images, as they stand."""
        return self._program.look(self._bank, self._evals, students)[0]

    def course(self, students: tuple[Students, ...], step: int, last: int, so_far: Any) -> Generator[Seen, None, None]:
        """Teach from a step, the last of an epoch, up to an epoch; no losses of an epoch are there so far."""
        members, done = (self._members,), step // self._steps
        epochs = ensemble.fit(self._program, self._bank, self._evals, members, last, students, done)
        for epoch, now, reports in epochs:
            yield Seen(epoch * self._steps, now[0], reports[0])


def sample(train: Split) -> Split:
    """The training images of which the label entropy is told."""
    rows = np.linspace(0, len(train) - 1, min(len(train), ENTROPY_IMAGES)).round().astype(int)
    return Split(np.asarray(train.images[rows]), train.labels[rows])


def _material(dataset: Dataset, normalizer: Normalizer, recipe: Recipe) -> tuple[Bank, tuple[EvalSet, ...]]:
    """All training images with a row for each class; validation, and a sample whose label entropy is told."""
    train, at_a_time = dataset.train, cost.evaluation_batch(recipe, dataset.image_shape)
    bank = make_bank(normalizer, normalizer.store(train.images), np.eye(dataset.num_classes, dtype=np.float32))
    splits = dataset.validation, sample(train)
    return bank, tuple(eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)
