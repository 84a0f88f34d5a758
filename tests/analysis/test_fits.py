"""Fits of one curve: intervals that cover the truth, the choice of a form, extrapolation, published points."""

import numpy as np
import pytest
from jaxsoft.analysis.stats import means

from jaxsoft import errors
from jaxsoft.analysis import fits, laws

IPC = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
TRUTHS = [(laws.POWER, (0.0, 0.7, 0.4)), (laws.FLOOR, (0.08, 0.5, 0.7)), (laws.SATURATING, (0.2, 0.1, 12.0))]


def members(form, truth, draw, spread=0.02, seeds=20, ipc=IPC):
    """Seeds scattered around a known law, more widely where images are few."""
    rng = np.random.default_rng(draw)
    accuracy = 1 - laws.error_at(form, np.array(truth)[:, None], ipc)
    values = accuracy + rng.normal(0, spread, (seeds, len(ipc))) / ipc**0.25
    return fits.Curve("hard", ipc, values, *fits.weights(values, ipc))


@pytest.mark.parametrize("form, truth", TRUTHS, ids=[form.name for form, _ in TRUTHS])
def test_intervals_cover_known_parameters_in_90_of_100_draws(form, truth):
    found = [fits.fit_curve(form, members(form, truth, draw), 500) for draw in range(100)]
    for name, value in zip(form.parameters, truth[3 - len(form.parameters) :]):
        inside = [fit.parameters[name].low <= value <= fit.parameters[name].high for fit in found]
        assert 90 <= np.sum(inside)
        assert np.mean([fit.parameters[name].value for fit in found]) == pytest.approx(value, rel=0.03)
        assert np.mean([fit.parameters[name].identified for fit in found]) > 0.95
    assert {fit.note for fit in found if all(p.identified for p in fit.parameters.values())} == {""}


@pytest.mark.parametrize("form, truth", TRUTHS, ids=[form.name for form, _ in TRUTHS])
def test_aicc_chooses_the_form_that_made_the_data(form, truth):
    chosen = []
    for draw in range(20):
        curve = members(form, truth, draw, spread=0.01, ipc=np.array([1.0, 2, 3, 5, 10, 20, 30, 50]))
        best = fits.best_form([fits.fit_curve(other, curve, 0) for other in laws.FORMS.values()])
        chosen.append(best and best.form)
    assert chosen.count(form.name) >= 16


def test_the_largest_ipc_is_predicted_from_the_others():
    fit = fits.fit_curve(laws.FLOOR, members(laws.FLOOR, (0.08, 0.5, 0.7), 0, spread=0.0), 0)
    assert fit.held_out is not None and fit.held_out.ipc == 50
    assert fit.held_out.error == pytest.approx(0, abs=1e-3)
    curve = members(laws.FLOOR, (0.08, 0.5, 0.7), 0, spread=0.0)
    curve.values[:, -1] -= 0.05  # a fit that saw it would follow
    broken = fits.fit_curve(laws.FLOOR, curve, 0)
    assert broken.held_out is not None
    assert broken.held_out.error == pytest.approx(0.05, abs=1e-3)
    assert broken.held_out.measured == pytest.approx(means(curve.values)[-1])


def test_distribution_matching_is_extrapolated_from_its_first_four_points():
    ipc, accuracy = (100, 200, 500, 1000, 1250), (0.670, 0.712, 0.761, 0.798, 0.808)
    for form in laws.FORMS:
        fit = fits.fit_points(ipc, accuracy, form)
        assert fit.held_out is not None and fit.held_out.measured == 0.808
        assert abs(fit.held_out.error) < 0.015
        np.testing.assert_allclose(fit.accuracy(np.array(ipc, float)), accuracy, atol=0.005)
        assert fit.note == "no seeds, no interval"
    assert fits.best_form([fits.fit_points(ipc, accuracy, form) for form in laws.FORMS]) is None  # five points


def test_published_points_may_come_in_any_order_and_with_spreads():
    plain = fits.fit_points((50, 1, 10, 5), (0.9, 0.5, 0.8, 0.7), "power")
    alike = fits.fit_points((1, 5, 10, 50), (0.5, 0.7, 0.8, 0.9), "power", spread=(0.01,) * 4)
    assert plain.parameters["exponent"].value == pytest.approx(alike.parameters["exponent"].value)
    trusted = fits.fit_points((1, 5, 10, 50), (0.5, 0.7, 0.8, 0.9), "power", spread=(0.01, 0.01, 0.01, 0.0001))
    assert trusted.accuracy(np.array([50.0]))[0] == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(
    "ipc, accuracy, spread",
    [((1, 2), (0.5,), None), ((1, 1), (0.5, 0.6), None), ((0, 1), (0.5, 0.6), None), ((1, 2), (50.0, 60.0), None),
     ((1, 2), (0.5, float("nan")), None), ((1, 2), (0.5, 0.6), (0.1, 0.0))],
)  # fmt: skip
def test_points_that_are_none_are_refused(ipc, accuracy, spread):
    with pytest.raises(errors.ConfigError, match="one accuracy|not percent"):
        fits.fit_points(ipc, accuracy, "power", spread)


@pytest.mark.parametrize("form", laws.FORMS.values(), ids=list(laws.FORMS))
@pytest.mark.parametrize("accuracy", [np.full(6, 0.4), 0.6 - 0.01 * np.arange(6.0)], ids=["flat", "falling"])
def test_without_growth_nothing_is_identified(form, accuracy):
    for spread in (0.0, 0.01):
        values = accuracy + np.random.default_rng(0).normal(0, spread, (6, 6)) if spread else np.tile(accuracy, (6, 1))
        fit = fits.fit_curve(form, fits.Curve("hard", IPC, values, *fits.weights(values, IPC)), 300)
        # Without a floor, no growth is an exponent of nearly none.
        assert ("no growth with images can be told from none" if form.floor else "its interval reaches") in fit.note
        assert not fit.parameters[form.shape].identified


def test_missing_members_are_left_out():
    curve = members(laws.FLOOR, (0.08, 0.5, 0.7), 0, spread=0.0)
    curve.values[1:, 2] = np.nan
    fit = fits.fit_curve(laws.FLOOR, curve, 300)
    assert fit.n == 1
    assert fit.parameters["exponent"].value == pytest.approx(0.7, abs=0.002)
    assert fit.note == "fewer than 3 seeds, no interval"
