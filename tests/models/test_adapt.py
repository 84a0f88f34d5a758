"""Networks of a user's own: which kinds are taken, what each is called with, and the line for each broken promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from jaxsoft import errors, models, target
from jaxsoft.ops import conv

K, SHAPE = 3, (4, 4, 1)


class Linen(nn.Module):
    """Batch norm and dropout, in the usual way."""

    classes: int = K

    @nn.compact
    def __call__(self, x, train, mask=None):
        real = None if mask is None else mask[:, None, None, None]
        x = nn.BatchNorm(not train)(nn.Conv(4, (3, 3))(x), mask=real)
        x = nn.Dropout(0.5, deterministic=not train)(nn.relu(x))
        return nn.Dense(self.classes)(x.reshape(len(x), -1))


class Nnx(nnx.Module):
    """The same, with streams of its own and a list of layers."""

    def __init__(self, classes, *, rngs):
        self.layers = nnx.List([nnx.Conv(1, 4, (3, 3), rngs=rngs), nnx.BatchNorm(4, rngs=rngs)])
        drops = [nnx.Dropout(0.5, rng_collection=name, rngs=nnx.Rngs(**{name: 7})) for name in ("dropout", "noise")]
        self.drops = nnx.List(drops)
        self.out = nnx.Linear(64, classes, rngs=rngs)

    def __call__(self, x):
        for layer in (*self.layers, nnx.relu, *self.drops):
            x = layer(x)
        return self.out(x.reshape(len(x), -1))


def softmax_regression(scale=0.1, shape=(K,), **options):
    """A pair of functions; `options` are added to its parameters."""

    def init(key, images):
        weights = scale * jax.random.normal(key, (images[0].size, *shape))
        return {"params": {"w": weights, **options}}

    return init, lambda variables, images: images.reshape(len(images), -1) @ variables["params"]["w"]


def counted(train):
    """A pair that counts its steps, and knows or does not know when it is trained."""
    init, said = softmax_regression()
    begin = lambda key, images: {**init(key, images), "count": jnp.int32(0)}  # noqa: E731
    if not train:
        return begin, lambda variables, images: said(variables, images)
    step = lambda v, x, train: (said(v, x), {"count": v["count"] + 1}) if train else said(v, x)  # noqa: E731
    return begin, step


GOOD = {
    "linen": lambda: Linen(),
    "nnx": lambda: functools.partial(Nnx, K),
    "nnx function": lambda: lambda rngs: Nnx(K, rngs=rngs),
    "pair": softmax_regression,
    "pair with a state": functools.partial(counted, train=True),
}


def trained(network, variables, x, key, mask=None):
    state = [name for name in variables if name != "params"]
    return network.apply(variables, x, train=True, mask=mask, mutable=state, key=key)


@pytest.mark.parametrize("kind", GOOD)
def test_kinds_that_are_taken(kind):
    network = models.adapt(GOOD[kind]())
    models.check(network, kind, K, SHAPE)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((5, *SHAPE)), jnp.float32)
    variables = network.init(jax.random.key(0), x)
    asked = network.apply(variables, x)
    logits, state = trained(network, variables, x, jax.random.key(1), jnp.ones(5, bool))
    assert asked.shape == logits.shape == (5, K) and asked.dtype == logits.dtype == jnp.float32
    assert jax.tree.structure(state) == jax.tree.structure({k: v for k, v in variables.items() if k != "params"})
    for before, after in zip(jax.tree.leaves(variables), jax.tree.leaves({"params": variables["params"], **state})):
        assert before.dtype == after.dtype
    np.testing.assert_allclose(network.apply(variables, x[:1]), asked[:1], atol=1e-6)  # one image at a time
    again = trained(network, variables, x, jax.random.key(1))[0]
    other = trained(network, variables, x, jax.random.key(2))[0]
    np.testing.assert_allclose(again, logits, atol=1e-6)
    assert (
        network.draws(SHAPE)
        == (kind in ("linen", "nnx", "nnx function"))
        == (not np.allclose(other, logits, atol=1e-3))
    )
    if state:
        began = {name: variables[name] for name in state}
        assert not all(np.array_equal(*both) for both in zip(*map(jax.tree.leaves, (state, began))))


def test_linen_gives_the_bits_that_it_gives_alone():
    """Logits of a network without its convolution, whose bits depend on how it is lowered."""
    module, x = (
        nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(4), nn.relu, nn.Dense(K)]),
        jnp.ones((2, *SHAPE)),
    )
    network = models.adapt(module)
    variables = network.init(jax.random.key(3), x)
    jax.tree.map(np.testing.assert_array_equal, variables, dict(module.init(jax.random.key(3), x)))
    np.testing.assert_array_equal(network.apply(variables, x), module.apply(variables, x))


def test_streams_of_nnx_differ_from_one_another():
    """Both layers were given one seed: reseeded alike they would drop the same."""

    class Drops(Nnx):
        def __call__(self, x):
            ones = jnp.ones((len(x), 100))
            return jnp.stack([self.drops[0](ones), self.drops[1](ones)], axis=1).reshape(len(x), -1)

    network = models.adapt(lambda rngs: Drops(K, rngs=rngs))
    x = jnp.ones((1, *SHAPE))
    said = trained(network, network.init(jax.random.key(0), x), x, jax.random.key(1))[0].reshape(2, 100)
    assert (said[0] != said[1]).sum() > 20


def test_networks_of_this_package_stay_as_they_are():
    ours = models.build("convnet(depth=1, width=4)", K)
    assert models.adapt(ours) is ours
    models.check(ours, "convnet", K, SHAPE)


@pytest.mark.parametrize("model", [3, "convnet", Nnx(K, rngs=nnx.Rngs(0)), lambda x: x, (len,)])
def test_other_things_are_refused(model):
    with pytest.raises(errors.ConfigError, match="flax.linen module, make.rngs. .*pair of functions"):
        models.adapt(model)


class Untold(nn.Module):
    """Batch norm or dropout that does not know when."""

    drops: bool = False

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        x = nn.Dropout(0.5, deterministic=False)(x) if self.drops else nn.BatchNorm(False)(x)
        return nn.Dense(K)(x)


class Maskless(Linen):
    """It takes no mask."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(K)(nn.BatchNorm(not train)(x).reshape(len(x), -1))


