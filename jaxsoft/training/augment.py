"""Augmentations: what happens to one training image before the network sees it.

Two kinds of public function, told apart by what they return, so that the module is its own list:

- an *operation* `name(u, height, width) -> Change` turns three uniform numbers into the parameters of one operation;
- an *augmentation* `name(options) -> Augmentation` says which operations an image goes through.

A branch over the drawn operation would execute all of them under `vmap`. Hence a Change is a few numbers whose neutral
values do nothing exactly, and one pipeline (colours, one warp, one box) serves every operation.

Reference: Zhao and Bilen (2021), "Dataset Condensation with Differentiable Siamese Augmentation", section 3.
"""

import inspect
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Num

from jaxsoft import errors, imports, spec, target
from jaxsoft.training import crops, frames, warps

_HERE = "jaxsoft/training/augment.py"


class Augmentation(NamedTuple):
    """`change(image, u, step_u)` is the image that the network sees; the uniform number `step_u` is shared by a batch."""

    draws: int  # how many uniform numbers an image needs
    change: Callable[[Float[Array, "H W C"], Float[Array, "D"], Float[Array, ""]], Float[Array, "H W C"]]


class Change(NamedTuple):
    """What is done to one image, in this order; None leaves a part out of the program."""

    color: Float[Array, "3"] | None = None  # brightness b added, saturation s, contrast c; neutral (0, 1, 1)
    # A matrix of output to input pixels, rows (y from y, y from x, shift), (x from y, x from x, shift); neutral [I | 0].
    # Integers promise that pixels fall on pixels, see `warps.affine`.
    warp: Num[Array, "2 3"] | None = None
    box: Float[Array, "4"] | None = None  # top, left, height, width of the pixels to blank; neutral (0, 0, 0, 0)


def build(text: str) -> Augmentation:
    """The augmentation, also of clips, that a spec names, such as `dsa(operations="crop_rotate")`; a batch is `vmap(change, (0, 0, None))`.

    Raises:
      ConfigError: the name, an argument or an operation is unknown, or a user's own function returns something else.
    """
    made: Any = spec.resolve(text, _returning(Augmentation), "augmentation", _HERE)()
    if not isinstance(made, Augmentation):
        raise errors.ConfigError(f"{text} should return an Augmentation, got {type(made).__name__}")
    return made._replace(change=frames.by_frame(made.change))


def functions(text: str) -> list[Callable]:
    """What a spec names, which `build` knows: the augmentation, and the operations that its arguments speak of."""
    call = spec.parse_one(text)
    chosen = _returning(Augmentation)[call.name]
    usual = {name: p.default for name, p in inspect.signature(chosen).parameters.items()}
    words = "_".join(map(str, (usual | spec.bind(call, chosen)).values())).split("_")
    return [chosen, *(operation for name, operation in _returning(Change).items() if name in words)]


def code_of(text: str) -> list[Callable]:
    """The same, where paths name some of them."""
    call = spec.parse_one(text)
    if imports.is_outside(call.name):
        return [imports.function(call.name)]
    chosen, *used = functions(text)
    if chosen in (one_of, compose):
        inner = spec.parse(*spec.bind(call, chosen).values())
        used = [spec.find(own.name, _returning(Change), "", "") for own in inner]
    return [chosen, *used]


def none() -> Augmentation:
    """Leave every image as it is."""
    return Augmentation(0, lambda image, u, step_u: image)


def dsa(operations: str = "color_crop_cutout_flip_scale_rotate") -> Augmentation:
    """Differentiable siamese augmentation: one operation a step for the whole batch, its parameters drawn per image.

    The `operations`, joined by an underscore, are equally likely. Leave out `flip` for digits and letters.
    """
    draws = _operations(operations)

    def change(image: jax.Array, u: jax.Array, step_u: jax.Array) -> jax.Array:
        drawn = _integer(step_u, 0, len(draws) - 1)
        return apply(image, _pick([draw(u, *image.shape[:2]) for draw in draws], drawn))

    return Augmentation(3, change)


def dsa_all(operations: str = "color_crop_cutout_flip_scale_rotate") -> Augmentation:
    """Every one of `operations` at every step, in the order given; each acts on the output of the one before."""
    draws = _operations(operations)

    def change(image: jax.Array, u: jax.Array, step_u: jax.Array) -> jax.Array:
        for i, draw in enumerate(draws):
            image = apply(image, draw(u[3 * i : 3 * i + 3], *image.shape[:2]))
        return image

    return Augmentation(3 * len(draws), change)


