"""A member's numbers are its own: alone, among others, in any place, in blocks of any width, resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft import rng
from jaxsoft.training import ensemble
from jaxsoft.training.ensemble import Bucket, Program

CHUNKS = 4
SEEDS = [3, 1, 4, 0, 5, 9, 2, 6]


@pytest.fixture(scope="module")
def program():
    return tiny.program(tiny.CONV, 8, block=4)


@pytest.fixture(scope="module")
def history(program):
    """Eight members in two blocks: everything, after each of four chunks of two steps."""
    return tiny.train(program, tiny.members(SEEDS), CHUNKS)


@pytest.fixture(scope="module")
def alone():
    """Seed 4 in a program of its own, which looks at one evaluation set."""
    return tiny.train(tiny.program(tiny.CONV, 1, select=1), tiny.members([4]), CHUNKS, looked=tiny.evals(11))


def assert_close(a, b, tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def test_training_changes_members_and_members_differ(history):
    """Otherwise nothing below means anything."""
    first, last = (history[i][0].state.variables["params"]["conv0"]["kernel"] for i in (0, -1))
    assert np.abs(first - last).max() > 1e-2
    assert min(np.abs(last[i] - last[j]).max() for i in range(8) for j in range(i)) > 1e-2


def test_alone_equals_among_others(history, alone):
    """Another width of the block sums in another order: eight steps stay within 1e-5 of parameters of order 0.1."""
    i = SEEDS.index(4)
    for (together, told), (student, told_alone) in zip(history, alone, strict=True):
        assert_close(jax.tree.map(lambda a: a[i], together.state), jax.tree.map(lambda a: a[0], student.state), 1e-5)
        np.testing.assert_allclose(told.loss[i], told_alone.loss[0], rtol=1e-5)
        np.testing.assert_allclose(told.entropy[i, 0], told_alone.entropy[0, 0], rtol=1e-5)


def test_neighbours_and_place_do_not_matter_at_all(program, history):
    """The same block width: bitwise, though block, lane and every neighbour are others."""
    others = [7, 8, 11, 12, 13, 4, 14, 15]
    moved, told = tiny.train(program, tiny.members(others, rate=[*[0.3] * 5, 0.1, 0.3, 0.3]), CHUNKS)[-1]
    ours, was_told = history[-1]
    tiny.assert_bitwise(
        jax.tree.map(lambda a: a[others.index(4)], (moved, told)),
        jax.tree.map(lambda a: a[SEEDS.index(4)], (ours, was_told)),
    )


@pytest.mark.parametrize("done", [1, CHUNKS // 2, CHUNKS - 1])
def test_resumed_equals_never_stopped(program, history, done):
    """From a copy on the host: parameters, optimizer, best checkpoints and reports, all bitwise."""
    students = (history[done - 1][0],)
    resumed = tiny.train(program, tiny.members(SEEDS), CHUNKS, students=students, done=done)
    tiny.assert_bitwise(resumed, history[done:])


def test_padding_repeats_the_last_member():
    few = tiny.members([3, 1])
    padded = ensemble.pad(few, 5)
    np.testing.assert_array_equal(padded.seed, [3, 1, 1, 1, 1])
    np.testing.assert_array_equal(padded.images, few.images[[0, 1, 1, 1, 1]])
    tiny.assert_bitwise(ensemble.pad(few, 2), few)


def test_initialisation_is_the_seeds_alone():
    """Equal seeds start equal in buckets of other shapes, places and networks of their own; others start apart."""
    recipes = (tiny.MLP, tiny.MLP._replace(slots=4), tiny.MLP._replace(model="mlp(hidden=5)"))
    program = Program(tuple(Bucket(r, 3, 1, 2) for r in recipes), tiny.SHAPE, select=2)
    seeds = ([5, 6, 7], [7, 5, 2**31 - 1], [5, 6, 7])
    started = program.initialize(tuple(tiny.members(s, r.slots) for s, r in zip(seeds, recipes)))
    kernels = [np.asarray(s.state.variables["params"]["dense0"]["kernel"]) for s in started]
    wanted = recipes[0].build_model().init(rng.key(5, rng.Stream.INIT), jnp.zeros((1, *tiny.SHAPE)))
    tiny.assert_bitwise(jax.tree.map(lambda a: a[0], started[0].state.variables), dict(wanted))
    np.testing.assert_array_equal(kernels[0][[0, 2]], kernels[1][[1, 0]])
    assert len({k.tobytes() for k in (*kernels[0], kernels[1][2], *kernels[2])}) == 7
    for students in started:
        np.testing.assert_array_equal(students.state.bad_step, [-1, -1, -1])
        np.testing.assert_array_equal(students.best.accuracy, np.full((3, 2), -1.0))
        assert not any(leaf.any() for leaf in jax.tree.leaves(students.state.optimizer)), "momentum starts at zero"
    shapes = program.shapes(tuple(tiny.members(s, r.slots) for s, r in zip(seeds, recipes)))
    assert jax.tree.map(lambda a: (a.shape, a.dtype), started) == jax.tree.map(lambda a: (a.shape, a.dtype), shapes)
