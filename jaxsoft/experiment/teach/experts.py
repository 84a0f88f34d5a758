"""The teachers: E experts of one architecture or of several, and what they say about images.

Experts of equal architecture are trained at once, different architectures one after the other.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int

from jaxsoft import config, errors, files, models, numerics
from jaxsoft.data import arrays, normalize
from jaxsoft.data.encoded import taken
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.store.checkpoints import path_of
from jaxsoft.experiment.store.lock import OnWait
from jaxsoft.experiment.teach import keeping
from jaxsoft.experiment.teach.cohort import Cohort, Task
from jaxsoft.experiment.teach.course import Pace, Watch
from jaxsoft.labels.bank import LogitBank, label_rows
from jaxsoft.labels.committee import judged_by
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost
from jaxsoft.training import recipe as recipes
from jaxsoft.training.evaluate import answers, embeddings, maps_of
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, History, Split

OnEpoch = Callable[[int, int, list[dict[str, Any]]], None]
"""Called after each epoch with (epochs done, in all, one record for each expert in training); may raise to stop."""

OnWindow = Callable[[Pace], None]
"""Called after each window of streamed images; may raise to stop."""


class Experts(NamedTuple):
    """Trained experts, by architecture.

    Attributes:
      settings: how they were trained.
      normalization, normalizer: what they see.
      cohorts: the experts of each architecture; expert 0 is the first of the first.
      key: a hash over all that determines their numbers.
      recipe: how expert 0 was trained, or would be; others differ in nothing but the architecture.
    """

    settings: config.Teacher
    normalization: str
    normalizer: Normalizer
    cohorts: tuple[Cohort, ...]
    key: str
    recipe: Recipe

    @property
    def histories(self) -> tuple[History, ...]:
        """For each expert one record of every epoch."""
        found = {place: history for c in self.cohorts for place, history in zip(c.places, c.histories)}
        return tuple(found[e] for e in range(len(found)))

    @property
    def store(self) -> str:
        """The folder that keeps them; empty if they are in memory."""
        return str((self.cohorts and self.cohorts[0].store) or "")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each expert's network: its variables, as they are applied."""
        sizes = [(c.places, cost.network_bytes(c.recipe, c.image_shape)) for c in self.cohorts]
        found = {place: size for places, size in sizes for place in places}
        return tuple(found[e] for e in range(len(found)))

    def network(self, expert: int, epoch: int) -> tuple[Recipe, Any]:
        """One expert's network, and its variables after so many epochs.

        Raises:
          ConfigError: there is no such expert, or no such epoch.
        """
        if not 0 <= epoch <= self.settings.epochs:
            raise errors.ConfigError(f"epoch={epoch} but there are epochs 0 to {self.settings.epochs}")
        cohort = next((cohort for cohort in self.cohorts if expert in cohort.places), None)
        if cohort is None:
            raise errors.ConfigError(f"expert={expert} but there are {self.settings.experts} experts, counted from 0")
        place = cohort.places.index(expert)
        return cohort.recipe, jax.tree.map(lambda a: a[place], cohort.state(epoch).variables)

    def params(self, expert: int = 0, epoch: int | None = None) -> dict[str, Any]:
        """One expert's variables in NumPy, as its network is applied with them: `params`, `batch_stats` if it has any.

        Args:
          expert: counted from 0.
          epoch: from 0, its initialisation; its last if not given.

        Raises:
          ConfigError: there is no such expert, or no such epoch.
        """
        return jax.device_get(self.network(expert, self.settings.epochs if epoch is None else epoch)[1])

    @numerics.pinned()
    def label(self, images: Any, spec: str, classes: Any = None) -> Float32[np.ndarray, "N K"]:
        """The rows that a label spec gives to any images, such as `teacher(epoch=5)|topk(3)`.

        Args:
          images: [N, H, W, C], as `Dataset.from_arrays` takes them.
          spec: of `teacher`, `teachers`, `committee` or `hard`, without what belongs to a subset, such as views; what is random goes by an image's position.
          classes: their true classes, [N], where the spec reads them.

        Raises:
          ConfigError: the spec cannot be read, or gives such images no labels.
          DataError: arrays that are not clear.
        """
        source = judged_by(LabelSpec.parse(spec).resolve(self.histories), self.histories)
        if source.is_of_subset or source.file or source.imported:
            raise errors.ConfigError(f"label spec '{spec}' has no labels for any images; teacher, teachers and hard do")
        if source.reads_class and classes is None:
            raise errors.ConfigError(f"label spec '{spec}' reads the true class; give classes=, one for each image")
        source.check(self.recipe.num_classes)
        shape = self.cohorts[0].image_shape if self.cohorts else None
        found = arrays.images(images, "images to label", shape)
        zeros = np.zeros(len(found), np.int32)
        known = zeros if classes is None else arrays.labels(classes, "classes", len(found), self.recipe.num_classes)
        epochs = [] if source.epoch is None else [source.epoch]
        for expert in source.experts:
            self.network(expert, source.epoch or 0)  # is there, or is refused
        bank = self.logits(Split(found, known), np.arange(len(found), dtype=np.int32), epochs)
        return np.asarray(label_rows(source, bank))

    def save(self, store: Path) -> None:
        """Keep every epoch in a folder, where `teach(folder=)` finds it.

        Raises:
          CheckpointError: it cannot be written.
        """
        for cohort in self.cohorts:
            cohort.save(Path(store))

    def logits(self, split: Split, image_ids: Int[np.ndarray, "N"], epochs: Sequence[int]) -> LogitBank:
        """What every expert says at these epochs about these images of a split."""
        ids = np.asarray(image_ids, np.int32)
        stored = self.normalizer.store_beyond(taken(split.images, ids))
        logits = np.zeros((self.settings.experts, len(epochs), len(ids), self.recipe.num_classes), np.float32)
        for cohort in self.cohorts:
            logits[list(cohort.places)] = cohort.logits(stored, epochs)
        return LogitBank(logits, tuple(epochs), ids, split.labels[ids])

    def features(
        self, split: Split, image_ids: Int[np.ndarray, "N"], expert: int, epoch: int, layer: int = -1
    ) -> Float32[np.ndarray, "N h w c"]:
        """The feature maps of one expert after an epoch, of these images of a split as they are.

        Args:
          layer: after which block, counted as Python does; -1 is the last.

        Raises:
          ConfigError: there is no such expert, epoch or layer.
        """
        return self._answered(taken(split.images, np.asarray(image_ids, np.int32)), expert, epoch, maps_of(layer))

    def last_logits(self, dataset: Dataset) -> Float32[np.ndarray, "N K"]:
        """What expert 0 says after its last epoch about every training image."""
        stored = self.normalizer.store_beyond(dataset.train.images)
        return self.cohorts[0].logits(stored, [self.settings.epochs])[0, 0]

    def last_embeddings(self, dataset: Dataset) -> Float32[np.ndarray, "N D"]:
        """What the last layer of expert 0, after its last epoch, is given of every training image."""
        return self._answered(dataset.train.images, 0, self.settings.epochs, embeddings)

    def _answered(self, images: np.ndarray, expert: int, epoch: int, ask: Callable[..., Any]) -> np.ndarray:
        """What one expert tells of images after an epoch."""
        recipe, variables = self.network(expert, epoch)
        alone = jax.tree.map(lambda a: np.asarray(a)[None], variables)
        (found,) = answers(recipe, self.normalizer, self.normalizer.store_beyond(images), [alone], ask=ask)
        return found[0]

    def class_order(self, dataset: Dataset) -> Int[np.ndarray, "K"]:
        """The classes by the accuracy of expert 0 on the training images after its last epoch, worst first.

        Of classes with equal accuracy the lower one comes first.
        """
        labels, classes = dataset.train.labels, dataset.num_classes
        right = self.last_logits(dataset).argmax(-1) == labels
        correct, images = (np.bincount(some, minlength=classes) for some in (labels[right], labels))
        return np.argsort(correct / np.maximum(images, 1), kind="stable")


