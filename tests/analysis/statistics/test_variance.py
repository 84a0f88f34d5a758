"""Variance components of designs whose components are known, and seeds for a difference against tables."""

import doctest

import numpy as np
import pytest
import scipy.stats
import synthetic

from jaxsoft import errors
from jaxsoft.analysis.statistics import variance


def test_docstring_examples():
    assert doctest.testmod(variance).failed == 0


def test_two_factors_by_hand():
    # Row means 2 and 6, column means 3 and 5, grand mean 4; residuals +-1.
    found = variance.components(np.array([[2.0, 2.0], [4.0, 8.0]]), ("image", "seed"))
    # SS: 2 * (2^2 + 2^2) = 16, 2 * (1 + 1) = 4, 4 * 1 = 4, one degree of freedom each.
    assert [(p.factor, p.levels) for p in found.parts] == [("image", 2), ("seed", 2), ("rest", 4)]
    np.testing.assert_allclose([p.variance.mean for p in found.parts], [(16 - 4) / 2, 0, 4])
    np.testing.assert_allclose([p.share.mean for p in found.parts], [0.6, 0, 0.4])
    assert found.mean == 4 and found.total.mean == pytest.approx(10) and not found.parts[1].negative
    low, high = 4 / scipy.stats.chi2.ppf([0.975, 0.025], 1)  # of the residual the interval is exact
    rest = found.parts[-1].variance
    assert rest.low == pytest.approx(low, rel=0.03) and rest.high == pytest.approx(high, rel=0.15)


def test_a_negative_estimate_is_shown_as_zero_and_said():
    found = variance.components(np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]), ("image", "seed"))
    assert [p.negative for p in found.parts] == [True, True, False]
    assert [p.variance.mean for p in found.parts[:2]] == [0, 0]
    assert found.parts[-1].share.mean == 1


def test_components_are_found_and_intervals_cover_them():
    rng, sds, rest = np.random.default_rng(0), (2.0, 0.5, 1.0), 0.7
    truth = np.array([*sds, rest]) ** 2
    covered, shares, found = np.zeros(4), np.zeros(4), []
    for _ in range(100):
        values = synthetic.crossed(rng, (8, 4, 8), sds, rest)
        parts = variance.components(values, ("image", "expert", "seed")).parts
        found.append([p.variance.mean for p in parts])
        covered += [p.variance.low <= v <= p.variance.high for p, v in zip(parts, truth)]
        shares += [p.share.low <= v <= p.share.high for p, v in zip(parts, truth / truth.sum())]
    assert (covered >= 90).all() and (shares >= 90).all()
    # Unbiased: the mean of 100 estimates lies within three of its own standard errors.
    np.testing.assert_array_less(np.abs(np.mean(found, 0) - truth), 3 * scipy.stats.sem(found))


def test_an_additive_design_is_restored_where_cells_are_missing():
    rng = np.random.default_rng(0)
    values = synthetic.crossed(rng, (6, 3, 5), (1.0, 1.0, 1.0), 0.0)
    whole = variance.components(values, ("a", "b", "c"))
    values[0, 0, 0] = values[3, 2, 1] = np.nan
    found = variance.components(values, ("a", "b", "c"))
    assert found.missing == 2
    np.testing.assert_allclose(
        [p.variance.mean for p in found.parts], [p.variance.mean for p in whole.parts], atol=1e-8
    )


def test_missing_cells_cost_degrees_of_freedom():
    rng = np.random.default_rng(0)
    rests = []
    for _ in range(80):
        values = rng.normal(size=(3, 4))
        values[0, 0] = values[1, 2] = np.nan
        rests.append(variance.components(values, ("a", "b")).parts[-1].variance.mean)
    assert np.mean(rests) == pytest.approx(1, abs=0.2)  # 2/3 if they were counted as members


def test_an_axis_of_one_level_is_no_factor():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 1, 5))
    assert variance.components(values, ("a", "b", "c")) == variance.components(values[:, 0], ("a", "c"))


@pytest.mark.parametrize("values", [[[0.5]], [[0.5, 0.6, 0.7]], [[0.5, np.nan], [0.6, 0.7]]])
def test_a_design_without_residual_is_refused(values):
    with pytest.raises(errors.DataError, match="leaves no residual variance"):
        variance.components(np.array(values), ("image", "seed"))


@pytest.mark.parametrize("paired", [True, False])
def test_so_many_seeds_do_tell_the_difference_so_often(paired):
    n = variance.seeds_needed(4.0, 1.5, paired)
    rng = np.random.default_rng(0)
    a = rng.normal(1.5, 2, (4000, n))
    b = rng.normal(0, 0 if paired else 2, (4000, n))
    test = scipy.stats.ttest_1samp(a, 0, axis=1) if paired else scipy.stats.ttest_ind(a, b, axis=1)
    assert np.mean(test.pvalue < 0.05) == pytest.approx(0.8, abs=0.03)


def test_equal_values_need_the_fewest_seeds():
    assert variance.seeds_needed(0.0, 0.01, paired=True) == 2


@pytest.mark.parametrize("none", [0.0, 1e-300])
def test_seeds_are_told_of_a_variance_that_is_none_or_nearly(none):
    assert variance.seeds_needed(none, 0.01, paired=True) == 2
