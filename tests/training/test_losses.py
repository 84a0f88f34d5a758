"""Losses against NumPy, and what every loss promises."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.flatten_util import ravel_pytree

from jaxsoft import errors, spec
from jaxsoft.training import fit, losses
from jaxsoft.training.fit import Batch
from jaxsoft.training.recipe import Recipe


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


def of_label(name: str, label_logits, true_class=1):
    """A loss as a function of logits, and those at which it is told to be least."""
    built, wants = Recipe("", len(label_logits), 1, 1, loss=name).build_loss(), Recipe("", 3, 1, 1, loss=name).wants
    row = jax.nn.softmax(label_logits)
    maps = jnp.full((2, 2, 3), 0.5, row.dtype) if "label_features" in wants else None
    given = Batch(
        row, label_logits if "label_logits" in wants else row, row, classes=jnp.int32(true_class), features=maps
    )
    told = given.label(wants, maps)
    return lambda logits: built(logits, **told)


ALL = (
    *spec.public_functions(losses),
    "kl(4)",
    "kl(0.5, scaled=true)",
    "cross_entropy(0.2)",
    "gift(gamma=2, alpha=0.5)",
    "features(1, distance='cosine')",
)
LABELS = {
    "even": jnp.zeros(3),
    "soft": jnp.log(jnp.array([0.5, 0.2, 0.3])),
    "hard": jnp.array([0.0, 200.0, 0.0]),
    "far": jnp.array([1e4, -1e4, 0.0]),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", ALL)
def test_every_loss_is_finite_with_its_gradient_and_keeps_the_precision(name, dtype):
    with jax.enable_x64(dtype == jnp.float64):
        for label in LABELS.values():
            of_one = jax.jit(jax.value_and_grad(of_label(name, jnp.asarray(label, dtype))))
            for logits in LABELS.values():
                value, slope = of_one(jnp.asarray(logits, dtype))
                assert value.shape == () and value.dtype == slope.dtype == dtype
                assert np.isfinite(value) and np.isfinite(slope).all() and value > -1e-6


def least(name: str, label) -> jax.Array:
    """Logits at which a loss has its minimum, for class 1; if not told otherwise those of the label."""
    if name.startswith("gift"):
        of_gift = {"gift": (0.1, 0.1)}.get(name, (2.0, 0.5))
        return losses._refined(label, jnp.int32(1), *of_gift)
    return jnp.log(jnp.array([0.2 / 3, 0.8 + 0.2 / 3, 0.2 / 3])) if name == "cross_entropy(0.2)" else label


@pytest.mark.parametrize("name", sorted({*ALL} - {"cross_entropy", "mse_gt"}))  # the first has no least value
def test_every_loss_is_least_at_its_own_target(name):
    loss, at = of_label(name, LABELS["soft"]), least(name, LABELS["soft"])
    value, slope = jax.value_and_grad(loss)(at)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    for step in 0.1 * np.eye(3, dtype=np.float32):
        assert loss(at + step) > value and loss(at - step) > value


@pytest.mark.parametrize("name", ALL)
def test_images_of_a_batch_do_not_see_one_another(name):
    built, wants = Recipe("", 3, 1, 1, loss=name).build_loss(), Recipe("", 3, 1, 1, loss=name).wants
    random = np.random.default_rng(0)
    logits, rows = (
        jnp.asarray(random.normal(size=(5, 3)), jnp.float32),
        jnp.asarray(random.dirichlet([1] * 3, 5), jnp.float32),
    )
    maps = jnp.asarray(random.normal(size=(2, 5, 2, 2, 3)), jnp.float32) if "label_features" in wants else [None] * 2
    told = Batch(logits, rows, logits[:, 0], classes=jnp.array([0, 1, 2, 1, 0]), features=maps[0]).label(wants, maps[1])
    together = jax.vmap(lambda z, label: built(z, **label))(logits, told)
    alone = [built(z, **{key: value[i] for key, value in told.items()}) for i, z in enumerate(logits)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("name", ["kl", "gift"])
def test_images_that_fill_a_batch_do_not_matter(name):
    recipe = tiny.MLP._replace(loss=name)
    vector, unravel = ravel_pytree((fit.initialize(recipe, tiny.SHAPE, jnp.int32(0)).variables["params"], None))
    bank = tiny.bank()
    whole = Batch(bank.images[:4], bank.rows[:4], jnp.array([True, True, True, False]), classes=jnp.array([0, 1, 2, 0]))
    other = whole._replace(
        images=whole.images.at[3].set(7.0), rows=whole.rows.at[3].set(0), classes=jnp.array([0, 1, 2, 2])
    )
    both = [fit.loss_and_gradient(recipe, batch, vector, unravel, {}) for batch in (whole, other)]
    tiny.assert_bitwise(*map(tiny.host, both))


@pytest.mark.parametrize("t", [1.0, 4.0])
def test_kl_has_the_gradient_of_soft_cross_entropy_where_targets_are_fixed(t):
    """Between the same target and the same prediction, both at a temperature, they differ by the target's entropy."""
    logits, row = jnp.array([1.0, -2.0, 0.5]), jax.nn.softmax(LABELS["soft"])
    softened = jax.nn.softmax(LABELS["soft"] / t)
    kl, cross = (
        jax.value_and_grad(losses.kl)(logits, row, t),
        jax.value_and_grad(lambda z: losses.soft_cross_entropy(z / t, softened))(logits),
    )
    np.testing.assert_allclose(kl[1], cross[1], atol=1e-6)
    np.testing.assert_allclose(cross[0] - kl[0], -(softened * jnp.log(softened)).sum(), rtol=1e-5)


