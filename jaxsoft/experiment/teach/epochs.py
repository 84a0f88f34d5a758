"""How experts of one architecture are taught: all at once, kept after every epoch, resumed, and shared by runs.

An expert is trained by the same program as a student, on all training images with hard labels; a chunk is an epoch.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsoft import config, errors, files, numerics, sources
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.store import checkpoints
from jaxsoft.experiment.store.checkpoints import Checkpoints, Good
from jaxsoft.experiment.store.folder import writing
from jaxsoft.experiment.store.lock import Lock, OnWait, told
from jaxsoft.experiment.teach.cohort import Cohort, Trajectory, make_bank
from jaxsoft.training import cost, ensemble
from jaxsoft.training.ensemble import Bucket, Program, Students
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member, Recipe, State
from jaxsoft.types import Dataset, Split

log = logging.getLogger(__name__)

_ENTROPY_IMAGES = 2000  # the mean label entropy of an epoch is taken over so many training images
_FIRST_SEED = 1_000_000_000  # no student begins at the weights from which its own teacher began

Records = list[list[dict[str, Any]]]
"""For each epoch one record for each expert."""

OnEpoch = Callable[[int, int, list[dict[str, Any]]], None]
"""Called after each epoch with (epochs done, epochs in all, one record for each expert in training); may raise to stop."""


class Task(NamedTuple):
    """What all experts are taught, and how: what determines their numbers, beside architecture and seed."""

    dataset: Dataset
    settings: config.Teacher
    normalization: str
    precision: str

    def recipe(self, model: str) -> Recipe:
        """Of the experts of one architecture."""
        slots, own = len(self.dataset.train), self.settings
        how = own.optimizer, own.schedule, own.augment, self.precision
        return Recipe(model, self.dataset.num_classes, slots, min(own.batch, slots), *how)

    def key(self, model: str, places: Sequence[int]) -> str:
        """A hash over what determines the numbers of experts of one architecture."""
        others = ("model", "models", "experts", "seed", "store", "expected")
        own = {k: v for k, v in config.as_dict(self.settings).items() if k not in others}
        who = [model, *(self.settings.seed + place for place in places)]
        around = [sources.engine(), numerics.identity(), self.recipe(model).code()]
        all_of_it = [who, own, self.dataset.fingerprint, self.normalization, self.precision, *around]
        return files.digest([json.dumps(all_of_it, sort_keys=True)])[:12]


def teach(
    task: Task,
    model: str,
    places: Sequence[int],
    normalizer: Normalizer,
    lowering: str,
    store: Path | None,
    on_epoch: OnEpoch,
    on_wait: OnWait | None = None,
) -> Cohort:
    """Train the experts of one architecture, from their newest epoch on if there is one.

    Whoever finds the last epoch in a store only reads; before that one process at a time may train there, and others
    wait for it. An epoch that is found damaged later, or gone, is trained again.

    Raises:
      CheckpointError: the store, a folder of trajectories by key, cannot be read or written.
      ConfigError: an expert diverged, now or when it was trained.
    """
    bucket, members = _members(task, model, places, lowering)
    devices = jax.local_devices()[: _largest_divisor(bucket.members // bucket.block, jax.local_device_count())]
    program = Program((bucket,), task.dataset.image_shape, select=0, devices=devices)
    key = task.key(model, places)
    teaching = Teaching(
        task,
        tuple(places),
        normalizer,
        program,
        members,
        program.shapes((members,))[0].state,
        key,
        store / key if store else None,
        on_epoch,
        on_wait or told(log.warning, "teaches these experts"),
    )
    trajectory, records = teaching.finished() or teaching.train(task.settings.epochs)
    histories = tuple([epoch[e] for epoch in records] for e in range(len(places)))
    return Cohort(tuple(places), bucket.recipe, trajectory, teaching.like, histories, key, teaching.train)


class Teaching(NamedTuple):
    """Experts of one architecture being taught; their epochs are kept in memory if there is no folder."""

    task: Task
    places: tuple[int, ...]
    normalizer: Normalizer
    program: Program
    members: Member
    like: State
    key: str
    folder: Path | None
    on_epoch: OnEpoch
    on_wait: OnWait

    def finished(self) -> tuple[Checkpoints | Trajectory, Records] | None:
        """What a store has, if it has the last epoch, which is then only read."""
        last = self.task.settings.epochs
        if self.folder is None or not checkpoints.path_of(self.folder, last).exists():
            return None
        trajectory, good = self._open(last, mine=False)
        if good is None or good.step < last:
            return None
        self.check(good.tree, good.extra["records"])
        return trajectory, good.extra["records"]

    def train(self, last: int) -> tuple[Checkpoints | Trajectory, Records]:
        """From the newest whole epoch, or from the start, to the last one that is wanted; one process at a time.

        An epoch's records go with its state. It is checked before it is kept: no store holds experts that are none.
        """
        with self._held():
            trajectory, good = self._open(last)
            if good:
                self.check(good.tree, good.extra["records"])
            records = good.extra["records"] if good else []
            if not good or good.step < last:
                records = self._train(trajectory, good, last)
            return trajectory, records

    def _train(self, trajectory: Checkpoints | Trajectory, good: Good | None, last: int) -> Records:
        (bucket,), epochs = self.program.buckets, self.task.settings.epochs
        bank, evals = _material(self.task.dataset, self.normalizer, bucket.recipe)
        if good:
            students, records = (Students(good.tree, None),), good.extra["records"]
        else:
            students = self.program.initialize((self.members,))
            records = [_records(0, self.program.look(bank, evals, students)[0])]
            trajectory.save(0, students[0].state, {"records": records})
        done = len(records) - 1
        for epoch, now, reports in ensemble.fit(self.program, bank, evals, (self.members,), last, students, done):
            records.append(_records(epoch, reports[0]))
            self.check(now[0].state, records[-1:])
            trajectory.save(epoch, now[0].state, {"records": records})
            self.on_epoch(epoch, epochs, records[-1])
        return records

    def _open(self, last: int, mine: bool = True) -> tuple[Checkpoints | Trajectory, Good | None]:
        """A trajectory, and its newest whole epoch up to `last`; only the holder of its lock may clean it up."""
        if self.folder is None:
            return Trajectory({}), None
        trajectory = Checkpoints(self.folder, keep=None, tag={"teacher": self.key}, mine=mine)
        return trajectory, trajectory.latest_good(self.like, last)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other processes from teaching the same experts at the same time; wait for one that does."""
        if self.folder is None:
            yield
            return
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.folder / "lock", "the experts' folder", self.on_wait)
        try:
            yield
        finally:
            lock.release()

    def check(self, state: State, records: Records) -> None:
        """Experts are judged as students are: one whose loss or update was not finite learned nothing from then on.

        Its loss may stay finite all the same, and its last finite weights may be those that it began with.

        Args:
          state: after the last of some epochs.
          records: of these epochs.

        Raises:
          ConfigError: which expert, at which step, and what to change.
        """
        own, recipe = self.task.settings, self.program.buckets[0].recipe
        steps, rate = recipe.steps_per_epoch(recipe.slots), f"{own.learning_rate:g}"
        todo = f"lower config.teacher.learning_rate ({rate}) or change config.teacher.optimizer ({own.optimizer})"
        for e, (place, bad_step) in enumerate(zip(self.places, np.asarray(state.bad_step).tolist(), strict=True)):
            who = f"expert {place}, {recipe.model},"
            if bad_step >= 0:
                when = f"step {bad_step} (epoch {bad_step // steps + 1} of {own.epochs})"
                raise errors.ConfigError(f"{who} diverged at {when}: its loss or update is not finite; {todo}")
            for record in (epoch[e] for epoch in records):
                if not np.isfinite(record["label_entropy"]):
                    after = f"after epoch {record['epoch']} of {own.epochs}"
                    raise errors.ConfigError(f"{who} has no finite labels {after}; {todo}")


