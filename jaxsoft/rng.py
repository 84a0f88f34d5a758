"""Random streams: a number depends on who asks for it and for what, never on when, where or beside whom.

Keys are threefry `fold_in` chains of (seed, stream, index...). Under `vmap` the other generators of JAX let a member's
numbers depend on its neighbours; threefry does not.
"""

import enum

import jax


class Stream(enum.IntEnum):
    """What randomness is for. Values are part of every result: append, never renumber."""

    INIT = 0
    SUBSET = 1
    ORDER = 2
    AUGMENT = 3
    LABEL = 4
    SPLIT = 5


def key(seed: int | jax.Array, stream: Stream, *indices: int | jax.Array) -> jax.Array:
    """The key of one stream: `fold_in` of the seed's key with the stream, then with each index.

    Args:
      seed: scalar integer; may be traced, so that it can differ between members.
      stream: what the numbers are for.
      *indices: further scalars, such as an epoch or an image.

    Returns:
      A typed threefry key, shape ().
    """
    k = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), int(stream))
    for index in indices:
        k = jax.random.fold_in(k, index)
    return k
