"""Norms against NumPy in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxsoft import target
from jaxsoft.ops import norm, pool

SHAPE = (3, 6, 5, 8)
NORMS = {
    "instance": norm.instance_norm,
    "group": norm.group_norm,
    "halves": functools.partial(norm.group_norm, groups=2),
    "layer": norm.layer_norm,
}
GROUPS = {"instance": 8, "group": 4, "halves": 2, "layer": 1}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def parameters(kind, shape=SHAPE):
    shape = shape[1:] if kind == "layer" else shape[3:]
    return 1 + 0.3 * draw(*shape, seed=1), draw(*shape, seed=2)


def by_hand(kind, x, scale, bias):
    split = x.reshape(*x.shape[:3], GROUPS[kind], -1)
    mean, variance = (f(split, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.var))
    return ((split - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * scale + bias


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_norm_equals_numpy(kind, offset):
    x, (scale, bias) = draw(*SHAPE) + offset, parameters(kind)
    got = jax.jit(NORMS[kind])(*(jnp.asarray(a, jnp.float32) for a in (x, scale, bias)))
    # One pass: the error of the variance grows with the square of mean / deviation.
    np.testing.assert_allclose(got, by_hand(kind, x, scale, bias), atol=2e-6 + 2e-6 * offset**2)


@pytest.mark.parametrize("kind", ["group", "layer"])  # the others are groups too
def test_derivatives_of_both_orders(kind):
    with jax.enable_x64(True):
        x, (scale, bias) = draw(2, 2, 3, 8), parameters(kind, (2, 2, 3, 8))
        check_grads(jax.jit(NORMS[kind]), tuple(map(jnp.asarray, (x, scale, bias))), order=2, modes=["rev"])


def parts(x, scale, bias):
    return pool.avg_pool(jax.nn.relu(norm.instance_norm(x, scale, bias)))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("shape", [(3, 6, 4, 8), (2, 5, 7, 3)])
def test_the_block_equals_its_parts_with_their_gradients(shape, platform):
    with jax.enable_x64(True), target.aimed(target.Target(platform)):
        x, direction = jnp.asarray(draw(*shape)), draw(shape[0], shape[1] // 2, shape[2] // 2, shape[3], seed=3)
        args = x, *map(jnp.asarray, parameters("instance", shape))
        (got, pull), (wanted, pull_parts) = (jax.vjp(f, *args) for f in (norm.instance_norm_relu_pool, parts))
        np.testing.assert_allclose(got, wanted, atol=1e-12)
        for a, b in zip(pull(jnp.asarray(direction)), pull_parts(jnp.asarray(direction))):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_derivatives_of_both_orders_of_the_block(platform):
    """Against finite differences in float64."""
    with jax.enable_x64(True), target.aimed(target.Target(platform)):
        x, (scale, bias) = draw(2, 4, 4, 3), parameters("instance", (2, 4, 4, 3))
        f = jax.jit(norm.instance_norm_relu_pool)
        check_grads(f, tuple(map(jnp.asarray, (x, scale, bias))), order=2, modes=["rev"])


def test_the_block_keeps_half_precision_maps_and_sums_them_in_float32():
    x = jnp.asarray(draw(2, 64, 64, 4) + 8, jnp.bfloat16)
    scale, bias = (jnp.asarray(p, jnp.float32) for p in parameters("instance", x.shape))
    y, pull = jax.vjp(norm.instance_norm_relu_pool, x, scale, bias)
    dx, d_scale, d_bias = pull(jnp.ones_like(y))
    assert (y.dtype, dx.dtype, d_scale.dtype, d_bias.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32, jnp.float32)
    np.testing.assert_allclose(y, parts(x.astype(jnp.float32), scale, bias), atol=0.02)


@pytest.mark.parametrize("kind", NORMS)
def test_constant_map_becomes_the_bias_and_keeps_gradients_finite(kind):
    scale, bias = (jnp.asarray(p, jnp.float32) for p in parameters(kind))
    # Squares of large numbers round so coarsely that mean square - squared mean falls below minus epsilon for some.
    x = jnp.broadcast_to(jnp.array([7.7, 1003.3, -777.7])[:, None, None, None], SHAPE)
    y, gradient = jax.jit(lambda x: jax.vjp(lambda x: NORMS[kind](x, scale, bias), x))(x)
    # The mean is off by one rounding, some 5e-6 after 240 sums, and the root of epsilon magnifies it 300 times.
    np.testing.assert_allclose(y[0], np.broadcast_to(bias, SHAPE[1:]), atol=5e-3)
    assert np.isfinite(y).all() and np.isfinite(gradient(jnp.ones(SHAPE))[0]).all()


@pytest.mark.parametrize("kind", NORMS)
def test_bfloat16_maps_have_float32_statistics(kind):
    shape = (1, 64, 64, 8)
    x, (scale, bias) = jnp.asarray(draw(*shape) + 3, jnp.bfloat16), parameters(kind, shape)
    got = jax.jit(NORMS[kind])(x, jnp.asarray(scale, jnp.float32), jnp.asarray(bias, jnp.float32))
    assert got.dtype == jnp.bfloat16
    # Sums of 4096 numbers in bfloat16 would be wrong by tens of per cent; the type itself rounds by 2^-9.
    np.testing.assert_allclose(
        np.asarray(got, np.float64), by_hand(kind, np.asarray(x, np.float64), scale, bias), rtol=2**-8, atol=2e-3
    )


@pytest.mark.parametrize("kind", NORMS)
def test_members_together_equal_members_alone(kind):
    x, (scale, bias) = jnp.asarray(draw(4, *SHAPE), jnp.float32), parameters(kind)
    scale, bias = (jnp.asarray(np.stack([p * m for m in range(4)]), jnp.float32) for p in (scale, bias))
    together = jax.jit(jax.vmap(NORMS[kind]))(x, scale, bias)
    np.testing.assert_allclose(together[2], NORMS[kind](x[2], scale[2], bias[2]), atol=1e-5)
