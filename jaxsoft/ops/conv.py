"""One convolution, written for one member, with several lowerings for many.

`vmap` over kernels turns a convolution into a grouped one, which is slow on every backend, and XLA:CPU runs most
convolutions inside a loop without its fast library. So a model calls `conv2d` for one member, and this module alone
decides what happens when a member axis arrives:

  patches   shifted slices side by side, then a (batched) matrix product; small images, and CPU inside a scan, where
            a few images at a time keep the slices in cache
  map       the members one after another, each by the library's convolution; large batches on an accelerator
  grouped   what plain `vmap` gives; the oracle that the others are tested against

A convolution, its gradient in the images and its gradient in the kernel are the three partial derivatives of one
trilinear form <y, x * k>, so each of them is differentiated by the other two. That closure is what makes gradients of
any order work, also under vmap, scan and remat.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsoft import errors

LOWERINGS = ("patches", "map", "grouped")
_forced: contextvars.ContextVar[str] = contextvars.ContextVar("lowering", default="auto")

# Windows of so many bytes are read back from cache, not from memory: twice the speed, measured at 128 channels.
_CACHED_WINDOWS = 2_500_000
# From this many images of one member on, a GPU or TPU is filled by a single member's library convolution.
_FULL_BATCH = 128


class Geometry(NamedTuple):
    """What is static about a convolution: sizes, stride, padding, and the lowering that was asked for."""

    size: tuple[int, int]
    window: tuple[int, int]
    stride: int
    padding: int
    lowering: str


def conv2d(
    x: Float[Array, "B H W C"], kernel: Float[Array, "h w C O"], stride: int = 1, padding: int = 0
) -> Float[Array, "B H2 W2 O"]:
    """Cross-correlate images with a kernel, as neural networks do; zero padding on all sides, no bias.

    y[b, i, j, o] = sum over (u, v, c) of x[b, stride*i + u - padding, stride*j + v - padding, c] * kernel[u, v, c, o]

    Args:
      x: images of one member.
      kernel: height, width, input channels, output channels; rounded to the type of the images.
      stride: step of the window, both axes.
      padding: zeros added on each side.

    Returns:
      The response, with sides (H + 2*padding - h) // stride + 1.
    """
    g = Geometry((x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1]), stride, padding, _forced.get())
    return _forward(g, x, kernel.astype(x.dtype))


@contextlib.contextmanager
def lowering(name: str) -> Iterator[None]:
    """Force one lowering for everything traced inside; `auto` leaves the choice to this module.

    Raises:
      ConfigError: no such lowering.
    """
    if name != "auto" and name not in LOWERINGS:
        raise errors.ConfigError(
            errors.unknown("convolution lowering", name, ("auto", *LOWERINGS), "jaxsoft/ops/conv.py")
        )
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


@contextlib.contextmanager
def exactly(name: str = "auto") -> Iterator[None]:
    """What is traced inside convolves by one lowering, and multiplies float32 with all of its bits on every device.

    Accelerators would otherwise multiply with fewer bits than the precision that was asked for.
    """
    with lowering(name), jax.default_matmul_precision("highest"):
        yield


def choose(members: int, batch: int, platform: str | None = None) -> str:
    """The lowering that `auto` stands for.

    Args:
      members: length of the member axis; 1 for a student alone.
      batch: images of each member.
      platform: `cpu`, `gpu` or `tpu`; the default backend if not given.
    """
    platform = platform or jax.default_backend()
    if platform == "cpu" or (members > 1 and batch < _FULL_BATCH):
        return "patches"
    return "map"


# The three maps. Each is differentiated by the other two.


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _forward(g: Geometry, x: Array, k: Array) -> Array:
    return _batchable("forward", g)(x, k)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(g: Geometry, y: Array, k: Array) -> Array:
    return _batchable("input_gradient", g)(y, k)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(g: Geometry, x: Array, y: Array) -> Array:
    return _batchable("kernel_gradient", g)(x, y)


def _keep(function: Callable) -> Callable:
    return lambda g, a, b: (function(g, a, b), (a, b))


_forward.defvjp(_keep(_forward), lambda g, xk, dy: (_input_gradient(g, dy, xk[1]), _kernel_gradient(g, xk[0], dy)))
_input_gradient.defvjp(
    _keep(_input_gradient), lambda g, yk, dx: (_forward(g, dx, yk[1]), _kernel_gradient(g, dx, yk[0]))
)
_kernel_gradient.defvjp(
    _keep(_kernel_gradient), lambda g, xy, dk: (_input_gradient(g, xy[1], dk), _forward(g, xy[0], dk))
)


@functools.cache
def _batchable(name: str, g: Geometry) -> Callable[[Array, Array], Array]:
    """One of the three maps as a primitive whose `vmap` rule chooses the lowering."""
    patches = {"forward": _forward_patches, "input_gradient": _input_patches, "kernel_gradient": _kernel_patches}[name]
    library = {"forward": _forward_library, "input_gradient": _input_library, "kernel_gradient": _kernel_library}[name]

    def pick(members: int, batch: int) -> str:
        return choose(members, batch) if g.lowering == "auto" else g.lowering

    @jax.custom_batching.custom_vmap
    def one(a: Array, b: Array) -> Array:
        return (patches if pick(1, a.shape[0]) == "patches" else library)(g, a, b)

    @one.def_vmap
    def many(members: int, batched: list[bool], a: Array, b: Array) -> tuple[Array, bool]:
        if batched[0] and not batched[1] and name != "kernel_gradient":  # one kernel for all: members are more images
            y = one(a.reshape(-1, *a.shape[2:]), b)
            return y.reshape(*a.shape[:2], *y.shape[1:]), True
        a, b = (v if yes else jnp.broadcast_to(v, (members, *v.shape)) for v, yes in zip((a, b), batched))
        how = pick(members, a.shape[1])
        if how == "map":
            return jax.lax.map(lambda ab: library(g, *ab), (a, b)), True
        return jax.vmap(functools.partial(patches if how == "patches" else library, g))(a, b), True

    return one


# Lowering by the library's convolution; its transposes are JAX's own.


def _forward_library(g: Geometry, x: Array, k: Array) -> Array:
    pad = (g.padding, g.padding)
    return jax.lax.conv_general_dilated(
        x, k, (g.stride, g.stride), (pad, pad), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _input_library(g: Geometry, y: Array, k: Array) -> Array:
    x = jax.ShapeDtypeStruct((y.shape[0], *g.size, k.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: _forward_library(g, x, k), x)(y)[0]


def _kernel_library(g: Geometry, x: Array, y: Array) -> Array:
    k = jax.ShapeDtypeStruct((*g.window, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda k: _forward_library(g, x, k), k)(y)[0]


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
    if jax.default_backend() != "cpu" or wide < 2 * out:  # narrow windows cost less than cutting the response
        return images
    side = [(size + 2 * g.padding - window) // g.stride + 1 for size, window in zip(x.shape[1:3], g.window)]
    most = _CACHED_WINDOWS // (side[0] * side[1] * wide * x.dtype.itemsize)
    return max(t for t in range(1, images + 1) if images % t == 0 and t <= max(1, most))


def _forward_patches(g: Geometry, x: Array, k: Array) -> Array:
    def product(x: Array) -> Array:
        return _windows(g, x) @ k.reshape(-1, k.shape[-1])

    tile = _tile(g, x, k.shape[-1])
    if tile == x.shape[0]:
        return product(x)
    y = jax.lax.map(product, x.reshape(-1, tile, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


def _kernel_patches(g: Geometry, x: Array, y: Array) -> Array:
    def product(x: Array, y: Array) -> Array:
        windows = _windows(g, x)
        return windows.reshape(-1, windows.shape[-1]).T @ y.reshape(-1, y.shape[-1])

    shape, tile = (*g.window, x.shape[-1], y.shape[-1]), _tile(g, x, y.shape[-1])
    if tile == x.shape[0]:
        return product(x, y).reshape(shape)
    tiles = tuple(a.reshape(-1, tile, *a.shape[1:]) for a in (x, y))
    none = jnp.zeros((shape[0] * shape[1] * shape[2], shape[3]), x.dtype)
    return jax.lax.scan(lambda sum, xy: (sum + product(*xy), None), none, tiles)[0].reshape(shape)


def _input_patches(g: Geometry, y: Array, k: Array) -> Array:
    """The transpose of a convolution is a convolution: spread y by the stride, turn the kernel around."""
    pads = []
    for side, window, size in zip(g.size, g.window, y.shape[1:3]):
        before = window - 1 - g.padding
        spread = (size - 1) * g.stride + 1
        pads.append((before, side + window - 1 - spread - before, g.stride - 1))
    y = jax.lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *pads, (0, 0, 0)))
    around = k[::-1, ::-1].swapaxes(2, 3)
    unit = Geometry((y.shape[1], y.shape[2]), g.window, 1, 0, g.lowering)
    return _forward_patches(unit, y, around)
