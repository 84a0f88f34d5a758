"""Which labels win at which budget, against hand-made members and NumPy."""

import math

import numpy as np
import pandas as pd
import pytest
import synthetic

from jaxsoft.analysis import overview
from jaxsoft.analysis.findings import Frontier, choose, epoch_trend, findings, frontiers
from jaxsoft.analysis.statistics.fits import BEST
from jaxsoft.analysis.statistics.groups import groups, tidy

row = synthetic.row
EARLY, LATE = "teacher(epoch=5)", "teacher(epoch=50)"


def only(rows):
    (group,) = groups(tidy(rows))
    return group


def members(values, protocol="sealed"):
    """values: label spec -> [(validation, test) of each seed] at IPC 1."""
    epochs = {EARLY: 5, LATE: 50}
    return only(
        row(1, labels, seed, test, epoch=epochs.get(labels), val_accuracy=val, protocol=protocol)
        for labels, seeds in values.items()
        for seed, (val, test) in enumerate(seeds)
    )


def test_the_choice_is_made_on_validation_and_told_on_test():
    values = {
        "hard": [(0.9, 0.50), (0.9, 0.60), (0.9, 0.40)],
        EARLY: [(0.6, 0.52), (0.6, 0.63), (0.6, 0.44)],
        LATE: [(0.5, 0.90), (0.5, 0.90), (0.5, 0.90)],
    }
    (found,) = choose(members(values))
    assert (found.labels, found.epoch, found.arm, found.shares) == (EARLY, 5, 1, {EARLY: 1.0})
    assert (found.test.mean, found.hard.mean, found.difference.mean) == pytest.approx((0.53, 0.5, 0.03))
    half = 4.302653 * 0.01 / math.sqrt(3)  # of 0.02, 0.03 and 0.04, with 2 degrees of freedom
    assert (found.difference.low, found.difference.high) == pytest.approx((0.03 - half, 0.03 + half))
    (paper,) = choose(members(values, protocol="paper"))
    assert paper.labels == LATE


def test_ties_go_to_the_earlier_epoch():
    (found,) = choose(members({LATE: [(0.5, 0.1), (0.7, 0.1)], EARLY: [(0.7, 0.2), (0.5, 0.2)]}))
    assert found.labels == EARLY
    assert found.difference.n == found.hard.n == 0


def test_shares_are_those_of_resampled_seeds():
    # EARLY wins where seed 0 is drawn at least once: 1 - (2/3)^3 = 0.704.
    values = {EARLY: [(0.9, 0.5), (0.4, 0.5), (0.4, 0.5)], LATE: [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)]}
    (found,) = choose(members(values))
    assert list(found.shares) == [EARLY, LATE]
    assert found.shares[EARLY] == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_no_seed_judges_the_choice_that_it_made():
    # All three choose EARLY (means 0.6 and 0.5), for the luck of seed 0, whose others choose LATE.
    values = {
        "hard": [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)],
        EARLY: [(0.9, 0.9), (0.45, 0.4), (0.45, 0.4)],
        LATE: [(0.5, 0.5), (0.5, 0.6), (0.5, 0.6)],
    }
    (found,) = choose(members(values))
    assert found.labels == EARLY and found.test.mean == pytest.approx((0.5 + 0.4 + 0.4) / 3)
    assert found.difference.mean == pytest.approx(found.test.mean - 0.5)
    assert found.difference.low < -0.1 < found.difference.high  # fewer than all draws choose EARLY


def test_a_difference_is_of_the_seeds_that_have_both():
    values = {"hard": [(0.5, 0.5), (0.5, 0.7)], EARLY: [(0.5, 0.6), (0.5, 0.8), (0.5, 0.1)]}
    (found,) = choose(members(values))
    assert (found.difference.mean, found.difference.n) == (pytest.approx(0.1), 2)
    assert (found.test.n, found.hard.n) == (3, 2)


def test_hard_labels_alone_leave_nothing_to_choose():
    group = members({"hard": [(0.5, 0.5)]})
    found = findings(group)
    assert choose(group) == frontiers(group) == found.choices == found.worths == []
    assert (found.worth, found.trend.n, found.differences) == (None, 0, {})
    assert [law.fit.name for law in found.laws] == ["hard"]


def test_a_budget_at_which_all_soft_members_failed_tells_it_and_one_without_any_is_left_out():
    rows = [row(n, labels, 0, 0.5) for n, labels in ((1, "hard"), (1, EARLY), (7, "hard"), (9, "hard"))]
    rows.append(row(7, EARLY, 0, None, epoch=5, status="failed", val_accuracy=None))
    assert [(c.ipc, c.difference.mean) for c in choose(only(rows))] == [(1, 0.0), (7, -0.5)]


def test_where_nothing_finished_nothing_is_found():
    lost = {"status": "failed", "test_accuracy": None, "val_accuracy": None}
    found = findings(only([{**r, **lost} for r in synthetic.rows(seeds=3)]))
    assert (found.choices, found.trend.n, found.worths, found.worth, found.laws) == ([], 0, [], None, [])


