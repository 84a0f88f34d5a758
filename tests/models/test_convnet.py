"""The ConvNet: logits of the original implementation, sizes, initialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import models

ADVICE = (
    "The ConvNet no longer equals the original implementation. If the architecture was changed on purpose, give the change "
    "an option whose default is the paper's network; do not touch the reference numbers."
)


NETWORKS = {
    "D3": "convnet(depth=3, width=16)",
    "D4": "convnet(depth=4, width=16)",
    "D3_batch": "convnet(depth=3, width=8, norm=batch)",
}


@pytest.mark.parametrize(
    "golden, name", [*(("kept", name) for name in NETWORKS), ("whole", "D3"), ("whole", "D4")], indirect=["golden"]
)
def test_logits_equal_the_reference(golden, golden_variables, name):
    model = models.build(NETWORKS[name], num_classes=10)
    variables, x = golden_variables(f"convnet/{name}/init/"), jnp.asarray(golden[f"convnet/{name}/input"])
    expected = jax.eval_shape(model.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, expected)
    logits = jax.jit(model.apply)(variables, x)
    np.testing.assert_allclose(logits, golden[f"convnet/{name}/logits"], atol=1e-4, err_msg=ADVICE)


@pytest.mark.parametrize(
    "text, side, classes, count",
    [
        # blocks of 9 * C * 128 + 128 weights and 2 * 128 of the norm; the classifier sees 4 x 4 x 128 features
        ("convnet", 32, 10, 320_010),
        ("convnet(depth=4)", 64, 200, 857_160),
        ("convnet(norm=none)", 32, 10, 320_010 - 3 * 256),
        # layer norm has a scale and a bias for every element of its map
        ("convnet(depth=1, width=2, norm=layer)", 4, 3, 9 * 3 * 2 + 2 + 2 * 4 * 4 * 2 + 2 * 2 * 2 * 3 + 3),
    ],
)
def test_parameter_counts(text, side, classes, count):
    model = models.build(text, classes)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


def test_kernels_and_biases_start_uniform_within_one_over_the_root_of_fan_in():
    params = jax.jit(models.build("convnet(depth=2)", 50).init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    for name, fan_in in [("conv0", 27), ("conv1", 9 * 128), ("classifier", 4 * 128)]:
        for leaf in params[name].values():
            values = np.asarray(leaf).ravel() * fan_in**0.5
            assert 0.9 < np.abs(values).max() <= 1.0, name
            np.testing.assert_allclose(values.std(), 3**-0.5, atol=1.5 / len(values) ** 0.5)
    np.testing.assert_array_equal(params["norm0"]["scale"], np.ones(128))
    np.testing.assert_array_equal(params["norm1"]["bias"], np.zeros(128))


@pytest.mark.parametrize("norm, matters", [("instance", False), ("group", True), ("none", True)])
def test_the_bias_before_an_instance_norm_is_kept_but_without_effect(norm, matters):
    model, x = models.build(f"convnet(depth=1, width=8, norm={norm})", 3), jnp.ones((2, 4, 4, 1)).at[0, 1, 2].set(5.0)

    @jax.jit
    def bias_gradient(key):
        variables = model.init(key, x)
        return jax.grad(lambda v: jnp.sum(model.apply(v, x)[:, 0] ** 2))(variables)["params"]["conv0"]["bias"]

    gradient = bias_gradient(jax.random.key(0))
    assert gradient.shape == (8,) and bool(np.any(np.asarray(gradient) != 0)) == matters


def test_batch_norm_records_like_pytorch_and_evaluates_by_the_record():
    model = models.build("convnet(depth=1, width=4, norm=batch, pooling=none)", 3)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((16, 4, 4, 2)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    kernel, bias = (np.asarray(variables["params"]["conv0"][k], np.float64) for k in ("kernel", "bias"))
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    maps = bias + sum(padded[:, i : i + 4, j : j + 4] @ kernel[i, j] for i in range(3) for j in range(3))
    _, new = jax.jit(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]))(variables)
    record = {name: np.asarray(value) for name, value in new["batch_stats"]["norm0"].items()}
    np.testing.assert_allclose(record["mean"], 0.1 * maps.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(record["var"], 0.9 + 0.1 * maps.var((0, 1, 2)), atol=1e-5)
    logits = jax.jit(model.apply)({**variables, **new}, x)
    active = np.maximum((maps - record["mean"]) / np.sqrt(record["var"] + 1e-5), 0)
    kernel, bias = (np.asarray(variables["params"]["classifier"][k], np.float64) for k in ("kernel", "bias"))
    np.testing.assert_allclose(logits, active.reshape(16, -1) @ kernel + bias, atol=1e-4)
