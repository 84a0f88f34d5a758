"""One convolution, written for one member, with several lowerings for many.

`vmap` over kernels turns a convolution into a grouped one, which is slow on every backend, and XLA:CPU runs most
convolutions inside a loop without its fast library. So a model calls `conv2d` for one member, and this module alone
decides what happens when a member axis arrives:

  patches   shifted slices side by side, then a (batched) matrix product. On CPU a few images at a time keep the slices
            in cache
  kernel    kernels of our own that gather the windows while they multiply them (`kernels`); many small members on a GPU,
            once it has shown that their numbers are right (`checked`). Of few channels by patches
  winograd  the members one after another, each with fewer multiplications (`winograd`); CPU, 3x3 windows of many channels
  map       the members one after another, each by the library's convolution; CPU, and large batches on an accelerator
  grouped   what plain `vmap` gives; the oracle that the others are tested against

Which one is taken may differ between the convolution of a layer and its two gradients: a rule says so (`choose`).

A convolution, its gradient in the images and its gradient in the kernel are the three partial derivatives of one
trilinear form <y, x * k>, so each of them is differentiated by the other two. That closure is what makes gradients of
any order work, also under vmap, scan and remat.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsoft import errors, target
from jaxsoft.ops import checked, kernels, lowerings, winograd
from jaxsoft.ops.lowerings import Geometry

LOWERINGS = ("patches", "kernel", "winograd", "map", "grouped")

# From this many images of one member on, an accelerator is filled by a single member's library convolution: on an H100 a
# tenth faster than patches of eight members at 256 images, and a fifth slower than those of 24 members at 100 images.
FULL_BATCH = 128
# Images of so many pixels fill it at any batch: eight of them are as many pixels as 128 of 32 px.
LARGE_IMAGE = 128 * 128
# Products of our own kernels have at least so many channels on either side; windows of fewer are small anyway.
KERNEL_CHANNELS = 16
# On CPU the gradient in the kernel is a convolution whose window is the response of the whole batch. Up to so many
# pixels of it, that is faster than a product of patches.
_WINDOW_PIXELS = 4096
# On CPU Winograd's products are worth their sums from this many channels on, on both sides, while what is multiplied
# stays in cache: 1.4 to 2 times the library's rate, and .7 of it at 17 MB.
_WINOGRAD_CHANNELS, _WINOGRAD_BYTES = 64, 12_000_000


_chosen: contextvars.ContextVar[str] = contextvars.ContextVar("lowering", default="auto")


def conv2d(
    x: Float[Array, "B H W C"], kernel: Float[Array, "h w C O"], stride: int = 1, padding: int = 0, frames: int = 1
) -> Float[Array, "B H2 W2 O"]:
    """Cross-correlate images with a kernel, as neural networks do; zero padding on all sides, no bias.

    y[b, i, j, o] = sum over (u, v, c) of x[b, stride*i + u - padding, stride*j + v - padding, c] * kernel[u, v, c, o]

    Args:
      x: images of one member.
      kernel: height, width, input channels, output channels; rounded to the type of the images.
      stride: step of the window, both axes.
      padding: zeros added on each side.
      frames: so many images that follow each other are a clip, and as one of the batch to the rules for accelerators.

    Returns:
      The response, with sides (H + 2*padding - h) // stride + 1.
    """
    return _forward(geometry(x, kernel, stride, padding, frames), x, kernel.astype(x.dtype))


def geometry(
    x: Float[Array, "B H W C"], kernel: Float[Array, "h w C O"], stride: int, padding: int, frames: int = 1
) -> Geometry:
    """What is static about such a convolution on the present target, and how it is to be computed there."""
    size, window, how = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1]), asked()
    own = how == "auto" and x.dtype.name in checked.MOST and takes_kernels()
    return Geometry(size, window, stride, padding, how, target.platform(), own, frames)


def takes_kernels() -> bool:
    """Whether on the present target `auto` may take kernels of our own: a GPU on which they are not known to fail."""
    return target.platform() == "gpu" and not checked.fault()


def asked() -> str:
    """The lowering that is forced here, or `auto`."""
    return _possible(_chosen.get())


def _possible(name: str) -> str:
    """Our own kernels are for a GPU, and interpreted on a CPU: on a TPU `auto` takes their place."""
    return "auto" if name == "kernel" and target.platform() == "tpu" else name


@contextlib.contextmanager
def lowering(name: str) -> Iterator[None]:
    """Force one lowering for everything traced inside; `auto` leaves the choice to the rule.

    Raises:
      ConfigError: no such lowering.
    """
    known = ("auto", *LOWERINGS)
    if name not in known:
        raise errors.ConfigError(errors.unknown("convolution lowering", name, known, "jaxsoft/ops/conv.py"))
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextlib.contextmanager
def exactly(name: str = "auto") -> Iterator[None]:
    """What is traced inside convolves by one lowering, and multiplies float32 with all of its bits on every device.

    Accelerators would otherwise multiply with fewer bits than the precision that was asked for.
    """
    with lowering(name), jax.default_matmul_precision("highest"):
        yield


def one_by_one(images: int, lowering: str, image_shape: tuple[int, ...] = (0, 0, 0)) -> bool:
    """Whether on an accelerator the convolutions of vmapped members, of so many images each, follow each other."""
    full = images >= FULL_BATCH or _is_large(image_shape) or target.platform() == "tpu"
    return _possible(lowering) == "map" or (_possible(lowering) == "auto" and full)


def stacked(lowering: str, image_shape: tuple[int, ...]) -> str:
    """The lowering for members that are vmapped together, whatever the rules say, where images have this shape.

    For large images `auto` then is `map` on a GPU: patches of several members at 224 px end XLA's compiler, and the process
    with it.
    """
    return "map" if target.platform() == "gpu" and lowering == "auto" and _is_large(image_shape) else lowering


def _is_large(image_shape: tuple[int, ...]) -> bool:
    """Whether one image, or one frame of a clip, has as many pixels as `LARGE_IMAGE`."""
    return math.prod(image_shape[-3:-1]) >= LARGE_IMAGE


def choose(map: str, members: int, images: int, g: Geometry, channels: int = 1) -> str:
    """The lowering that `auto` stands for: on CPU as measured on two cores; elsewhere by counts, and one H100's times.

    On that H100 patches of 24 members at 100 images, and of more at fewer, were faster than the library's convolution of
    one member after another (`map`). Kernels of our own were timed by no device: they move from .25 to .36 of the bytes of
    patches by what XLA compiles for an H100 (docs/performance.md), and to force `patches` gives what was measured.

    Args:
      map: `forward`, `input_gradient` or `kernel_gradient`.
      members: vmapped together.
      images: of each.
      g: sizes, and the platform.
      channels: the fewer of those of the images and those of the response.
    """
    pixels = math.prod(g.response())
    if g.platform == "tpu":  # at batch 10 a third of the bytes of patches of 256 members, by what XLA compiles
        return "map"
    if g.platform != "cpu":
        if members == 1 or images // g.frames >= FULL_BATCH:
            return "map"
        return "kernel" if g.own and channels >= KERNEL_CHANNELS else "patches"
    held = 16 * channels * (images * pixels + 4 * channels)  # what stands for images and for the kernel
    if winograd.serves(g) and channels >= _WINOGRAD_CHANNELS and held <= _WINOGRAD_BYTES:
        return "winograd"
    if map == "kernel_gradient":
        return "patches" if images * pixels > _WINDOW_PIXELS else "map"
    # XLA makes an image that is smaller than its window the window, and then the form is not canonical any more.
    return "patches" if pixels < g.window[0] ** 2 else "map"


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


def apply(map: str, g: Geometry, a: Array, b: Array) -> Array:
    """One of the three maps for one member: of images and kernel, response and kernel, or images and response."""
    maps = {"forward": _forward, "input_gradient": _input_gradient, "kernel_gradient": _kernel_gradient}
    return maps[map](g, a, b)


_WAYS = {  # written out: the digest of the engine follows names
    "forward": {
        "patches": lowerings.forward_by_patches,
        "kernel": kernels.forward,
        "winograd": winograd.forward,
        "library": lowerings.forward_by_library,
    },
    "input_gradient": {
        "patches": lowerings.input_gradient_by_patches,
        "kernel": kernels.input_gradient,
        "winograd": winograd.input_gradient,
        "library": lowerings.input_gradient_by_library,
    },
    "kernel_gradient": {
        "patches": lowerings.kernel_gradient_by_patches,
        "kernel": kernels.kernel_gradient,
        "winograd": winograd.kernel_gradient,
        "library": lowerings.kernel_gradient_by_library,
    },
}


def _way(name: str, how: str) -> Callable[[Geometry, Array, Array], Array]:
    """One of the three maps by one lowering; `map` and `grouped` are the library's."""
    return _WAYS[name].get(how, _WAYS[name]["library"])


