"""What a program is made for, what it trains, and what it tells of each member."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxsoft.training.fit import State
from jaxsoft.training.recipe import Recipe


class Bucket(NamedTuple):
    """What is static about members of equal shape."""

    recipe: Recipe
    members: int  # M, a multiple of `block` times the number of groups of devices
    block: int  # members that are vmapped together
    chunk_steps: int  # steps that each takes in one call of the program
    tile: int = 0  # images of a batch, of a device's part of it, that are taken at a time; 0 for all at once
    lowering: str = "auto"  # of its convolutions, as in `ops.conv`


class Best(NamedTuple):
    """The checkpoint with the highest accuracy on the first evaluation set so far; of equals, the latest.

    `accuracy` holds that checkpoint's accuracy on every evaluation set, `highest` the highest of all checkpoints on each.
    """

    variables: dict[str, Any]
    accuracy: Float[Array, "*M S"]
    highest: Float[Array, "*M S"]


class Students(NamedTuple):
    """A bucket in training. `best` is None where every checkpoint is kept (experts)."""

    state: State
    best: Best | None


class Report(NamedTuple):
    """What a chunk tells about each member: mean training loss, and accuracy and entropy on each evaluation set."""

    loss: Float[Array, "M"]
    accuracy: Float[Array, "M S"]
    entropy: Float[Array, "M S"]


class Judged(NamedTuple):
    """What each member says of the images of a window: sums over the real ones, and how many these are, for all the same."""

    correct: Int[Array, "M"]
    entropy: Float[Array, "M"]
    count: Int[Array, "M"]


def unseen(state: State, sets: int) -> Best:
    """Before the first look at so many evaluation sets."""
    accuracy = jnp.full((*state.bad_step.shape, sets), -1.0)
    return Best(state.variables, accuracy, accuracy)


def better(best: Best, state: State, accuracy: Float[Array, "M S"]) -> Best:
    """After a look: the state of those who are better now, or as good, and what was best of the others."""
    is_better, highest = accuracy[:, 0] >= best.accuracy[:, 0], jnp.maximum(best.highest, accuracy)

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(is_better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    variables, accuracy = jax.tree.map(keep, (state.variables, accuracy), (best.variables, best.accuracy))
    return Best(variables, accuracy, highest)
