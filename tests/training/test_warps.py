"""Images read between their pixels: the form of every platform gives what that of the CPU gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import target
from jaxsoft.training import augment, mixing, views, warps

ELSEWHERE = ("gpu", "tpu")
TRIED = (
    "dsa",
    "dsa_all",
    "crop_flip(padding=2)",
    "one_of('crop|flip')",
    "compose('scale|cutout')",
    "resized_crop(patches=2)",
)


def on(platform, function, *given):
    with target.aimed(target.Target(platform)):
        return np.asarray(jax.jit(lambda *given: function(*given))(*given))


def random(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("shape", [(8, 6, 9, 2), (6, 5, 7, 8, 3)])  # the latter are clips of five frames
@pytest.mark.parametrize("text", TRIED)
def test_augmentations_are_the_same_everywhere(text, shape):
    made, images = augment.build(text), random(*shape) - 0.5
    batch = jax.vmap(jax.vmap(made.change, (0, 0, None)), (None, None, 0))
    given = images, random(shape[0], made.draws), np.linspace(0, 0.99, 12, dtype=np.float32)  # each operation of dsa
    wanted = on("cpu", batch, *given)
    for platform in ELSEWHERE:
        np.testing.assert_allclose(on(platform, batch, *given), wanted, atol=2e-6, err_msg=platform)


@pytest.mark.parametrize("shape", [(9, 6, 2), (1, 7, 3), (6, 1, 1)])
def test_whole_positions_are_copied_and_outside_is_zero(shape):
    image = random(*shape) + 1
    turned = [[0, 1, 0], [1, 0, 0]]  # of the diagonal; what is too long or too wide falls outside
    for matrix in ([[1, 0, 2], [0, -1, 4]], turned, [[1, 0, -99], [0, 1, 0]]):
        for dtype in (np.int32, np.float32):
            wanted, *others = (on(p, warps.affine, image, np.array(matrix, dtype)) for p in ("cpu", *ELSEWHERE))
            for other in others:
                np.testing.assert_array_equal(other, wanted)
    np.testing.assert_array_equal(wanted, np.zeros(shape))


def test_lines_of_a_large_image_are_read_some_at_a_time(monkeypatch):
    image, matrix = random(7, 5, 3), np.array([[0.9, 0.2, 0.3], [-0.2, 0.9, 0.6]], np.float32)
    wanted = on("tpu", warps.affine, image, matrix)
    monkeypatch.setattr(warps, "_AT_A_TIME", 15)  # three lines, of seven
    assert "scan" in str(jax.make_jaxpr(lambda *given: warps._by_products(*given))(image, *random(2, 7, 5)))
    np.testing.assert_allclose(on("tpu", warps.affine, image, matrix), wanted, atol=1e-6)


def test_no_pixel_is_gathered_on_a_tpu():
    image = jax.ShapeDtypeStruct((4, 6, 9, 2), jnp.float32)
    with target.aimed(target.Target("tpu")):
        for text in TRIED:
            made = augment.build(text)
            u = jax.ShapeDtypeStruct((4, made.draws), jnp.float32)
            traced = jax.make_jaxpr(jax.vmap(made.change, (0, 0, None)))(image, u, 0.5)
            sizes = [e.outvars[0].aval.size for e in traced.eqns if e.primitive.name == "gather"]
            assert max(sizes, default=0) < 4 * 6 * 9, text


def test_views_are_the_same_everywhere():
    images, how = random(4, 6, 9, 2), (augment.build("resized_crop"), mixing.build("cutmix"))

    def seen(images, numbers):
        seed, slots, slot = jnp.array([5, 4, 2])
        u = jax.vmap(lambda number: views.draws(how[0], seed, slot, number))(numbers)
        return jax.vmap(lambda u: views.view(*how, lambda s: images[s], slots, slot, u))(u)

    wanted, *others = (on(p, seen, images, np.arange(20)) for p in ("cpu", *ELSEWHERE))
    for other in others:
        np.testing.assert_allclose(other, wanted, atol=2e-6)


def test_every_form_is_linear_in_the_pixels_and_its_gradient_is_the_transpose():
    image, direction, matrix = random(5, 6, 2), random(5, 6, 2) - 0.5, np.array([[0.9, 0.2, 0], [-0.2, 0.9, 1]])

    def warp(image):
        return jnp.vdot(warps.affine(image, jnp.float32(matrix)), direction)

    for platform in ("cpu", *ELSEWHERE):
        gradient = on(platform, jax.grad(warp), image)
        np.testing.assert_allclose(np.vdot(gradient, image), on(platform, warp, image), rtol=1e-4)