@functools.cache
def _batchable(name: str, g: Geometry) -> Callable[[Array, Array], Array]:
    """One of the three maps as a primitive whose `vmap` rule chooses the lowering."""

    def chosen(members: int, a: Array, b: Array) -> str:
        channels = min(a.shape[-1], b.shape[-2 if name == "input_gradient" else -1])
        if g.lowering == "kernel" and (members > 1 or channels >= KERNEL_CHANNELS):
            return "kernel" if channels >= KERNEL_CHANNELS else "patches"
        if g.lowering in ("auto", "kernel") or (g.lowering == "winograd" and not winograd.serves(g)):
            return choose(name, members, a.shape[0], g, channels)
        return g.lowering

    @jax.custom_batching.custom_vmap
    def one(a: Array, b: Array) -> Array:
        return _way(name, chosen(1, a, b))(g, a, b)

    @one.def_vmap
    def many(members: int, batched: list[bool], a: Array, b: Array) -> tuple[Array, bool]:
        if batched[0] and not batched[1] and name != "kernel_gradient":  # one kernel for all: members are more images
            y = one(a.reshape(-1, *a.shape[2:]), b)
            return y.reshape(*a.shape[:2], *y.shape[1:]), True
        a, b = (v if yes else jnp.broadcast_to(v, (members, *v.shape)) for v, yes in zip((a, b), batched))
        how = chosen(members, a[0], b[0])
        if how in ("map", "winograd"):  # as one alone: another member axis, outside of this one, finds the same rule
            alone = _batchable(name, g._replace(lowering=how))
            return (alone(a[0], b[0])[None] if members == 1 else jax.lax.map(lambda ab: alone(*ab), (a, b))), True
        return jax.vmap(functools.partial(_way(name, how), g))(a, b), True

    return one
