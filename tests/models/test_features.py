"""Feature maps: told to who asks, free where nobody does, refused in one line where there are none."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxsoft import errors, models, sources

SHAPES = {
    "convnet(depth=3, width=4)": [(4, 4, 4), (2, 2, 4), (1, 1, 4)],
    "convnet(depth=2, width=4, norm=none, pooling=max)": [(4, 4, 4), (2, 2, 4)],
    "resnet18(norm=group)": [(8, 8, 64), (4, 4, 128), (2, 2, 256), (1, 1, 512)],
    "mlp(hidden=5, layers=3)": [(1, 1, 5), (1, 1, 5)],
}


class Own(nn.Module):
    """A network of a user's own, with a state and dropout; it sows while it is initialised too."""

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        x = nn.BatchNorm(not train)(nn.Dense(6)(x.reshape(len(x), -1)))
        self.sow("features", "maps", x)
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=not train)(x))


@pytest.mark.parametrize("text", SHAPES)
def test_every_architecture_tells_the_map_after_each_block(text):
    model, shapes = models.build(text, 3), SHAPES[text]
    assert [models.feature_shape(model, (8, 8, 3), layer) for layer in range(len(shapes))] == shapes
    assert models.feature_shape(model, (8, 8, 3)) == shapes[-1]


@pytest.mark.parametrize("text", SHAPES)
def test_what_nobody_asks_for_is_in_no_program(monkeypatch, text):
    def traced():
        model, images = models.build(text, 3), jnp.zeros((2, 8, 8, 3))
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        apply = lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"])  # noqa: E731
        return set(variables), str(jax.make_jaxpr(apply)(variables, images))

    told = traced()
    monkeypatch.setattr(nn.Module, "sow", lambda *_: False)
    assert told == traced()
    assert "features" not in told[0]


def test_logits_are_the_same_with_features():
    model, images = models.build("convnet(depth=2, width=4)", 3), jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    variables = model.init(jax.random.key(0), images)
    logits, last, state = models.features(model, variables, images)
    np.testing.assert_array_equal(logits, model.apply(variables, images))
    head = variables["params"]["classifier"]
    np.testing.assert_allclose(last.reshape(2, -1) @ head["kernel"] + head["bias"][None], logits, rtol=1e-5)
    assert state == {}


def test_a_users_network_may_tell_maps_beside_its_state():
    model, images = models.adapt(Own()), jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    models.check(model, "own", 3, (8, 8, 1))
    variables = model.init(jax.random.key(0), images)
    assert set(variables) == {"params", "batch_stats"}
    for train in (False, True):
        options = {"train": train, "key": jax.random.key(2)}
        logits, maps, state = models.features(model, variables, images, 0, ["batch_stats"], **options)
        assert maps.shape == (4, 1, 1, 6)
        wanted, stats = model.apply(variables, images, mutable=[], **options)
        np.testing.assert_array_equal(logits, wanted)
        jax.tree.map(np.testing.assert_array_equal, state, stats)


@pytest.mark.parametrize(
    "model, layer, told",
    [
        (models.build("mlp(layers=1)", 3), -1, "the network tells no feature maps; one of flax.linen can"),
        (models.adapt((lambda k, x: {"params": k}, lambda v, x: x)), -1, "the network tells no feature maps"),
        (models.build("convnet(depth=2, width=4)", 3), 2, "features=2 but the network tells 2 feature maps, 0 to 1"),
        (models.build("convnet(depth=2, width=4)", 3), -3, "features=-3 but the network tells 2 feature maps"),
    ],
)
def test_maps_that_there_are_not_are_refused(model, layer, told):
    with pytest.raises(errors.ConfigError, match=told):
        models.feature_shape(model, (8, 8, 3), layer)


def test_what_a_network_tells_of_its_way_is_no_part_of_what_it_computes():
    text = "def f(self, x):\n    for i in range(3):\n        x = g(x)\n        sow_features(self, x)\n    return x"
    plain = text.replace("        sow_features(self, x)\n", "")
    own, users = (ast.unparse(sources._bare(ast.parse(text).body[0], own)) for own in (True, False))
    assert (own, users) == (plain, text)
