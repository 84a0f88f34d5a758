"""Experts of one architecture: taught all at once, kept after every epoch, resumed, shared by runs, and asked.

An expert is trained by the same program as a student, on all training images with hard labels; a chunk is an epoch.
"""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Shaped

from jaxsoft import config, errors, files, numerics, sources
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.store.checkpoints import Checkpoints, Damaged, Good
from jaxsoft.experiment.store.lock import Lock, OnWait, told
from jaxsoft.training import cost, ensemble
from jaxsoft.training.ensemble import Bucket, Program, Students
from jaxsoft.training.evaluate import EvalSet, answers, eval_set
from jaxsoft.training.fit import Bank, Member, State, make_bank
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, History, Split

log = logging.getLogger(__name__)

ENTROPY_IMAGES = 2000
"""The mean label entropy of an epoch is taken over so many training images."""
_FIRST_SEED = 1_000_000_000  # no student begins at the weights from which its own teacher began

Records = list[list[dict[str, Any]]]
"""For each epoch one record for each expert."""


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
        others = ("model", "models", "experts", "seed", "store", "expected", "rates")
        own = {k: v for k, v in config.as_dict(self.settings).items() if k not in others}
        own["learning_rate"] = found[0] if len({*(found := rates(self.settings, places))}) == 1 else found
        who = [model, *(self.settings.seed + place for place in places)]
        around = [sources.engine(), numerics.identity(), self.recipe(model).code()]
        all_of_it = [who, own, self.dataset.fingerprint, self.normalization, self.precision, *around]
        return files.digest([json.dumps(all_of_it, sort_keys=True)])[:12]


class Memory(dict[int, State]):
    """The state after every epoch, on the host; saves and restores as `Checkpoints` do."""

    def save(self, step: int, tree: State, extra: Any) -> None:
        """Keep the state after an epoch; `extra` goes unkept."""
        self[step] = jax.device_get(tree)

    def restore(self, step: int, like: Any) -> State:
        """The state after an epoch; KeyError if none was kept."""
        return self[step]


