"""Losses against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import spec
from jaxsoft.training import losses


def test_soft_cross_entropy_is_the_textbook_sum():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(7, 5)).astype(np.float32) * 4
    rows = rng.dirichlet(np.ones(5), size=7).astype(np.float32)
    wanted = [-sum(row[k] * (z[k] - np.log(np.exp(z).sum())) for k in range(5)) for z, row in zip(logits, rows)]
    np.testing.assert_allclose(losses.soft_cross_entropy(jnp.array(logits), jnp.array(rows)), wanted, rtol=1e-5)


def test_a_cut_row_is_not_renormalised():
    logits = jnp.array([[1.0, 2.0, 3.0]])
    whole = losses.soft_cross_entropy(logits, jnp.array([[1.0, 0.0, 0.0]]))
    cut = losses.soft_cross_entropy(logits, jnp.array([[0.25, 0.0, 0.0]]))
    nothing = losses.soft_cross_entropy(logits, jnp.zeros((1, 3)))
    np.testing.assert_allclose(cut, 0.25 * whole, rtol=1e-6)
    assert whole > 0 and nothing == 0


def test_the_gradient_of_a_cut_row_is_its_mass_times_softmax_minus_the_row():
    logits, row = jnp.array([[1.0, -2.0, 0.5]]), jnp.array([[0.5, 0.2, 0.0]])
    gradient = jax.grad(lambda z: losses.soft_cross_entropy(z, row).sum())(logits)
    np.testing.assert_allclose(gradient, 0.7 * jax.nn.softmax(logits) - row, atol=1e-6)


def test_large_logits_stay_finite_and_half_precision_is_summed_in_float32():
    far = losses.soft_cross_entropy(jnp.array([[1e4, -1e4, 0.0]]), jnp.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(far, [2e4])
    near = jnp.array([[1.0, 0.5, -0.25]], jnp.bfloat16)  # these three are exact in bfloat16
    loss = losses.soft_cross_entropy(near, jnp.array([[0.0, 0.0, 1.0]]))
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, [0.25 + np.log(np.exp([1.0, 0.5, -0.25]).sum())], rtol=1e-6)


def test_squared_error_is_that_of_probabilities():
    logits, row = np.array([1.0, -2.0, 0.5], np.float32), np.array([0.5, 0.2, 0.3], np.float32)
    p = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(
        losses.squared_error(jnp.array(logits), jnp.array(row)), ((p - row) ** 2).sum(), rtol=1e-5
    )


@pytest.mark.parametrize("name", spec.public_functions(losses))
def test_every_loss_of_one_image_is_least_at_its_row_and_has_a_gradient(name):
    loss, row = getattr(losses, name), jnp.array([0.5, 0.2, 0.3])
    assert list(spec.parameters(loss))[:2] == ["logits", "row"]
    least, slope = jax.value_and_grad(loss)(jnp.log(row), row)
    assert least.shape == () and least.dtype == jnp.float32
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    assert loss(jnp.log(row) + jnp.array([0.1, 0.0, 0.0]), row) > least
    assert np.isfinite(jax.grad(loss)(jnp.array([100.0, -100.0, 0.0]), jnp.array([0.0, 1.0, 0.0]))).all()
