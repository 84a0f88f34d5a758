"""What experts say about views of the images of subsets: the very pixels that students will see."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from jaxsoft import config
from jaxsoft.experiment.learned.one import ImageSet
from jaxsoft.experiment.teach import imported
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import pooled
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.ops import conv
from jaxsoft.training import cost, fit
from jaxsoft.training.fit import Bank, Member, Recipe, make_bank
from jaxsoft.types import Dataset


def view_labels(
    spec: LabelSpec, settings: config.Settings, dataset: Dataset, experts: Experts, subsets: Sequence[ImageSet]
) -> Iterator[Label]:
    """What the pooled experts of a spec, or its imported teacher, say about every view of every image, subset by subset.

    Views go through the students' augmentation. R is S times the views of an image, which lie together.
    """
    normalizer, student, classes = experts.normalizer, settings.student, dataset.num_classes
    networks = [(*experts.network(expert, spec.epoch or 0), None) for expert in spec.experts]
    if spec.imported:
        outside = imported.read(spec.imported, settings.data.root, spec.weights)
        networks = [(outside.recipe, outside.variables, outside.sees(normalizer))]
    for seed, images in subsets:
        slots = len(images)
        seen = dict(augment=student.augment, views=spec.views, mix=spec.mixing)
        recipe = Recipe(student.model, classes, slots, slots, **seen)
        bank = make_bank(normalizer, normalizer.store(dataset.train.images[images]), np.zeros((0, classes), np.float32))
        said = np.stack([_ask(recipe, *network, bank, int(seed)) for network in networks])
        yield pooled(spec, jnp.asarray(said))


def online_teachers(labels: Iterable[str], experts: Experts) -> dict[str, Any] | None:
    """The variables of the experts whom some label specs ask at every step, by `LabelSpec.networks`; None if none does."""
    specs = map(LabelSpec.parse, sorted(labels))
    asked = {name: (expert, spec.epoch or 0) for spec in specs for name, expert in spec.networks.items()}
    return {name: experts.network(*which)[1] for name, which in asked.items()} or None


def _ask(
    recipe: Recipe, teacher: Recipe, variables: Any, affine: Any, bank: Bank, seed: int
) -> Float32[np.ndarray, "R K"]:
    """One network's logits for all views of a subset, so many at a time; `affine` is from these to what it sees."""
    count = recipe.slots * recipe.views
    at_a_time = min(count, cost.evaluation_batch(teacher, bank.images.shape[1:]))
    each = np.minimum(np.arange(count + -count % at_a_time, dtype=np.int32), count - 1)  # filled up with the last
    which = np.stack(np.divmod(each.reshape(-1, at_a_time), np.int32(recipe.views)), 1)
    with conv.exactly():
        said = np.asarray(_logits(recipe, teacher, variables, affine, bank, np.int32(seed), which))
    return said.reshape(-1, said.shape[-1])[:count]


@functools.partial(jax.jit, static_argnums=(0, 1))  # once for subsets of equal size
def _logits(
    recipe: Recipe,
    teacher: Recipe,
    variables: Any,
    affine: Any,
    bank: Bank,
    seed: Int[Array, ""],
    which: Int[Array, "n 2 b"],
) -> Float[Array, "n b K"]:
    places, none = jnp.arange(recipe.slots), jnp.float32(0)
    member = Member(seed, places, places, jnp.int32(recipe.slots), none, none, jnp.int32(0), subset_seed=seed)

    def said(which: Int[Array, "2 b"]) -> Float[Array, "b K"]:
        views = fit.views_of(recipe, bank, member, which[0], which[1])
        if affine is not None:
            scale, shift = (jnp.broadcast_to(each, views.shape) for each in affine)
            views = views * scale + shift
        return teacher.logits(variables, views)

    return jax.lax.map(said, which)