class Cohort:
    """Trained experts of one architecture.

    Attributes:
      places: their numbers among all experts, ascending.
      recipe: how they were trained.
      key: a hash over all that determines their numbers; names their folder in a store.
      histories: for each of them one record of every epoch.
    """

    def __init__(
        self,
        task: Task,
        model: str,
        places: Sequence[int],
        normalizer: Normalizer,
        lowering: str,
        store: Path | None,
        on_epoch: Callable[[int, list[dict[str, Any]]], None],
        on_wait: OnWait | None,
    ):
        """Train them, from their newest epoch on if there is one.

        Raises:
          CheckpointError: the store, a folder of trajectories by key, cannot be read or written.
          ConfigError: an expert diverged, now or when it was trained.
        """
        self.places, self.recipe, self.key = tuple(places), task.recipe(model), task.key(model, places)
        self._task, self._normalizer, self._on_epoch = task, normalizer, on_epoch
        self._on_wait = on_wait or told(log.warning, "teaches these experts")
        self._trajectory = self._opened(store / self.key, mine=False) if store else Memory()

        shape, steps = task.dataset.image_shape, self.recipe.steps_per_epoch(self.recipe.slots)
        self._program = cohort_program(self.recipe, shape, len(places), lowering, jax.local_devices())
        self._members = (_members(task, places, task.settings.epochs * steps),)
        self._like = self._program.shapes(self._members)[0].state
        self.histories: tuple[History, ...] = tuple(zip(*self._taught(task.settings.epochs)))

    def state(self, epoch: int) -> State:
        """Of all of them after so many epochs; one that is damaged, or gone, is trained again.

        Raises:
          CheckpointError: there is no such epoch, or it cannot be read or written.
        """
        try:
            return self._trajectory.restore(epoch, self._like)
        except Damaged as damage:
            if epoch > self._task.settings.epochs:
                raise
            log.warning("%s; training it again", damage)
            self._taught(epoch)
            return self._trajectory.restore(epoch, self._like)

    def logits(self, stored: Shaped[np.ndarray, "N *S C"], epochs: Sequence[int]) -> Float32[np.ndarray, "E P N K"]:
        """What each of them says at these epochs about images as `Normalizer.store` gives them."""
        variables = (self.state(epoch).variables for epoch in epochs)
        logits = np.zeros((len(self.places), len(epochs), len(stored), self.recipe.num_classes), np.float32)
        for p, said in enumerate(answers(self.recipe, self._normalizer, stored, variables)):
            logits[:, p] = said
        return logits

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self._task.dataset.image_shape

    @property
    def store(self) -> Path | None:
        """The folder of trajectories by key in which these are kept; None: in memory."""
        return None if isinstance(self._trajectory, Memory) else self._trajectory.directory.parent

    def save(self, store: Path) -> None:
        """Keep every epoch in a folder too, where `teach` finds it; what is there stays.

        Raises:
          CheckpointError: it cannot be written.
        """
        kept = self._opened(store / self.key, mine=True)
        for epoch in sorted(set(range(self._task.settings.epochs + 1)) - set(kept.steps())):
            kept.save(epoch, self.state(epoch), {"records": list(zip(*self.histories))[: epoch + 1]})

    def _taught(self, last: int) -> Records:
        """The records of all epochs up to `last`; what is missing is trained, from the newest whole epoch before it.

        Whoever finds the last one only reads. Otherwise one process at a time may train, and others wait for it.
        """
        if isinstance(self._trajectory, Memory):
            return self._train(self._trajectory, None, last)
        good, folder = self._found(self._trajectory, last), self._trajectory.directory
        if good and good.step == last:
            return good.extra["records"]
        with errors.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(folder / "lock", "the experts' folder", self._on_wait)
        try:
            trajectory = self._opened(folder, mine=True)
            good = self._found(trajectory, last)
            return good.extra["records"] if good and good.step == last else self._train(trajectory, good, last)
        finally:
            lock.release()

    def _opened(self, folder: Path, mine: bool) -> Checkpoints:
        return Checkpoints(folder, keep=None, tag={"teacher": self.key}, mine=mine)

    def _found(self, trajectory: Checkpoints, last: int) -> Good | None:
        """The newest whole epoch up to `last`."""
        good = trajectory.latest_good(self._like, last)
        if good:
            self._check(good.tree, good.extra["records"])
        return good

    def _train(self, trajectory: Checkpoints | Memory, good: Good | None, last: int) -> Records:
        """An epoch's records go with its state, which is checked first: no store holds experts that are none."""
        bank, evals = _material(self._task.dataset, self._normalizer, self.recipe)
        if good:
            students, records = (Students(good.tree, None),), good.extra["records"]
        else:
            students = self._program.initialize(self._members)
            records = [_records(0, self._program.look(bank, evals, students)[0])]
            trajectory.save(0, students[0].state, {"records": records})
        done = len(records) - 1
        for epoch, now, reports in ensemble.fit(self._program, bank, evals, self._members, last, students, done):
            records.append(_records(epoch, reports[0]))
            self._check(now[0].state, records[-1:])
            trajectory.save(epoch, now[0].state, {"records": records})
            self._on_epoch(epoch, records[-1])
        return records

    def _check(self, state: State, records: Records) -> None:
        """Refuse experts that diverged in the epochs of these records: they learned nothing from then on.

        The loss may stay finite all the same, and the last finite weights may be those that they began with.
        """
        own, steps = self._task.settings, self.recipe.steps_per_epoch(self.recipe.slots)
        for place, bad_step, *seen in zip(self.places, np.asarray(state.bad_step).tolist(), *records, strict=True):
            wrong = [record["epoch"] for record in seen if not np.isfinite(record["label_entropy"])]
            if bad_step >= 0:
                when = f"step {bad_step} (epoch {bad_step // steps + 1} of {own.epochs})"
                problem = f"diverged at {when}: its loss or update is not finite"
            elif wrong:
                problem = f"has no finite labels after epoch {wrong[0]} of {own.epochs}"
            else:
                continue
            raise errors.ConfigError(
                f"expert {place}, {self.recipe.model}, {problem}; lower {'its rate in config.teacher.rates' if own.rates else 'config.teacher.learning_rate'} "
                f"({rates(own, [place])[0]:g}) or change config.teacher.optimizer ({own.optimizer})"
            )