@numerics.pinned()
def teach(
    dataset: Dataset,
    settings: config.Teacher,
    normalization: str = "standardize",
    folder: Path | str | None = None,
    on_epoch: OnEpoch = lambda *_: None,
    precision: str = "auto",
    lowering: str = "auto",
    on_wait: OnWait | None = None,
    on_window: OnWindow = lambda _: None,
    compute: config.Compute | None = None,
    asked: Sequence[LabelSpec] = (),
) -> Experts:
    """Train experts on all training images with hard labels, and keep every epoch; as `jaxsoft.teach`, but for words.

    Args:
      on_epoch: epochs are counted through all architectures.
      on_wait: called while another process teaches these experts in the folder; if not given, the log says so once.
      on_window: called after each window of streamed images.
      compute: how, if `lowering` does not say all of it.
      asked: whose labels will be read, where `settings.keep` goes by that.

    Raises:
      ConfigError, DataError, CheckpointError: as `jaxsoft.teach`.
    """
    settings = config.read(config.as_dict(settings), config.Teacher, "config.teacher")
    how = {"lowering": lowering} if compute is None else vars(compute)
    how = config.read({"precision": precision, "compute": how}).compute
    kept = keeping.of(settings, asked)
    dataset, folder = arrays.checked(dataset), Path(folder) if folder else None
    normalization, precision = normalize.canonical(normalization), recipes.precision(precision)
    task, architectures = Task(dataset, settings, normalization, precision), by_architecture(settings)
    for model in architectures:
        model_check(model, dataset, [trained_by(settings, dataset)])
    normalizer = normalize.fit(normalization, dataset.train.images)
    cohorts: list[Cohort] = []
    epochs, several = len(architectures) * settings.epochs, len(architectures) > 1
    for model, places in architectures.items():

        def counted(epoch: int, records: list[dict[str, Any]], before: int = len(cohorts) * settings.epochs) -> None:
            on_epoch(before + epoch, epochs, records)

        def paced(pace: Pace, before: int = len(cohorts) * settings.epochs, model: str = model * several) -> None:
            on_window(pace._replace(epochs=epochs, before=before, model=model))

        watch = Watch(counted, paced, on_wait, how.checkpoint_seconds)
        cohorts.append(Cohort(task, model, places, normalizer, how, folder, kept, watch))
    key = teacher_key(settings, dataset, normalization, precision)
    recipe = task.recipe(next(iter(architectures), settings.model))
    experts = Experts(settings, normalization, normalizer, tuple(cohorts), key, recipe)
    for cohort in cohorts:
        cohort.ensure(spec.resolve(experts.histories).epoch for spec in asked)
    return experts


