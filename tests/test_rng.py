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


def permutations(n, count, room=None):
    """Orders of 0 .. n - 1 for `count` keys; beyond n, what is found there."""

    places = jnp.arange(room or n)

    def order(seed, n):
        return rng.permuted(rng.key(seed, Stream.ORDER, 0), places, n)

    return np.asarray(jax.jit(jax.vmap(order, (0, None)))(jnp.arange(count), n))


def test_permuted_is_a_permutation_of_any_length():
    for n in (1, 2, 3, 7, 50, 1000):
        for order in permutations(n, 3):
            np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(
        np.sort(rng.permuted(jax.random.key(0), jnp.arange(100_000), 100_000)), range(100_000)
    )


def test_permuted_does_not_depend_on_how_many_places_are_asked_for():
    wide = permutations(10, 20, room=16)
    np.testing.assert_array_equal(wide[:, :10], permutations(10, 20))
    assert wide.min() >= 0 and wide.max() < 10


def test_every_order_is_equally_likely():
    """24 orders of four, 500 expected of each: chi-square below the .9999 quantile for 23 degrees of freedom."""
    orders, counts = np.unique(permutations(4, 12_000), axis=0, return_counts=True)
    assert len(orders) == 24
    assert ((counts - 500) ** 2 / 500).sum() < 58


def test_places_and_neighbours_of_a_long_order_are_uniform():
    """Chi-square over (place, card) and over (card, next card), within six standard deviations of its mean."""
    n, orders = 30, permutations(30, 6000)
    placed = np.stack([np.bincount(column, minlength=n) for column in orders.T])
    follows = np.zeros((n, n))
    np.add.at(follows, (orders[:, :-1].ravel(), orders[:, 1:].ravel()), 1)
    follows = follows[~np.eye(n, dtype=bool)]
    for counts, freedom in ((placed, (n - 1) ** 2), (follows, n * (n - 1) - 1)):
        chi = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert abs(chi - freedom) < 6 * np.sqrt(2 * freedom), (chi, freedom)


def test_the_numbers_of_an_order_stay():
    """A change here changes every result: raise sources.ENGINE with it."""
    np.testing.assert_array_equal(permutations(6, 2), [[0, 4, 5, 3, 1, 2], [5, 0, 1, 4, 3, 2]])
