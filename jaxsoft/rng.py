"""Random streams: a number depends on who asks for it and for what, never on when, where or beside whom.

Keys are threefry `fold_in` chains of (seed, stream, index...). Under `vmap` the other generators of JAX let a member's
numbers depend on its neighbours; threefry does not.
"""

import enum

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

_ROUNDS = 24  # a card that no round has moved, one in 2^24, is where it was


class Stream(enum.IntEnum):
    """What randomness is for. Values are part of every result: append, never renumber."""

    INIT = 0
    SUBSET = 1
    ORDER = 2
    AUGMENT = 3
    LABEL = 4
    SPLIT = 5
    VIEW = 6
    MODEL = 7
    POOL = 8
    PROJECTION = 9


def key(seed: int | jax.Array, stream: Stream, *indices: int | jax.Array) -> jax.Array:
    """The key of one stream: `fold_in` of the seed's threefry key with the stream, then with each index.

    Seed and indices, such as an epoch or an image, are scalars; they may be traced, so that members differ in them.
    """
    k = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), int(stream))
    for index in indices:
        k = jax.random.fold_in(k, index)
    return k


def permuted(key: jax.Array, places: Int[Array, "*b"], n: int | Int[Array, ""]) -> Int[Array, "*b"]:
    """What lies at some places of a random order of 0 .. n - 1, without making the order.

    Each round pairs every card x with K - x (mod n) and swaps the pair if a bit, drawn for the pair, says so. A sort
    would need n to be known when the program is compiled, and the whole order at once; here n may be traced. At a place
    outside of [0, n) lies some number in [0, n).

    Reference: Hoang, Morris and Rogaway (2012), "An enciphering scheme based on a card shuffle", figure 1.
    """
    size = jnp.asarray(n, jnp.uint32)
    words = jax.random.bits(key, (_ROUNDS, 2), jnp.uint32)

    def swap(card: jax.Array, word: jax.Array) -> tuple[jax.Array, None]:
        partner = word[0] % size + size - card
        partner = jnp.where(partner < size, partner, partner - size)
        bit = _mixed(jnp.maximum(card, partner) ^ word[1]) & 1
        return jnp.where(bit == 1, partner, card), None

    cards = jnp.minimum(jnp.asarray(places).astype(jnp.uint32), size - 1)
    return jax.lax.scan(swap, cards, words, unroll=_ROUNDS)[0].astype(jnp.int32)


def _mixed(x: UInt32[Array, "*b"]) -> UInt32[Array, "*b"]:
    """A bijection of 32 bits in which every bit depends on every other (the finaliser of MurmurHash3)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