def one_of(operations: str) -> Augmentation:
    """As `dsa`, with `operations` of your own too, joined by bars: `one_of("crop|mylab.augment:blur(2)")`."""
    draws = _any_operations(operations)

    def change(image: jax.Array, u: jax.Array, step_u: jax.Array) -> jax.Array:
        drawn = _integer(step_u, 0, len(draws) - 1)
        return apply(image, _pick([draw(u, *image.shape[:2]) for draw in draws], drawn))

    return Augmentation(3, change)


def compose(operations: str) -> Augmentation:
    """As `dsa_all`, with `operations` of your own too, joined by bars, as for `one_of`."""
    draws = _any_operations(operations)

    def change(image: jax.Array, u: jax.Array, step_u: jax.Array) -> jax.Array:
        for i, draw in enumerate(draws):
            image = apply(image, draw(u[3 * i : 3 * i + 3], *image.shape[:2]))
        return image

    return Augmentation(3 * len(draws), change)


def crop_flip(padding: int = 4) -> Augmentation:
    """Mirror half of the images and shift each by up to `padding` pixels along each axis, zero outside."""
    if padding < 0:
        raise errors.ConfigError(f"crop_flip: padding expects int >= 0, got {padding}")

    def change(image: jax.Array, u: jax.Array, step_u: jax.Array) -> jax.Array:
        shift = _integer(u[:2], -padding, padding)
        mirror = _mirror(u[2] < 0.5, image.shape[1])
        return apply(image, Change(warp=mirror.at[:, 2].add(shift)))

    return Augmentation(3, change)


def resized_crop(low: float = 0.08, high: float = 1.0, mirror: bool = True, patches: int = 1) -> Augmentation:
    """A box of `low` to `high` of the area as the whole image, half of them mirrored; `patches` change places before."""
    return Augmentation(*crops.random_crop(low, high, mirror, patches))


def color(u: Float[Array, "3"], height: int, width: int) -> Change:
    """Brightness in [-.5, .5), saturation in [0, 2) and contrast in [.5, 1.5), uniform and independent."""
    return Change(color=jnp.stack([u[0] - 0.5, 2 * u[1], u[2] + 0.5]))


def crop(u: Float[Array, "3"], height: int, width: int) -> Change:
    """A shift by whole pixels along each axis, at most an eighth of the side, zero outside."""
    dy, dx = (_integer(u[i], -reach, reach) for i, reach in enumerate(int(side / 8 + 0.5) for side in (height, width)))
    return Change(warp=_matrix(1, 0, dy, 0, 1, dx))


