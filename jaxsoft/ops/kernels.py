"""A convolution and its two gradients for one member, by kernels that gather the windows while they multiply.

By patches, `lowerings` writes every window to memory, nine times the images, and reads it back. Here a kernel (Pallas, for
Triton) takes a tile of the result, and for one place of the window after another gathers what the pixels of the tile see
there and multiplies it. So operands are read and results written, and nothing else is. `vmap` gives the grid one more
axis, the members.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jaxsoft.ops.lowerings import Geometry

# A tile of the result, and over how many bytes of an operand's row it is summed at a time. Compiled for an A100 and an H100
# these need up to 168 and 110 registers in bfloat16, spill none, and 96 KiB of shared memory; no device has timed them.
_TILE, _DEPTH_BYTES = 128, 128
_LEAST = 16  # a side of a product in Triton
_LAUNCH = triton.CompilerParams(num_warps=8, num_stages=3)


def forward(g: Geometry, x: jax.Array, k: jax.Array) -> jax.Array:
    """As `lowerings.forward_by_library`."""
    return _convolve(g, _seen_by_response, x, k, g.response(), turned=False)


def input_gradient(g: Geometry, y: jax.Array, k: jax.Array) -> jax.Array:
    """As `lowerings.input_gradient_by_library`."""
    return _convolve(g, _seen_by_image, y, k, g.size, turned=True)


def kernel_gradient(g: Geometry, x: jax.Array, y: jax.Array) -> jax.Array:
    """As `lowerings.kernel_gradient_by_library`."""
    taps, pixels, channels, responses = math.prod(g.window), math.prod(y.shape[:3]), x.shape[-1], y.shape[-1]
    rows, columns, depth = _side(channels), _side(responses), _depth(x)

    def kernel(x_ref: Any, y_ref: Any, k_ref: Any) -> None:
        tap, row, column = pl.program_id(0), _range(1, rows)[:, None], _range(2, columns)[None]

        def add(step: jax.Array, total: jax.Array) -> jax.Array:
            pixel = step * depth + jnp.arange(depth, dtype=jnp.int32)
            place, seen = _source(g, _seen_by_response, tap, pixel, g.response(), g.size)
            x = _load(x_ref, (place[None], row), (seen[None] & (pixel < pixels)[None], row < channels))
            y = _load(y_ref, (pixel[:, None], column), ((pixel < pixels)[:, None], column < responses))
            return total + jnp.dot(x, y, preferred_element_type=total.dtype)

        total = _summed(add, pl.cdiv(pixels, depth), (rows, columns), x)
        _store(k_ref, total, (tap, row, column), (row < channels, column < responses))

    grid = taps, pl.cdiv(channels, rows), pl.cdiv(responses, columns)
    k = _call(g, kernel, grid, (taps, channels, responses), _pixels(x), _pixels(y))
    return k.reshape(*g.window, channels, responses)


_Seen = Callable[[Geometry, jax.Array, jax.Array, int], tuple[jax.Array, jax.Array]]


def _convolve(g: Geometry, seen: _Seen, x: jax.Array, k: jax.Array, size: tuple[int, int], turned: bool) -> jax.Array:
    """For every pixel of the result, the sum over the window of what it sees in x times the kernel, or that `turned`."""
    pixels, (channels, responses) = x.shape[0] * math.prod(size), k.shape[:1:-1] if turned else k.shape[2:]
    rows, columns, depth = _TILE, _side(responses), min(_depth(x), _side(channels))
    steps = pl.cdiv(channels, depth)

    def kernel(x_ref: Any, k_ref: Any, y_ref: Any) -> None:
        column, pixel = _range(0, columns)[None], _range(1, rows)

        def add(step: jax.Array, total: jax.Array) -> jax.Array:
            tap, part = _divided(step, steps)
            channel = part * depth + jnp.arange(depth, dtype=jnp.int32)
            place, inside = _source(g, seen, tap, pixel, size, x.shape[1:3])
            left, right = channel[None], channel[:, None]
            a = _load(x_ref, (place[:, None], left), ((inside & (pixel < pixels))[:, None], left < channels))
            at = (tap, column, right) if turned else (tap, right, column)
            b = _load(k_ref, at, (right < channels, column < responses))
            return total + jnp.dot(a, b, preferred_element_type=total.dtype)

        total = _summed(add, math.prod(g.window) * steps, (rows, columns), x)
        _store(y_ref, total, (pixel[:, None], column), ((pixel < pixels)[:, None], column < responses))

    grid = pl.cdiv(responses, columns), pl.cdiv(pixels, rows)
    y = _call(g, kernel, grid, (pixels, responses), _pixels(x), k.reshape(-1, *k.shape[2:]))
    return y.reshape(x.shape[0], *size, responses)


# What a pixel sees, along one axis, at one place of the window: where that is, and whether it is there.


def _seen_by_response(g: Geometry, at: jax.Array, tap: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    place = at * g.stride + tap - g.padding
    return place, (place >= 0) & (place < size)


def _seen_by_image(g: Geometry, at: jax.Array, tap: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    spread = at + g.padding - tap
    place, rest = _divided(spread, g.stride)
    return place, (spread >= 0) & (place < size) & (rest == 0)


def _source(
    g: Geometry, seen: _Seen, tap: jax.Array, pixel: jax.Array, size: tuple[int, int], source: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Of pixels of results of this `size`, counted over images: the pixel that each sees, counted so too, if any."""
    image, pixel = _divided(pixel, math.prod(size))
    along = zip(_divided(pixel, size[1]), _divided(tap, g.window[1]), source)
    (row, above), (column, beside) = (seen(g, *axis) for axis in along)
    return (image * source[0] + row) * source[1] + column, above & beside


# Pieces of kernels.


def _call(g: Geometry, kernel: Callable, grid: tuple[int, ...], shape: tuple[int, ...], *operands: Any) -> jax.Array:
    result = jax.ShapeDtypeStruct(shape, operands[0].dtype)
    call = pl.pallas_call(kernel, result, grid=grid, interpret=g.platform == "cpu", compiler_params=_LAUNCH)
    return call(*operands)


def _load(ref: Any, at: tuple, inside: tuple[jax.Array, jax.Array]) -> jax.Array:
    return triton.load(ref.at[at], mask=inside[0] & inside[1], other=0)


def _store(ref: Any, value: jax.Array, at: tuple, inside: tuple[jax.Array, jax.Array]) -> None:
    triton.store(ref.at[at], value.astype(ref.dtype), mask=inside[0] & inside[1])


def _range(axis: int, size: int) -> jax.Array:
    """The places of this program's tile along an axis of the grid."""
    return pl.program_id(axis) * size + jnp.arange(size, dtype=jnp.int32)


def _divided(number: jax.Array, by: int) -> tuple[jax.Array, jax.Array]:
    """Quotient and rest; rounded to zero, which is one instruction."""
    return jax.lax.div(number, jnp.int32(by)), jax.lax.rem(number, jnp.int32(by))


def _side(channels: int) -> int:
    """A power of two, as all sides of tiles are: so many channels, or as many of them as a tile has."""
    return min(_TILE, max(_LEAST, pl.next_power_of_2(channels)))


def _depth(x: jax.Array) -> int:
    return _DEPTH_BYTES // x.dtype.itemsize


def _summed(add: Callable, times: int, shape: tuple[int, int], x: jax.Array) -> jax.Array:
    """What `add` makes of zeros so often, in float32 or wider."""
    zeros = jnp.zeros(shape, jnp.promote_types(x.dtype, jnp.float32))
    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(times), add, zeros)


def _pixels(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])