def cohort_program(
    recipe: Recipe, shape: tuple[int, ...], count: int, lowering: str, devices: Sequence[Any]
) -> Program:
    """What teaches so many experts: a chunk is an epoch; of the devices as many as divide their blocks evenly."""
    tile, block, used = layout(recipe, shape, count, len(devices), lowering)
    bucket = Bucket(recipe, count, block, recipe.steps_per_epoch(recipe.slots), tile, lowering)
    return Program((bucket,), shape, select=0, devices=devices[:used])


def layout(
    recipe: Recipe, shape: tuple[int, ...], count: int, devices: int, lowering: str = "auto"
) -> tuple[int, int, int]:
    """How so many experts are trained: images that are taken at a time, experts of a block, and on how many devices.

    No padding: every state that is kept is an expert's.
    """
    tile = cost.choose_tile(recipe, shape)
    block = _largest_divisor(count, cost.choose_block(recipe, shape, count, tile, lowering))
    return tile, block, _largest_divisor(count // block, devices)


def rates(settings: config.Teacher, places: Sequence[int]) -> list[float]:
    """The learning rates of these experts.

    >>> rates(config.Teacher(experts=2, rates=(0.1, 0.5)), [1]), rates(config.Teacher(learning_rate=0.2), [0])
    ([0.5], [0.2])
    """
    return [settings.rates[place] if settings.rates else settings.learning_rate for place in places]


def _members(task: Task, places: Sequence[int], steps: int) -> Member:
    settings, labels, count = task.settings, task.dataset.train.labels, len(places)
    arrays: dict[str, Any] = dict(
        seed=_FIRST_SEED + settings.seed + np.array(places, np.int32),
        images=np.broadcast_to(np.arange(len(labels), dtype=np.int32), (count, len(labels))),
        rows=np.broadcast_to(labels.astype(np.int32), (count, len(labels))),
        learning_rate=np.array(rates(settings, places), np.float32),
        weight_decay=np.full(count, settings.weight_decay, np.float32),
        slots=np.full(count, len(labels), np.int32),
        steps=np.full(count, steps, np.int32),
    )
    return Member(**arrays)


def _material(dataset: Dataset, normalizer: Normalizer, recipe: Recipe) -> tuple[Bank, tuple[EvalSet, ...]]:
    """All training images with a row for each class; validation, and a sample whose label entropy is told."""
    train = dataset.train
    bank = make_bank(normalizer, normalizer.store(train.images), np.eye(dataset.num_classes, dtype=np.float32))
    sample = np.linspace(0, len(train) - 1, min(len(train), ENTROPY_IMAGES)).round().astype(int)
    splits = (dataset.validation, Split(np.asarray(train.images[sample]), train.labels[sample]))
    at_a_time = cost.evaluation_batch(recipe, dataset.image_shape)
    return bank, tuple(eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)


def _records(epoch: int, report: ensemble.Report) -> list[dict[str, Any]]:
    """One for each expert; accuracy on validation, None without such images, and entropy on training images."""
    loss, accuracy, entropy = (np.asarray(a, np.float64).tolist() for a in report)
    return [
        {
            "epoch": epoch,
            "train_loss": round(loss[e], 6) if epoch else None,
            "val_accuracy": None if np.isnan(accuracy[e][0]) else round(accuracy[e][0], 6),
            "label_entropy": round(entropy[e][1], 6),
        }
        for e in range(len(loss))
    ]


def _largest_divisor(number: int, most: int) -> int:
    return max(d for d in range(1, most + 1) if number % d == 0)
