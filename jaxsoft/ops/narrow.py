"""Kernels of a ConvNet's block whose images have few channels: its result, and its gradient in the parameters.

The response of such a convolution, an image's windows W [pixels, F] times a kernel k [F, O], is much larger than either.
What the norm needs of it is told by the moments of the windows: with their mean m and covariance C, its mean is m k and
its variance k' C k. What the gradients need of it is told by G = W' dz, where dz is the gradient after the norm. With `rate`
1 / deviation, `d_scale` the gradient in the scale and all else as in `norm`, an image's part of the gradient in k is

  scale * rate * (G - m sum(dz) - rate * d_scale * C k)

W has a column of ones beside its inputs, so that means are moments and sums of dz are in G. A program (Pallas, for Triton)
has one image and a tile of channels. It computes the response to some pixels, uses it and forgets it, so that neither the
response nor its gradient is ever in memory.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float

from jaxsoft.ops.lowerings import Geometry
from jaxsoft.ops.norm import EPSILON

# A side of the products: inputs of a window, a column of ones and, in the gradients, one more row of sums.
_SIDE = 32
# Pixels of a tile, and bytes of a row of it: all that a program holds of it then fits into an H100's registers, with
# nothing put aside in bfloat16 and next to nothing in float32. No device has timed these, or others.
_PIXELS, _ROW_BYTES = 32, 256
_LAUNCH = triton.CompilerParams(num_warps=8, num_stages=2)


class Kept(NamedTuple):
    """What the gradient asks for beside the arguments: of each image, the statistics of its windows and responses."""

    moments: Float[Array, "B 32 32"]
    mean: Float[Array, "B O"]
    rate: Float[Array, "B O"]


def forward(g: Geometry, x: Array, k: Array, scale: Array, bias: Array) -> tuple[Array, Kept]:
    """The block's result [B, H // 2, W // 2, O], and what its gradient asks for.

    Args:
      g: size of images and window, padding, and the platform; on a CPU the kernels are interpreted.
      x, k, scale, bias: images [B, H, W, C], kernel [h, w, C, O] of at most 30 inputs, and [O] each.
    """
    s = _Sizes.of(g, x, k)

    def kernel(x_ref: Any, k_ref: Any, scale_ref: Any, bias_ref: Any, y_ref: Any, *kept: Any) -> None:
        p, (moments_ref, mean_ref, rate_ref) = _Program.here(s), kept

        def add(place: Array, moment: Array) -> Array:
            w = p.windows(x_ref, *_divided(place, g.size[1]), place < s.pixels)
            return moment + _product(w, w)

        moment, k = _over(s.pixels, add, jnp.zeros((_SIDE, _SIDE), s.wide)) / s.pixels, p.rows(k_ref, _SIDE)
        window, spread = _mean_and_spread(s, moment, k)
        mean, variance = (window * k).sum(0, keepdims=True), (spread * k).sum(0, keepdims=True)
        rate = jax.lax.rsqrt(jnp.maximum(variance, 0) + EPSILON)
        triton.store(p.moments(moments_ref), moment)
        for ref, value in ((mean_ref, mean), (rate_ref, rate)):
            triton.store(ref.at[p.row()], value, mask=p.columns < s.channels)
        affine = _affine(p, mean, rate, scale_ref, bias_ref)

        def pool(place: Array, none: Array) -> Array:
            z = [jnp.maximum(z, 0) for _, z in p.pooled_over(x_ref, k, affine, place)]
            y = (z[0] + z[1] + z[2] + z[3]) / 4
            triton.store(p.pooled_at(y_ref, place), y.astype(y_ref.dtype), mask=p.is_pooled(place))
            return none

        _over(math.prod(s.pooled), pool, jnp.int32(0))

    shapes = (s.images, _SIDE, _SIDE), (s.images, s.channels), (s.images, s.channels)
    y = jax.ShapeDtypeStruct((s.images * math.prod(s.pooled), s.channels), x.dtype)
    wide = (jax.ShapeDtypeStruct(shape, s.wide) for shape in shapes)
    y, *kept = _call(s, kernel, (y, *wide), x, k, scale, bias)
    return y.reshape(s.images, *s.pooled, s.channels), Kept(*kept)


def gradient(
    g: Geometry, x: Array, k: Array, scale: Array, bias: Array, kept: Kept, dy: Array
) -> tuple[Array, Array, Array]:
    """The gradients in kernel, scale and bias, of that in the result; arguments as in `forward`, and what it gave."""
    s = _Sizes.of(g, x, k)

    def kernel(x_ref: Any, k_ref: Any, scale_ref: Any, bias_ref: Any, *others: Any) -> None:
        p, (moments_ref, mean_ref, rate_ref, dy_ref, sum_ref) = _Program.here(s), others
        there = p.columns < s.channels
        mean, rate = (triton.load(ref.at[p.row()], mask=there, other=0) for ref in (mean_ref, rate_ref))
        k, affine = p.rows(k_ref, _SIDE), _affine(p, mean, rate, scale_ref, bias_ref)

        def add(place: Array, total: Array) -> Array:
            dy = triton.load(p.pooled_at(dy_ref, place), mask=p.is_pooled(place), other=0)
            for w, z in p.pooled_over(x_ref, k, affine, place):
                total += _product(w, jnp.where(z > 0, dy, 0).astype(w.dtype))
            return total

        total = _over(math.prod(s.pooled), add, jnp.zeros((_SIDE, s.tile), s.wide)) / 4
        window, spread = _mean_and_spread(s, triton.load(p.moments(moments_ref)), k)
        row = _range(_SIDE)[:, None]
        d_bias = jnp.where(row == s.inputs, total, 0).sum(0, keepdims=True)
        d_scale = rate * ((k * total).sum(0, keepdims=True) - mean * d_bias)
        dk = affine[0] * (total - window * d_bias - rate * d_scale * spread)
        parts = jnp.where(row < s.inputs, dk, jnp.where(row == s.inputs, d_bias, d_scale))
        triton.store(sum_ref.at[p.image, row, p.columns], parts, mask=there)

    sums = jax.ShapeDtypeStruct((s.images, _SIDE, s.channels), s.wide)
    total = _call(s, kernel, sums, x, k, scale, bias, *kept, dy.reshape(-1, s.channels)).sum(0)
    dk = total[: s.inputs].reshape(k.shape).astype(k.dtype)
    return dk, total[s.inputs + 1].astype(scale.dtype), total[s.inputs].astype(bias.dtype)


class _Sizes(NamedTuple):
    """What is static about a block, and what a program of it sees."""

    g: Geometry
    images: int
    colours: int  # channels of an image
    inputs: int  # of a window
    channels: int  # of the response
    wide: Any  # type of sums
    tile: int  # channels of a program

    @classmethod
    def of(cls, g: Geometry, x: Array, k: Array) -> "_Sizes":
        wide = jnp.promote_types(x.dtype, jnp.float32)
        tile = _ROW_BYTES // x.dtype.itemsize
        return cls(g, x.shape[0], x.shape[3], math.prod(k.shape[:3]), k.shape[3], wide, tile)

    @property
    def pixels(self) -> int:
        return math.prod(self.g.size)

    @property
    def pooled(self) -> tuple[int, int]:
        return self.g.size[0] // 2, self.g.size[1] // 2


class _Program(NamedTuple):
    """What one program of a kernel sees: an image, and a tile of channels."""

    s: _Sizes
    image: Array
    columns: Array  # [1, tile]

    @classmethod
    def here(cls, s: _Sizes) -> "_Program":
        return cls(s, pl.program_id(0), pl.program_id(1) * s.tile + _range(s.tile)[None])

    def windows(self, x_ref: Any, row: Array, column: Array, inside: Array) -> Array:
        """The windows [N, 32] around some pixels of the image, each followed by a one."""
        s, part, (height, width) = self.s, _range(_SIDE)[None], self.s.g.size
        tap, colour = _divided(part, s.colours)
        below, beside = _divided(tap, s.g.window[1])
        i, j = row[:, None] + below - s.g.padding, column[:, None] + beside - s.g.padding
        seen = inside[:, None] & (part < s.inputs) & (i >= 0) & (i < height) & (j >= 0) & (j < width)
        x = triton.load(x_ref.at[((self.image * height + i) * width + j) * s.colours + colour], mask=seen, other=0)
        return jnp.where(inside[:, None] & (part == s.inputs), jnp.ones((), x.dtype), x)

    def pooled_over(self, x_ref: Any, k: Array, affine: tuple[Array, Array], place: Array) -> Iterator[tuple]:
        """The windows of the four pixels that each place of the result pools, and the response to them after the norm."""
        row, column = _divided(place, self.s.pooled[1])
        for below, beside in itertools.product((0, 1), repeat=2):
            w = self.windows(x_ref, 2 * row + below, 2 * column + beside, place < math.prod(self.s.pooled))
            y = jnp.dot(w, k.astype(w.dtype), preferred_element_type=self.s.wide)
            yield w, y * affine[0] + affine[1]

    def pooled_at(self, ref: Any, place: Array) -> Any:
        return ref.at[self.image * math.prod(self.s.pooled) + place[:, None], self.columns]

    def is_pooled(self, place: Array) -> Array:
        return (place < math.prod(self.s.pooled))[:, None] & (self.columns < self.s.channels)

    def moments(self, ref: Any) -> Any:
        return ref.at[self.image, _range(_SIDE)[:, None], _range(_SIDE)[None]]

    def row(self) -> tuple[Array, Array]:
        """Where the tile's channels of the image are, in an array [B, O]."""
        return self.image + _range(1)[:, None], self.columns

    def rows(self, ref: Any, side: int) -> Array:
        """So many rows [side, tile] of a parameter, zeros where it has no more."""
        rows = _range(side)[:, None]
        inside = (rows < ref.shape[0]) & (self.columns < self.s.channels)
        return triton.load(ref.at[rows, self.columns], mask=inside, other=0).astype(self.s.wide)


