"""A member whose numbers blow up stops where it last was finite, is marked, and disturbs nobody."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft.training import fit

POISONED = tiny.IMAGES - 1  # no member draws the last image by itself
SLOT = 5
SEEDS = [0, 1, 2, 3]


def poison(kind, ill, rate=0.1):
    """A bank with one rotten image or row, and members of whom some read it (or are given a rate of 1e30)."""
    bank, who = tiny.bank(), tiny.members(SEEDS, rate=rate)
    for i in ill:
        if kind == "rate":
            who.learning_rate[i] = 1e30
        else:
            getattr(who, kind)[i, SLOT] = POISONED
    where = {"images": bank.images.at[POISONED, 3, 3].set(jnp.nan), "rows": bank.rows.at[POISONED, 1].set(jnp.nan)}
    return (bank if kind == "rate" else bank._replace(**{kind: where[kind]})), who


@pytest.fixture(scope="module")
def clean():
    """The history of members who are all well."""
    return tiny.train(tiny.mlp_program(), tiny.members(SEEDS), chunks=4)


def first_step_with(slot, seed):
    who = tiny.one(tiny.members([seed]), 0)
    slots, real = jax.vmap(lambda t: fit.slots_at(tiny.MLP, who, t))(jnp.arange(3))
    return int(np.argmax(((np.asarray(slots) == slot) & np.asarray(real)).any(1)))


@pytest.mark.parametrize("ill", [[], [2], [0, 3], [0, 1, 2, 3]], ids=["none", "one", "half", "all"])
@pytest.mark.parametrize("kind", ["images", "rows", "rate"])
def test_failures_stay_where_they_happen(clean, kind, ill):
    bank, who = poison(kind, ill)
    history = tiny.train(tiny.mlp_program(), who, chunks=4, data=bank)
    for (students, report), (healthy, told) in zip(history, clean, strict=True):
        for i in set(range(4)) - set(ill):
            of = lambda tree, i=i: jax.tree.map(lambda a: a[i], tree)  # noqa: E731
            tiny.assert_bitwise(of((students, report)), of((healthy, told)))
    last = history[-1][0]
    for leaf in jax.tree.leaves(last):
        assert np.isfinite(leaf).all(), "what is kept of a failed member must be its last finite state"
    for i in ill:
        # A rate of 1e30 survives its own step and fails at the next, when the network overflows.
        wanted = 1 if kind == "rate" else first_step_with(SLOT, SEEDS[i])
        assert last.state.bad_step[i] == wanted
    healthy = sorted(set(range(4)) - set(ill))
    np.testing.assert_array_equal(last.state.bad_step[healthy], -1)


def test_a_failed_member_stays_at_its_last_good_step(clean):
    """It equals a healthy member that ended there, though later batches would have been finite."""
    bank, who = poison("images", [0, 1, 2, 3])
    failed, _ = tiny.train(tiny.mlp_program(), who, chunks=4, data=bank)[-1]
    steps = [first_step_with(SLOT, seed) for seed in SEEDS]
    assert max(steps) > 0, "every member fails at once: nothing to compare"
    short, _ = tiny.train(tiny.mlp_program(), tiny.members(SEEDS, steps=np.maximum(steps, 1)), chunks=4)[-1]
    for i in (i for i in range(4) if steps[i] > 0):
        of = lambda state, i=i: jax.tree.map(lambda a: a[i], (state.variables, state.optimizer))  # noqa: E731
        tiny.assert_bitwise(of(failed.state), of(short.state))


def test_what_happens_after_a_members_end_is_no_failure():
    """A rate that would blow up at step 1 does not, for a member of one step; and none is marked at the start."""
    who = tiny.members(SEEDS, rate=1e30, steps=[1, 1, 8, 8])
    students, _ = tiny.train(tiny.mlp_program(), who, chunks=4)[-1]
    np.testing.assert_array_equal(students.state.bad_step, [-1, -1, 1, 1])
