"""Boxes of an image resized to the whole of it, and patches that change places: the geometry of SRe2L, FKD and RDED.

Boxes are drawn as torchvision's RandomResizedCrop draws them: of ten, the first that fits into the image.

Reference: Szegedy et al. (2015), "Going Deeper with Convolutions", section 6; Shen and Xing (2022), "A Fast Knowledge
Distillation Framework", section 3; Sun et al. (2024), "On the Diversity and Realism of Distilled Dataset", for patches.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxsoft import errors
from jaxsoft.training import warps

_TRIES = 10
_SLIM = 3 / 4  # the least width over height, and the least height over width
BOX_DRAWS = 2 * _TRIES + 2  # uniform numbers: areas, ratios, the place of the box


def random_crop(
    low: float, high: float, mirror: bool, parts: int
) -> tuple[int, Callable[[Float[Array, "H W C"], Float[Array, "D"], Array], Float[Array, "H W C"]]]:
    """How many uniform numbers a view needs, and what makes it of them: see `augment.resized_crop`.

    Raises:
      ConfigError: a number out of range.
    """
    if not (0 < low <= high <= 1 and parts >= 1):
        told = f"0 < low <= high <= 1 and patches >= 1, got low={low}, high={high}, patches={parts}"
        raise errors.ConfigError(f"resized_crop expects {told}")

    def change(image: jax.Array, u: jax.Array, step_u: jax.Array) -> jax.Array:
        image = patches(image, u[BOX_DRAWS + 1 :], parts) if parts > 1 else image
        height, width, _ = image.shape
        drawn = box(u[:BOX_DRAWS], height, width, low, high)
        return resize(image, drawn, mirror & (u[BOX_DRAWS] < 0.5))

    return BOX_DRAWS + 1 + (2 * parts if parts > 1 else 0), change


def box(u: Float[Array, "D"], height: int, width: int, low: float, high: float) -> Float[Array, "4"]:
    """Top, left, height and width in whole pixels: `low` to `high` of the area, width to height from 3:4 to 4:3.

    Area and logarithm of the ratio are uniform. Where none of ten boxes fits, it is the largest one in the middle.
    """
    area = height * width * (low + u[:_TRIES] * (high - low))
    ratio = jnp.exp((1 - 2 * u[_TRIES : 2 * _TRIES]) * math.log(_SLIM))
    sizes = jnp.round(jnp.sqrt(jnp.stack([area / ratio, area * ratio])))
    whole = jnp.array([[height], [width]], jnp.float32)
    fits = ((sizes > 0) & (sizes <= whole)).all(axis=0)
    slim = min(max(width / height, _SLIM), 1 / _SLIM)
    middle = jnp.array([[min(height, round(width / slim))], [min(width, round(height * slim))]], jnp.float32)
    size = jnp.concatenate([sizes, middle], axis=1)[:, jnp.append(fits, True).argmax()]
    spare = whole[:, 0] - size
    place = jnp.where(fits.any(), jnp.floor(u[2 * _TRIES : BOX_DRAWS] * (spare + 1)), jnp.floor(spare / 2))
    return jnp.concatenate([place, size])


def resize(image: Float[Array, "H W C"], box: Float[Array, "4"], mirror: Array) -> Float[Array, "H W C"]:
    """A box (top, left, height, width) of an image as large as the image, left for right where `mirror` is true.

    Bilinear between the pixels of the box. That is what resizing with antialiasing gives too, for nothing shrinks.
    """
    for axis, side in enumerate(image.shape[:2]):
        start, size = box[axis], box[axis + 2]
        at = jnp.arange(side, dtype=image.dtype)
        at = jnp.where(mirror, side - 1 - at, at) if axis else at
        at = start + jnp.clip((at + 0.5) * (size / side) - 0.5, 0, size - 1)
        image = warps.along(image, at, axis)
    return image


def patches(image: Float[Array, "H W C"], u: Float[Array, "D"], parts: int) -> Float[Array, "H W C"]:
    """The image cut into `parts` rows and as many columns, which change places; the last ones may be wider.

    Args:
      u: 2 `parts` uniform numbers, whose order is that of the rows and of the columns.
    """
    for axis, side in enumerate(image.shape[:2]):
        image = warps.along(image, _shuffled(u[axis * parts :][:parts], side), axis)
    return image


def _shuffled(u: Float[Array, "P"], side: int) -> Int[Array, "S"]:
    """The pixels of a side, its parts in the order of their numbers."""
    parts = len(u)
    part = jnp.minimum(jnp.arange(side) // max(side // parts, 1), parts - 1)
    return jnp.argsort(u[part], stable=True)
