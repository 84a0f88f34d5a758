"""The teachers: E experts trained at once, kept after every epoch, and what they say about images.

An expert is trained by the same program as a student, on all training images with hard labels; a chunk is an epoch.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from jaxsoft import config, errors, rng
from jaxsoft.data import normalize
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.folder import cannot_write
from jaxsoft.experiment.lock import Lock
from jaxsoft.experiment.store import Checkpoints, Damaged
from jaxsoft.labels.bank import LogitBank
from jaxsoft.labels.spec import History
from jaxsoft.training import cost, ensemble, fit
from jaxsoft.training.ensemble import Bucket, Program, Students
from jaxsoft.training.evaluate import EvalSet, eval_set, predict
from jaxsoft.training.fit import Bank, Member, Recipe, State
from jaxsoft.types import Dataset, Split

_ENTROPY_IMAGES = 2000  # the mean label entropy of an epoch is taken over so many training images
_FIRST_SEED = 1_000_000_000  # no student begins at the weights from which its own teacher began

Look = Callable[[int, int, list[dict[str, Any]]], None]
"""Called after each epoch with (epoch, epochs, one record for each expert); may raise to stop."""


class Trajectory(NamedTuple):
    """Every epoch's state of all experts, in memory; has the methods of `Checkpoints` that teaching needs."""

    kept: dict[int, tuple[Any, dict[str, Any]]]

    def save(self, step: int, tree: Any, extra: dict[str, Any]) -> None:
        """Keep a copy on the host."""
        self.kept[step] = (jax.device_get(tree), extra)

    def restore(self, step: int, like: Any) -> Any:
        """The state after so many epochs."""
        return self.kept[step][0]


class Experts(NamedTuple):
    """Trained experts: how they were trained, where their epochs lie, and how they came along.

    `key` is a hash over all that determines their numbers.
    """

    settings: config.Teacher
    recipe: Recipe
    normalization: str
    normalizer: Normalizer
    trajectory: Checkpoints | Trajectory
    like: State
    histories: tuple[History, ...]
    key: str

    def logits(self, split: Split, image_ids: Int[np.ndarray, "N"], epochs: Sequence[int]) -> LogitBank:
        """What every expert says at these epochs about these images.

        Args:
          split: where the images lie.
          image_ids: which of them.
          epochs: into the trajectory.
        """
        ids = np.asarray(image_ids, np.int32)
        labels = split.labels[ids]
        at_a_time = cost.evaluation_batch(self.recipe, split.images.shape[1:])
        data = eval_set(self.normalizer.store(split.images[ids]), labels, at_a_time)
        images = jax.device_put(data.images)
        bank = make_bank(self.normalizer, images[:0, 0], np.zeros((0, self.recipe.num_classes), np.float32))

        @jax.jit
        def ask(bank: Bank, variables: Any, images: Any) -> Any:
            return jax.lax.map(lambda expert: predict(self.recipe, bank, expert, images), variables)

        logits = np.zeros((self.settings.experts, len(epochs), len(ids), self.recipe.num_classes), np.float32)
        for p, epoch in enumerate(epochs):
            said = np.asarray(ask(bank, self._epoch(epoch).variables, images))
            logits[:, p] = said.reshape(len(said), -1, said.shape[-1])[:, : len(ids)]
        return LogitBank(logits, tuple(epochs), ids, labels)

    def _epoch(self, epoch: int) -> State:
        try:
            return self.trajectory.restore(epoch, self.like)
        except Damaged as damage:
            todo = f"delete epochs {epoch} to {self.settings.epochs} there and run the same command again"
            raise errors.CheckpointError(f"{damage}; {todo}") from damage


