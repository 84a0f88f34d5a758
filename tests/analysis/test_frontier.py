"""Which labels win at which budget, against hand-made members and NumPy."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import frontier

row = synthetic.row
EARLY, LATE = "teacher(epoch=5)", "teacher(epoch=50)"


def members(values, protocol="sealed"):
    """values: label spec -> [(validation, test) of each seed] at IPC 1."""
    epochs = {EARLY: 5, LATE: 50}
    return [
        row(1, labels, seed, test, epoch=epochs.get(labels), val_accuracy=val, protocol=protocol)
        for labels, seeds in values.items()
        for seed, (val, test) in enumerate(seeds)
    ]


def test_the_choice_is_made_on_validation_and_told_on_test():
    values = {
        "hard": [(0.9, 0.50), (0.9, 0.60), (0.9, 0.40)],
        EARLY: [(0.6, 0.52), (0.6, 0.63), (0.6, 0.44)],
        LATE: [(0.5, 0.90), (0.5, 0.90), (0.5, 0.90)],
    }
    (found,) = frontier.choose(members(values))
    assert (found.labels, found.teacher_epoch, found.selection) == (EARLY, 5, pytest.approx(0.6))
    assert found.test.mean == pytest.approx(0.53)
    assert found.hard.mean == pytest.approx(0.5)
    assert found.difference.mean == pytest.approx(0.03)
    assert (found.difference.low, found.difference.high) == pytest.approx((0.02, 0.04))
    assert found.shares == {EARLY: 1.0}
    (paper,) = frontier.choose(members(values, protocol="paper"))
    assert paper.labels == LATE
    (forced,) = frontier.choose(members(values, protocol="paper"), on="val_accuracy")
    assert forced.labels == EARLY


def test_ties_go_to_the_earlier_epoch():
    (found,) = frontier.choose(members({LATE: [(0.5, 0.1), (0.7, 0.1)], EARLY: [(0.7, 0.2), (0.5, 0.2)]}))
    assert found.labels == EARLY
    assert found.difference.n == 0


def test_shares_are_those_of_resampled_seeds():
    # EARLY wins where seed 0 is drawn at least once: 1 - (2/3)^3 = 0.704.
    values = {EARLY: [(0.9, 0.5), (0.4, 0.5), (0.4, 0.5)], LATE: [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)]}
    (found,) = frontier.choose(members(values))
    assert found.shares[EARLY] == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.shares) == [EARLY, LATE]


def test_no_seed_judges_the_choice_that_it_made():
    # All three choose EARLY (means 0.6 and 0.5), for the luck of seed 0, whose others choose LATE.
    values = {
        "hard": [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)],
        EARLY: [(0.9, 0.9), (0.45, 0.4), (0.45, 0.4)],
        LATE: [(0.5, 0.5), (0.5, 0.6), (0.5, 0.6)],
    }
    (found,) = frontier.choose(members(values))
    assert found.labels == EARLY and found.test.mean == pytest.approx((0.5 + 0.4 + 0.4) / 3)
    assert found.difference.mean == pytest.approx(found.test.mean - 0.5)
    assert found.difference.low < -0.1 < found.difference.high  # fewer than all draws choose EARLY


def test_accuracies_beside_a_difference_are_of_the_same_seeds():
    rows = members({"hard": [(0.5, 0.5), (0.5, 0.7)], EARLY: [(0.5, 0.6), (0.5, 0.8), (0.5, 0.1)]})
    (found,) = frontier.choose(rows)
    assert (found.test.mean, found.hard.mean, found.test.n, found.hard.n) == pytest.approx((0.7, 0.6, 2, 2))
    assert found.test.mean - found.hard.mean == pytest.approx(found.difference.mean)


def test_hard_labels_alone_leave_nothing_to_choose():
    assert frontier.choose(members({"hard": [(0.5, 0.5)]})) == []
    assert frontier.frontiers(members({"hard": [(0.5, 0.5)]})) == []


def test_an_ipc_at_which_no_soft_member_finished_is_left_out():
    rows = members({"hard": [(0.5, 0.5)], EARLY: [(0.5, 0.5)]})
    rows += [row(7, "hard", 0, 0.8), row(7, EARLY, 0, None, epoch=5, status="failed", val_accuracy=None)]
    assert [c.ipc for c in frontier.choose(rows)] == [1]


def test_map_is_the_mean_paired_difference_by_epoch_and_budget():
    rows = synthetic.rows(seeds=4, ipcs=(1, 10), epochs=(5, 20, 80))
    (found,) = frontier.frontiers(rows)
    assert (found.family, found.epochs, found.ipcs, found.n) == ("teacher", (5, 20, 80), (1, 10), 4)
    test = {(r["labels"], r["ipc"], r["seed"]): r["test_accuracy"] for r in rows}
    val = {(r["labels"], r["ipc"], r["seed"]): r["val_accuracy"] for r in rows}
    for i, ipc in enumerate(found.ipcs):
        for p, labels in enumerate(found.specs):
            expected = np.mean([test[labels, ipc, s] - test["hard", ipc, s] for s in range(4)])
            assert found.difference[p, i] == pytest.approx(expected)
        best = np.argmax([np.mean([val[labels, ipc, s] for s in range(4)]) for labels in found.specs])
        assert found.best[i] == best


def test_families_differ_in_the_epoch_alone():
    rows = synthetic.rows(seeds=2, ipcs=(1,), epochs=(5, 20, 80))
    cut = [{**r, "labels": r["labels"] + "|topk(3)"} for r in rows if r["teacher_epoch"] in (5, 20)]
    once = [{**r, "labels": r["labels"] + "|swap(1)"} for r in rows if r["teacher_epoch"] == 5]
    found = frontier.frontiers(rows + cut + once)
    assert [(f.family, f.epochs) for f in found] == [("teacher", (5, 20, 80)), ("teacher|topk(3)", (5, 20))]


def trend_of(best, spread=0.0):
    """best: IPC -> epoch with the highest validation accuracy."""
    rng = np.random.default_rng(0)
    rows = []
    for ipc, winner in best.items():
        for epoch in (5, 20, 80):
            for seed in range(6):
                val = 0.5 + 0.02 * (epoch == winner) + rng.normal(0, spread)
                rows.append(row(ipc, f"teacher(epoch={epoch})", seed, 0.5, epoch=epoch, val_accuracy=val))
    return frontier.epoch_trend(rows)


def test_trend_is_spearmans_correlation_with_an_interval_over_seeds():
    found = trend_of({1: 5, 2: 20, 5: 20, 10: 80})
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert found.mean == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert found.low == found.high == pytest.approx(found.mean)
    assert found.n == 6
    assert trend_of({1: 80, 2: 20, 5: 5}).mean == pytest.approx(-1)
    assert trend_of({1: 20, 2: 20, 5: 20}).mean == 0
    unsure = trend_of({1: 5, 2: 20, 5: 80}, spread=0.5)
    assert unsure.low <= 0 < unsure.high


def test_trend_needs_three_budgets():
    assert trend_of({1: 5, 2: 80}).n == 0


def test_optimism_is_what_choosing_on_test_adds_seed_by_seed():
    values = {
        "hard": [(0.5, 0.5), (0.5, 0.5)],
        EARLY: [(0.6, 0.52), (0.6, 0.54)],
        LATE: [(0.5, 0.56), (0.5, 0.60)],
    }
    gap = frontier.optimism(members(values), members(values, protocol="paper"))
    assert list(gap) == [1]
    assert (gap[1].mean, gap[1].n) == (pytest.approx(0.05), 2)


def test_the_band_knows_of_the_choice():
    # LATE is chosen where seed 0 is drawn at least once; its test accuracy is 0.9, that of EARLY 0.5.
    values = {LATE: [(0.9, 0.9), (0.4, 0.9), (0.4, 0.9)], EARLY: [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)]}
    (band,) = frontier.frontier_band(members(values)).values()
    assert (band.mean, band.low, band.high, band.n) == (pytest.approx(0.9), pytest.approx(0.5), pytest.approx(0.9), 3)
    draws = frontier.chosen_draws(members(values))
    assert np.mean(draws.picks[1:] == draws.picks[0]) == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)
    assert frontier.frontier_band(members({"hard": [(0.5, 0.5)]})) == {}


def test_the_band_follows_the_best_labels_of_each_budget():
    rows = synthetic.rows(seeds=6)
    band = frontier.frontier_band(rows)
    for choice in frontier.choose(rows):
        own = band[choice.ipc]
        cell = [r["test_accuracy"] for r in rows if r["ipc"] == choice.ipc and r["labels"] == choice.labels]
        assert own.mean == pytest.approx(np.mean(cell))
        assert own.low < own.mean < own.high
