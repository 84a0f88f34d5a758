"""Schedules by hand, and what every public one promises."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import spec
from jaxsoft.training import schedules

SCHEDULES = spec.public_functions(schedules)


def at(schedule, *progress):
    return np.array([schedule(jnp.float32(p)) for p in progress])


def test_by_hand():
    np.testing.assert_array_equal(at(schedules.constant, 0.0, 0.3, 0.999), [1, 1, 1])
    np.testing.assert_allclose(at(schedules.cosine, 0.0, 1 / 3, 0.5, 2 / 3, 1.0), [1, 0.75, 0.5, 0.25, 0], atol=1e-6)
    np.testing.assert_allclose(at(schedules.step, 0.0, 0.24, 0.25, 0.5, 0.75, 0.99), [1, 1, 0.3, 0.09, 0.027, 0.027])
    halves = lambda p: schedules.step(p, factor=0.5, parts=2)  # noqa: E731
    np.testing.assert_allclose(at(halves, 0.0, 0.49, 0.5, 0.99), [1, 1, 0.5, 0.5])


@pytest.mark.parametrize("parts", [1, 3, 4, 7, 41])
def test_the_rate_falls_exactly_where_a_part_begins(parts):
    """t / steps * parts is rounded in float32 (with 41 parts often downwards); integers say where parts really begin."""
    pairs = [(t, steps) for steps in range(1, 120) for t in range(steps)]
    for steps in (1000, 9999, 15_000, 50_000):
        edges = [part * steps // parts + d for part in range(1, parts) for d in (-1, 0, 1, 2)]
        pairs += [(t, steps) for t in (0, *edges, steps - 1)]
    t, steps = np.array(pairs, np.int32).T
    exponent = jax.jit(jax.vmap(lambda t, n: jnp.log2(schedules.step(t / n, 2.0, parts))))(t, steps)
    np.testing.assert_array_equal(np.rint(exponent), t * parts // steps)


@pytest.mark.parametrize("name", SCHEDULES)
def test_contract(name):
    """1 at the start, finite and never negative, the same under vmap as alone, every option with a default."""
    schedule = SCHEDULES[name]
    progress = jnp.asarray(np.linspace(0, 1, 101)[:-1], jnp.float32)
    together = jax.jit(jax.vmap(schedule))(progress)
    assert together[0] == 1.0 and together.dtype == jnp.float32
    assert np.isfinite(together).all() and (together >= 0).all()
    np.testing.assert_allclose(together[::25], [schedule(p) for p in progress[::25]], rtol=1e-6)
    first, *options = inspect.signature(schedule).parameters.values()
    assert first.name == "progress" and all(p.default is not p.empty for p in options)
