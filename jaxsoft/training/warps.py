"""Images read between their pixels, bilinearly: what lies at any positions. Each platform has a form of its own.

CPU  gathers, plane by plane: a fraction of the time of a gather of pixels with their channels
GPU  gathers of pixels with their channels, which become part of one kernel
TPU  products with hat functions, max(0, 1 - |position - pixel|), whose value is 0 but at the pixels beside a position;
     a gather of single pixels reads a tile of 4 kB there for each of them, a thousand times the bytes
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxsoft import target

# By products an image of height H needs H weights for each position: so many positions at a time.
_AT_A_TIME = 4096


def affine(image: Float[Array, "H W C"], matrix: Num[Array, "2 3"]) -> Float[Array, "H W C"]:
    """output[y, x] = image at matrix . (y, x, 1), zero outside.

    Args:
      image: read between the centres of its pixels, which are the integers.
      matrix: output to input positions; integers promise that pixels fall on pixels, which saves the interpolation.
    """
    forms = {"cpu": _by_planes, "tpu": _by_products}
    return forms.get(target.platform(), _by_pixels)(image, *_positions(matrix, image.shape[:2]))


def along(image: Float[Array, "H W C"], at: Num[Array, "S"], axis: int) -> Float[Array, "H2 W2 C"]:
    """Rows (axis 0) or columns (axis 1) at positions within the image; integers are copied, as are whole positions."""
    if target.platform() == "tpu":
        kept = jnp.tensordot(_hats(at, image.shape[axis]), image, (0, axis), precision="highest")
        return jnp.moveaxis(kept, 0, axis).astype(image.dtype)
    if _is_whole(at):
        return jnp.take(image, at, axis, mode="clip")
    first = jnp.floor(at)
    share = jnp.expand_dims(at - first, [i for i in range(image.ndim) if i != axis]).astype(image.dtype)
    # Of the last pixel there is no next one, and its share is 0.
    one, next_one = (jnp.take(image, first.astype(jnp.int32) + i, axis, mode="clip") for i in (0, 1))
    return one * (1 - share) + next_one * share


def _positions(matrix: Array, size: Sequence[int]) -> tuple[Num[Array, "H W"], Num[Array, "H W"]]:
    rows, cols = jnp.arange(size[0], dtype=matrix.dtype)[:, None], jnp.arange(size[1], dtype=matrix.dtype)[None, :]
    y, x = (row[0] * rows + row[1] * cols + row[2] for row in matrix)
    return y, x


def _is_whole(at: Array) -> bool:
    return jnp.issubdtype(at.dtype, jnp.integer)


def _by_planes(image: Array, y: Array, x: Array) -> Array:
    # One frame of zeros, onto which all positions outside are moved, needs no masks.
    framed = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    y, x = (jnp.clip(at, -1, side) + 1 for at, side in zip((y, x), image.shape))
    read = _copy if _is_whole(y) else _bilinear
    return jnp.stack([read(framed[:, :, c], y, x) for c in range(image.shape[2])], axis=-1)


def _copy(plane: Array, y: Array, x: Array) -> Array:
    return plane.ravel().at[y * plane.shape[1] + x].get(mode="promise_in_bounds")


def _bilinear(plane: Array, y: Array, x: Array) -> Array:
    """Between the four pixels around each position; whole positions copy exactly, as their weights are 0 and 1."""
    height, width = plane.shape
    top, left = jnp.minimum(jnp.floor(y), height - 2), jnp.minimum(jnp.floor(x), width - 2)
    down, right = y - top, x - left
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    above = _copy(plane, top, left) * (1 - right) + _copy(plane, top, left + 1) * right
    below = _copy(plane, top + 1, left) * (1 - right) + _copy(plane, top + 1, left + 1) * right
    return above * (1 - down) + below * down


def _by_pixels(image: Array, y: Array, x: Array) -> Array:
    """As much of each of the pixels around as lies at the positions; of whole positions it is one."""
    height, width, channels = image.shape
    pixels, sides = image.reshape(-1, channels), (0,) if _is_whole(y) else (0, 1)
    top, left = jnp.floor(y), jnp.floor(x)

    def part(row: Array, column: Array) -> Array:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        share = jnp.where(inside, (1 - jnp.abs(y - row)) * (1 - jnp.abs(x - column)), 0)
        place = [jnp.clip(at, 0, side - 1).astype(jnp.int32) for at, side in ((row, height), (column, width))]
        return share[:, :, None] * pixels.at[place[0] * width + place[1]].get(mode="promise_in_bounds")

    parts: Any = [part(top + i, left + j) for i in sides for j in sides]
    return sum(parts[1:], parts[0])


def _by_products(image: Array, y: Array, x: Array) -> Array:
    """Each row of pixels is read at every column position; the sum over rows is weighted by the row positions.

    XLA makes one fusion of it: only the weights of the rows are ever in memory.
    """
    planes, (height, width, channels) = image.transpose(2, 0, 1), image.shape

    def read(yx: tuple[Array, Array]) -> Array:
        rows, columns = _hats(yx[0], height), _hats(yx[1], width)
        every_row = jnp.einsum("chw,wp->chp", planes, columns, precision="highest")
        return (every_row * rows[None]).sum(1)

    lines = max(1, _AT_A_TIME // width)
    if lines >= height:
        return read((y.ravel(), x.ravel())).reshape(channels, height, width).transpose(1, 2, 0).astype(image.dtype)
    return jax.lax.map(read, (y, x), batch_size=lines).transpose(0, 2, 1).astype(image.dtype)


def _hats(at: Num[Array, "P"], side: int) -> Float[Array, "side P"]:
    """How much of each pixel of an axis lies at each position: 1 at a pixel, and linear down to 0 at its neighbours."""
    at = at.astype(jnp.promote_types(at.dtype, jnp.float32))
    return jnp.maximum(0, 1 - jnp.abs(at[None, :] - jnp.arange(side, dtype=at.dtype)[:, None]))
