"""Streams of random numbers: who asks and for what decides, and nothing else does."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxsoft import rng
from jaxsoft.rng import Stream


def bits(key):
    return tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())


def test_streams_keep_their_numbers():
    """They are part of every result that was ever written."""
    known = {"INIT": 0, "SUBSET": 1, "ORDER": 2, "AUGMENT": 3, "LABEL": 4, "SPLIT": 5}
    assert {s.name: s.value for s in Stream if s.name in known} == known


def test_the_definition_of_a_key_stays():
    """Threefry's numbers for a known case; a change here changes every result."""
    assert bits(rng.key(0, Stream.INIT)) == (1797259609, 2579123966)
    assert bits(rng.key(7, Stream.AUGMENT, 3, 1)) == (3367839798, 1322683521)
    np.testing.assert_array_equal(jax.random.permutation(rng.key(1, Stream.ORDER, 2), 6), [1, 3, 5, 2, 0, 4])


def test_every_seed_stream_and_index_has_its_own_key():
    cases = [
        *itertools.product(range(6), Stream),
        *((0, s, i) for s in Stream for i in range(6)),
        (0, Stream.INIT, 1, 2),
    ]
    cases += [(0, Stream.INIT, 2, 1), (1_000_003, Stream.INIT), (2**31 - 1, Stream.INIT)]
    assert len({bits(rng.key(*case)) for case in cases}) == len(cases)


def test_a_members_key_ignores_its_neighbours_and_the_default_generator():
    """Other generators draw a whole vmapped batch from its first key."""

    def draw(seed, index):
        return jax.random.uniform(rng.key(seed, Stream.AUGMENT, index), (4,))

    with jax.default_prng_impl("rbg"):
        together = jax.jit(jax.vmap(draw))(jnp.array([5, 3, 8]), jnp.array([1, 0, 2]))
    alone = [draw(s, i) for s, i in ((5, 1), (3, 0), (8, 2))]
    np.testing.assert_array_equal(together, alone)