def cutout(u: Float[Array, "3"], height: int, width: int) -> Change:
    """A zero box of half of each side, its centre anywhere, edges included."""
    size = [int(side / 2 + 0.5) for side in (height, width)]
    # An even box around c covers c - size/2 .. c + size/2 - 1, so c may be one past the last pixel.
    centers = [_integer(u[i], 0, side - size[i] % 2) for i, side in enumerate((height, width))]
    return Change(box=jnp.stack([centers[0] - size[0] // 2, centers[1] - size[1] // 2, *size]).astype(jnp.float32))


def flip(u: Float[Array, "3"], height: int, width: int) -> Change:
    """The mirror image, left for right, with probability one half."""
    return Change(warp=_mirror(u[0] < 0.5, width))


def scale(u: Float[Array, "3"], height: int, width: int) -> Change:
    """Input coordinates stretched about the centre, each axis by its own factor in [1/1.2, 1.2)."""
    sx, sy = (u[i] * (1.2 - 1 / 1.2) + 1 / 1.2 for i in (0, 1))
    return Change(warp=_about_center(sy, 0.0, 0.0, sx, height, width))


def rotate(u: Float[Array, "3"], height: int, width: int) -> Change:
    """A turn about the centre by an angle in [-15, 15) degrees; proper also where the sides differ."""
    angle = (2 * u[0] - 1) * math.radians(15)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return Change(warp=_about_center(cos, sin, -sin, cos, height, width))


def apply(image: Float[Array, "H W C"], change: Change) -> Float[Array, "H W C"]:
    """Do to an image what a change says; what comes from outside the image is 0 in the image's units.

    >>> import jax.numpy as jnp
    >>> image = jnp.arange(6.0).reshape(2, 3, 1)
    >>> apply(image, flip(jnp.zeros(3), 2, 3))[..., 0].tolist()
    [[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]
    """
    out = image if change.color is None else _recolor(image, change.color)
    out = out if change.warp is None else warps.affine(out, change.warp)
    if change.box is not None:
        out = jnp.where(within(change.box, *image.shape[:2])[:, :, None], 0, out)
    return out.astype(image.dtype)


def _recolor(image: jax.Array, color: jax.Array) -> jax.Array:
    """Brightness, saturation (about the pixel's mean), contrast (about the image's mean) as one linear map."""
    brightness, saturation, contrast = color
    gray = image.mean(axis=-1, keepdims=True)
    # Neither brightness nor saturation moves the image's mean except by `brightness`, so one pass over the input does.
    offset = image.mean() * (1 - contrast) + brightness
    return image * (saturation * contrast) + gray * ((1 - saturation) * contrast) + offset


def within(box: Float[Array, "4"], height: int, width: int) -> Bool[Array, "H W"]:
    """The pixels of an image that lie in a box (top, left, height, width)."""
    rows, cols = (jnp.arange(side, dtype=box.dtype) for side in (height, width))
    inside = [
        (at >= start) & (at < start + size) for at, start, size in ((rows, box[0], box[2]), (cols, box[1], box[3]))
    ]
    return inside[0][:, None] & inside[1][None, :]


def _integer(u: jax.Array, low: int, high: int) -> jax.Array:
    """Uniform integer in [low, high], both included, from u in [0, 1)."""
    return low + jnp.floor(u * (high - low + 1)).astype(jnp.int32)


def _matrix(*entries: Any) -> jax.Array:
    return jnp.stack(entries).reshape(2, 3)


def _mirror(yes: jax.Array, width: int) -> jax.Array:
    yes = yes.astype(jnp.int32)
    return _matrix(1, 0, 0, 0, 1 - 2 * yes, yes * (width - 1))


def _about_center(yy: Any, yx: Any, xy: Any, xx: Any, height: int, width: int) -> jax.Array:
    cy, cx = (height - 1) / 2, (width - 1) / 2
    return _matrix(yy, yx, cy - yy * cy - yx * cx, xy, xx, cx - xy * cy - xx * cx)


def _pick(changes: list[Change], drawn: jax.Array) -> Change:
    """The drawn one of several changes; a part that none of them has stays out of the program."""
    neutral = (jnp.array([0.0, 1.0, 1.0]), jnp.eye(2, 3, dtype=jnp.int32), jnp.zeros(4))

    def part(nothing: jax.Array, values: tuple) -> jax.Array | None:
        filled = [nothing if value is None else value for value in values]
        return jnp.stack(filled) if any(value is not None for value in values) else None

    stacked = Change(*map(part, neutral, zip(*changes)))
    if target.platform() == "cpu":
        return jax.tree.map(lambda values: values[drawn], stacked)
    # One look at one table, whose numbers are not made again for every pixel: four kernels of a GPU fewer.
    _, unravel = ravel_pytree(jax.tree.map(lambda values: values[0], stacked))
    table = jax.vmap(lambda change: ravel_pytree(change)[0])(stacked)
    return unravel(jax.lax.optimization_barrier(table[drawn]))


def _operations(names: str) -> list[Callable[..., Change]]:
    functions = _returning(Change)
    for name in names.split("_"):
        if name not in functions:
            raise errors.ConfigError(
                errors.unknown("augmentation operation", name, functions, "jaxsoft/training/augment.py")
            )
    return [functions[name] for name in names.split("_")]


def _any_operations(text: str) -> list[Callable[..., Change]]:
    known = _returning(Change), "augmentation operation", _HERE, ("u", "height", "width")
    return [spec.resolve(str(call), *known) for call in spec.parse(text)]


def _returning(kind: object) -> dict[str, Callable]:
    found = spec.public_functions(sys.modules[__name__])
    return {n: f for n, f in found.items() if n != "build" and inspect.signature(f).return_annotation == kind}
