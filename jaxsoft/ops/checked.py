"""Whether kernels of our own give the numbers of the forms whose place they take, on the device that is here.

They were chosen by what XLA compiles for devices that were not. So before they are taken on one, it computes a few small
cases by them and by those forms, once a process. What differs, or does not compile, is not taken.
"""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxsoft import errors, target
from jaxsoft.ops import kernels, lowerings, norm
from jaxsoft.ops.lowerings import Geometry

MOST = {"float32": 1e-5, "bfloat16": 2**-7}
"""How much a result may differ, in shares of its largest number: by the order of sums; of bfloat16, by rounding too."""

# Sizes, images, channels of these and of the response: of a whole tile and more than one, and of parts of one.
_CONVOLUTIONS = (
    (Geometry((16, 16), (3, 3), 1, 1), 3, 128, 144),
    (Geometry((7, 5), (5, 5), 2, 1), 2, 17, 24),
)
_BLOCKS = ((Geometry((16, 16), (3, 3), 1, 1), 3, 3, 144), (Geometry((7, 9), (3, 3), 1, 1), 2, 1, 24))
_MEMBERS = 2

Case = tuple[str, Callable[..., Any], Callable[..., Any], tuple[Array, ...]]
"""Its name, the way of one member by kernels and by what was there before, and what many members give to either."""


def fault() -> str:
    """Why the present target is not to take kernels of our own; empty where it may, as where it is not here to be asked."""
    return _found() if target.is_here() else ""


def told(why: str) -> str:
    """A line about such a fault."""
    return f"kernels: convolutions go by patches and by the library, as our own are not right here: {why}"


@functools.cache
def _found() -> str:
    """In a thread of its own, where nothing is being traced and no setting of the caller holds."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(_examined).result()


def _examined() -> str:
    try:
        with jax.default_matmul_precision("highest"):
            return next((told for dtype in MOST for told in differing(dtype, cases("gpu", dtype))), "")
    except Exception as problem:  # of a compiler, which may raise anything
        return f"they do not compile here: {errors.first_line(problem)}"


def differing(dtype: str, found: Iterator[Case]) -> Iterator[str]:
    """Of cases in one type, those whose two ways differ: their names, and by how much."""
    for name, ours, measured, operands in found:
        difference = float(_difference(ours, measured, operands))
        if not difference <= MOST[dtype]:  # nor if it is no number
            yield f"{name} differs by {difference:.1g} of its largest number in {dtype}, more than {MOST[dtype]:.1g}"


def cases(platform: str, dtype: str, convolutions: tuple = _CONVOLUTIONS, blocks: tuple = _BLOCKS) -> Iterator[Case]:
    """Convolutions with both of their gradients, and blocks of few input channels with theirs, of sizes as above."""
    yield from _of_convolutions(platform, dtype, convolutions)
    yield from _of_blocks(platform, dtype, blocks)


def _of_convolutions(platform: str, dtype: str, sizes: tuple) -> Iterator[Case]:
    for g, images, channels, responses in sizes:
        g = g._replace(platform=platform)
        x = _draw(0, dtype, images, *g.size, channels)
        k, y = _draw(1, dtype, *g.window, channels, responses), _draw(2, dtype, images, *g.response(), responses)
        for name, ours, measured, operands in (
            ("a convolution", kernels.forward, lowerings.forward_by_patches, (x, k)),
            ("a gradient in images", kernels.input_gradient, lowerings.input_gradient_by_patches, (y, k)),
            ("a gradient in a kernel", kernels.kernel_gradient, lowerings.kernel_gradient_by_patches, (x, y)),
        ):
            yield name, functools.partial(ours, g), functools.partial(measured, g), operands


def _of_blocks(platform: str, dtype: str, sizes: tuple) -> Iterator[Case]:
    for g, images, channels, responses in sizes:
        g = g._replace(platform=platform)
        x, k = _draw(0, dtype, images, *g.size, channels), _draw(1, dtype, *g.window, channels, responses)
        scale, bias = 1 + _draw(2, dtype, responses) / 4, _draw(3, dtype, responses)
        dy = _draw(4, dtype, images, g.size[0] // 2, g.size[1] // 2, responses)
        ways = functools.partial(_block_by_kernels, g), functools.partial(_block_by_parts, g)
        yield "a block", *ways, (x, k, scale, bias, dy)


def _draw(seed: int, dtype: str, *shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal((_MEMBERS, *shape)), dtype)


def _block_by_kernels(g: Geometry, x: Array, k: Array, scale: Array, bias: Array, dy: Array) -> tuple[Array, ...]:
    from jaxsoft.ops import narrow

    y, kept = narrow.forward(g, x, k, scale, bias)
    return (y, *narrow.gradient(g, x, k, scale, bias, kept, dy))


def _block_by_parts(g: Geometry, x: Array, k: Array, scale: Array, bias: Array, dy: Array) -> tuple[Array, ...]:
    def parts(*own: Array) -> Array:
        return norm.instance_norm_relu_pool(lowerings.forward_by_library(g, x, own[0]), *own[1:])

    y, pull = jax.vjp(parts, k, scale, bias)
    return (y, *pull(dy))


def _difference(ours: Callable, measured: Callable, operands: tuple[Array, ...]) -> Array:
    """The largest of all results, each in shares of its largest number; what was measured has float32 throughout."""

    def largest(*operands: Array) -> Array:
        got = jax.tree.leaves(jax.vmap(ours)(*operands))
        exact = tuple(a.astype(jnp.float32) for a in operands)
        wanted = jax.tree.leaves(jax.lax.map(lambda one: measured(*one), exact))
        return jnp.stack([jnp.abs(a - b).max() / jnp.abs(b).max() for a, b in zip(got, wanted, strict=True)]).max()

    return jax.jit(largest)(*operands)
