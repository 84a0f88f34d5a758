"""The convolution against JAX's own: value, first and second derivative, alone and under vmap, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.ops import conv, lowerings, winograd

SHAPES = [  # image side, window, stride, padding
    ((8, 8), 3, 1, 1),
    ((7, 5), 3, 2, 1),
    ((6, 6), 1, 1, 0),
    ((6, 6), 1, 2, 0),
    ((9, 9), 5, 2, 2),
    ((8, 8), 7, 2, 3),
]
CHANNELS = {"kernel": (16, 17)}  # fewer are not its business


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def plain(x, k, stride, padding):
    pads = ((padding, padding),) * 2
    return jax.lax.conv_general_dilated(x, k, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def hessian_products(f, x, k):
    """Value, both first derivatives, and the second derivatives along fixed directions."""

    def loss(x, k):
        return jnp.sum(jnp.sin(f(x, k)))

    gradient = jax.grad(loss, (0, 1))

    def along(x, k):
        gx, gk = gradient(x, k)
        return jnp.vdot(gx, jnp.cos(x)) + jnp.vdot(gk, jnp.cos(k))

    return f(x, k), gradient(x, k), jax.grad(along, (0, 1))(x, k)


def same_as_plain(how, f, *args):
    """Compare ours with the oracle inside the same transformations; unoptimised code, which compiles in half the time."""
    jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    with conv.lowering(how):
        ours = jit(functools.partial(f, conv.conv2d))(*args)
    for left, right in zip(
        jax.tree.leaves(ours), jax.tree.leaves(jit(functools.partial(f, plain))(*args)), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-11)


# For one member, `map` and `grouped` are both the library's convolution.
@pytest.mark.parametrize("how", ["patches", "map"])
@pytest.mark.parametrize("size, window, stride, padding", SHAPES)
def test_one_member_equals_the_plain_convolution(how, size, window, stride, padding):
    """Value and gradients: the three maps at each geometry. That each is differentiated rightly is shown below."""
    x, k = draw(2, *size, 3), draw(window, window, 3, 4, seed=1)

    def value_and_gradients(f, x, k):
        y, pull = jax.vjp(lambda x, k: f(x, k, stride, padding), x, k)
        return y, pull(jnp.sin(y))

    same_as_plain(how, value_and_gradients, x, k)


@pytest.mark.parametrize("size, padding", [((8, 8), 1), ((7, 5), 0), ((2, 4), 2)])
def test_winograd_equals_the_plain_convolution(size, padding):
    """Value, gradients and second derivatives; tiles that end inside the response, and beyond it."""
    x, k = draw(2, *size, 3), draw(3, 3, 3, 4, seed=1)
    same_as_plain("winograd", lambda f, x, k: hessian_products(lambda x, k: f(x, k, 1, padding), x, k), x, k)


@pytest.mark.parametrize("dtype, most", [("float32", 1.5), ("bfloat16", 1.01)])
@pytest.mark.parametrize("map", ["forward", "input_gradient", "kernel_gradient"])
def test_winograd_rounds_like_the_library(map, dtype, most):
    """In half precision, too, where it is the result that is rounded, and nothing before."""
    g = lowerings.Geometry((8, 8), (3, 3), 1, 1)
    x, k, y = (draw(*shape).astype(dtype) for shape in ((2, 8, 8, 64), (3, 3, 64, 64), (2, 8, 8, 64)))
    a, b = {"forward": (x, k), "input_gradient": (y, k), "kernel_gradient": (x, y)}[map]
    library = getattr(lowerings, f"{map}_by_library")
    exact = library(g, a.astype("float64"), b.astype("float64"))
    ours, theirs = (jnp.std(f(g, a, b) - exact) for f in (getattr(winograd, map), library))
    assert ours < most * theirs


def test_winograd_is_left_to_3x3_windows():
    assert winograd.serves(lowerings.Geometry((8, 8), (3, 3), 1, 1))
    assert not any(winograd.serves(lowerings.Geometry((8, 8), *odd)) for odd in (((3, 3), 2, 1), ((5, 5), 1, 2)))
    x, k = draw(2, 8, 8, 3), draw(5, 5, 3, 4, seed=1)
    same_as_plain("winograd", lambda f, x, k: f(x, k, 2, 2), x, k)


@pytest.mark.parametrize("how", conv.LOWERINGS)
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_vmapped_members_equal_the_plain_convolution(how, axes):
    """Second derivatives too: one of a map needs the derivatives of the other two."""
    size, window, stride, padding = SHAPES[1]
    channels, responses = CHANNELS.get(how, (3, 4))
    x = draw(*([3] if axes[0] == 0 else []), 2, *size, channels)
    k = draw(*([3] if axes[1] == 0 else []), window, window, channels, responses, seed=1)

    def run(f, x, k):
        f = functools.partial(f, stride=stride, padding=padding)
        return jax.vmap(functools.partial(hessian_products, f), axes)(x, k)

    same_as_plain(how, run, x, k)


def unrolled_training(f, x, k, y):
    """Loss after three steps of gradient descent: its gradient needs second derivatives inside scan and remat."""

    def loss(k, x):
        return jnp.mean((f(x, k, 1, 1) - y) ** 2)

    @jax.checkpoint
    def step(k, _):
        return k - 0.1 * jax.grad(loss)(k, x), None

    return loss(jax.lax.scan(step, k, length=3)[0], x)


@pytest.mark.parametrize("how", conv.LOWERINGS)
def test_back_propagation_through_training(how):
    channels, responses = CHANNELS.get(how, (3, 4))
    x, k = draw(4, 2, 6, 6, channels), draw(4, 3, 3, channels, responses, seed=1)
    y = draw(4, 2, 6, 6, responses, seed=2)
    same_as_plain(how, lambda f, *args: jax.vmap(jax.grad(functools.partial(unrolled_training, f)))(*args), x, k, y)


@pytest.mark.parametrize("tile", [1, 2, 6])
def test_tiles_equal_the_plain_convolution_alone_under_vmap_and_twice_differentiated(tile, monkeypatch):
    """Tiles of one, two and all six images; wide windows, as narrow ones are not cut."""
    geometry = lowerings.Geometry((4, 4), (3, 3), 1, 1, "patches")
    x, k = draw(6, 4, 4, 3), draw(3, 3, 3, 4, seed=1)
    monkeypatch.setattr(lowerings, "_CACHED_WINDOWS", tile * 4 * 4 * 27 * 8 + 7)
    assert lowerings._tile(geometry, x, 4) == tile
    same_as_plain("patches", lambda f, x, k: hessian_products(lambda x, k: f(x, k, 1, 1), x, k), x, k)
    many = jnp.stack([x, x[::-1]]), jnp.stack([k, -k])
    same_as_plain("patches", lambda f, x, k: jax.vmap(lambda x, k: f(x, k, 1, 1))(x, k), *many)


def test_tiles_are_divisors_of_the_batch_and_narrow_windows_stay_whole(monkeypatch):
    geometry, x = lowerings.Geometry((4, 4), (3, 3), 1, 1, "patches"), draw(7, 4, 4, 3)
    monkeypatch.setattr(lowerings, "_CACHED_WINDOWS", 3 * 4 * 4 * 27 * 8)
    assert lowerings._tile(geometry, x, 4) == 1, "three fit, and seven is prime"
    assert lowerings._tile(geometry, x, 14) == 7, "a response of half the width of its windows"
    assert lowerings._tile(geometry._replace(platform="gpu"), x, 4) == 7


def chosen(map, members, images, platform, side=16, window=3, channels=32):
    geometry = lowerings.Geometry((side, side), (window, window), 1, window // 2, platform=platform)
    return conv.choose(map, members, images, geometry, channels)


def test_the_rule():
    assert chosen("forward", 1, 10, "cpu") == chosen("forward", 8, 100, "cpu") == "map"
    assert chosen("forward", 1, 10, "cpu", side=2) == "patches", "a window larger than the image"
    assert chosen("kernel_gradient", 1, 16, "cpu") == "map"
    assert chosen("kernel_gradient", 1, 17, "cpu") == "patches", "the window would be too large"
    assert (
        chosen("forward", 1, 10, "cpu", channels=64)
        == chosen("kernel_gradient", 2, 10, "cpu", channels=64)
        == "winograd"
    )
    assert chosen("forward", 1, 10, "cpu", channels=64, window=5) == "map"
    assert chosen("forward", 1, 50, "cpu", channels=64) == "map", "its products would leave the cache"
    assert chosen("forward", 256, 10, "gpu", channels=64) == "patches"
    assert chosen("forward", 8, 256, "gpu") == "map"
    assert chosen("forward", 1, 10, "gpu") == "map"


def test_each_map_of_a_layer_is_chosen_by_the_rule(monkeypatch):
    x, k = draw(3, 2, 6, 6, 3), draw(3, 3, 3, 3, 4, seed=1)

    def train(f, x, k):
        return jax.vmap(jax.grad(lambda k, x: jnp.sum(jnp.sin(f(x, k, 1, 1))), (0, 1)))(k, x)

    used = []
    monkeypatch.setattr(conv, "choose", lambda *problem: used.append(problem) or "patches")
    same_as_plain("auto", train, x, k)
    of_many = {(map, members, images, g.response()) for map, members, images, g, _ in used if members > 1}
    assert of_many == {(map, 3, 2, (6, 6)) for map in ("forward", "input_gradient", "kernel_gradient")}


def test_an_unknown_lowering_names_the_choices():
    with pytest.raises(errors.ConfigError, match="unknown convolution lowering 'patch'; closest: patches"):
        with conv.lowering("patch"):
            pass
