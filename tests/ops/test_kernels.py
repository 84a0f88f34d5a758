"""Kernels that gather windows while they multiply, interpreted on a CPU, against the library's convolution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import target
from jaxsoft.ops import conv, kernels, lowerings

MAPS = ("forward", "input_gradient", "kernel_gradient")
SHAPES = [  # image side, window, stride, padding, channels of images and of responses
    ((7, 5), 3, 2, 1, 17, 24),
    ((4, 4), 3, 1, 1, 130, 16),  # more channels than a tile has
    ((9, 9), 5, 2, 2, 16, 136),
    ((6, 6), 1, 2, 0, 16, 16),
]


def operands(map, g, channels, responses, dtype, members=2, images=3):
    def draw(seed, *shape):
        return jnp.asarray(np.random.default_rng(seed).standard_normal((members, *shape)), dtype)

    x, k = draw(0, images, *g.size, channels), draw(1, *g.window, channels, responses)
    y = draw(2, images, *g.response(), responses)
    return {"forward": (x, k), "input_gradient": (y, k), "kernel_gradient": (x, y)}[map]


def difference(map, g, *ab):
    """The largest from the library's, in shares of its own largest number; of several members."""
    ours, library = getattr(kernels, map), getattr(lowerings, f"{map}_by_library")
    with jax.default_matmul_precision("highest"):
        got, want = (np.asarray(jax.vmap(functools.partial(f, g))(*ab), np.float64) for f in (ours, library))
    return np.abs(got - want).max() / np.abs(want).max()


@pytest.mark.parametrize("map", MAPS)
@pytest.mark.parametrize("size, window, stride, padding, channels, responses", SHAPES)
def test_a_kernel_equals_the_library(map, size, window, stride, padding, channels, responses):
    g = lowerings.Geometry(size, (window, window), stride, padding)
    with jax.enable_x64(True):
        assert difference(map, g, *operands(map, g, channels, responses, jnp.float64)) < 1e-14


@pytest.mark.parametrize("map", MAPS)
@pytest.mark.parametrize("dtype, most", [(jnp.float32, 1e-6), (jnp.bfloat16, 2**-8)])
def test_sums_are_those_of_float32(map, dtype, most):
    """As long as sums get at batch 10: what rounds is the result, not the sum."""
    g = lowerings.Geometry((16, 16), (3, 3), 1, 1)
    assert difference(map, g, *operands(map, g, 64, 16, dtype, members=1, images=10)) < most


def test_one_member_needs_no_vmap():
    g = lowerings.Geometry((4, 4), (3, 3), 1, 1)
    x, k = operands("forward", g, 16, 16, jnp.float32)
    np.testing.assert_array_equal(
        kernels.forward(g, x[0], k[0]), jax.vmap(functools.partial(kernels.forward, g))(x, k)[0]
    )


@pytest.mark.parametrize(
    "channels, responses, members, taken",
    [(16, 16, 8, "kernel"), (16, 16, 1, "kernel"), (3, 16, 8, "patches"), (16, 15, 8, "patches"), (3, 16, 1, "map")],
)
def test_kernels_are_used_where_they_serve(channels, responses, members, taken, monkeypatch):
    """Members of few channels are never looped over; all three maps alike."""
    g, used = lowerings.Geometry((4, 4), (3, 3), 1, 1, "kernel", "gpu"), {}
    monkeypatch.setattr(conv, "_way", lambda map, how: used.update({map: how}) or (lambda g, a, b: a))
    for map in MAPS:
        a, b = operands(map, g, channels, responses, jnp.float32, members)
        jax.eval_shape(jax.vmap(functools.partial(conv.apply, map, g)), a, b)
    assert used == dict.fromkeys(MAPS, taken)


@pytest.mark.parametrize(
    "platform, taken, follow", [("gpu", "kernel", False), ("cpu", "kernel", False), ("tpu", "auto", True)]
)
def test_a_tpu_has_no_such_kernels(platform, taken, follow):
    with target.aimed(target.Target(platform)), conv.lowering("kernel"):
        assert conv.asked() == taken
        assert conv.one_by_one(conv.FULL_BATCH, "kernel") is follow
