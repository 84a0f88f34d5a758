"""A user's networks in the engine: numbers of their own wherever they are trained, and no grouped convolution."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import linen as nn
from flax import nnx

from jaxsoft import models
from jaxsoft.training import cost, fit

SEEDS = [3, 1, 4, 0, 5, 9, 2, 6]


class Linen(nn.Module):
    """Batch norm, a stride, and dropout."""

    classes: int
    rate: float
    dilation: int = 1

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        real = None if mask is None else mask[:, None, None, None]
        x = nn.relu(nn.BatchNorm(not train)(nn.Conv(4, (3, 3), kernel_dilation=self.dilation)(x), mask=real))
        x = nn.relu(nn.Conv(4, (3, 3), strides=2)(x))
        x = nn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(self.classes)(x.reshape(len(x), -1))


class Nnx(nnx.Module):
    """A stream of dropout of its own."""

    def __init__(self, classes, *, rngs):
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=7))
        self.out = nnx.Linear(256, classes, rngs=rngs)

    def __call__(self, x):
        return self.out(self.drop(nnx.relu(self.conv(x))).reshape(len(x), -1))


def linen(num_classes, rate=0.5, dilation=1):
    return Linen(num_classes, rate, dilation)


def nnx_net(num_classes):
    return functools.partial(Nnx, num_classes)


@pytest.fixture(autouse=True, scope="module")
def known():
    """The networks of this file by name."""
    own = models.architectures()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "architectures", lambda: {**own, "linen": linen, "nnx_net": nnx_net})
        yield


def recipe(model):
    return tiny.MLP._replace(model=model)


def of(tree, i):
    return jax.tree.map(lambda a: a[i], tree)


@pytest.fixture(scope="module")
def history():
    """Eight members in one block, two steps a chunk; the third batch of an epoch is half empty."""
    program = tiny.program(recipe("linen"), 8)
    return program, tiny.train(program, tiny.members(SEEDS), 3)


def test_members_draw_their_own_numbers_wherever_they_are(history):
    """The same block width: bitwise, whatever stands beside it. Alone: sums in another order."""
    program, trained = history
    others = [7, 8, 11, 12, 13, 4, 14, 15]
    moved, told = tiny.train(program, tiny.members(others), 3)[-1]
    ours, was_told = of(trained[-1], SEEDS.index(4))
    tiny.assert_bitwise(of((moved, told), others.index(4)), (ours, was_told))
    alone, _ = tiny.train(tiny.program(recipe("linen"), 1), tiny.members([4]), 3)[-1]
    for a, b in zip(jax.tree.leaves(of(alone.state, 0)), jax.tree.leaves(ours.state)):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_resumed_equals_never_stopped(history):
    program, trained = history
    resumed = tiny.train(program, tiny.members(SEEDS), 3, students=(trained[0][0],), done=1)
    tiny.assert_bitwise(resumed, trained[1:])


@pytest.mark.parametrize("model", ["linen", "nnx_net"])
def test_masks_of_dropout_are_of_seed_and_step(model):
    """The same weights and images: logits differ between members and between steps, not from one time to the next."""
    own, bank, who = recipe(model), tiny.bank(), tiny.members([1, 2])
    variables = jax.jit(lambda: fit.initialize(own, tiny.SHAPE, jnp.int32(0)).variables)()
    state = [name for name in variables if name != "params"]

    @jax.jit
    def said(seed, t):
        key = fit.batch_at(own, bank, tiny.one(who, 0)._replace(seed=seed), t).key
        images = bank.normalized(bank.images[:4])
        return jax.vmap(lambda k: own.logits(variables, images, train=True, mutable=state, key=k)[0])(key[None])[0]

    one, again, other, later = (said(jnp.int32(s), jnp.int32(t)) for s, t in ((1, 0), (1, 0), (2, 0), (1, 1)))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-2 and np.abs(one - later).max() > 1e-2


@pytest.mark.parametrize("model, count", [("linen(rate=0.0)", 0), ("nnx_net", 0), ("linen(dilation=2)", 1)])
def test_no_convolution_of_a_program_is_grouped(model, count):
    """But for one that is dilated, which falls through."""
    own, bank, who = recipe(model), tiny.bank(), tiny.members([0, 1])
    states = jax.eval_shape(lambda: jax.vmap(lambda s: fit.initialize(own, tiny.SHAPE, s))(who.seed))

    def train(state, member):
        return fit.train_chunk(own, bank, member, state, jnp.int32(0), 1)

    text = jax.jit(jax.vmap(train)).lower(states, who).as_text()
    found = re.findall(r"(feature|batch)_group_count = [^1]", text)
    assert "stablehlo.convolution" in text and bool(found) == bool(count)


def test_what_draws_is_not_cut_into_tiles(monkeypatch):
    monkeypatch.setattr(cost, "_images_in_cache", lambda *_: 4)
    tiles = {
        m: cost.choose_tile(recipe(m)._replace(batch=8), tiny.SHAPE) for m in ("nnx_net", "convnet(depth=1, width=4)")
    }
    assert tiles == {"nnx_net": 8, "convnet(depth=1, width=4)": 4}


def test_forced_tiles_train_what_draws():
    own = recipe("nnx_net")
    bank, member = tiny.bank(), tiny.one(tiny.members([2]), 0)
    state = jax.jit(lambda: fit.initialize(own, tiny.SHAPE, member.seed))()
    done = jax.jit(lambda s: fit.train_chunk(own, bank, member, s, jnp.int32(0), 2, tile=2))(state)
    assert np.isfinite(done[1]) and done[0].bad_step == -1
