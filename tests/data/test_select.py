import inspect

import numpy as np
import pytest

from jaxsoft import errors, rng, spec
from jaxsoft.data import select

SIZES = (40, 31, 57)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), SIZES)).astype(np.int32)
DIFFICULTY = np.random.default_rng(1).exponential(size=len(LABELS)).astype(np.float32)
EMBEDDINGS = np.random.default_rng(2).standard_normal((len(LABELS), 5)).astype(np.float32) + 3
WAYS = {**spec.public_functions(select)}


def call(name, ipc, seed=0, **more):
    said = {"difficulty": DIFFICULTY, "embeddings": EMBEDDINGS}
    given = {what: said[what] for what in said if what in inspect.signature(WAYS[name]).parameters}
    if name == "decile":
        given["i"] = 4
    if name == "indices":
        whole = np.stack([np.flatnonzero(k == LABELS)[: min(SIZES)] for k in range(3)])
        given = {"given": whole, "file": "own", "nested": True}
    return WAYS[name](LABELS, ipc, key=rng.key(seed, rng.Stream.SUBSET), **(given | more))


@pytest.mark.parametrize(
    "name", [name for name in WAYS if name != "distilled"]
)  # it is of other images, see test_imported_sets
def test_every_way_is_nested_without_repeats_and_in_its_class(name):
    largest = 3 if name == "decile" else min(SIZES)
    whole = call(name, largest)
    assert whole.shape == (3, largest)
    for k, row in enumerate(whole):
        assert (LABELS[row] == k).all()
        assert len(set(row.tolist())) == largest
    for ipc in range(1, largest):
        np.testing.assert_array_equal(call(name, ipc), whole[:, :ipc])
    with pytest.raises(errors.ConfigError, match=f"largest possible is {largest}"):
        call(name, largest + 1)
    with pytest.raises(errors.ConfigError, match="ipc expects int >= 1"):
        call(name, 0)


@pytest.mark.parametrize("name", ["random", "decile", "stratified"])
def test_the_key_decides(name):
    assert (call(name, 3, seed=1) == call(name, 3, seed=1)).all()
    assert (call(name, 3, seed=1) != call(name, 3, seed=2)).any()


def test_random_is_uniform_over_each_class():
    hits = np.zeros(len(LABELS))
    for seed in range(300):
        np.add.at(hits, call("random", 10, seed=seed).ravel(), 1)
    for k, size in enumerate(SIZES):
        rate = hits[k == LABELS] / 300
        deviation = np.sqrt(10 / size * (1 - 10 / size) / 300)
        assert np.abs(rate - 10 / size).max() < 4.5 * deviation


def test_easiest_and_hardest_are_the_ends_of_the_sorted_class():
    easy, hard = call("easiest", 5), call("hardest", 5)
    for k in range(3):
        rows = np.flatnonzero(k == LABELS)
        ordered = rows[np.argsort(DIFFICULTY[rows])]
        assert easy[k].tolist() == ordered[:5].tolist()
        assert hard[k].tolist() == ordered[::-1][:5].tolist()


def test_the_key_orders_images_of_equal_difficulty():
    flat = np.zeros(len(LABELS), np.float32)
    assert (call("easiest", 5, seed=1, difficulty=flat) != call("easiest", 5, seed=2, difficulty=flat)).any()


def test_the_deciles_part_each_class_and_the_last_holds_its_maximum():
    for k, size in enumerate(SIZES):
        rows = np.flatnonzero(k == LABELS)
        ordered = rows[np.argsort(DIFFICULTY[rows])]
        bounds = [-(-size * i // 10) for i in range(11)]  # rank r is in tenth i when floor(10 r / n) = i
        for i in range(10):
            wanted = set(ordered[bounds[i] : bounds[i + 1]].tolist())
            smallest = 3
            drawn = [set(call("decile", smallest, seed=s, i=i)[k].tolist()) for s in range(30)]
            assert set().union(*drawn) == wanted
            assert len({frozenset(d) for d in drawn}) > 1 or len(wanted) == smallest
        assert ordered[-1] in wanted
    with pytest.raises(errors.ConfigError, match=r"decile expects i in 0\.\.9, got 10"):
        call("decile", 1, i=10)
    with pytest.raises(errors.ConfigError, match="ipc=4 but decile 4 of class 1 has 3 train images"):
        call("decile", 4)


def test_stratified_takes_one_image_of_every_tenth_in_each_ten_columns():
    table = call("stratified", 30)
    firsts = []
    for k, size in enumerate(SIZES):
        rows = np.flatnonzero(k == LABELS)
        ranks = {row: r for r, row in enumerate(rows[np.argsort(DIFFICULTY[rows])].tolist())}
        tenths = [ranks[row] * 10 // size for row in table[k].tolist()]
        for start in (0, 10, 20):
            assert sorted(tenths[start : start + 10]) == list(range(10))
        firsts.append(tenths[:10])
    assert firsts[0] != firsts[1]  # or a small IPC would be biased to the same tenths in every class


def test_jax_difficulties_are_accepted():
    import jax.numpy as jnp

    np.testing.assert_array_equal(call("hardest", 3, difficulty=jnp.asarray(DIFFICULTY)), call("hardest", 3))


def farthest_first(points, taken):
    if not taken:
        return np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    pairs = np.linalg.norm(points[:, None] - points[None, taken], axis=2)
    return pairs.min(axis=1).argmax()


def nearest_to_the_mean(points, taken):
    means = (points + points[taken].sum(axis=0)) / (len(taken) + 1)
    gaps = np.linalg.norm(means - points.mean(axis=0), axis=1)
    gaps[taken] = np.inf
    return gaps.argmin()


@pytest.mark.parametrize("name, step", [("k_centers", farthest_first), ("herding", nearest_to_the_mean)])
def test_greedy_ways_equal_their_definitions_within_each_class(name, step):
    table = call(name, 20)
    for k in range(3):
        rows, taken = np.flatnonzero(k == LABELS), []
        for _ in range(20):
            taken.append(int(step(EMBEDDINGS[rows].astype(np.float64), taken)))
        assert table[k].tolist() == rows[taken].tolist()
    np.testing.assert_array_equal(call(name, 20, seed=1), table)  # nothing is drawn


@pytest.mark.parametrize("name", ["k_centers", "herding"])
def test_the_key_orders_images_of_equal_embedding(name):
    flat = np.ones((len(LABELS), 2), np.float32)
    assert (call(name, 5, seed=1, embeddings=flat) != call(name, 5, seed=2, embeddings=flat)).any()
