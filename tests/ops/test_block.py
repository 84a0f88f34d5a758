"""The kernels of a block of few input channels, interpreted, against convolution, norm and pooling one after another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft.ops import block, conv
from jaxsoft.ops.lowerings import Geometry


def geometry(x, kernel):
    return Geometry(x.shape[1:3], kernel.shape[:2], 1, kernel.shape[0] // 2, "kernel", "cpu")


def by_kernels(x, kernel, scale, bias):
    return block._block(geometry(x, kernel), x, kernel, scale, bias)[0]


def draw(images, channels, dtype=np.float64, members=()):
    """Images [B, H, W, C], some of them dark or of one colour, a kernel and the norm's numbers."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(images)
    x[0], x[1] = 0.01 * x[0] - 2, 1.5
    kernel = 0.3 * rng.standard_normal((*members, 3, 3, images[3], channels))
    scale, bias = 1 + 0.3 * rng.standard_normal((*members, channels)), rng.standard_normal((*members, channels))
    wide = np.promote_types(dtype, np.float32) if dtype != jnp.bfloat16 else np.float32
    return jnp.asarray(x, dtype), *(jnp.asarray(a, wide) for a in (kernel, scale, bias))


# Odd sides; more channels than a tile has, and pixels than a tile has; one input channel.
@pytest.mark.parametrize("images, channels", [((3, 7, 10, 3), 33), ((2, 4, 4, 1), 5)])
def test_kernels_equal_the_parts_with_their_gradients(images, channels):
    with jax.enable_x64(True):
        args = draw(images, channels)
        (got, pull), (wanted, pull_parts) = (jax.vjp(f, *args) for f in (by_kernels, block._parts))
        np.testing.assert_allclose(got, wanted, atol=1e-10)
        direction = jnp.asarray(np.random.default_rng(1).standard_normal(wanted.shape))
        for a, b in zip(pull(direction), pull_parts(direction)):
            np.testing.assert_allclose(a, b, atol=1e-10)


def test_gradients_of_the_gradient_equal_those_of_the_parts():
    def length(f, *args):
        gradient = jax.grad(lambda *p: jnp.square(f(args[0], *p)).sum(), (0, 1, 2))(*args[1:])
        return sum(jnp.square(g).sum() for g in gradient)

    with jax.enable_x64(True):
        args = draw((2, 4, 4, 2), 3)
        got, wanted = (jax.grad(lambda *a, f=f: length(f, *a), (0, 1, 2, 3))(*args) for f in (by_kernels, block._parts))
        for a, b in zip(got, wanted):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * float(jnp.abs(b).max()))


def test_members_together_equal_members_alone():
    x, *parameters = draw((2, 4, 4, 3), 8, np.float32, members=(2,))
    together = jax.jit(jax.vmap(by_kernels, (None, 0, 0, 0)))(x, *parameters)
    for member in range(2):
        alone = by_kernels(x, *(p[member] for p in parameters))
        np.testing.assert_array_equal(together[member], alone)


def test_half_precision_is_no_worse_than_by_parts():
    """The response is rounded by the parts, and never by the kernels."""
    args = draw((3, 8, 8, 3), 16, jnp.bfloat16)
    exact = [a.astype(jnp.float32) for a in (args[0], args[1].astype(jnp.bfloat16), *args[2:])]
    direction = jnp.ones((3, 4, 4, 16))
    wanted = jax.vjp(block._parts, *exact)[1](direction)[1:]

    def error(f):
        got = jax.vjp(f, *args)[1](direction.astype(jnp.bfloat16))[1:]
        return [float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in zip(got, wanted)]

    kernels, parts = error(by_kernels), error(block._parts)
    assert all(k <= p + 1e-3 for k, p in zip(kernels, parts)), (kernels, parts)


@pytest.mark.parametrize("lowering, channels, taken", [("kernel", 3, 1), ("kernel", 4, 0), ("auto", 3, 0)])
def test_kernels_are_taken_where_they_are_asked_for_and_windows_are_few(monkeypatch, lowering, channels, taken):
    ones, zeros = jnp.ones((2, 2, 2, 8)), jnp.zeros((2, 2, 2, 8))
    monkeypatch.setattr(block, "_block", lambda *args: (ones, None))
    monkeypatch.setattr(block, "_parts", lambda *args: zeros)
    with conv.lowering(lowering):
        assert block.conv_norm_relu_pool(*draw((2, 4, 4, channels), 8, np.float32)).max() == taken
