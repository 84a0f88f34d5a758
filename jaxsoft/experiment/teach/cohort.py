"""Experts of one architecture, trained: their trajectory, and what they say about images."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Shaped

from jaxsoft import config, errors
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.store.checkpoints import Checkpoints, Damaged
from jaxsoft.ops import conv
from jaxsoft.training import cost
from jaxsoft.training.evaluate import eval_set, predict
from jaxsoft.training.fit import Bank, Recipe, State
from jaxsoft.types import History

log = logging.getLogger(__name__)


class Trajectory(NamedTuple):
    """Every epoch's state of all experts, in memory; has the methods of `Checkpoints` that teaching needs."""

    kept: dict[int, tuple[Any, dict[str, Any]]]

    def save(self, step: int, tree: Any, extra: dict[str, Any]) -> None:
        """Keep a copy on the host."""
        self.kept[step] = (jax.device_get(tree), extra)

    def restore(self, step: int, like: Any) -> Any:
        """The state after so many epochs."""
        return self.kept[step][0]


class Cohort(NamedTuple):
    """Trained experts of one architecture.

    Attributes:
      places: their numbers among all experts, ascending.
      recipe: how they were trained.
      trajectory: where their epochs lie.
      like: shapes and types of an epoch.
      histories: the records of each of them.
      key: a hash over all that determines their numbers.
      train: trains them to an epoch, from the newest whole one before it, and keeps what is missing.
    """

    places: tuple[int, ...]
    recipe: Recipe
    trajectory: Checkpoints | Trajectory
    like: State
    histories: tuple[History, ...]
    key: str
    train: Callable[[int], Any]

    def state(self, epoch: int) -> State:
        """Of all of them after so many epochs; one that is damaged, or gone, is trained again.

        Raises:
          CheckpointError: there is no such epoch, or it cannot be read or written.
        """
        try:
            return self.trajectory.restore(epoch, self.like)
        except Damaged as damage:
            if epoch >= len(self.histories[0]):
                raise
            log.warning("%s; training it again", damage)
            self.train(epoch)
            return self.trajectory.restore(epoch, self.like)

    def logits(
        self, normalizer: Normalizer, stored: Shaped[np.ndarray, "N H W C"], epochs: Sequence[int]
    ) -> Float32[np.ndarray, "E P N K"]:
        """What each of them says at these epochs about images as `Normalizer.store` gives them."""
        at_a_time = cost.evaluation_batch(self.recipe, stored.shape[1:])
        images = jax.device_put(eval_set(stored, np.zeros(len(stored), np.int32), at_a_time).images)
        bank = make_bank(normalizer, images[:0, 0], np.zeros((0, self.recipe.num_classes), np.float32))

        @jax.jit
        def ask(bank: Bank, variables: Any, images: Any) -> Any:
            return jax.lax.map(lambda expert: predict(self.recipe, bank, expert, images), variables)

        logits = np.zeros((len(self.places), len(epochs), len(stored), self.recipe.num_classes), np.float32)
        for p, epoch in enumerate(epochs):
            with conv.exactly():
                said = np.asarray(ask(bank, self.state(epoch).variables, images))
            logits[:, p] = said.reshape(len(said), -1, said.shape[-1])[:, : len(stored)]
        return logits


def make_bank(normalizer: Normalizer, images: Any, rows: Any) -> Bank:
    """Stored images and label rows with the map from one to what a network sees."""
    affine: dict[str, Any] = dict(zip(("scale", "shift"), normalizer.affine))
    return Bank(images=images, rows=rows, **affine)


def expectations(settings: config.Teacher) -> dict[int, float]:
    """The validation accuracies that a config was written for, by epoch.

    Raises:
      ConfigError: an entry is not an epoch and a fraction.

    >>> expectations(config.Teacher(expected=("11:0.192", "50:0.35")))
    {11: 0.192, 50: 0.35}
    """
    found = {}
    for text in settings.expected:
        try:
            epoch, accuracy = int(text.partition(":")[0]), float(text.partition(":")[2])
        except ValueError:
            epoch, accuracy = -1, 0.0
        if epoch < 0 or not 0 < accuracy <= 1:
            told = f"config.teacher.expected expects epoch:accuracy, such as 11:0.192, got {text!r}"
            raise errors.ConfigError(told)
        found[epoch] = accuracy
    return found


def by_architecture(settings: config.Teacher) -> dict[str, tuple[int, ...]]:
    """The experts' numbers by architecture, in order of first appearance.

    Raises:
      ConfigError: there is not one architecture for each expert.

    >>> by_architecture(config.Teacher(experts=3, models=("mlp", "convnet(depth=2)", "mlp")))
    {'mlp': (0, 2), 'convnet(depth=2)': (1,)}
    """
    models = settings.models or (settings.model,) * settings.experts
    if len(models) != settings.experts:
        raise errors.ConfigError(
            f"config.teacher.models expects one architecture for each of config.teacher.experts={settings.experts}, "
            f"got {len(models)}: {', '.join(models)}"
        )
    return {model: tuple(e for e, other in enumerate(models) if other == model) for model in dict.fromkeys(models)}
