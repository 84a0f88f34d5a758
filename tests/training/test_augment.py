"""Augmentations: every operation against the reference, exactness where nothing may blur, and a contract for all of them."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxsoft import errors, spec
from jaxsoft.training import augment, crops

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
AUGMENTATIONS = [
    "none",
    "dsa",
    "dsa(operations=color_crop_cutout_scale_rotate)",
    "dsa(operations=crop_flip)",
    "dsa(operations=cutout)",
    "dsa_all",
    "crop_flip",
    "crop_flip(padding=2)",
    "one_of('crop|flip')",
    "compose('crop|flip')",
    "resized_crop",
    "resized_crop(low=0.5, mirror=false, patches=2)",
]
ADVICE = (
    "{} no longer equals the original implementation. If its formula was changed on purpose, results are not comparable "
    "with the paper any more: undo that, or make the new formula an operation of its own name."
)


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def uniforms(f, count, seed=0):
    """What `count` images draw, and what their batch does."""
    u = np.random.default_rng(seed).random((count, f.draws), np.float32)
    return jnp.asarray(u), jnp.float32(np.random.default_rng([seed, 1]).random())


def batched(f):
    return jax.jit(jax.vmap(f.change, (0, 0, None)))


def unit(*values):
    """Three uniform numbers, .5 where none is given."""
    return jnp.array([*values, *[0.5] * (3 - len(values))], jnp.float32)


def integer_draw(value, low, high):
    return (value - low + 0.5) / (high - low + 1)


def golden_draw(case, side, i):
    """The uniform numbers from which an operation draws the parameters that the reference drew for image i."""
    name, reach, width = case["name"], int(side / 8 + 0.5), 1.2 - 1 / 1.2
    if name in ("flip", "brightness"):
        return unit(case["u"][i])
    if name == "saturation":
        return unit(0.5, case["u"][i])
    if name == "contrast":
        return unit(0.5, 0.5, case["u"][i])
    if name == "scale":
        return unit(*((case[s][i] - 1 / 1.2) / width for s in ("sx", "sy")))
    if name == "rotate":
        return unit(case["degrees"][i] / 30 + 0.5)
    if name == "crop":
        return unit(*(integer_draw(case[s][i], -reach, reach) for s in ("shift_rows", "shift_cols")))
    return unit(*(integer_draw(case[s][i], 0, side) for s in ("center_row", "center_col")))


@pytest.mark.parametrize("golden, side", [("kept", 32), ("whole", 32), ("whole", 64)], indirect=["golden"])
@pytest.mark.parametrize("name", ["scale", "rotate", "flip", "brightness", "saturation", "contrast", "crop", "cutout"])
def test_operation_equals_the_reference(golden, name, side):
    prefix, images = f"augment/{name}_{side}/", golden[f"augment/scale_{side}/input"]  # one input for all
    case = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)} | {"name": name}
    operation = getattr(augment, {"brightness": "color", "saturation": "color", "contrast": "color"}.get(name, name))
    atol = 1e-4 if name in ("scale", "rotate") else 1e-6
    u = jnp.stack([golden_draw(case, side, i) for i in range(len(images))])
    got = jax.jit(jax.vmap(lambda x, u: augment.apply(x, operation(u, side, side))))(images, u)
    np.testing.assert_allclose(got, case["output"], atol=atol, err_msg=ADVICE.format(name))


def test_color_is_brightness_then_saturation_then_contrast():
    x, (b, s, c) = images(6, 5, 3), (0.7, 0.2, 0.9)
    wanted = x + (b - 0.5)
    gray = wanted.mean(axis=2, keepdims=True)
    wanted = (wanted - gray) * 2 * s + gray
    wanted = (wanted - wanted.mean()) * (c + 0.5) + wanted.mean()
    np.testing.assert_allclose(augment.apply(jnp.asarray(x), augment.color(unit(b, s, c), 6, 5)), wanted, atol=1e-5)


def bilinear_by_loops(image, warp):
    """Zero outside, one pixel and one neighbour at a time."""
    height, width, _ = image.shape
    out = np.zeros_like(image)
    for r in range(height):
        for c in range(width):
            y, x = (row @ np.array([r, c, 1.0]) for row in warp)
            for i in (int(np.floor(y)), int(np.floor(y)) + 1):
                for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        out[r, c] += (1 - abs(y - i)) * (1 - abs(x - j)) * image[i, j]
    return out


@pytest.mark.parametrize("shape", [(9, 6, 2), (5, 8, 1), (1, 7, 3), (6, 1, 1)])
def test_rotation_and_scale_of_oblong_images_turn_about_the_centre(shape):
    x, (height, width) = images(*shape), shape[:2]
    center = np.array([(height - 1) / 2, (width - 1) / 2])
    apply = jax.jit(augment.apply)
    for name, u in [("rotate", 0.05), ("rotate", 0.9), ("scale", 0.0), ("scale", 0.95)]:
        angle, factor = np.deg2rad(30 * u - 15), u * (1.2 - 1 / 1.2) + 1 / 1.2
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = turn if name == "rotate" else np.eye(2) * factor
        warp = np.column_stack([matrix, center - matrix @ center])
        got = apply(jnp.asarray(x), getattr(augment, name)(unit(u, u), height, width))
        np.testing.assert_allclose(got, bilinear_by_loops(x, warp), atol=1e-5)


@pytest.mark.parametrize("exact", ["identity", "flip", "crop"])
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.float32])
def test_whole_pixel_warps_copy_bit_for_bit_on_both_paths(exact, dtype):
    x = images(7, 10, 3)
    shifted = np.zeros_like(x)
    shifted[:5, 3:] = x[2:, :-3]
    wanted, warp = {
        "identity": (x, [[1, 0, 0], [0, 1, 0]]),
        "flip": (x[:, ::-1], [[1, 0, 0], [0, -1, 9]]),
        "crop": (shifted, [[1, 0, 2], [0, 1, -3]]),
    }[exact]
    got = augment.apply(jnp.asarray(x), augment.Change(warp=jnp.array(warp, dtype)))
    np.testing.assert_array_equal(got, wanted)


def test_neutral_change_is_the_identity_bit_for_bit():
    x = images(8, 6, 3)
    neutral = augment.Change(jnp.array([0.0, 1.0, 1.0]), jnp.eye(2, 3), jnp.zeros(4))
    np.testing.assert_array_equal(jax.jit(augment.apply)(jnp.asarray(x), neutral), x)


@pytest.mark.parametrize("side, size", [(8, 4), (9, 5), (10, 5)])
def test_cutout_box_reaches_every_edge_and_has_half_the_side(side, size):
    u = jnp.stack([jnp.linspace(0, 1, 400, endpoint=False), *[jnp.full(400, 0.5)] * 2], axis=1)
    cut = jax.jit(jax.vmap(lambda u: augment.apply(jnp.ones((side, side, 1)), augment.cutout(u, side, side))))
    blanked = [np.flatnonzero((image == 0).any(axis=(1, 2))) for image in np.asarray(cut(u))]
    starts = np.arange(0, side + 1 - size % 2) - size // 2
    wanted = {tuple(np.arange(max(s, 0), min(s + size, side))) for s in starts}
    assert {tuple(b) for b in blanked} == wanted


def test_dsa_draws_one_operation_a_step_for_the_whole_batch_and_each_equally_often():
    chosen = [name for name in OPERATIONS if name != "flip"]
    f = batched(dsa := augment.dsa("_".join(chosen)))
    x = jnp.asarray(images(4, 16, 16, 1))
    single = {n: batched(augment.dsa(n)) for n in chosen}
    counts = dict.fromkeys(chosen, 0)
    for step in range(100):
        u = uniforms(dsa, 4, step)
        out = f(x, *u)
        matching = [n for n in chosen if np.allclose(out, single[n](x, *u), atol=1e-5)]
        assert len(matching) == 1, f"step {step}: the batch went through {matching}, not through one operation"
        counts[matching[0]] += 1
    # 20 expected of each, standard deviation 4
    assert all(8 <= count <= 36 for count in counts.values()), counts


def test_parameters_differ_between_the_images_of_a_batch():
    for text in ["dsa(operations=color)", "dsa(operations=scale)", "dsa(operations=rotate)"]:
        x = jnp.broadcast_to(jnp.asarray(images(1, 8, 8, 1)), (5, 8, 8, 1))
        f = augment.build(text)
        out = batched(f)(x, *uniforms(f, 5))
        assert len({image.tobytes() for image in np.asarray(out)}) == 5, text


def test_dsa_all_applies_the_operations_one_after_the_other():
    x, u = jnp.asarray(images(12, 12, 3)), jnp.asarray(np.random.default_rng(4).random(18, np.float32))
    wanted, apply = x, jax.jit(augment.apply)
    for i, name in enumerate(OPERATIONS):
        wanted = apply(wanted, getattr(augment, name)(u[3 * i : 3 * i + 3], 12, 12))
    got = jax.jit(augment.build("dsa_all").change)(x, u, jnp.float32(0))
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    assert not np.allclose(got, apply(x, augment.rotate(u[15:], 12, 12)), atol=1e-2)


def test_crop_flip_pads_cuts_and_mirrors():
    x = images(6, 9, 2)
    padded = np.pad(x, ((2, 2), (2, 2), (0, 0)))
    possible = {
        (mirror, dy, dx): (padded[:, ::-1] if mirror else padded)[dy : dy + 6, dx : dx + 9].tobytes()
        for mirror in (0, 1)
        for dy in range(5)
        for dx in range(5)
    }
    copies = jnp.broadcast_to(jnp.asarray(x), (1000, *x.shape))
    f = augment.crop_flip(padding=2)
    out = batched(f)(copies, *uniforms(f, 1000))
    assert {image.tobytes() for image in np.asarray(out)} == set(possible.values())


def resized_by_pillow(image, box, mirror):
    """Plane by plane in float32, by another library; with its antialiasing, which does nothing where nothing shrinks."""
    top, left, height, width = box
    planes = [
        Image.fromarray(plane).crop((left, top, left + width, top + height)) for plane in image.transpose(2, 0, 1)
    ]
    size = image.shape[1], image.shape[0]
    out = np.stack([plane.resize(size, Image.Resampling.BILINEAR) for plane in planes], axis=2)
    return out[:, ::-1] if mirror else out


@pytest.mark.parametrize("shape", [(9, 6, 2), (8, 8, 3), (224, 224, 3)])
def test_resized_boxes_equal_pillows(shape):
    x, resize = images(*shape), jax.jit(crops.resize)
    large = [(17, 30, 150, 101)] * (shape[0] > 200)
    for box in [(0, 0, *shape[:2]), (2, 1, 1, 1), (3, 2, 5, 4), (0, 3, 9 if shape[0] == 9 else 8, 2), *large]:
        for mirror in (False, True):
            got = resize(jnp.asarray(x), jnp.array(box, jnp.float32), jnp.bool_(mirror))
            error = 1e-4 if large else 1e-5  # positions are float32
            np.testing.assert_allclose(got, resized_by_pillow(x, box, mirror), atol=error, err_msg=f"{box}, {mirror}")


@pytest.mark.parametrize("size, low, high", [((32, 32), 0.08, 1.0), ((10, 24), 0.9, 1.0), ((20, 7), 0.3, 0.3)])
def test_boxes_are_drawn_as_torchvision_draws_them(size, low, high):
    """The first of ten that fits, else the largest one in the middle; anywhere, by each offset equally often."""
    us = np.random.default_rng(0).random((400, crops.BOX_DRAWS), np.float32)
    boxes = jax.jit(jax.vmap(lambda u: crops.box(u, *size, low, high)))(us)
    for u, got in zip(us.astype(np.float64), np.asarray(boxes).tolist()):
        area, ratio = np.prod(size) * (low + u[:10] * (high - low)), np.exp(np.log(4 / 3) * (2 * u[10:20] - 1))
        tried = zip(np.sqrt(area / ratio).round(), np.sqrt(area * ratio).round())
        fits = [(h, w) for h, w in tried if 0 < h <= size[0] and 0 < w <= size[1]]
        ratio = np.clip(size[1] / size[0], 3 / 4, 4 / 3)
        h, w = fits[0] if fits else (min(size[0], round(size[1] / ratio)), min(size[1], round(size[0] * ratio)))
        spare = np.array([size[0] - h, size[1] - w])
        assert got == [*(np.floor(u[20:] * (spare + 1)) if fits else spare // 2), h, w]


def test_a_crop_of_everything_is_the_image_or_its_mirror():
    x = jnp.broadcast_to(jnp.asarray(images(8, 8, 2)), (40, 8, 8, 2))
    for text, mirrored in [("resized_crop(low=1.0)", True), ("resized_crop(low=1.0, mirror=false)", False)]:
        u, step_u = uniforms(f := augment.build(text), 40)
        # Of the whole area only a ratio near 1 fits: all others are the middle, which is everything.
        out = np.asarray(batched(f)(x, u, step_u))
        turned = np.asarray(u)[:, crops.BOX_DRAWS] < 0.5
        for image, turn in zip(out, turned & mirrored):
            np.testing.assert_array_equal(image, x[0, :, ::-1] if turn else x[0])


def test_patches_change_places_by_rows_and_columns():
    x, u = images(7, 6, 1), jnp.array([0.9, 0.1, 0.5, 0.2, 0.8, 0.1])
    rows, columns = [2, 3, 4, 5, 6, 0, 1], [4, 5, 0, 1, 2, 3]  # the last row of patches is 3 pixels high
    np.testing.assert_array_equal(crops.patches(jnp.asarray(x), u, 3), x[rows][:, columns])


@pytest.mark.parametrize("text", AUGMENTATIONS)
def test_contract(text):
    f = augment.build(text)
    x, (u, step_u) = jnp.asarray(images(4, 10, 7, 3)), uniforms(f, 4)
    batch = batched(f)
    out = batch(x, u, step_u)
    assert out.shape == x.shape and out.dtype == x.dtype and np.isfinite(out).all()
    np.testing.assert_array_equal(out, batch(x, u, step_u), err_msg="not a function of its numbers alone")
    alone = jax.jit(f.change)(x[2], u[2], step_u)
    np.testing.assert_allclose(out[2], alone, atol=2e-5, err_msg="depends on its neighbours")
    if text != "none":
        others = [np.array_equal(out, batch(x, uniforms(f, 4, s)[0], step_u)) for s in range(1, 4)]
        assert not all(others), "ignores its numbers"


def test_contract_covers_every_augmentation():
    covered = {spec.parse_one(text).name for text in AUGMENTATIONS}
    with pytest.raises(errors.ConfigError) as caught:
        augment.build("shake")
    public = {
        n
        for n in spec.public_functions(augment)
        if n not in (*OPERATIONS, "build", "functions", "code_of", "apply", "within")
    }
    assert public == covered, "add the new augmentation to AUGMENTATIONS"
    assert "jaxsoft/training/augment.py" in str(caught.value)


def test_gradients_reach_the_pixels():
    x = jnp.asarray(images(8, 8, 1))
    turn = augment.rotate(unit(0.8), 8, 8)
    direction = images(8, 8, 1)
    gradient = jax.grad(lambda x: jnp.vdot(augment.apply(x, turn), direction))(x)
    # The warp is linear: <g, x> is the function itself.
    np.testing.assert_allclose(jnp.vdot(gradient, x), jnp.vdot(augment.apply(x, turn), direction), rtol=1e-4)


@pytest.mark.parametrize(
    "text, words",
    [
        ("dsb", ["augmentation 'dsb'", "dsa"]),
        ("build", ["augmentation 'build'"]),
        ("color", ["augmentation 'color'"]),
        ("dsa(operations=color_zoom)", ["operation 'zoom'", "color"]),
        ("dsa_all(operations=crop_)", ["operation ''"]),
        ("crop_flip(padding=-1)", ["padding expects int >= 0", "-1"]),
        ("crop_flip(padding=1.5)", ["padding expects int", "1.5"]),
        ("resized_crop(low=0.0)", ["0 < low <= high <= 1", "low=0.0"]),
        ("resized_crop(low=0.5, high=0.4)", ["low=0.5, high=0.4"]),
        ("resized_crop(patches=0)", ["patches >= 1", "patches=0"]),
        ("dsa|crop_flip", ["dsa|crop_flip"]),
    ],
)
def test_mistakes_are_told_in_one_line(text, words):
    with pytest.raises(errors.ConfigError) as caught:
        augment.build(text)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_examples_of_the_docstrings():
    assert doctest.testmod(augment).failed == 0
