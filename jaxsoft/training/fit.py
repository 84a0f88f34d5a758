"""How one student (or one expert) is trained: loss of a batch -> chunk of steps. The only training loop.

Everything is written for ONE member; `ensemble` adds the member axis. What is static is a `Recipe`; what a
sweep may vary is in `Member` and enters as an array.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxsoft import models, rng, target
from jaxsoft.ops import norm
from jaxsoft.rng import Stream
from jaxsoft.training import feature_maps, flat, metrics
from jaxsoft.training.batches import (
    DATA,
    Ahead,
    Bank,
    Batch,
    Member,
    Window,
    ahead_in_window,
    ahead_of,
    batch_in_window,
    batch_of,
)
from jaxsoft.training.batches import batch_at as batch_at
from jaxsoft.training.batches import make_bank as make_bank
from jaxsoft.training.batches import slots_at as slots_at
from jaxsoft.training.batches import view_draws as view_draws
from jaxsoft.training.batches import views_of as views_of
from jaxsoft.training.recipe import Recipe

_AHEAD = 128  # steps, at most, whose orders and random numbers are made at once: a few kB each


class State(NamedTuple):
    """A member in training."""

    variables: dict[str, Any]  # what the model is applied with: `params`, and what else it keeps, as `batch_stats`
    optimizer: optax.OptState  # over the parameters as ONE vector
    bad_step: Int[Array, "*M"]  # the first step whose loss or update was not finite; -1 while all is well
    projection: Any = None  # from the network's feature map to that of its labels, where these differ in shape


def initialize(recipe: Recipe, image_shape: tuple[int, ...], seed: Int[Array, ""]) -> State:
    """The state before the first step, from the member's seed alone."""
    dummy = jnp.zeros((1, *image_shape), jnp.float32)
    network, projection = recipe.build_model(), None
    variables = network.init(rng.key(seed, Stream.INIT), dummy)
    if recipe.features:
        key = rng.key(seed, Stream.PROJECTION)
        projection = feature_maps.begin(network, image_shape, recipe.layer, recipe.features, key)
    vector, _ = flat.ravel((variables["params"], projection))
    return State(dict(variables), recipe.build_optimizer()(0.0, 0.0).init(vector), jnp.int32(-1), projection)


def loss_and_gradient(
    recipe: Recipe,
    batch: Batch,
    vector: Float[Array, "P"],
    unravel: Callable[[Array], Any],
    stats: Any,
    tile: int = 0,
    shards: int = 1,
) -> tuple[Float[Array, ""], Any, Float[Array, "P"]]:
    """Mean loss over the real images of a batch, the new statistics, and the gradient in the parameters.

    Args:
      recipe, batch: of the member, and what the step sees.
      vector, unravel: the parameters as one vector, and the way back to the trees of the network and the projection.
      stats: of batch norm and the like; empty for networks that look at one image at a time.
      tile: of the latter, so many images at a time (a divisor of B), to keep their maps in cache; 0 for all at once.
      shards: how many devices have a part of the batch each, along the axis `DATA`; what is given back is of them all.
    """
    real = batch.mask.sum() if batch.real is None else batch.real
    count, of_one = jnp.maximum(real, 1), recipe.build_loss()
    own_loss, pieces = jax.vmap(lambda logits, label: of_one(logits, **label)), _pieces(recipe, batch, stats, tile)
    is_own = isinstance(recipe.build_model(), models.Network)
    norms = _Norms(bool(stats), shards, pieces, recipe.batch_norm, is_own)

    def loss(vector: Array, stats: Any, part: Batch) -> tuple[Array, Any]:
        options: dict[str, Any] = {} if part.key is None else {"key": part.key}
        options |= {"mask": norms.mask(part), "mutable": list(stats)}
        params, projection = unravel(vector)
        logits, maps, new = recipe.learn({"params": params, **stats}, projection, part.images, **options)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return jnp.where(part.mask, own_loss(logits, part.label(recipe.wants, maps)), 0).sum() / count, new

    learn = jax.value_and_grad(loss, has_aux=True)

    def add(sums: tuple[Array, Any, Array], part: Batch) -> tuple[tuple[Array, Any, Array], None]:
        (part_loss, new), gradient = learn(vector, sums[1], part)
        return (sums[0] + part_loss, norms.kept(part, new, sums[1]), sums[2] + gradient), None

    with norm.over(DATA) if norms.is_global else contextlib.nullcontext():
        if pieces == 1:
            (total, new), gradient = learn(vector, stats, batch)
        else:
            parts = _cut(batch, pieces, apart=bool(stats))
            start = jnp.zeros((), vector.dtype), stats, jnp.zeros_like(vector)
            (total, new, gradient), _ = jax.lax.scan(add, start, parts)
    if shards > 1:
        return norms.together(batch, count, total, new, gradient)
    return total, new, gradient


