"""Forms of law on arrays: known parameters come back, SciPy agrees, and bounds hold."""

import math

import numpy as np
import pytest
import scipy.optimize

from jaxsoft.analysis.statistics import laws

IPC = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
ONES = np.ones(6)
PLANE = np.array([part.ravel() for part in np.meshgrid(IPC, [1.0, 2, 4, 8, 16, 32, 100], indexing="ij")])


def curve(form, *truth):
    return laws.error_at(form, np.array(truth)[:, None], IPC[None])


def test_formulas_by_hand():
    ipc = np.array([1.0, 4.0, 16.0])
    power = laws.error_at(laws.FLOOR, np.array([[0.1], [0.6], [0.5]]), ipc[None])[0]
    np.testing.assert_allclose(power, [0.7, 0.4, 0.25])
    # Three doublings from 1 to the knee at 8, one from 4, none from 16.
    bent = laws.error_at(laws.SATURATING, np.array([[0.1], [0.2], [8.0]]), ipc[None])[0]
    np.testing.assert_allclose(bent, [0.7, 0.3, 0.1])


@pytest.mark.parametrize(
    "form, truth",
    [
        (laws.FLOOR, (0.05, 0.5, 0.6)),
        (laws.FLOOR, (0.0, 0.8, 0.25)),
        (laws.FLOOR, (0.3, 0.1, 2.0)),
        (laws.POWER, (0.0, 0.8, 0.25)),
        (laws.SATURATING, (0.2, 0.1, 15.0)),
        (laws.SATURATING, (0.1, 0.05, 3.0)),
    ],
)
def test_exact_points_give_their_parameters_back(form, truth):
    found, loss = laws.solve(form, IPC[None], curve(form, *truth), ONES)
    np.testing.assert_allclose(found[:, 0], truth, rtol=0.005, atol=0.001)
    assert loss[0] < 1e-7


@pytest.mark.parametrize(
    "form, truth, function, low, high",
    [
        (laws.POWER, (0, 0.7, 0.4), lambda n, a, b: a * n**-b, (0, 0.02), (9, 5)),
        (laws.FLOOR, (0.08, 0.5, 0.7), lambda n, c, a, b: c + a * n**-b, (0, 0, 0.02), (1, 9, 5)),
        (
            laws.SATURATING, (0.2, 0.1, 12.0),
            lambda n, c, a, m: c + a * np.log2(np.maximum(m / n, 1)), (0, 0, 2), (1, 9, 50),
        ),
    ],
)  # fmt: skip
def test_noisy_points_agree_with_scipy(form, truth, function, low, high):
    rng = np.random.default_rng(0)
    sigma = np.array([0.03, 0.02, 0.02, 0.01, 0.01, 0.005])
    noisy = curve(form, *truth) + rng.normal(size=(5, 6)) * sigma
    found, loss = laws.solve(form, IPC[None], noisy, sigma**-2.0)
    start = truth[3 - len(low) :]
    for fit, error, own in zip(found.T, noisy, loss):
        expected, _ = scipy.optimize.curve_fit(function, IPC, error, start, sigma, bounds=(low, high), x_scale=start)
        np.testing.assert_allclose(fit[3 - len(low) :], expected, rtol=0.01, atol=0.002)
        assert own == pytest.approx(np.sum(((error - function(IPC, *expected)) / sigma) ** 2), rel=1e-3)


def test_bounds_hold_where_the_free_optimum_would_leave_them():
    (floor, scale, _), _ = laws.solve(laws.FLOOR, IPC[None], 0.6 * IPC[None] ** -0.3 - 0.1, ONES)
    assert floor == 0
    growing = 0.1 + 0.01 * np.log(IPC)[None]
    for form in (laws.FLOOR, laws.SATURATING):
        (floor, scale, _), _ = laws.solve(form, IPC[None], growing, ONES)
        assert scale == 0
        assert floor == pytest.approx(np.mean(growing))


def joint(c, a, b, d, e):
    return (c + a * PLANE[0] ** -b + d * PLANE[1] ** -e)[None]


@pytest.mark.parametrize("truth", [(0.1, 0.4, 0.5, 0.3, 0.8), (0.0, 0.6, 0.3, 0.2, 1.5), (0.2, 0.4, 0.5, 0.0, 0.02)])
def test_exact_tables_give_their_parameters_back_with_cells_missing(truth):
    kept = np.delete(np.arange(42), [0, 23])
    found, loss = laws.solve(laws.JOINT, PLANE[:, kept], joint(*truth)[:, kept], np.ones(40))
    np.testing.assert_allclose(found[:4, 0], truth[:4], rtol=0.005, atol=0.002)
    assert loss[0] < 1e-6


def test_noisy_tables_agree_with_scipy():
    rng = np.random.default_rng(0)
    truth, sigma = (0.1, 0.4, 0.5, 0.3, 0.8), 0.02 / PLANE[0] ** 0.5
    noisy = joint(*truth) + rng.normal(size=(3, 42)) * sigma
    found, _ = laws.solve(laws.JOINT, PLANE, noisy, sigma**-2.0)
    for fit, error in zip(found.T, noisy):
        bounds = ([0, 0, 0.02, 0, 0.02], [9, 9, 5, 9, 5])
        expected, _ = scipy.optimize.curve_fit(lambda _, *p: joint(*p)[0], None, error, truth, sigma, bounds=bounds)
        np.testing.assert_allclose(fit, expected, rtol=0.005, atol=0.001)


def test_what_may_not_be_negative_is_zero():
    falling = 0.3 + 0.4 * PLANE[0] ** -0.5 + 0.02 * np.log(PLANE[1])  # more entries hurt
    found, _ = laws.solve(laws.JOINT, PLANE, falling[None], np.ones(42))
    assert found[3, 0] == 0
    assert found[2, 0] == pytest.approx(0.5, abs=0.01)


def test_a_line_that_does_not_bend_goes_on_to_no_error():
    (floor, scale, knee), _ = laws.solve(laws.SATURATING, IPC[None], 0.8 - 0.1 * np.log2(IPC)[None], ONES)
    assert (floor[0], scale[0]) == pytest.approx((0, 0.1))
    assert knee[0] == pytest.approx(2**8)
    (floor, _, knee), _ = laws.solve(laws.SATURATING, IPC[None], 0.8 - 1e-6 * np.log2(IPC)[None], ONES)
    assert np.isfinite(knee[0])


def test_aicc_by_hand():
    assert laws.aicc(7.0, points=6, parameters=3) == pytest.approx(7 + 6 + 24 / 2)
    assert laws.aicc(0.06, points=6, parameters=2, known=False) == pytest.approx(6 * math.log(0.01) + 6 + 24 / 2)
    assert math.isnan(laws.aicc(7.0, points=5, parameters=3, known=False))
    assert math.isnan(laws.aicc(7.0, points=4, parameters=3))