def teach(
    dataset: Dataset,
    settings: config.Teacher | None = None,
    normalization: str = "standardize",
    folder: Path | None = None,
    look: Look = lambda *_: None,
    precision: str = "auto",
    lowering: str = "auto",
) -> Experts:
    """Train experts on all training images with hard labels, and keep every epoch.

    Args:
      dataset: train and validation are used, test is not.
      settings: how.
      normalization: what networks see, fitted on the training images.
      folder: where to keep the trajectory, and to go on from what is there; in memory if not given.
      look: called after each epoch.
      precision: of feature maps, as `config.Settings` has it.
      lowering: of convolutions, as `config.Compute` has it.
    """
    settings = settings or config.Teacher()
    normalizer = normalize.fit(normalization, dataset.train.images)
    bucket, members = _experts(settings, dataset, fit.precision(precision))
    devices = jax.local_devices()[: _largest_divisor(bucket.members // bucket.block, jax.local_device_count())]
    program = Program((bucket,), dataset.image_shape, select=0, lowering=lowering, devices=devices)
    like = program.shapes((members,))[0].state
    key = teacher_key(settings, dataset, normalization, bucket.recipe.precision)
    with _held(folder and folder / key):
        trajectory = Checkpoints(folder / key, keep=None, tag={"teacher": key}) if folder else Trajectory({})
        done, state, records = _resume(trajectory, like)
        if done < settings.epochs:
            material = _teaching_material(dataset, normalizer, bucket.recipe)
            _train(program, material, members, trajectory, settings.epochs, done, state, records, look)
    _check_finite(records)
    histories = tuple([epoch[e] for epoch in records] for e in range(settings.experts))
    return Experts(settings, bucket.recipe, normalization, normalizer, trajectory, like, histories, key)


def teacher_key(settings: config.Teacher, dataset: Dataset, normalization: str, precision: str) -> str:
    """A hash over what determines the experts' numbers."""
    own = {k: v for k, v in config.as_dict(settings).items() if k != "store"}
    text = json.dumps([own, dataset.fingerprint, normalization, precision, rng.VERSION], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_bank(normalizer: Normalizer, images: Any, rows: Any) -> Bank:
    """Stored images and label rows with the map from one to what a network sees."""
    affine: dict[str, Any] = dict(zip(("scale", "shift"), normalizer.affine))
    return Bank(images=images, rows=rows, **affine)


def _experts(settings: config.Teacher, dataset: Dataset, precision: str) -> tuple[Bucket, Member]:
    slots, count = len(dataset.train), settings.experts
    batch = min(settings.batch, slots)
    how = settings.optimizer, settings.schedule, settings.augment, precision
    recipe = Recipe(settings.model, dataset.num_classes, slots, batch, *how)
    everything = np.broadcast_to(np.arange(slots, dtype=np.int32), (count, slots))
    arrays: dict[str, Any] = dict(
        seed=_FIRST_SEED + settings.seed + np.arange(count, dtype=np.int32),
        images=everything,
        rows=np.broadcast_to(dataset.train.labels.astype(np.int32), (count, slots)),
        learning_rate=np.full(count, settings.learning_rate, np.float32),
        weight_decay=np.full(count, settings.weight_decay, np.float32),
        slots=np.full(count, slots, np.int32),
        steps=np.full(count, settings.epochs * recipe.steps_per_epoch(slots), np.int32),
    )
    tile = cost.choose_tile(recipe, dataset.image_shape)
    most = cost.choose_block(recipe, dataset.image_shape, count, tile)
    block = _largest_divisor(count, most)  # no padding: every state that is kept is an expert's
    return Bucket(recipe, count, block, recipe.steps_per_epoch(slots), tile), Member(**arrays)


def _train(
    program: Program,
    material: tuple[Bank, tuple[EvalSet, ...]],
    members: Member,
    trajectory: Checkpoints | Trajectory,
    epochs: int,
    done: int,
    state: State | None,
    records: list[list[dict[str, Any]]],
    look: Look,
) -> None:
    """From the newest whole epoch, or from the start, to the last one; each epoch's records go with its state."""
    if state is None:
        students = program.initialize((members,))
        records.append(_records(0, program.look(*material, students)[0]))
        trajectory.save(0, students[0].state, {"records": records})
    else:
        students = (Students(state, None),)
    for epoch, now, reports in ensemble.fit(program, *material, (members,), epochs, students, done):
        records.append(_records(epoch, reports[0]))
        trajectory.save(epoch, now[0].state, {"records": records})
        look(epoch, epochs, records[-1])


@contextlib.contextmanager
def _held(folder: Path | None) -> Iterator[None]:
    """Keep other processes from teaching the same experts at the same time."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / "lock", "the experts' folder")
    except OSError as problem:
        raise cannot_write(folder, problem) from problem
    try:
        yield
    finally:
        lock.release()


def _teaching_material(dataset: Dataset, normalizer: Normalizer, recipe: Recipe) -> tuple[Bank, tuple[EvalSet, ...]]:
    train, validation = dataset.train, dataset.validation
    rows = np.eye(dataset.num_classes, dtype=np.float32)
    bank = make_bank(normalizer, normalizer.store(train.images), rows)
    sample = np.linspace(0, len(train) - 1, min(len(train), _ENTROPY_IMAGES)).round().astype(int)
    splits = (validation, Split(np.asarray(train.images[sample]), train.labels[sample]))
    at_a_time = cost.evaluation_batch(recipe, dataset.image_shape)
    return bank, tuple(eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)


def _resume(trajectory: Checkpoints | Trajectory, like: State) -> tuple[int, State | None, list[list[dict[str, Any]]]]:
    """The newest whole epoch, its state, and the records of all epochs so far; nothing if there is none."""
    if isinstance(trajectory, Trajectory):
        return 0, None, []
    good = trajectory.latest_good(like)
    if good is None:
        return 0, None, []
    return good.step, good.tree, good.extra["records"]


def _records(epoch: int, report: ensemble.Report) -> list[dict[str, Any]]:
    """One line for each expert; accuracy on validation, entropy on training images."""
    loss, accuracy, entropy = (np.asarray(a, np.float64) for a in report)
    return [
        {
            "epoch": epoch,
            "train_loss": None if epoch == 0 else round(float(loss[e]), 6),
            "val_accuracy": round(float(accuracy[e, 0]), 6),
            "label_entropy": round(float(entropy[e, 1]), 6),
        }
        for e in range(len(loss))
    ]


def _largest_divisor(number: int, most: int) -> int:
    return max(d for d in range(1, most + 1) if number % d == 0)


def _check_finite(records: list[list[dict[str, Any]]]) -> None:
    for record in records[-1]:
        loss = record["train_loss"]
        if loss is not None and not np.isfinite(loss):
            raise errors.ConfigError("an expert diverged; lower config.teacher.learning_rate")
