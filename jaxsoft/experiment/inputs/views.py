"""What experts say about views of the images of subsets: the very pixels that students will see."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import config, rng
from jaxsoft.distilled import pool
from jaxsoft.experiment.learned.one import ImageSet
from jaxsoft.experiment.teach import imported
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import pooled
from jaxsoft.labels.committee import drawn, fixed_weights
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.ops import conv
from jaxsoft.rng import Stream
from jaxsoft.training import cost, fit
from jaxsoft.training.evaluate import expert_logits
from jaxsoft.training.fit import Bank, Member, make_bank
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset


def view_labels(
    asked: Sequence[tuple[LabelSpec, ImageSet]],
    augment: str,
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
) -> Iterator[Label]:
    """What the pooled experts of a spec, or its imported teacher, say about every view of every image, or about images as
    they are where it has no views, subset by subset.

    R is S times the views of an image, which lie together.

    Args:
      asked: the spec with each of its subsets, for which it may weigh experts differently.
      augment: what views go through, the augmentation of the students that see them.
    """
    normalizer, student, classes = experts.normalizer, settings.student, dataset.num_classes
    first = asked[0][0]
    whole = pool.of(dataset)
    networks = [(*experts.network(expert, first.epoch or 0), None) for expert in first.experts]
    if first.imported:
        outside = imported.read(first.imported, settings.data.root, first.weights)
        networks = [(outside.recipe, outside.variables, outside.sees(normalizer))]
    for spec, (seed, images) in asked:
        slots, views = len(images), max(1, spec.views)
        batch = min(student.batch, slots)
        seen: dict[str, Any] = dict(augment=augment, views=spec.views, mix=spec.mixing)
        recipe = Recipe(student.model, classes, slots, batch, **seen)
        bank = make_bank(
            normalizer, normalizer.store_beyond(whole.images[np.asarray(images)]), np.zeros((0, classes), np.float32)
        )
        ask = functools.partial(_ask, recipe, bank, int(seed), spec.statistics)
        said = jnp.asarray(np.stack([ask(*network) for network in networks]))
        whose = jnp.repeat(jnp.asarray(images), views), jnp.tile(jnp.arange(views, dtype=jnp.int32), slots)
        yield pooled(spec, said, drawn(spec, fixed_weights(spec), *whose))


def online_teachers(labels: Iterable[str], experts: Experts) -> dict[str, Any] | None:
    """The variables of the experts whom some label specs ask at every step, by `LabelSpec.networks`; None if none does."""
    specs = map(LabelSpec.parse, sorted(labels))
    asked = {name: (expert, spec.epoch or 0) for spec in specs for name, expert in spec.networks.items()}
    return {name: experts.network(*which)[1] for name, which in asked.items()} or None


def _ask(
    recipe: Recipe, bank: Bank, seed: int, statistics: str, teacher: Recipe, variables: Any, affine: Any
) -> Float32[np.ndarray, "R K"]:
    """One network's logits for all views of a subset, so many at a time; `affine` is from these to what it sees."""
    said = np.zeros((recipe.slots * max(1, recipe.views), recipe.num_classes), np.float32)
    for which in _batches(recipe, bank, seed, statistics, teacher):
        with conv.exactly():
            found = np.asarray(_logits(recipe, teacher, statistics, variables, affine, bank, np.int32(seed), which))
        said[which[:, 0] * max(1, recipe.views) + which[:, 1]] = found
    return said


def _batches(
    recipe: Recipe, bank: Bank, seed: int, statistics: str, teacher: Recipe
) -> Iterator[Int32[np.ndarray, "n 2 b"]]:
    """Slots and numbers of views as they are asked about: as many as are quick, or label batches, whole ones first.

    A label batch has views of one number in the order in which a student of the subset's seed sees them in the epoch
    of that number. What a label batch says depends on who is in it.
    """
    slots, views, batch = recipe.slots, max(1, recipe.views), recipe.batch
    if statistics == "running":
        at_a_time = min(slots * views, cost.evaluation_batch(teacher, bank.images.shape[1:]))
        each = np.arange(slots * views + -(slots * views) % at_a_time, dtype=np.int32)
        each = np.minimum(each, slots * views - 1)  # filled up with the last
        yield np.stack(np.divmod(each.reshape(-1, at_a_time), np.int32(views)), 1)
        return
    orders, whole = np.asarray(_orders(slots, views, np.int32(seed))), slots - slots % batch
    numbers = np.arange(views, dtype=np.int32)
    for part, size in ((orders[:, :whole], batch), (orders[:, whole:], slots % batch)):
        if part.size:
            each = part.reshape(-1, size)
            yield np.stack([each, np.repeat(numbers, part.size // views).reshape(-1, size)], 1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _orders(slots: int, views: int, seed: Int[Array, ""]) -> Int[Array, "V S"]:
    """The slots of a subset in the order of every epoch of a student of this seed."""
    places = jnp.arange(slots, dtype=jnp.int32)
    return jax.vmap(lambda v: rng.permuted(rng.key(seed, Stream.ORDER, v), places, slots))(jnp.arange(views))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))  # once for subsets of equal size
def _logits(
    recipe: Recipe,
    teacher: Recipe,
    statistics: str,
    variables: Any,
    affine: Any,
    bank: Bank,
    seed: Int[Array, ""],
    which: Int[Array, "n 2 b"],
) -> Float[Array, "n b K"]:
    places, none = jnp.arange(recipe.slots), jnp.float32(0)
    member = Member(seed, places, places, jnp.int32(recipe.slots), none, none, jnp.int32(0), subset_seed=seed)

    def said(which: Int[Array, "2 b"]) -> Float[Array, "b K"]:
        slots, numbers = which
        seen = bank.normalized(bank.images[slots])
        if recipe.views:
            seen = fit.views_of(recipe, bank, member, slots, fit.view_draws(recipe, member, slots, numbers))
        if affine is not None:
            scale, shift = (jnp.broadcast_to(each, seen.shape) for each in affine)
            seen = seen * scale + shift
        return expert_logits(teacher, variables, seen, statistics)

    return jax.lax.map(said, which)
