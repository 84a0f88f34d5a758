"""How one student (or one expert) is trained: step -> chunk. The only training loop.

Everything is written for ONE member; `ensemble` adds the member axis. What is static is a `Recipe`; what a sweep may
vary is in `Member` and enters as an array.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxsoft import augment, losses, models, optim, rng, schedules, spec
from jaxsoft.rng import Stream


class Recipe(NamedTuple):
    """What all members of a bucket share; static in the compiled program.

    Attributes:
      model: spec of the architecture, such as `convnet(depth=3)`.
      num_classes: K.
      slots: N, images of a member's subset.
      batch: B <= N, images of a step.
      optimizer, schedule, augment: specs.
    """

    model: str
    num_classes: int
    slots: int
    batch: int
    optimizer: str = "sgd"
    schedule: str = "constant"
    augment: str = "none"

    @property
    def steps_per_epoch(self) -> int:
        """The last, partial batch of an epoch is a step too."""
        return -(-self.slots // self.batch)

    def build_model(self) -> nn.Module:
        return models.build(self.model, self.num_classes)

    def build_optimizer(self) -> Callable[..., optax.GradientTransformation]:
        given = ("learning_rate", "weight_decay")
        return spec.resolve(self.optimizer, spec.public_functions(optim), "optimizer", "jaxsoft/optim.py", given)

    def build_schedule(self) -> Callable[[Array], Array]:
        functions = spec.public_functions(schedules)
        return spec.resolve(self.schedule, functions, "schedule", "jaxsoft/schedules.py", ("progress",))


class Member(NamedTuple):
    """What may differ between members; stacked along a leading axis M in a bucket.

    Attributes:
      seed: of initialisation, order and augmentation.
      images: which images of the bank fill the slots.
      rows: which rows of the label bank belong to them.
      learning_rate, weight_decay: of this member.
      steps: length of its training; later steps change nothing.
    """

    seed: Int[Array, "*M"]
    images: Int[Array, "*M N"]
    rows: Int[Array, "*M N"]
    learning_rate: Float[Array, "*M"]
    weight_decay: Float[Array, "*M"]
    steps: Int[Array, "*M"]


class Bank(NamedTuple):
    """What all members read: images once, and every label row that any of them needs.

    Attributes:
      images: as stored (uint8), or already whitened (float32).
      scale, shift: the network sees images * scale + shift.
      rows: label rows.
    """

    images: Shaped[Array, "N H W C"]
    scale: Float[Array, "C"]
    shift: Float[Array, "C"]
    rows: Float[Array, "R K"]

    def normalized(self, images: Shaped[Array, "*b H W C"]) -> Float[Array, "*b H W C"]:
        return images.astype(self.scale.dtype) * self.scale + self.shift


class State(NamedTuple):
    """A member in training. `bad_step` is the first step whose loss or update was not finite, -1 while all is well."""

    variables: dict[str, Any]
    optimizer: optax.OptState
    bad_step: Int[Array, "*M"]


def initialize(recipe: Recipe, image_shape: tuple[int, ...], seed: Int[Array, ""]) -> State:
    """The state before the first step, from the member's seed alone."""
    dummy = jnp.zeros((1, *image_shape), jnp.float32)
    variables = recipe.build_model().init(rng.key(seed, Stream.INIT), dummy)
    optimizer = recipe.build_optimizer()(0.0, 0.0)
    return State(dict(variables), optimizer.init(variables["params"]), jnp.int32(-1))


def batches(
    recipe: Recipe, seed: Int[Array, ""], first_step: Int[Array, ""], steps: int
) -> tuple[Int[Array, "T B"], Bool[Array, "T B"]]:
    """Which slots each of the next steps sees, and which entries of the batch are real.

    Every epoch visits each slot once, in an order drawn from (seed, epoch); its last batch may be partial.

    Args:
      recipe: slots and batch.
      seed: of the member.
      first_step: may be traced, so that one program serves every chunk.
      steps: T.
    """
    n, b, per_epoch = recipe.slots, recipe.batch, recipe.steps_per_epoch
    if per_epoch == 1:  # full batch: the order of a sum does not matter
        return jnp.broadcast_to(jnp.arange(n), (steps, n)), jnp.ones((steps, n), bool)
    epochs = first_step // per_epoch + jnp.arange(-(-steps // per_epoch) + 1)
    order = jax.vmap(lambda epoch: jax.random.permutation(rng.key(seed, Stream.ORDER, epoch), n))(epochs)
    order = jnp.pad(order, ((0, 0), (0, per_epoch * b - n)), constant_values=-1).reshape(-1, b)
    order = jax.lax.dynamic_slice_in_dim(order, first_step % per_epoch, steps)
    return jnp.maximum(order, 0), order >= 0


def train_step(
    recipe: Recipe, bank: Bank, member: Member, state: State, t: Array, slots: Array, mask: Array
) -> tuple[State, Float[Array, ""]]:
    """One step of gradient descent; a step that is not finite, or past the member's last, changes nothing.

    Returns:
      The next state, and the mean loss of the batch.
    """
    images = bank.normalized(bank.images[member.images[slots]])
    rows = bank.rows[member.rows[slots]]
    key = rng.key(member.seed, Stream.AUGMENT, t)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(1, recipe.batch + 1))
    images = jax.vmap(augment.build(recipe.augment), (0, 0, None))(images, keys, jax.random.fold_in(key, 0))
    model = recipe.build_model()
    params, stats = state.variables["params"], {k: v for k, v in state.variables.items() if k != "params"}

    def loss_of(params: Any) -> tuple[Array, Any]:
        logits, new_stats = model.apply({"params": params, **stats}, images, train=True, mask=mask, mutable=list(stats))
        return losses.masked_mean(losses.soft_cross_entropy(logits, rows), mask), new_stats

    (loss, stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
    rate = member.learning_rate * recipe.build_schedule()(t / member.steps)
    updates, optimizer = recipe.build_optimizer()(rate, member.weight_decay).update(gradient, state.optimizer, params)
    variables = {"params": optax.apply_updates(params, updates), **stats}
    return _advance(state, variables, optimizer, loss, t, t < member.steps), loss


def train_chunk(
    recipe: Recipe, bank: Bank, member: Member, state: State, first_step: Int[Array, ""], steps: int
) -> tuple[State, Float[Array, ""]]:
    """`steps` steps from `first_step` on.

    Returns:
      The state after them, and the mean loss over those of them that the member still had to do.
    """

    def body(state: State, xs: tuple[Array, Array, Array]) -> tuple[State, Array]:
        return train_step(recipe, bank, member, state, *xs)

    t = first_step + jnp.arange(steps)
    state, loss = jax.lax.scan(body, state, (t, *batches(recipe, member.seed, first_step, steps)))
    return state, losses.masked_mean(loss, t < member.steps)


def _advance(state: State, variables: Any, optimizer: Any, loss: Array, t: Array, live: Array) -> State:
    leaves = [leaf for leaf in jax.tree.leaves(variables) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    # The sum of an array is finite only if all of it is, and is cheaper than asking element by element.
    finite = functools.reduce(jnp.logical_and, [jnp.isfinite(leaf.sum()) for leaf in leaves], jnp.isfinite(loss))
    fine = state.bad_step < 0
    keep = fine & finite & live
    bad_step = jnp.where(fine & ~finite & live, t.astype(jnp.int32), state.bad_step)
    new = jax.tree.map(lambda a, b: jnp.where(keep, a, b), (variables, optimizer), (state.variables, state.optimizer))
    return State(*new, bad_step)
