"""The law in images and label entries: known parameters come back, SciPy agrees, and what is not known is said."""

import math

import numpy as np
import pytest
import scipy.optimize
import synthetic

from jaxsoft import errors
from jaxsoft.analysis import joint

IPC, K = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0]), np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 100.0])
TRUTH = (0.1, 0.4, 0.5, 0.3, 0.8)
ONES = np.ones((6, 7))


def errors_of(c, a, b, d, e):
    return c + a * IPC[:, None] ** -b + d * K**-e


def members(draw=0, seeds=10, spread=0.01, ks=K, ipcs=IPC, interaction=0.0):
    rng = np.random.default_rng(draw)
    rows = []
    for i, j in np.ndindex(len(IPC), len(K)):
        if IPC[i] in ipcs and K[j] in ks:
            labels = "teacher(epoch=5)" + (f"|topk({K[j]:.0f})" if K[j] < 100 else "")
            truth = 1 - errors_of(*TRUTH)[i, j] + interaction * np.log(IPC[i]) * np.log(K[j])
            noise = rng.normal(0, spread, seeds) if spread else np.zeros(seeds)
            rows += [synthetic.row(int(IPC[i]), labels, s, float(truth + noise[s]), epoch=5) for s in range(seeds)]
    return rows


def test_exact_tables_give_their_parameters_back_with_cells_missing():
    weight = ONES.copy()
    weight[0, 0] = weight[3, 2] = 0
    for truth in (TRUTH, (0.0, 0.6, 0.3, 0.2, 1.5), (0.2, 0.4, 0.5, 0.0, 0.02)):
        table = np.where(weight > 0, errors_of(*truth), np.nan)
        found, loss = joint.solve_joint(IPC, K, table[None], weight)
        np.testing.assert_allclose(found[:4, 0], truth[:4], rtol=0.005, atol=0.002)
        assert loss[0] < 1e-6


def test_noisy_tables_agree_with_scipy():
    rng = np.random.default_rng(0)
    sigma = np.broadcast_to(0.02 / IPC[:, None] ** 0.5, (6, 7))
    noisy = errors_of(*TRUTH) + rng.normal(size=(3, 6, 7)) * sigma
    found, _ = joint.solve_joint(IPC, K, noisy, sigma**-2.0)
    for fit, error in zip(found.T, noisy):
        bounds = ([0, 0, 0.02, 0, 0.02], [9, 9, 5, 9, 5])
        expected, _ = scipy.optimize.curve_fit(
            lambda _, *p: errors_of(*p).ravel(), None, error.ravel(), TRUTH, sigma.ravel(), bounds=bounds
        )
        np.testing.assert_allclose(fit, expected, rtol=0.005, atol=0.001)


def test_what_may_not_be_negative_is_zero():
    falling = 0.3 + 0.4 * IPC[:, None] ** -0.5 + 0.02 * np.log(K)  # more entries hurt
    found, _ = joint.solve_joint(IPC, K, falling[None], ONES)
    assert found[3, 0] == 0
    assert found[2, 0] == pytest.approx(0.5, abs=0.01)


def test_intervals_cover_known_parameters_in_90_of_100_draws():
    noise = np.random.default_rng(0).normal(0, 0.01, (100, 10, 6, 7))
    found = [joint.fit_cells("teacher", IPC, K, 1 - errors_of(*TRUTH) + draw, resamples=200) for draw in noise]
    for name, value in zip(joint.NAMES, TRUTH):
        inside = [fit.parameters[name].low <= value <= fit.parameters[name].high for fit in found]
        assert 90 <= np.sum(inside)
        assert all(fit.parameters[name].identified for fit in found)
        assert np.mean([fit.parameters[name].value for fit in found]) == pytest.approx(value, rel=0.02)
    assert np.mean([fit.excess for fit in found]) == pytest.approx(1, abs=0.2)
    assert np.mean([fit.misfit for fit in found]) == pytest.approx(0.01 / math.sqrt(10), rel=0.2)


def test_members_become_cells_by_ipc_and_entries():
    found = joint.fit_joint(members(spread=0.0), 100, resamples=100)
    assert (found.family, found.ipcs, found.n) == ("teacher(epoch=5)", (1, 2, 5, 10, 20, 50), 10)
    assert found.ks == (1, 2, 4, 8, 16, 32, 100)
    np.testing.assert_allclose(found.accuracy(IPC, K), 1 - errors_of(*TRUTH), atol=0.001)


def test_what_is_not_identified_is_said():
    few = joint.fit_joint(members(ks=K[:2]), 100, resamples=100)
    assert "the exponent of label entries is not identified" in few.note
    assert few.parameters["exponent"].identified or "floor" in few.note
    alone = joint.fit_joint(members(ks=K[:1]), 100, resamples=100)
    assert "6 IPC values and 1 numbers of entries cannot fix" in alone.note
    assert math.isnan(alone.parameters["floor"].value)
    assert "fewer than 3 seeds" in joint.fit_joint(members(seeds=2), 100, resamples=100).note
    assert (
        "standard errors, so it is not the whole truth"
        in joint.fit_joint(members(interaction=0.02), 100, resamples=100).note
    )


def test_families_differ_in_the_cut_alone():
    labels = ["hard", "teacher", "teacher|topk(3)|renormalize", "teacher|topk(2)"]
    assert joint.cut_families(labels) == {
        "teacher": ("teacher", "teacher|topk(2)"),
        "teacher|renormalize": (labels[2],),
    }
    with pytest.raises(errors.ConfigError, match="unknown family of label specs 'teacher'"):
        joint.fit_joint(members(), 100, family="teacher")
