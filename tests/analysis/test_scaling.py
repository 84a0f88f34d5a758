"""The power law with a floor: recovery of known parameters, agreement with SciPy, and honesty about the rest."""

import math

import numpy as np
import pytest
import scipy.optimize
import synthetic

from jaxsoft.analysis import scaling

IPC = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
ONES = np.ones(6)


def law(n, c, a, b):
    return c + a * n**-b


@pytest.mark.parametrize("truth", [(0.05, 0.5, 0.6), (0.0, 0.8, 0.25), (0.3, 0.1, 2.0)])
def test_exact_points_give_their_parameters_back(truth):
    found = scaling.power_law(IPC, law(IPC, *truth)[None], ONES)[:, 0]
    np.testing.assert_allclose(found, truth, rtol=0.005, atol=0.001)


def test_noisy_points_agree_with_scipy():
    rng = np.random.default_rng(0)
    sigma = np.array([0.03, 0.02, 0.02, 0.01, 0.01, 0.005])
    errors = law(IPC, 0.08, 0.5, 0.7) + rng.normal(size=(5, 6)) * sigma
    found = scaling.power_law(IPC, errors, sigma**-2.0)
    assert found.shape == (3, 5)
    for fit, error in zip(found.T, errors):
        bounds = ([0, 0, 0.02], [1, np.inf, 5])
        expected, _ = scipy.optimize.curve_fit(law, IPC, error, (0.1, 0.5, 0.5), sigma, bounds=bounds)
        np.testing.assert_allclose(fit, expected, rtol=0.01, atol=0.002)


def test_bounds_hold_where_the_free_optimum_would_leave_them():
    floor, scale, _ = scaling.power_law(IPC, law(IPC, -0.1, 0.6, 0.3)[None], ONES)
    assert floor == 0
    floor, scale, _ = scaling.power_law(IPC, 0.1 + 0.01 * np.log(IPC)[None], ONES)  # error that grows
    assert scale == 0
    assert floor == pytest.approx(np.mean(0.1 + 0.01 * np.log(IPC)))


def members(errors_by_ipc, spread, seeds=8, labels="hard", draw=0):
    rng = np.random.default_rng(draw)
    spread = np.broadcast_to(spread, len(errors_by_ipc))
    return [
        synthetic.row(int(ipc), labels, seed, float(1 - error + rng.normal(0, s)))
        for (ipc, error), s in zip(errors_by_ipc, spread)
        for seed in range(seeds)
    ]


def test_intervals_cover_the_truth_and_points_are_close():
    truth, points = (0.08, 0.5, 0.7), list(zip(IPC, law(IPC, 0.08, 0.5, 0.7)))
    fits = [scaling.fit_law(members(points, 0.05 / IPC**0.5, draw=draw), "hard") for draw in range(20)]
    found = [(f.floor, f.scale, f.exponent) for f in fits]
    covered = [[p.low <= value <= p.high for p, value in zip(parameters, truth)] for parameters in found]
    assert 0.85 <= np.mean(covered) < 1
    np.testing.assert_allclose(np.mean([[p.value for p in ps] for ps in found], 0), truth, rtol=0.05)
    assert all(p.identified and p.high - p.low < 0.5 for parameters in found for p in parameters)
    assert {(f.points, f.n, f.note) for f in fits} == {(6, 8, "")}
    np.testing.assert_allclose(fits[0].accuracy(IPC), 1 - law(IPC, *truth), atol=0.03)


def test_noisy_budgets_weigh_less():
    points = list(zip(IPC, law(IPC, 0.05, 0.5, 0.6)))
    weighted, plain = [], []
    for draw in range(8):
        rows = members(points, 0.12 / IPC, draw=draw)
        errors = 1 - np.array([np.mean([r["test_accuracy"] for r in rows if r["ipc"] == n]) for n in IPC])
        weighted.append(scaling.fit_law(rows, "hard").floor.value - 0.05)
        plain.append(scaling.power_law(IPC, errors[None], ONES)[0, 0] - 0.05)
    assert np.std(weighted) < 0.6 * np.std(plain)


def test_what_is_not_identified_is_said():
    flat = scaling.fit_law(members([(n, 0.4) for n in IPC], 0.01), "hard")
    assert not flat.exponent.identified
    assert "exponent is not identified" in flat.note
    pure = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.0, 0.6, 0.4))), 0.01), "hard")
    assert not pure.floor.identified
    assert "floor cannot be told from zero" in pure.note
    assert pure.exponent.identified


@pytest.mark.parametrize("count, said", [(1, "1 IPC values cannot fix"), (2, "2 IPC values cannot"), (3, "exact fit")])
def test_too_few_budgets_are_said(count, said):
    found = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.1, 0.5, 0.6)))[:count], 0.01), "hard")
    assert said in found.note
    assert found.points == count
    assert not (found.floor.identified or found.scale.identified or found.exponent.identified)
    assert math.isnan(found.exponent.value) == (count < 3)


def test_one_seed_gives_a_law_without_intervals():
    found = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.1, 0.5, 0.6))), 0.0, seeds=1), "hard")
    assert found.exponent.value == pytest.approx(0.6, abs=0.01)
    assert math.isnan(found.exponent.low)
    assert not found.exponent.identified
    assert found.note == "fewer than 3 seeds, no interval"


def test_the_frontier_takes_the_chosen_spec_of_each_budget():
    best = {1: 5, 2: 5, 5: 5, 10: 50, 20: 50, 50: 50}
    rows = []
    for ipc in IPC:
        for epoch in (5, 50):
            error = law(ipc, 0.05, 0.5, 0.6) + (0.0 if best[int(ipc)] == epoch else 0.1)
            labels = f"teacher(epoch={epoch})"
            rows += [synthetic.row(int(ipc), labels, s, 1 - error, epoch=epoch) for s in range(3)]
    found = scaling.fit_frontier_law(rows)
    assert found.labels == scaling.BEST
    assert (found.floor.value, found.exponent.value) == pytest.approx((0.05, 0.6), abs=0.01)
