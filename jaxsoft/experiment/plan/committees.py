"""What is wrong with labels of committees and of batch statistics, found before anything is trained."""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp

from jaxsoft import config, errors, models
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import fit
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

_LEAST = 2  # images that have statistics


def ask_students(labels: Iterable[str]) -> bool:
    """Whether the prior of a committee is what students reach."""
    return any(LabelSpec.parse(text).prior == "students" for text in labels)


def check(labels: LabelSpec, sizes: Iterable[int], settings: config.Settings, dataset: Dataset) -> None:
    """Refuse batch statistics of experts that have none, and of parts of label batches that are too small for them.

    Args:
      labels: with any statistics.
      sizes: of the subsets that are labelled so, in images.
    """
    if labels.statistics == "running":
        return
    for model, places in by_architecture(settings.teacher).items():
        if whose := {*places} & {*labels.experts}:
            _check_network(labels, f"expert {min(whose)}, {model},", model, dataset)
    own = settings.student.batch
    for size in sizes:
        batch = min(own, size)
        if (last := size % batch or batch) < 2 * _LEAST:
            told = f"config.student.batch={own} leaves a label batch of {last} of {size} images"
            rule = f"label spec '{labels}' wants {2 * _LEAST} or more: each half has statistics of its own"
            raise errors.ConfigError(f"{told}, and {rule}; take another batch")


def _check_network(labels: LabelSpec, who: str, model: str, dataset: Dataset) -> None:
    recipe, seed = Recipe(model, dataset.num_classes, 1, 1), jax.ShapeDtypeStruct((), jnp.int32)
    variables = jax.eval_shape(functools.partial(fit.initialize, recipe, dataset.image_shape), seed).variables
    network, state = recipe.build_model(), {*variables} - {"params"}
    if state != {"batch_stats"}:
        what = f"keeps {', '.join(sorted(state))}" if state else "keeps none"
        told = f"has no batch norm: it {what}; wanted a state of batch_stats alone, such as convnet(norm=batch)"
        raise errors.ConfigError(f"label spec '{labels}' asks for batch statistics, and {who} {told}")
    if isinstance(network, models.Network) and network.draws(dataset.image_shape):
        told = "draws random numbers as it is trained, which would be in its labels"
        raise errors.ConfigError(f"label spec '{labels}' asks for batch statistics, and {who} {told}")
