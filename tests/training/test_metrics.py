"""Metrics against NumPy, by hand and against the reference."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
import scipy.stats

from jaxsoft.training import metrics


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    return rng.dirichlet(np.full(6, 0.3), size=(2, 20)).astype(np.float32)


def test_entropy_matches_scipy_over_any_leading_axes(rows):
    got = metrics.entropy(jnp.array(rows))
    assert got.shape == (2, 20)
    np.testing.assert_allclose(got, scipy.stats.entropy(rows, axis=-1), atol=1e-5)


def test_entropy_of_one_hot_and_uniform_rows():
    assert metrics.entropy(jnp.array([0.0, 1.0, 0.0])) == 0.0
    np.testing.assert_allclose(metrics.entropy(jnp.full(200, 1 / 200)), np.log(200), rtol=1e-6)


def test_entropy_matches_the_reference(golden):
    got = metrics.entropy(jnp.array(golden["labels/softmax"]))
    message = "entropy is -sum p log p in nats, with 0 log 0 = 0"
    np.testing.assert_allclose(got, golden["labels/entropy_nats"], atol=1e-4, err_msg=message)


def test_js_divergence_matches_scipy_and_its_bounds(rows):
    p, q = jnp.array(rows)
    wanted = scipy.spatial.distance.jensenshannon(rows[0], rows[1], axis=-1) ** 2  # scipy gives the root
    np.testing.assert_allclose(metrics.js_divergence(p, q), wanted, atol=1e-5)
    np.testing.assert_array_equal(metrics.js_divergence(p, p), np.zeros(20))
    apart = metrics.js_divergence(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(apart, np.log(2), rtol=1e-6)


def test_correct_count_by_hand_with_ties_and_padding():
    logits = jnp.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5], [0.0, 1.0]])
    labels = jnp.array([1, 1, 0, 1])
    assert metrics.correct_count(logits, labels) == 3  # of two equal logits the lower class is predicted
    assert metrics.correct_count(logits, labels, jnp.array([True, True, True, False])) == 2
    assert metrics.correct_count(logits, labels, jnp.zeros(4, bool)) == 0


def test_masked_mean_ignores_what_the_padding_holds():
    values = jnp.array([1.0, 4.0, jnp.nan, 7.0])
    assert metrics.masked_mean(values, jnp.array([True, True, False, False])) == 2.5
    assert metrics.masked_mean(values, jnp.array([True, True, False, True])) == 4.0
    assert metrics.masked_mean(values, jnp.zeros(4, bool)) == 0.0
    assert np.isnan(metrics.masked_mean(values, jnp.ones(4, bool)))
