"""What a step needs that parameters have no part in is made before the loop over steps, and changes no number there."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft import target
from jaxsoft.ops import conv
from jaxsoft.training import fit, flat

OFTEN = {"views": 3, "mix": "mixup(0.4)"}
# What is random or loops, by the names of JAX's primitives.
MADE_AHEAD = {"random_bits", "random_fold_in", "random_seed", "threefry2x32"}
LOOPS = {"scan", "while", "cond"}


def inside(jaxpr, names, depth=0):
    """The primitives of these names, with how many scans they lie in; but for what is inside of one kernel."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in names:
            yield depth, name
        if name == "pallas_call":
            continue
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from inside(inner, names, depth + (name in LOOPS))


def traced(recipe, platform, block, steps):
    """A chunk of so many members at once, as it is traced for a platform."""
    who = jax.tree.map(jnp.asarray, tiny.members(range(block)))._replace(subset_seed=jnp.zeros(block, jnp.int32))
    with target.aimed(target.Target(platform)):
        start = jax.vmap(lambda seed: fit.initialize(recipe, tiny.SHAPE, seed))
        states = jax.eval_shape(start, who.seed)
        one = functools.partial(fit.train_chunk, recipe, tiny.bank())
        return jax.make_jaxpr(jax.vmap(lambda m, s: one(m, s, jnp.int32(0), steps, alone=block == 1)))(
            who, states
        ).jaxpr


@pytest.mark.parametrize("platform, block", [("gpu", 1), ("gpu", 4), ("tpu", 1)])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch": 10},
        {"optimizer": "adamw"},
        {"model": "convnet(depth=1, width=4, norm=batch, pooling=max)"},
        OFTEN,
    ],
    ids=["dsa", "whole subset", "adamw", "batch norm", "views"],
)
def test_a_step_on_an_accelerator_has_no_loop_and_draws_nothing(changes, platform, block):
    """The scan over steps is all there is: a loop of tiny kernels, in every step, would cost more than what it does."""
    found = list(inside(traced(tiny.CONV._replace(**changes), platform, block, steps=6), MADE_AHEAD | LOOPS))
    assert {(0, "scan"), (1, "scan"), (1, "random_bits")} <= {*found}, "are they called otherwise now?"
    assert not [name for depth, name in found if depth > 1]


@pytest.mark.parametrize("most, steps", [(2, 6), (3, 5)])
@pytest.mark.parametrize("changes", [{}, OFTEN], ids=["dsa", "views"])
def test_how_many_steps_are_made_ahead_changes_no_bit(monkeypatch, most, steps, changes):
    """Steps in parts of equal length; a number of them that has no divisor goes one by one."""
    recipe, bank = tiny.CONV._replace(model="mlp(hidden=6)", **changes), tiny.bank()
    member = tiny.one(tiny.members([2], steps=5), 0)._replace(subset_seed=jnp.int32(3))
    state = jax.jit(lambda: fit.initialize(recipe, tiny.SHAPE, member.seed))()

    def train():
        return jax.jit(lambda s: fit.train_chunk(recipe, bank, member, s, jnp.int32(0), steps))(state)

    whole = train()
    monkeypatch.setattr(fit, "_AHEAD", most)
    tiny.assert_bitwise(tiny.host(train()), tiny.host(whole))


@pytest.mark.parametrize("optimizer", ["sgd(momentum=0.9)", "adamw"])
def test_the_order_in_which_a_gpu_has_its_kernels_is_seen_by_nobody(optimizer):
    """Parameters, and what the optimizer keeps of each, are where they are without it."""
    recipe, bank = tiny.CONV._replace(model="convnet(depth=2, width=4)", optimizer=optimizer), tiny.bank()
    member = tiny.one(tiny.members([2], rate=0.01), 0)
    state = jax.jit(lambda: fit.initialize(recipe, tiny.SHAPE, member.seed))()
    ends = []
    with target.aimed(target.Target("gpu")), conv.lowering("map"):  # our own kernels would want one
        for alone in (True, False):
            chunk = jax.jit(lambda s, a=alone: fit.train_chunk(recipe, bank, member, s, jnp.int32(0), 4, alone=a))
            ends.append(chunk(chunk(state)[0]))  # the second begins with a memory
    kernels = [leaf for leaf in jax.tree.leaves(ends[0][0].variables) if leaf.ndim == 4]
    assert (
        len(kernels) == 2 and np.abs(kernels[1] - jnp.moveaxis(kernels[1], -1, 0).reshape(kernels[1].shape)).max() > 0.1
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *ends)


def test_a_vector_is_turned_and_turned_back():
    params = {"conv": jnp.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5), "bias": -jnp.arange(5.0)}
    stored, _ = flat.ravel(params)
    turned, unravel = flat.ravel(params, turned=True)
    tiny.assert_bitwise(unravel(turned), params)
    np.testing.assert_array_equal(turned[5:65], params["conv"][..., 0:3].transpose(3, 0, 1, 2).ravel()[:60])
    memory = {"of each": stored, "count": jnp.int32(3)}
    there = flat.reordered(memory, params, False, True)
    np.testing.assert_array_equal(there["of each"], turned)
    tiny.assert_bitwise(flat.reordered(there, params, True, False), memory)
