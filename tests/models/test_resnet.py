"""Residual networks against torchvision's sizes and a block written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import models
from jaxsoft.models import resnet


@pytest.mark.parametrize(
    "text, classes, side, count",
    [
        ("resnet18(stem=imagenet)", 1000, 224, 11_689_512),
        ("resnet50(stem=imagenet)", 1000, 224, 25_557_032),
        # 3x3 instead of 7x7 in the stem, 10 instead of 1000 classes
        ("resnet18", 10, 32, 11_689_512 - (49 - 9) * 3 * 64 - 513 * 990),
    ],
)
def test_parameter_counts_are_torchvisions(text, classes, side, count):
    model = models.build(text, classes)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize(
    "text, side, sides",
    [
        ("resnet18(stem=imagenet)", 224, (112, 56, 28, 14, 7)),
        ("resnet18", 32, (32, 32, 16, 8, 4)),
        ("resnet18(stem=imagenet)", 33, (17, 9, 5, 3, 2)),
        ("resnet50", 8, (8, 8, 4, 2, 1)),
    ],
)
def test_maps_shrink_as_in_the_original(text, side, sides):
    model = models.build(text, 10)
    x = jnp.zeros((1, side, side, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    _, seen = jax.eval_shape(lambda v: model.apply(v, x, capture_intermediates=True), variables)
    outputs = {name: kept["__call__"][0].shape for name, kept in seen["intermediates"].items() if "__call__" in kept}
    assert outputs["conv1"] == (1, sides[0], sides[0], 64)
    width = 4 if "50" in text else 1
    for stage in range(4):
        wanted = (1, sides[stage + 1], sides[stage + 1], 64 * 2**stage * width)
        assert outputs[f"layer{stage + 1}_0"] == outputs[f"layer{stage + 1}_1"] == wanted


def test_convolutions_start_normal_with_fan_out_and_have_no_bias():
    model = resnet.ResNet(4, "batch", "small", (1, 1), bottleneck=False)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))["params"]
    for kernel, fan_out in [(params["conv1"], 9 * 64), (params["layer2_0"]["conv_around"], 128)]:
        assert set(kernel) == {"kernel"}
        values = np.asarray(kernel["kernel"]).ravel() / (2 / fan_out) ** 0.5
        np.testing.assert_allclose(values.std(), 1, atol=3 / len(values) ** 0.5)
        assert np.abs(values).max() > 2.5, "truncated"


def convolve(x, kernel, stride):
    """Zero padding of half the window, by one product per position of the window."""
    window = kernel.shape[0]
    pad = window // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = (side - window + 1 for side in x.shape[1:3])
    return sum(
        x[:, i : i + height : stride, j : j + width : stride] @ kernel[i, j]
        for i in range(window)
        for j in range(window)
    )


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_block_equals_numpy(bottleneck, stride):
    block = resnet.Block(3, stride, "none", bottleneck)
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 3)).astype(np.float32)
    variables = jax.jit(block.init, static_argnums=2)(jax.random.key(0), x, False, None)
    k = {name: np.asarray(p["kernel"], np.float64) for name, p in variables["params"].items()}
    if bottleneck:
        y = np.maximum(convolve(x, k["conv1"], 1), 0)
        y = convolve(np.maximum(convolve(y, k["conv2"], stride), 0), k["conv3"], 1)
        around = convolve(x, k["conv_around"], stride)
    else:
        y = convolve(np.maximum(convolve(x, k["conv1"], stride), 0), k["conv2"], 1)
        around = x if stride == 1 else convolve(x, k["conv_around"], stride)
    got = jax.jit(block.apply, static_argnums=2)(variables, x, False, None)
    np.testing.assert_allclose(got, np.maximum(y + around, 0), atol=1e-4)