def teacher_key(settings: config.Teacher, dataset: Dataset, normalization: str, precision: str) -> str:
    """A hash over what determines the experts' numbers: the keys of all architectures; the order is in the seeds."""
    task = Task(dataset, settings, normalization, precision)
    return files.digest([" ".join(task.key(*who) for who in by_architecture(settings).items())])[:12]


def is_taught(dataset: Dataset, settings: config.Teacher, normalization: str, precision: str, store: Path) -> bool:
    """Whether a store has the last epoch of all of these experts."""
    task = Task(dataset, settings, normalize.canonical(normalization), recipes.precision(precision))
    folders = [store / task.key(*who) for who in by_architecture(settings).items()]
    return all(path_of(folder, settings.epochs).is_dir() for folder in folders)


def trained_by(settings: config.Teacher, dataset: Dataset) -> tuple[str, int, int]:
    """Who trains experts, on how many images, in batches of how many."""
    return "teacher", len(dataset.train), min(settings.batch, len(dataset.train))


def model_check(model: str, dataset: Dataset, trained: Iterable[tuple[str, int, int]]) -> None:
    """Refuse a network of a user's own that breaks a promise; `trained` says by whom, on how many images, in which batch.

    Raises:
      ConfigError: in one line, see `models.check`.
    """
    network = Recipe(model, dataset.num_classes, 1, 1).build_model()
    uneven = (f"config.{who}.batch={b} does not divide {n} images" for who, n, b in trained if n % b)
    models.check(network, model, dataset.num_classes, dataset.image_shape, next(uneven, ""))


def by_architecture(settings: config.Teacher) -> dict[str, tuple[int, ...]]:
    """The experts' numbers by architecture, in order of first appearance.

    Raises:
      ConfigError: there is not one architecture for each expert, or not one learning rate where rates are given.

    >>> by_architecture(config.Teacher(experts=3, models=("mlp", "convnet(depth=2)", "mlp")))
    {'mlp': (0, 2), 'convnet(depth=2)': (1,)}
    """
    models = settings.models or (settings.model,) * settings.experts
    if len(models) != settings.experts:
        raise errors.ConfigError(
            f"config.teacher.models expects one architecture for each of config.teacher.experts={settings.experts}, "
            f"got {len(models)}: {', '.join(models)}"
        )
    if settings.rates and len(settings.rates) != settings.experts:
        told = f"expects one learning rate for each of {settings.experts} experts, got {len(settings.rates)}"
        raise errors.ConfigError(f"config.teacher.rates {told}: {', '.join(map('{:g}'.format, settings.rates))}")
    return {model: tuple(e for e, other in enumerate(models) if other == model) for model in dict.fromkeys(models)}