def _pieces(recipe: Recipe, batch: Batch, stats: Any, tile: int) -> int:
    size = len(batch.mask)
    return size // min((tile or size) if not stats else size, size // recipe.accumulate)


def _cut(batch: Batch, pieces: int, apart: bool) -> Batch:
    """The pieces of a batch; `apart`, each has images from all over it, whatever part of it is here."""

    def cut(a: Array) -> Array:
        if apart:
            return a.reshape(-1, pieces, *a.shape[1:]).swapaxes(0, 1)
        return a.reshape(pieces, -1, *a.shape[1:])

    parts = jax.tree.map(cut, batch._replace(key=None, real=None))
    return parts if batch.key is None else parts._replace(key=jax.random.split(batch.key, pieces))


class _Norms(NamedTuple):
    """How batch norm, where there is any, gets statistics from parts of a batch, of which some may be all padding."""

    there: bool
    shards: int
    pieces: int
    how: str  # of `Recipe`
    is_own: bool  # a network of a user's own, which may keep more than statistics of `norm.over`

    @property
    def is_global(self) -> bool:
        return self.there and self.shards > 1 and self.how == "global"

    def mask(self, part: Batch) -> Array:
        """Statistics of padding, which count for nothing, are better than those of no images, which are no numbers."""
        may_be_empty = self.there and not self.is_global and self.shards * self.pieces > 1
        return part.mask | ~part.mask.any() if may_be_empty else part.mask

    def kept(self, part: Batch, new: Any, old: Any) -> Any:
        """Those after a piece: the old ones, if it is all padding."""
        if not self.there:
            return new
        seen = jax.lax.psum(part.mask.sum(), DATA) if self.is_global else part.mask.sum()
        return jax.tree.map(functools.partial(jnp.where, seen > 0), new, old)

    def together(
        self, batch: Batch, count: Array, loss: Array, stats: Any, gradient: Array
    ) -> tuple[Array, Any, Array]:
        """Of all devices the sums, and the mean of each one's statistics, by its real images."""
        if not self.there or (self.is_global and not self.is_own):
            loss, gradient = jax.lax.psum((loss, gradient), DATA)
            return loss, stats, gradient
        share, (leaves, tree) = batch.mask.sum() / count, jax.tree.flatten(stats)
        shares = [a * share for a in leaves if jnp.issubdtype(a.dtype, jnp.floating)]
        loss, gradient, shares = jax.lax.psum((loss, gradient, shares), DATA)
        means = iter(shares)
        leaves = [next(means).astype(a.dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a for a in leaves]
        return loss, jax.tree.unflatten(tree, leaves), gradient


def train_chunk(
    recipe: Recipe,
    bank: Bank,
    member: Member,
    state: State,
    first_step: Int[Array, ""],
    steps: int,
    tile: int = 0,
    alone: bool = False,
    shards: int = 1,
) -> tuple[State, Float[Array, ""]]:
    """`steps` steps of gradient descent from `first_step` on.

    A step that is past the member's last changes nothing; one whose loss or update is not finite changes nothing
    either, and ends the member's training. Parameters are one vector here: a third less to compile. `alone` says that
    the member is not vmapped with others, so that a GPU convolves it by its library; `shards`, how many devices share
    each batch.

    Returns:
      The state after them, and the mean loss over those of them that the member still had to do.
    """
    descent = _Descent(recipe, member, state, tile, alone, shards)

    def step(carry: Any, ahead: Ahead) -> tuple[Any, Array]:
        return descent.step(carry, ahead, batch_of(recipe, bank, member, ahead, shards))

    def together(carry: Any, t: Int[Array, "A"]) -> tuple[Any, Float[Array, "A"]]:
        return jax.lax.scan(step, carry, jax.vmap(functools.partial(ahead_of, recipe, member))(t))

    t = first_step + jnp.arange(steps)
    ahead = max(n for n in range(1, min(steps, _AHEAD) + 1) if steps % n == 0)  # parts of equal length
    end, loss = jax.lax.scan(together, descent.start, t.reshape(-1, ahead), unroll=ahead == steps)
    return descent.state(end), metrics.masked_mean(loss.ravel(), t < member.steps)


def train_window(
    recipe: Recipe,
    bank: Bank,
    member: Member,
    state: State,
    window: Window,
    first_step: Int[Array, ""],
    tile: int = 0,
    alone: bool = False,
    shards: int = 1,
) -> tuple[State, Float[Array, ""]]:
    """The steps of a window, of which `first_step` is the first; else as `train_chunk`.

    A step that is all padding changes nothing. Of a window that devices share, each is given its part of every batch; of
    the bank the labels are read, one row for each class.
    """
    descent = _Descent(recipe, member, state, tile, alone, shards)
    t, real = first_step + jnp.arange(len(window.labels)), (window.labels >= 0).sum(1)
    real = jax.lax.psum(real, DATA) if shards > 1 else real

    def step(carry: Any, seen: tuple[Ahead, Window]) -> tuple[Any, Array]:
        ahead, (images, labels) = seen
        batch = batch_in_window(recipe, bank, images, labels, ahead, shards)
        return descent.step(carry, ahead, batch, ahead.real > 0)

    ahead = jax.vmap(functools.partial(ahead_in_window, recipe, member))(t, real)
    end, loss = jax.lax.scan(step, descent.start, (ahead, window))
    return descent.state(end), metrics.masked_mean(loss, (real > 0) & (t < member.steps))


class _Descent:
    """Gradient descent of one member: from its state to what a step carries, steps, and back."""

    def __init__(self, recipe: Recipe, member: Member, state: State, tile: int, alone: bool, shards: int):
        self._member, self._optimizer = member, recipe.build_optimizer()
        self._kept, self._turned = (state.variables["params"], state.projection), alone and target.platform() == "gpu"
        vector, self._unravel = flat.ravel(self._kept, self._turned)
        stats = {name: value for name, value in state.variables.items() if name != "params"}
        memory = flat.reordered(state.optimizer, self._kept, False, self._turned)
        self.start = (vector, stats, memory), state.bad_step
        self._learn = functools.partial(loss_and_gradient, recipe, unravel=self._unravel, tile=tile, shards=shards)

    def step(self, carry: Any, ahead: Ahead, batch: Batch, counts: Any = True) -> tuple[Any, Array]:
        """What is carried on after a batch, and its loss; unchanged, if it does not count or training is over."""
        (vector, stats, memory), bad_step = carry
        loss, new_stats, gradient = self._learn(batch, vector, stats=stats)
        optimizer = self._optimizer(ahead.rate, self._member.weight_decay)
        update, new_memory = optimizer.update(gradient, memory, vector)
        new, again = vector + update, flat.apart((memory, vector))
        tried = again[1] + optimizer.update(gradient, *again)[0]  # `new`, for the check alone
        live = (bad_step < 0) & (ahead.t < self._member.steps)
        live = live if counts is True else live & counts
        finite = jnp.isfinite(loss) & jnp.isfinite(tried.sum())  # a sum is finite only if all of its terms are
        bad_step = jnp.where(live & ~finite, ahead.t.astype(jnp.int32), bad_step)
        keep = functools.partial(jnp.where, live & finite)
        return (jax.tree.map(keep, (new, new_stats, new_memory), (vector, stats, memory)), bad_step), loss

    def state(self, carry: Any) -> State:
        """The state at the end."""
        (vector, stats, memory), bad_step = carry
        (params, projection), memory = self._unravel(vector), flat.reordered(memory, self._kept, self._turned, False)
        return State({"params": params, **stats}, memory, bad_step, projection)
