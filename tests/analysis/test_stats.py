"""Means, intervals and paired differences against NumPy, hand calculation and simulation."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import stats


def test_estimate_mean_and_standard_error_by_hand():
    found = stats.estimate(np.array([0.1, 0.2, 0.6, 0.7]))
    assert found.mean == pytest.approx(0.4)
    assert found.sem == pytest.approx(math.sqrt((0.09 + 0.04 + 0.04 + 0.09) / 3 / 4))
    assert found.n == 4
    assert found.low < 0.4 < found.high
    assert found.note == ""


def test_interval_is_the_expanded_percentile_of_a_plain_bootstrap():
    values = np.random.default_rng(3).gamma(2.0, 0.1, 8)
    draws = values[np.random.default_rng(9).integers(0, 8, (200_000, 8))].mean(1)
    # t(7, 0.975) = 2.36462; Phi(-sqrt(8/7) 2.36462) = 0.00573
    low, high = np.quantile(draws, [0.00573, 1 - 0.00573])
    # Plain percentiles, 0.025, lie 0.02 further in.
    found = stats.estimate(values)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)
    assert stats.interval(stats.resampled_means(values), 8) == pytest.approx((low, high), abs=0.012)


def test_interval_of_five_seeds_covers_far_more_than_plain_percentiles_do():
    rng = np.random.default_rng(0)
    found = [stats.estimate(rng.normal(0.5, 0.1, 5)) for _ in range(300)]
    assert np.mean([e.low <= 0.5 <= e.high for e in found]) > 0.88  # plain: 0.84


@pytest.mark.parametrize(
    "values, mean, low, note",
    [
        ([], math.nan, math.nan, "no finished member"),
        ([0.3], 0.3, math.nan, "fewer than 3 seeds, no interval"),
        ([0.3, 0.5], 0.4, math.nan, "fewer than 3 seeds, no interval"),
        ([0.3, 0.3, 0.3], 0.3, 0.3, "all 3 values are equal"),
    ],
)
def test_degenerate_values_are_told_without_a_warning(values, mean, low, note):
    found = stats.estimate(np.array(values, float))
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert found.low == pytest.approx(low, nan_ok=True)
    assert found.high == pytest.approx(low, nan_ok=True)
    assert found.n == len(values)
    assert found.note == note


def test_equal_input_gives_equal_output():
    values = np.random.default_rng(0).normal(size=7)
    assert stats.estimate(values) == stats.estimate(values.copy())
    np.testing.assert_array_equal(stats.resampled_means(values), stats.resampled_means(values))


def test_resampled_means_keep_pairs_and_skip_missing_members():
    base = np.random.default_rng(1).normal(size=6)
    values = np.stack([base, base + 0.25, np.where(np.arange(6) == 2, np.nan, 0.5)], 1)
    draws = stats.resampled_means(values)
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 0.25)
    assert draws[:, 0].std() > 0.1
    np.testing.assert_allclose(draws[:, 2][np.isfinite(draws[:, 2])], 0.5)
    np.testing.assert_allclose(stats.means(values), [base.mean(), base.mean() + 0.25, 0.5])
    assert math.isnan(stats.means(np.full(3, np.nan)))


def test_interval_takes_infinite_draws_and_leaves_out_nan():
    draws = np.concatenate([np.full(500, -np.inf), np.arange(1000.0), np.full(500, np.inf), np.full(50, np.nan)])
    assert stats.interval(draws, 10) == (-np.inf, np.inf)
    assert stats.interval(np.arange(1000.0), 10_000) == pytest.approx((25, 975), abs=2)
    assert all(map(math.isnan, stats.interval(np.arange(10.0), 2)))


def test_summarize_counts_means_and_failures_by_hand():
    row = synthetic.row
    rows = [
        row(5, "teacher(epoch=3)", 0, 0.6, epoch=3, val_accuracy=0.5),
        row(1, "hard", 0, 0.2),
        row(1, "hard", 1, 0.4),
        row(1, "hard", 2, None, status="failed"),
        row(1, "teacher(epoch=3)", 0, 0.5, epoch=3, learning_rate=0.1),
        row(1, "teacher(epoch=3)", 0, 0.7, epoch=3, learning_rate=0.2),
    ]
    cells = stats.summarize(rows)
    assert [(c.ipc, c.labels, c.settings["learning_rate"], c.test.n, c.failed) for c in cells] == [
        (1, "hard", 0.002, 2, 1),
        (1, "teacher(epoch=3)", 0.1, 1, 0),
        (1, "teacher(epoch=3)", 0.2, 1, 0),
        (5, "teacher(epoch=3)", 0.002, 1, 0),
    ]
    assert cells[0].test.mean == pytest.approx(0.3)
    assert (cells[3].test.mean, cells[3].val.mean) == (0.6, 0.5)


def test_cells_count_subsets_where_seeds_share_them():
    rows = [synthetic.row(1, "hard", s, 0.1 * (1 + s) + 0.2 * u, subset_seed=u) for s in (0, 1) for u in (0, 1, 2)]
    (cell,) = stats.summarize(rows)
    assert cell.test == cell.val == pytest.approx(stats.estimate(np.array([0.15, 0.35, 0.55])))
