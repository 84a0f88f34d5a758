"""The ConvNet for clips: its convolution is the library's of three axes, its maps halve as C3D's do, and it sees motion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxsoft import errors, models, target
from jaxsoft.models.convnet3d import Conv3D

K, SHAPE = 5, (3, 8, 8, 2)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def by_library(kernel, x):
    return lax.conv_general_dilated(x, kernel, (1, 1, 1), [(1, 1)] * 3, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def by_images(kernel, x):
    return Conv3D(5, False).apply({"params": {"kernel": kernel}}, x)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_convolution_and_its_gradients_are_those_of_the_library(frames):
    """For several members at once, each with a kernel of its own."""
    kernel, x = draw(2, 3, 3, 3, 2, 5), draw(2, 4, frames, 6, 7, 2, seed=1)
    weight = draw(4, frames, 6, 7, 5, seed=2)

    def both(way):
        def loss(kernel, x):
            return jnp.sum(way(kernel, x) * weight)

        return jax.jit(jax.vmap(jax.value_and_grad(loss, argnums=(0, 1))))(kernel, x)

    with jax.default_matmul_precision("highest"):
        found, wanted = both(by_images), both(by_library)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-4), found, wanted)


def test_it_begins_as_pytorch_does():
    """Uniform in +-1 / sqrt(fan_in), where a kernel sees 27 places of each channel."""
    variables = Conv3D(64).init(jax.random.key(0), jnp.zeros((1, *SHAPE)))["params"]
    bound = (27 * 2) ** -0.5
    for leaf in jax.tree.leaves(variables):
        assert np.abs(leaf).max() <= bound and abs(np.abs(leaf).max() / bound - 1) < 0.05
    assert variables["kernel"].shape == (3, 3, 3, 2, 64) and abs(variables["kernel"].std() - bound / 3**0.5) < 0.002


@pytest.mark.parametrize(
    "shape, depth, wanted", [((8, 16, 12, 1), 3, (2, 2, 1)), ((1, 8, 8, 1), 2, (1, 2, 2)), ((5, 8, 8, 1), 3, (1, 1, 1))]
)
def test_maps_halve_in_place_and_after_the_first_block_in_time(shape, depth, wanted):
    model = models.build(f"convnet3d(depth={depth}, width=8, norm=none)", K)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    assert variables["params"]["classifier"]["kernel"].shape == (8 * np.prod(wanted), K)


def test_it_sees_the_order_of_frames_and_each_clip_alone():
    model, x = models.build("convnet3d(depth=2, width=8)", K), draw(2, *SHAPE)
    apply = jax.jit(functools.partial(model.apply, model.init(jax.random.key(0), x)))
    forth, back = apply(x), apply(x[:, ::-1])
    assert float(jnp.abs(forth - back).max()) > 1e-3
    np.testing.assert_allclose(apply(x.at[1].multiply(2.0))[0], forth[0], rtol=1e-5)


@pytest.mark.parametrize(
    "text, shape, words",
    [
        ("convnet3d", (8, 8, 1), "model 'convnet3d' cannot be: these are images, and it is of clips"),
        ("convnet(depth=1)", SHAPE, "model .* cannot be: these are clips, and it is of images; of clips are convnet3d"),
        ("mlp", SHAPE, "these are clips"),
    ],
)
def test_networks_of_the_other_kind_are_refused_in_one_line(text, shape, words):
    with pytest.raises(errors.ConfigError, match=words):
        models.check(models.build(text, K), text, K, shape)


def test_clips_that_are_too_small_are_refused():
    model = models.build("convnet3d(depth=4)", K)
    with pytest.raises(errors.ConfigError, match=r"depth=4 leaves nothing of 8x8 pixels; .* depth is 3"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *SHAPE)))


@pytest.mark.parametrize("clips, loops", [(40, False), (128, True)])
def test_a_batch_is_as_many_clips_whatever_their_frames(clips, loops):
    """On a GPU members whose batches are small are stacked, and 40 clips of 8 frames are a small batch."""
    shape = jax.ShapeDtypeStruct
    kernel, x = shape((2, 3, 3, 3, 2, 5), jnp.float32), shape((2, clips, 8, 6, 7, 2), jnp.float32)
    with target.aimed(target.named("h100")):
        assert ("scan" in str(jax.make_jaxpr(jax.vmap(by_images))(kernel, x))) == loops
