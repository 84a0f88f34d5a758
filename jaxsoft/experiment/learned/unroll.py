"""A student's training as a function of its labels, so that labels can be improved by its gradient.

There is no second training loop: a step is `fit.train_chunk`, with the order, augmentation, optimizer and schedule that
any member has. Its result is differentiable in the label rows and in the state that it starts from.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Int

from jaxsoft.training import fit
from jaxsoft.training.fit import Bank, Member, Recipe, State


class Trainee(NamedTuple):
    """A member on its way: what it is, the steps behind it, and its state after them."""

    member: Member
    age: Int[Array, "*P"]
    state: State


def newborn(recipe: Recipe, image_shape: tuple[int, ...], member: Member) -> Trainee:
    """A student before its first step."""

    @sequential_vmap  # random numbers of many at once take four times as long to compile
    def start(seed: Array) -> State:
        return fit.initialize(recipe, image_shape, seed)

    return Trainee(member, jnp.int32(0), start(member.seed))


def train(recipe: Recipe, bank: Bank, student: Trainee, steps: int) -> Trainee:
    """Go on for `steps` steps; differentiable in `bank.rows`, to which the member's rows point, and in the state.

    Only the state between two steps is kept for the gradient; what happens inside a step is computed again.

    Args:
      recipe: of the student.
      bank: images and label rows.
      student: where it stands.
      steps: how many, fixed when the program is compiled.
    """
    step = jax.checkpoint(_step(recipe, bank, student.member), prevent_cse=False)  # a scan has nothing to fuse across
    numbers = student.age + jnp.arange(steps, dtype=jnp.int32)
    state, _ = jax.lax.scan(lambda state, t: (step(t, state), None), student.state, numbers)
    return Trainee(student.member, student.age + steps, state)


def run_up(recipe: Recipe, bank: Bank, student: Trainee, steps: Int[Array, ""]) -> Trainee:
    """Go on for a number of steps that may be drawn; no gradient passes."""
    step, age = _step(recipe, bank, student.member), student.age
    state = jax.lax.fori_loop(0, steps, lambda i, state: step(age + i, state), student.state)
    return Trainee(student.member, age + steps, state)


def _step(recipe: Recipe, bank: Bank, member: Member) -> Callable[[Array, State], State]:
    return lambda t, state: fit.train_chunk(recipe, bank, member, state, t, steps=1)[0]