def _mean_and_spread(s: _Sizes, moment: Array, k: Array) -> tuple[Array, Array]:
    """Of an image's windows the mean [32, 1], and their covariance times the kernel [32, tile]."""
    one = _range(_SIDE) == s.inputs
    below = jnp.where(one[None], moment, 0).sum(1, keepdims=True)
    beside = jnp.where(one[:, None], moment, 0).sum(0, keepdims=True)
    return below, jnp.dot(moment - below * beside, k, preferred_element_type=s.wide)


def _affine(p: _Program, mean: Array, rate: Array, scale_ref: Any, bias_ref: Any) -> tuple[Array, Array]:
    """What the norm does to the tile's channels: response * factor + offset."""
    factor = rate * p.rows(scale_ref, 1)
    return factor, p.rows(bias_ref, 1) - mean * factor


def _call(s: _Sizes, kernel: Callable, results: Any, x: Array, k: Array, *others: Array) -> Any:
    rows = [a[None] if a.ndim == 1 else a for a in others]
    grid, interpret = (s.images, pl.cdiv(s.channels, s.tile)), s.g.platform == "cpu"
    call = pl.pallas_call(kernel, results, grid=grid, interpret=interpret, compiler_params=_LAUNCH)
    return call(x.reshape(-1), k.astype(x.dtype).reshape(-1, s.channels), *rows)


def _over(places: int, step: Callable[[Array, Array], Array], start: Array) -> Array:
    """Take so many places of a map a tile at a time."""

    def body(number: Array, carry: Array) -> Array:
        return step(number * _PIXELS + _range(_PIXELS), carry)

    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(pl.cdiv(places, _PIXELS)), body, start)


def _product(a: Array, b: Array) -> Array:
    """a' b, summed over pixels."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return jax.lax.dot_general(a, b, (((0,), (0,)), ((), ())), preferred_element_type=wide)


def _range(size: int) -> Array:
    return jnp.arange(size, dtype=jnp.int32)


def _divided(number: Array, by: int) -> tuple[Array, Array]:
    """Quotient and rest of what is not negative."""
    return jax.lax.div(number, jnp.int32(by)), jax.lax.rem(number, jnp.int32(by))
