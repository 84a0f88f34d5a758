"""A convolution and its two gradients for one member, each by patches or by the library."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

# Windows of so many bytes are read back from cache, not from memory: twice the speed, measured at 128 channels.
_CACHED_WINDOWS = 2_500_000


class Geometry(NamedTuple):
    """What is static about a convolution: sizes, stride, padding, the lowering that was asked for, and the platform.

    `own` says whether `auto` may take kernels of our own; of clips so many `frames` follow each other.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    stride: int
    padding: int
    lowering: str = "auto"
    platform: str = "cpu"
    own: bool = False
    frames: int = 1

    def response(self) -> tuple[int, int]:
        """Height and width of the response."""
        height, width = ((s + 2 * self.padding - w) // self.stride + 1 for s, w in zip(self.size, self.window))
        return height, width


# Lowering by the library's convolution. On CPU each of the three maps is a convolution of canonical form (images NHWC,
# kernel HWIO), as XLA runs any other form inside a loop without its fast library. Elsewhere the gradients are JAX's own
# transposes, which XLA knows as such.


def forward_by_library(g: Geometry, x: Array, k: Array) -> Array:
    """The convolution [B, H2, W2, D] of images [B, H, W, C] with a kernel [h, w, C, D]."""
    return _canonical(x, k, (g.stride, g.stride), ((g.padding, g.padding),) * 2)


def input_gradient_by_library(g: Geometry, y: Array, k: Array) -> Array:
    """Its gradient in the images [B, H, W, C], of that in the response y [B, H2, W2, D]."""
    if g.platform == "cpu":
        pads = tuple(pad[:2] for pad in _pads(g, y))
        return _canonical(y, _around(k), padding=pads, apart=(g.stride, g.stride))
    x = jax.ShapeDtypeStruct((y.shape[0], *g.size, k.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: forward_by_library(g, x, k), x)(y)[0]


def kernel_gradient_by_library(g: Geometry, x: Array, y: Array) -> Array:
    """Its gradient in the kernel [h, w, C, D], of that in the response y [B, H2, W2, D]."""
    if g.platform == "cpu":  # channels are the images here, images the channels, and y is the kernel
        images, kernel = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
        pads = ((g.padding, g.padding),) * 2
        gradient = _canonical(images, kernel, padding=pads, wide=(g.stride, g.stride))
        return gradient[:, : g.window[0], : g.window[1]].transpose(1, 2, 0, 3)
    k = jax.ShapeDtypeStruct((*g.window, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda k: forward_by_library(g, x, k), k)(y)[0]


def _canonical(
    x: Array, k: Array, strides: Any = (1, 1), padding: Any = "VALID", apart: Any = None, wide: Any = None
) -> Array:
    """`apart`: of the pixels of x, as if zeros lay between them; `wide`: the same of the kernel."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, k, strides, padding, apart, wide, layout)


# Lowering by patches: windows as rows of a matrix.


def _windows(g: Geometry, x: Array) -> Array:
    """[B, H, W, C] -> [B, H2, W2, h*w*C]: the window under each output pixel, in the order of a flattened kernel."""
    p, s, (h, w) = g.padding, g.stride, g.window
    if (h, w, p, s) == (1, 1, 0, 1):
        return x
    x = jnp.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    rows, columns = (side - window + 1 for side, window in zip(x.shape[1:3], g.window))
    slices = [x[:, u : u + rows : s, v : v + columns : s] for u in range(h) for v in range(w)]
    return jnp.concatenate(slices, axis=-1)


def _tile(g: Geometry, x: Array, out: int) -> int:
    """How many images to take at a time: on CPU, a divisor of the batch whose windows stay in cache."""
    images, wide = x.shape[0], g.window[0] * g.window[1] * x.shape[3]
    if g.platform != "cpu" or wide < 2 * out:  # narrow windows cost less than cutting the response
        return images
    height, width = g._replace(size=(x.shape[1], x.shape[2])).response()
    most = _CACHED_WINDOWS // (height * width * wide * x.dtype.itemsize)
    return max(t for t in range(1, images + 1) if images % t == 0 and t <= max(1, most))


def forward_by_patches(g: Geometry, x: Array, k: Array) -> Array:
    """As `forward_by_library`."""

    def product(x: Array) -> Array:
        return _windows(g, x) @ k.reshape(-1, k.shape[-1])

    tile = _tile(g, x, k.shape[-1])
    if tile == x.shape[0]:
        return product(x)
    y = jax.lax.map(product, x.reshape(-1, tile, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


def kernel_gradient_by_patches(g: Geometry, x: Array, y: Array) -> Array:
    """As `kernel_gradient_by_library`."""

    def product(x: Array, y: Array) -> Array:
        windows = _windows(g, x)
        return windows.reshape(-1, windows.shape[-1]).T @ y.reshape(-1, y.shape[-1])

    shape, tile = (*g.window, x.shape[-1], y.shape[-1]), _tile(g, x, y.shape[-1])
    if tile == x.shape[0]:
        return product(x, y).reshape(shape)
    tiles = tuple(a.reshape(-1, tile, *a.shape[1:]) for a in (x, y))
    none = jnp.zeros((shape[0] * shape[1] * shape[2], shape[3]), x.dtype)
    return jax.lax.scan(lambda sum, xy: (sum + product(*xy), None), none, tiles)[0].reshape(shape)


def input_gradient_by_patches(g: Geometry, y: Array, k: Array) -> Array:
    """As `input_gradient_by_library`."""
    y = jax.lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *_pads(g, y), (0, 0, 0)))
    return forward_by_patches(Geometry((y.shape[1], y.shape[2]), g.window, 1, 0, g.lowering, g.platform), y, _around(k))


# The transpose of a convolution is a convolution: spread y by the stride, turn the kernel around.


def _pads(g: Geometry, y: Array) -> list[tuple[int, int, int]]:
    """Zeros before, after, and between the pixels, for each axis."""
    pads = []
    for side, window, size in zip(g.size, g.window, y.shape[1:3]):
        before = window - 1 - g.padding
        spread = (size - 1) * g.stride + 1
        pads.append((before, side + window - 1 - spread - before, g.stride - 1))
    return pads


def _around(k: Array) -> Array:
    return k[::-1, ::-1].swapaxes(2, 3)