def test_map_is_the_mean_paired_difference_by_epoch_and_budget():
    rows = synthetic.rows(seeds=4, ipcs=(1, 10), epochs=(5, 20, 80))
    (found,) = frontiers(only(rows))
    epochs = found.difference.index.tolist()
    assert (found.family, epochs, found.difference.columns.tolist()) == ("teacher", [5, 20, 80], [1, 10])
    test, val = (
        {(r["teacher_epoch"], r["ipc"], r["seed"]): r[c] for r in rows} for c in ("test_accuracy", "val_accuracy")
    )
    for ipc in (1, 10):
        for epoch in epochs:
            expected = np.mean([test[epoch, ipc, s] - test[None, ipc, s] for s in range(4)])
            assert found.difference.loc[epoch, ipc] == pytest.approx(expected)
        means = [np.mean([val[epoch, ipc, s] for s in range(4)]) for epoch in epochs]
        assert found.best[ipc] == epochs[np.argmax(means)]


@pytest.mark.parametrize(
    "values, limit, end", [([0.03, -0.4], 0.06, "twice the largest gain"), ([-0.1, -0.2], 0.2, "the largest loss")]
)
def test_colours_of_the_map_end_at_gains_and_where_there_are_none_at_losses(values, limit, end):
    chart = overview._map(Frontier("teacher", pd.DataFrame({1: values}, index=[5, 20]), {1: 5}), 1, "validation")
    assert (
        chart.panels[0].marks[0].limits == pytest.approx((-limit, limit)) and f"colours end at {end}." in chart.caption
    )


def test_families_differ_in_the_epoch_alone():
    rows = synthetic.rows(seeds=2, ipcs=(1,), epochs=(5, 20, 80))
    cut = [{**r, "labels": r["labels"] + "|topk(3)"} for r in rows if r["teacher_epoch"] in (5, 20)]
    once = [{**r, "labels": r["labels"] + "|swap(1)"} for r in rows if r["teacher_epoch"] == 5]
    found = frontiers(only(rows + cut + once))
    epochs = {one.family: one.difference.index.tolist() for one in found}
    assert epochs == {"teacher": [5, 20, 80], "teacher|topk(3)": [5, 20]}
    assert frontiers(only([r for r in rows if r["labels"] != "hard"])) == []


def trend_of(best, spread=0.0):
    """best: IPC -> epoch with the highest validation accuracy."""
    rng = np.random.default_rng(0)
    rows = []
    for ipc, winner in best.items():
        for epoch in (5, 20, 80):
            for seed in range(6):
                val = 0.5 + 0.02 * (epoch == winner) + rng.normal(0, spread)
                rows.append(row(ipc, f"teacher(epoch={epoch})", seed, 0.5, epoch=epoch, val_accuracy=val))
    return epoch_trend(only(rows))


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


def test_trend_needs_three_budgets_and_two_epochs():
    assert trend_of({1: 5, 2: 80}).n == 0
    one = [
        row(n, labels, 0, 0.5, epoch=5) for n in (1, 2, 5) for labels in (EARLY, EARLY + "|topk(2)", EARLY + "|topk(3)")
    ]
    assert epoch_trend(only(one)).n == 0


def test_draws_in_which_a_budget_has_no_member_choose_nothing():
    epochs = {EARLY: 5, LATE: 50, "teacher(epoch=80)": 80}
    rows = [
        row(n, labels, s, 0.5, epoch=epoch, val_accuracy=0.6 - epoch / 1000)
        for n in (1, 2, 5)
        for labels, epoch in epochs.items()
        for s in range(6 if n < 5 else 1)
    ]
    group = only(rows)
    assert [choice.shares for choice in choose(group)] == [{EARLY: 1.0}] * 3
    trend = epoch_trend(group)
    assert (trend.mean, trend.low, trend.high) == (0, 0, 0)


def test_the_curve_of_the_best_labels_follows_those_of_each_budget():
    rows = synthetic.rows(seeds=6)
    group = only(rows)
    found = findings(group)
    _, values, draws = group.curve(group.soft)
    for i, choice in enumerate(found.choices):
        cell = [r["test_accuracy"] for r in rows if r["ipc"] == choice.ipc and r["labels"] == choice.labels]
        assert choice.test.mean == pytest.approx(draws[0, i]) == pytest.approx(np.mean(cell), abs=0.01)
        assert choice.test.low < choice.test.mean < choice.test.high
        if choice.shares[choice.labels] == 1:
            assert choice.test.mean == pytest.approx(np.mean(cell))
    specs = dict.fromkeys(choice.labels for choice in found.choices)
    assert [law.fit.name for law in found.laws] == ["hard", *specs, BEST]


def test_findings_are_equal_whatever_the_order_of_rows():
    rows = synthetic.rows(seeds=5, ipcs=(1, 5, 20), epochs=(5, 20))
    rows += [{**r, "learning_rate": 0.1, "test_accuracy": r["test_accuracy"] - 0.003} for r in rows]
    found, *others = (
        findings(only([rows[i] for i in np.random.default_rng(s).permutation(len(rows))])) for s in range(3)
    )
    for other in others:
        assert other.choices == found.choices and other.trend == found.trend
        assert other.worths == found.worths and other.worth == found.worth
        assert [law.fit.parameters for law in other.laws] == [law.fit.parameters for law in found.laws]