def _members(task: Task, model: str, places: Sequence[int], lowering: str) -> tuple[Bucket, Member]:
    recipe, settings, train = task.recipe(model), task.settings, task.dataset.train
    slots, count, shape = len(train), len(places), task.dataset.image_shape
    arrays: dict[str, Any] = dict(
        seed=_FIRST_SEED + settings.seed + np.array(places, np.int32),
        images=np.broadcast_to(np.arange(slots, dtype=np.int32), (count, slots)),
        rows=np.broadcast_to(train.labels.astype(np.int32), (count, slots)),
        learning_rate=np.full(count, settings.learning_rate, np.float32),
        weight_decay=np.full(count, settings.weight_decay, np.float32),
        slots=np.full(count, slots, np.int32),
        steps=np.full(count, settings.epochs * recipe.steps_per_epoch(slots), np.int32),
    )
    tile = cost.choose_tile(recipe, shape)
    most = cost.choose_block(recipe, shape, count, tile)
    block = _largest_divisor(count, most)  # no padding: every state that is kept is an expert's
    return Bucket(recipe, count, block, recipe.steps_per_epoch(slots), tile, lowering), Member(**arrays)


def _material(dataset: Dataset, normalizer: Normalizer, recipe: Recipe) -> tuple[Bank, tuple[EvalSet, ...]]:
    """All training images with a row for each class; validation, and a sample whose label entropy is told."""
    train, validation = dataset.train, dataset.validation
    bank = make_bank(normalizer, normalizer.store(train.images), np.eye(dataset.num_classes, dtype=np.float32))
    sample = np.linspace(0, len(train) - 1, min(len(train), _ENTROPY_IMAGES)).round().astype(int)
    splits = (validation, Split(np.asarray(train.images[sample]), train.labels[sample]))
    at_a_time = cost.evaluation_batch(recipe, dataset.image_shape)
    return bank, tuple(eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)


def _records(epoch: int, report: ensemble.Report) -> list[dict[str, Any]]:
    """One line for each expert; accuracy on validation, None without such images, and entropy on training images."""
    loss, accuracy, entropy = (np.asarray(a, np.float64) for a in report)
    return [
        {
            "epoch": epoch,
            "train_loss": None if epoch == 0 else round(float(loss[e]), 6),
            "val_accuracy": None if np.isnan(accuracy[e, 0]) else round(float(accuracy[e, 0]), 6),
            "label_entropy": round(float(entropy[e, 1]), 6),
        }
        for e in range(len(loss))
    ]


def _largest_divisor(number: int, most: int) -> int:
    return max(d for d in range(1, most + 1) if number % d == 0)
