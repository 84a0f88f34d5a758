"""Images read between their pixels, bilinearly: what lies at any positions. Each platform has a form of its own.

CPU  gathers, plane by plane: a fraction of the time of a gather of pixels with their channels
GPU  gathers of pixels with their channels, which become part of one kernel
TPU  products with hat functions, max(0, 1 - |position - pixel|), whose value is 0 but at the pixels beside a position;
     a gather of single pixels reads a tile of 4 kB there for each of them, a thousand times the bytes
"""

from collections.abc import Sequence

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
    form = _by_products if target.platform() == "tpu" else _by_gathers
    return form(image, *_positions(matrix, image.shape[:2]))


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


def _by_gathers(image: Array, y: Array, x: Array) -> Array:
    # One frame of zeros, onto which all positions outside are moved, needs no masks.
    framed = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    y, x = (jnp.clip(at, -1, side) + 1 for at, side in zip((y, x), image.shape))
    read = _copy if _is_whole(y) else _bilinear
    if target.platform() != "cpu":
        return read(framed, y, x)
    return jnp.stack([read(framed[:, :, c], y, x) for c in range(image.shape[2])], axis=-1)


def _copy(pixels: Float[Array, "h w *C"], y: Array, x: Array) -> Float[Array, "H W *C"]:
    height, width, *channels = pixels.shape
    return pixels.reshape(height * width, *channels).at[y * width + x].get(mode="promise_in_bounds")


def _bilinear(pixels: Float[Array, "h w *C"], y: Array, x: Array) -> Float[Array, "H W *C"]:
    """Between the four pixels around each position; whole positions copy exactly, as their weights are 0 and 1."""
    height, width, *channels = pixels.shape
    top, left = jnp.minimum(jnp.floor(y), height - 2), jnp.minimum(jnp.floor(x), width - 2)
    down, right = (share.reshape(*share.shape, *(1 for _ in channels)) for share in (y - top, x - left))
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    above = _copy(pixels, top, left) * (1 - right) + _copy(pixels, top, left + 1) * right
    below = _copy(pixels, top + 1, left) * (1 - right) + _copy(pixels, top + 1, left + 1) * right
    return above * (1 - down) + below * down


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
