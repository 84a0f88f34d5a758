"""Pooling of feature maps, for one member.

It is a reshape and a reduction, or a sum of maps: these fuse with their neighbours, where a window reduction and its
gradient do not.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxsoft import target

_WIDE = 64  # channels: a step of 128 is 1.07 times as fast, one of 32 is .95 times


def avg_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Mean of each 2x2 window; an odd last row or column is dropped, as PyTorch does.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.arange(6.0).reshape(1, 2, 3, 1)).ravel().tolist()
    [2.0]
    """
    return _windows(x).mean(axis=(2, 4))


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Largest of each 2x2 window; an odd last row or column is dropped, as PyTorch does."""
    return _windows(x).max(axis=(2, 4))


def max_pool_of_three(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Largest of each 3x3 window around every second pixel of an axis; sides become (side + 1) // 2.

    Its gradient goes to the first pixel that is as large, as in PyTorch.
    """
    return _largest_of_three(x) if target.platform() == "tpu" else _three(x)


@jax.custom_vjp
def _three(x: jax.Array) -> jax.Array:
    """With a gradient that is a sum of maps, of which XLA makes one pass on CPUs and GPUs.

    There that of a window reduction is a scatter, and itself it is one map of float32 more on a GPU. On a TPU both are a kernel
    of their own, and the maps of the sum would all lie in memory: 3.2 times the bytes of a ResNet's stem.
    """
    return _largest_of_three(x) if target.platform() == "cpu" else functools.reduce(jnp.maximum, _under_three(x))


def _largest_of_three(x: jax.Array) -> jax.Array:
    least = np.array(-np.inf, x.dtype)
    return jax.lax.reduce_window(x, least, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))


def _three_forward(x: jax.Array) -> tuple[jax.Array, tuple]:
    """Keeps which pixel of each window it was, as a byte."""
    y = _three(x)
    first = functools.reduce(
        lambda found, place: jnp.where(place[1] == y, jnp.uint8(place[0]), found),
        reversed([*enumerate(_under_three(x))]),
        jnp.full(y.shape, 9, jnp.uint8),
    )
    return y, (first, x.shape)


def _three_backward(kept: tuple, dy: jax.Array) -> tuple[jax.Array]:
    first, (_, *sides, _) = kept
    zero, dx = jnp.zeros((), dy.dtype), []
    for place in range(9):
        before = divmod(place, 3)
        pads = [(at, side + 2 - at - (2 * n - 1), 1) for at, side, n in zip(before, sides, dy.shape[1:3])]
        dx.append(jax.lax.pad(jnp.where(first == place, dy, 0), zero, ((0, 0, 0), *pads, (0, 0, 0))))
    return (functools.reduce(jnp.add, dx)[:, 1:-1, 1:-1],)


_three.defvjp(_three_forward, _three_backward)


def _under_three(x: jax.Array) -> list[jax.Array]:
    """The nine pixels of the windows, in the order of rows; -inf outside of the image."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    rows, columns = (side - 2 for side in x.shape[1:3])
    return [x[:, u : u + rows : 2, v : v + columns : 2] for u in range(3) for v in range(3)]


@jax.custom_vjp
def summed(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Sum of each 2x2 window; of wide maps on CPU by slices, which fuse with what is before, bit by bit the same.

    A reduction does not, which costs less where the sums of narrow maps would be computed again by all who read them.
    """
    w = _windows(x)
    if target.platform() != "cpu" or x.shape[3] < _WIDE:
        return w.sum((2, 4))
    return (w[:, :, 0, :, 0] + w[:, :, 0, :, 1]) + (w[:, :, 1, :, 0] + w[:, :, 1, :, 1])


summed.defvjp(lambda x: (summed(x), x), lambda x, dy: (spread(dy, x.shape),))


def spread(y: Float[Array, "B H2 W2 C"], shape: tuple[int, ...]) -> Float[Array, "B H W C"]:
    """Maps of a shape (B, H, W, C): each value to the four pixels under it, 0 to an odd last row or column."""
    wide = jnp.broadcast_to(y[:, :, None, :, None], (*y.shape[:2], 2, y.shape[2], 2, y.shape[3]))
    # On a TPU it is a map in memory, which XLA would widen to float32 for whoever reads it.
    wide = jax.lax.optimization_barrier(wide) if target.platform() == "tpu" else wide
    wide = wide.reshape(y.shape[0], y.shape[1] * 2, y.shape[2] * 2, y.shape[3])
    return jnp.pad(wide, ((0, 0), (0, shape[1] % 2), (0, shape[2] % 2), (0, 0)))


def _windows(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H // 2, 2, W // 2, 2, C]."""
    batch, height, width, channels = x.shape
    even = x[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(batch, height // 2, 2, width // 2, 2, channels)
