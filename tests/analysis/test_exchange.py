"""What a label is worth: cases whose answer is known without a computer."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis import exchange

IPCS = (1, 2, 4, 8, 16)
SOFT = "teacher(epoch=5)"


def members(hard, soft, seeds=4, spread=0.0):
    """Accuracies by IPC; `spread` is shared by both treatments of a seed."""
    rows = []
    for seed in range(seeds):
        luck = spread * (seed - (seeds - 1) / 2)
        rows += [synthetic.row(n, "hard", seed, a + luck) for n, a in zip(IPCS, hard)]
        rows += [synthetic.row(n, SOFT, seed, a + luck, epoch=5) for n, a in zip(IPCS, soft)]
    return rows


def test_labels_that_are_one_doubling_ahead_are_worth_two_images():
    found = exchange.exchange_rate(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6]), SOFT)
    assert [w.ipc for w in found] == list(IPCS)
    assert [w.ratio for w in found] == pytest.approx([2, 2, 2, 2, math.inf])
    assert [(w.smallest, w.largest) for w in found] == [(1 / n, 16 / n) for n in IPCS]
    assert all(w.low == pytest.approx(w.ratio) and w.high == pytest.approx(w.ratio) for w in found)


def test_labels_that_are_behind_are_worth_a_part_of_an_image():
    found = exchange.exchange_rate(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.1, 0.2, 0.3, 0.4]), SOFT)
    assert [w.ratio for w in found] == pytest.approx([0, 0.5, 0.5, 0.5, 0.5])


def test_hard_labels_are_worth_themselves():
    found = exchange.exchange_rate(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.9] * 5, spread=0.05), "hard")
    assert [w.ratio for w in found] == pytest.approx([1] * 5)
    assert [w.low for w in found] == pytest.approx([1] * 5)
    assert [w.high for w in found] == pytest.approx([1] * 5)


def test_interpolation_is_linear_in_the_logarithm_of_ipc():
    (first, *_) = exchange.exchange_rate(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.15, 0.2, 0.3, 0.4, 0.5]), SOFT)
    assert first.ratio == pytest.approx(math.sqrt(2))


def test_a_dip_of_the_hard_curve_is_made_monotone():
    found = exchange.exchange_rate(members([0.1, 0.3, 0.2, 0.4, 0.5], [0.25, 0.2, 0.3, 0.4, 0.5]), SOFT)
    # The dip is pooled: hard labels reach 0.25 with two images per class already.
    assert found[0].ratio == pytest.approx(2)
    assert found[2].ratio == pytest.approx((4 * 2**0.3333333) / 4)


def test_intervals_come_from_seeds():
    rng = np.random.default_rng(0)
    rows = members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6], seeds=12)
    for row in rows:
        row["test_accuracy"] += rng.normal(0, 0.02)
    for w in exchange.exchange_rate(rows, SOFT)[:3]:
        assert 1.5 < w.low < w.ratio < w.high < 2.7
        assert w.low < 2 < w.high
        assert w.n == 12


def test_one_number_is_the_geometric_mean_and_a_bound_where_the_range_ends():
    ahead = members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6])
    found = exchange.label_worth(ahead, SOFT)
    assert found is not None
    assert found.ratio == pytest.approx(2) and found.over == (1, 2, 4, 8)  # at IPC 16 no more than 1 can be shown
    assert math.isfinite(found.largest) and found.smallest > 0
    within = exchange.label_worth(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.6, 0.6]), SOFT)
    assert within is not None and math.isinf(within.largest) and math.isinf(within.high)
    assert within.ratio == within.low == pytest.approx(2)
    behind = exchange.label_worth(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.1, 0.2, 0.3, 0.4]), SOFT)
    assert behind is not None
    assert behind.ratio == pytest.approx((1 * 0.5**3) ** (1 / 4))
    assert behind.smallest == 0 and not math.isinf(behind.largest)
    assert behind.low == 0 and behind.high == pytest.approx(behind.ratio)


def test_a_spec_for_each_budget():
    rows = members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6])
    found = exchange.exchange_rate(rows, {2: SOFT, 4: "hard"})
    assert [(w.ipc, w.ratio) for w in found] == [(2, pytest.approx(2)), (4, pytest.approx(1))]


def test_one_budget_spans_no_range():
    rows = [r for r in members([0.1] * 5, [0.2] * 5) if r["ipc"] == 4]
    (only,) = exchange.exchange_rate(rows, SOFT)
    assert only.ratio == math.inf
    assert exchange.label_worth(rows, SOFT) is None


def test_draws_without_a_survivor_of_some_budget_are_left_out():
    rows = members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6], seeds=5)
    for row in rows:
        if row["ipc"] == 2 and row["labels"] == "hard" and row["seed"] > 0:
            row.update(status="failed", test_accuracy=None)
    for w in exchange.exchange_rate(rows, SOFT)[:4]:
        assert (w.low, w.ratio, w.high) == pytest.approx((2, 2, 2))


def test_without_hard_labels_there_is_no_exchange():
    rows = [r for r in members([0.1] * 5, [0.2] * 5) if r["labels"] != "hard"]
    with pytest.raises(errors.ConfigError, match="unknown label spec 'hard'"):
        exchange.exchange_rate(rows, SOFT)


def test_a_label_saves_the_images_that_it_replaces_but_for_its_own():
    rows = members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6])
    first, *_, last = exchange.savings(rows, SOFT, classes=10)
    assert (first.ipc, first.labels, first.bits, first.n) == (1, SOFT, 160, 4)
    assert (first.per_label, first.low, first.high) == pytest.approx((1, 1, 1))
    assert first.per_bit == pytest.approx(1 / 160)
    assert math.isinf(last.per_label)
    behind = exchange.savings(members([0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.1, 0.2, 0.3, 0.4]), SOFT, 10, "fp32")
    assert [s.per_label for s in behind] == pytest.approx([-1, -0.5, -0.5, -0.5, -0.5])
    assert behind[0].bits == 320


def test_iso_accuracy_is_where_the_curves_reach_a_level():
    rows = members([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6])
    rows = [row for row in rows if not (row["labels"] == SOFT and row["ipc"] == 2)]  # a cell that was not run
    iso = exchange.iso_accuracy(rows, (0.05, 0.2, 0.25, 0.55), ["hard", SOFT], resamples=100)
    np.testing.assert_allclose(
        iso.ipc, [[np.nan, np.nan], [2, 1], [2 * math.sqrt(2), math.sqrt(2)], [np.inf, 8 * math.sqrt(2)]]
    )
    np.testing.assert_allclose(iso.low, iso.ipc)
    assert (iso.targets, iso.labels) == ((0.05, 0.2, 0.25, 0.55), ("hard", SOFT))


def test_iso_accuracy_has_intervals_over_seeds_and_stays_monotone():
    rng = np.random.default_rng(0)
    rows = members([0.1, 0.3, 0.2, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6], seeds=10)  # hard labels dip
    for row in rows:
        row["test_accuracy"] += rng.normal(0, 0.02)
    iso = exchange.iso_accuracy(rows, (0.15, 0.35, 0.45), resamples=300)
    assert iso.labels == ("hard", SOFT)
    assert np.all(np.diff(iso.ipc[:, 0]) > 0)
    assert np.all((iso.low <= iso.ipc)[:, 0]) and np.all((iso.ipc <= iso.high)[:, 0])
    assert iso.low[1, 1] < 2 * math.sqrt(2) < iso.high[1, 1]
    few = exchange.iso_accuracy([r for r in rows if r["seed"] < 2], (0.35,), resamples=50)
    assert np.isfinite(few.ipc).all() and np.isnan(few.low).all()
