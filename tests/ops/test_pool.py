"""Pooling against NumPy, and against the gradients of a window reduction."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxsoft import target
from jaxsoft.ops import pool


@pytest.mark.parametrize("height, width", [(6, 8), (7, 5), (2, 3)])
@pytest.mark.parametrize("pooled, reduce", [(pool.avg_pool, np.mean), (pool.max_pool, np.max)])
def test_pooling_equals_numpy_and_drops_the_odd_edge(pooled, reduce, height, width):
    x = np.random.default_rng(0).standard_normal((2, height, width, 3))
    wanted = np.stack(
        [
            np.stack([reduce(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], axis=(1, 2)) for j in range(width // 2)], 1)
            for i in range(height // 2)
        ],
        axis=1,
    )
    np.testing.assert_allclose(pooled(jnp.asarray(x, jnp.float32)), wanted, atol=1e-6)


def test_examples_of_the_docstrings():
    assert doctest.testmod(pool).failed == 0


def window_reduction(x):
    return nn.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf), (3, 3), (2, 2))


@pytest.mark.parametrize("sides, platform", [((7, 8), "gpu"), ((1, 2), "gpu"), ((8, 5), "cpu"), ((7, 8), "tpu")])
def test_max_pool_of_three_and_its_gradients_are_those_of_a_window_reduction(sides, platform):
    """With ties, of which the first pixel counts; and of the gradient of a gradient."""
    x = jnp.asarray(np.random.default_rng(0).integers(0, 4, (2, *sides, 3)), jnp.float32)

    def found(pooled):
        y, pull = jax.vjp(pooled, x)
        twice = jax.grad(lambda x: jnp.sum(jax.grad(lambda x: (pooled(x * x) ** 2).sum())(x) ** 2))
        return y, pull(jnp.asarray(np.random.default_rng(1).standard_normal(y.shape), jnp.float32))[0], twice(x)

    with target.aimed(target.Target(platform)):
        found_here = found(pool.max_pool_of_three)
    for ours, theirs in zip(found_here, found(window_reduction)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_max_pool_of_three_tells_what_is_no_number_and_gives_a_tie_to_its_first_pixel():
    x = jnp.zeros((1, 3, 3, 1)).at[0, 2, 2, 0].set(jnp.nan)
    y, pull = jax.vjp(pool.max_pool_of_three, x)
    assert jnp.isnan(y).ravel().tolist() == [False, False, False, True]
    assert pull(jnp.ones_like(y))[0].ravel().tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 0]
