"""What every architecture promises, whoever adds it: the module is the registry, and so is this suite."""

import doctest
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors, models
from jaxsoft.models import resnet

K, SHAPE = 5, (8, 8, 2)
# Small ones of every architecture: few blocks, so that they compile in seconds.
SMALL = {
    "convnet": models.build("convnet(depth=2, width=8)", K),
    "convnet-batch-max": models.build("convnet(depth=1, width=8, norm=batch, activation=sigmoid, pooling=max)", K),
    "convnet-group": models.build("convnet(depth=1, width=8, norm=group, activation=leaky_relu, pooling=none)", K),
    "convnet3d": models.build("convnet3d(depth=1, width=8)", K),
    "mlp": models.build("mlp(hidden=8, layers=3)", K),
    "resnet": resnet.ResNet(K, "batch", "small", (1,), bottleneck=True),
}


def shape_for(model):
    """Of what it sees: an image, or a clip of three frames."""
    return (3, *SHAPE) if getattr(model, "is_of_clips", False) else SHAPE


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def train(model, variables, x, targets, mask):
    """Masked loss, its gradient, logits and new statistics of one training step."""
    stats = {k: v for k, v in variables.items() if k != "params"}

    def loss(params):
        logits, new = model.apply({"params": params, **stats}, x, train=True, mask=mask, mutable=list(stats))
        real = jnp.ones(len(x)) if mask is None else mask.astype(jnp.float32)
        rows = -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)
        return jnp.sum(rows * real) / jnp.sum(real), (logits, new)

    (value, (logits, new)), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    return {"loss": value, "gradient": gradient, "logits": logits, "stats": new}


def assert_close(a, b, message):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5, err_msg=message), a, b)


@pytest.mark.parametrize("name", models.architectures())
def test_defaults_give_logits_for_one_member(name):
    model = models.build(name, num_classes=7)
    shape = (32, 32, 3) if shape_for(model) == SHAPE else (8, 32, 32, 3)
    x = jax.ShapeDtypeStruct((4, *shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    assert set(variables) <= {"params", "batch_stats"}
    assert set(variables["params"]["classifier"]) == {"kernel", "bias"}
    logits = jax.eval_shape(model.apply, variables, x)
    assert logits.shape == (4, 7) and logits.dtype == jnp.float32


def test_every_architecture_has_a_small_one_in_this_suite():
    found = {type(models.build(name, K)) for name in models.architectures()}
    assert found == {type(model) for model in SMALL.values()}, "add a small instance of the new architecture to SMALL"


@pytest.mark.parametrize("name", SMALL)
def test_contract(name):
    """One member of two, its batch padded by masked images, equals the member alone with the real images."""
    model, targets = SMALL[name], jax.nn.softmax(draw(2, 6, K, seed=1))
    x = draw(2, 6, *shape_for(model))
    variables = jax.jit(jax.vmap(lambda key: model.init(key, x[0, :1])))(jax.random.split(jax.random.key(0), 2))
    kernels = variables["params"]["classifier"]["kernel"]
    assert not np.array_equal(kernels[0], kernels[1]), "initialisation ignores the key"
    mask = jnp.array([[True] * 6, [True] * 4 + [False] * 2])
    together = jax.jit(jax.vmap(functools.partial(train, model)))(variables, x, targets, mask)
    assert together["logits"].shape == (2, 6, K) and together["logits"].dtype == jnp.float32
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(together)), "logits or gradients are not finite"
    variables, together = jax.tree.map(lambda leaf: leaf[1], (variables, together))
    alone = jax.jit(functools.partial(train, model, mask=None))(variables, x[1, :4], targets[1, :4])
    message = "depends on the other member or on masked images"
    assert_close({**together, "logits": together["logits"][:4]}, alone, message)


@pytest.mark.parametrize("name", SMALL)
def test_evaluation_looks_at_one_image_at_a_time(name):
    model = SMALL[name]
    x = draw(3, *shape_for(model))
    apply = jax.jit(lambda x: model.apply(model.init(jax.random.key(1), x), x))
    np.testing.assert_allclose(apply(x)[0], apply(x.at[1:].multiply(3.0))[0], atol=1e-5)


@pytest.mark.parametrize(
    "text, words",
    [
        ("convnett", ["model 'convnett'", "convnet", "jaxsoft/models/"]),
        ("convnet(depth=0)", ["convnet: depth expects int >= 1", "0"]),
        ("convnet(norm=batchnorm)", ["norm expects one of batch, layer, instance, group, none", "'batchnorm'"]),
        ("convnet(activation=gelu)", ["activation expects one of relu, sigmoid, leaky_relu", "'gelu'"]),
        ("convnet(pooling=sum)", ["pooling expects one of avg, max, none", "'sum'"]),
        ("convnet(dept=3)", ["dept"]),
        ("convnet(num_classes=3)", ["num_classes"]),
        ("resnet18(stem=tiny)", ["resnet18: stem expects one of small, imagenet", "'tiny'"]),
        ("resnet50(norm=no)", ["resnet50: norm expects one of", "'no'"]),
        ("convnet3d(depth=0)", ["convnet3d: depth expects int >= 1", "0"]),
        ("convnet3d(norm=batch)", ["convnet3d: norm expects one of instance, group, none", "'batch'"]),
        ("mlp(layers=0)", ["mlp: layers expects int >= 1", "0"]),
        ("check_positive", ["model 'check_positive'"]),
    ],
)
def test_mistakes_are_told_in_one_line(text, words):
    with pytest.raises(errors.ConfigError) as caught:
        models.build(text, K)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "text, side, words",
    [
        ("convnet(depth=4)", 8, ["depth=4", "8x8", "largest possible depth is 3"]),
        ("convnet(depth=1, width=6, norm=group)", 8, ["multiples of 4", "6"]),
        ("resnet18(norm=instance)", 8, ["norm=instance", "1x1"]),
    ],
)
def test_networks_that_do_not_fit_the_images_are_refused(text, side, words):
    model = models.build(text, K)
    with pytest.raises(errors.ConfigError) as caught:
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 1)))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_names_and_examples():
    assert {"convnet", "mlp", "resnet18", "resnet50"} <= set(models.architectures())
    assert doctest.testmod(models).failed == 0