def raising(text):
    def apply(variables, images):
        raise ValueError(f"{text}\nand more")

    return softmax_regression()[0], apply


def shrinking():
    """Its state is another one after a step."""
    begin, step = counted(train=True)
    other = {"count": jnp.float32(1)}
    return begin, lambda v, x, train, mask: (step(v, x, True)[0], other) if train else step(v, x, False)


BROKEN = {
    "logits of 2 images must be float32[2, 3], got float32[2, 7]": lambda: Linen(classes=7),
    "logits of 2 images must be float32[2, 3], got float32[2]": lambda: softmax_regression(shape=()),
    "every parameter must be float32, got int32[2] at count": lambda: softmax_regression(count=jnp.arange(2)),
    "every parameter must be float32, got bfloat16[] at b": lambda: softmax_regression(b=jnp.bfloat16(1)),
    "two seeds must give different parameters, got the same": lambda: softmax_regression(scale=0.0),
    "parameters must be finite numbers before training, got NaN": lambda: softmax_regression(b=jnp.array([jnp.nan])),
    "logits must be finite numbers before training, got NaN": lambda: (
        softmax_regression()[0],
        lambda v, x: jnp.full((len(x), K), jnp.inf),
    ),
    "init must give a dict whose 'params' holds arrays": lambda: (lambda key, x: [x], lambda v, x: x),
    "it keeps batch_stats, and its call takes no argument train": Untold,
    "it draws random numbers, and its call takes no argument train": lambda: Untold(drops=True),
    "it keeps count, and its call takes no argument train": functools.partial(counted, train=False),
    "takes no argument mask, so every batch must be full: 4 does not divide 6": Maskless,
    "training must keep the state as it was, count: int32[], got count: float32[]": shrinking,
    ": ValueError: a word": lambda: raising("a word"),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_promise_is_one_line(words):
    network = models.adapt(BROKEN[words]())
    with pytest.raises(errors.ConfigError) as caught:
        models.check(network, "mine:net", K, SHAPE, partial="4 does not divide 6")
    told = str(caught.value)
    assert told.startswith("model 'mine:net'") and words in told and "\n" not in told


def test_full_batches_need_no_mask():
    models.check(models.adapt(Maskless()), "mine:net", K, SHAPE)


def test_a_plan_for_devices_that_are_not_here_tries_numbers_on_those_that_are():
    """A GPU's kernels do not run on a CPU."""

    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(K)(nn.Conv(16, (3, 3))(nn.Conv(16, (1, 1))(x)).reshape(len(x), -1))

    with target.aimed(target.Target("gpu")), conv.lowering("kernel"):
        models.check(models.adapt(Wide()), "mine:net", K, SHAPE)


def test_equinox():
    eqx = pytest.importorskip("equinox")

    class Net(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.BatchNorm
        drop: eqx.nn.Dropout
        out: eqx.nn.Linear

        def __init__(self, classes, *, key):
            self.conv = eqx.nn.Conv2d(1, 4, 3, padding=1, key=key)
            self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="batch")
            self.drop, self.out = eqx.nn.Dropout(0.5), eqx.nn.Linear(64, classes, key=key)

        def __call__(self, x, state, *, key=None):
            x, state = self.norm(self.conv(x), state)
            return self.out(self.drop(jax.nn.relu(x), key=key).reshape(-1)), state

    network, x = models.adapt(functools.partial(Net, K)), jnp.ones((5, *SHAPE))
    models.check(network, "mine:net", K, SHAPE)
    variables = network.init(jax.random.key(0), x)
    assert network.draws(SHAPE) and network.apply(variables, x).shape == (5, K)
    logits, state = trained(network, variables, x, jax.random.key(1))
    assert logits.shape == (5, K) and not np.array_equal(state["state"][1], variables["state"][1])
    assert not np.array_equal(trained(network, variables, x, jax.random.key(2))[0], logits)