def test_kl_scaled_is_times_the_square_of_its_temperature():
    logits, row = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.5, 0.0, 0.5])
    plain, scaled = (jax.value_and_grad(losses.kl)(logits, row, 20.0, told) for told in (False, True))
    np.testing.assert_allclose(scaled[0], 400 * plain[0], rtol=1e-6)
    np.testing.assert_allclose(scaled[1], 400 * plain[1], rtol=1e-6)


def test_kl_of_a_row_that_says_nothing_is_nothing():
    value, slope = jax.value_and_grad(losses.kl)(jnp.array([1.0, -2.0, 0.5]), jnp.zeros(3))
    assert value == 0 and not slope.any()


def test_the_class_of_mse_gt_has_its_weight():
    logits, label = jnp.array([1.0, -2.0, 0.5]), LABELS["soft"]
    wanted = losses.mse(logits, label) + 0.3 * losses.soft_cross_entropy(logits, jnp.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(losses.mse_gt(logits, label, jnp.int32(1), 0.3), wanted, rtol=1e-6)
    np.testing.assert_allclose(losses.mse_gt(logits, label, jnp.int32(1), 0.0), losses.mse(logits, label), rtol=1e-6)


def test_cosine_does_not_see_scale_and_sees_a_constant():
    logits, label = jnp.array([1.0, -2.0, 0.5]), LABELS["soft"]
    np.testing.assert_allclose(losses.cosine(3 * logits, 5 * label), losses.cosine(logits, label), rtol=1e-5)
    assert abs(losses.cosine(logits, label + 1) - losses.cosine(logits, label)) > 0.1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kl(0)", "kl: t must be above 0, got 0"),
        ("kl(-1)", "kl: t must be above 0, got -1"),
        ("gift(alpha=1.5)", "gift: alpha must be in [0, 1], got 1.5"),
        ("gift(gamma=-1)", "gift: gamma must be 0 or more, got -1"),
        ("mse_gt(-0.5)", "mse_gt: ce must be 0 or more, got -0.5"),
        ("cross_entropy(2)", "cross_entropy: smoothing must be in [0, 1], got 2"),
    ],
)
def test_arguments_out_of_range_are_refused(text, told):
    with pytest.raises(errors.ConfigError, match=re.escape(told)):
        of_label(text, LABELS["soft"])(LABELS["soft"])
