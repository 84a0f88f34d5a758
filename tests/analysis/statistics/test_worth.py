"""What a label is worth, and what it takes: cases whose answer is known without a computer."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.statistics import worth
from jaxsoft.analysis.statistics.groups import groups, tidy
from jaxsoft.labels import codecs

IPCS = (1, 2, 4, 8, 16)
SOFT, TOP = "teacher(epoch=5)", "teacher(epoch=5)|topk(1)"
STEPS = (0.1, 0.2, 0.3, 0.4, 0.5)
AHEAD, BEHIND = (0.2, 0.3, 0.4, 0.5, 0.6), (0.0, 0.1, 0.2, 0.3, 0.4)


def only(rows):
    (group,) = groups(tidy(rows))
    return group


def members(soft, hard=STEPS, seeds=5, spread=0.0):
    """Accuracies by IPC; `spread` is shared by both treatments of a seed."""
    rows = []
    for seed in range(seeds):
        luck = spread * (seed - (seeds - 1) / 2)
        rows += [synthetic.row(n, "hard", seed, a + luck) for n, a in zip(IPCS, hard)]
        rows += [synthetic.row(n, SOFT, seed, a + luck, epoch=5) for n, a in zip(IPCS, soft)]
    return rows


def worths(rows, labels=SOFT):
    group = only(rows)
    return worth.worths(group, group.of(labels))


def test_labels_that_are_one_doubling_ahead_are_worth_two_images():
    found, whole = worths(members(AHEAD))
    assert [w.ipc for w in found] == list(IPCS)
    assert [w.ratio for w in found] == pytest.approx([2, 2, 2, 2, math.inf])
    assert [(w.smallest, w.largest, w.n) for w in found] == [(1 / n, 16 / n, 5) for n in IPCS]
    assert [w.low for w in found] == [w.high for w in found] == pytest.approx([w.ratio for w in found])
    assert whole.ratio == pytest.approx(2) and whole.over == (1, 2, 4, 8)  # at IPC 16 no more than 1 can be shown
    assert math.isfinite(whole.largest) and whole.smallest > 0


def test_labels_that_are_behind_are_worth_a_part_of_an_image():
    found, whole = worths(members(BEHIND))
    assert [w.ratio for w in found] == pytest.approx([0, 0.5, 0.5, 0.5, 0.5])
    assert whole.ratio == pytest.approx((1 * 0.5**3) ** (1 / 4))
    assert whole.smallest == 0 and not math.isinf(whole.largest)  # an upper bound
    assert whole.low == 0 and whole.high == pytest.approx(whole.ratio)


def test_one_number_is_a_bound_where_the_range_ends():
    _, whole = worths(members((0.2, 0.3, 0.4, 0.6, 0.6)))
    assert math.isinf(whole.largest) and math.isinf(whole.high)
    assert whole.ratio == whole.low == pytest.approx(2)


def test_hard_labels_are_worth_themselves():
    found, _ = worths(members([0.9] * 5, spread=0.05), "hard")
    assert [end for w in found for end in (w.low, w.ratio, w.high)] == pytest.approx([1] * 15)


def test_interpolation_is_linear_in_the_logarithm_of_ipc():
    assert worths(members((0.15, *STEPS[1:])))[0][0].ratio == pytest.approx(math.sqrt(2))


def test_a_dip_of_the_hard_curve_is_made_monotone():
    found, _ = worths(members((0.25, 0.2, 0.3, 0.4, 0.5), (0.1, 0.3, 0.2, 0.4, 0.5)))
    # The dip is pooled: hard labels reach 0.25 with two images per class already.
    assert found[0].ratio == pytest.approx(2)
    assert found[2].ratio == pytest.approx((4 * 2 ** (1 / 3)) / 4)


def test_intervals_come_from_seeds_five_at_least():
    rng = np.random.default_rng(0)
    rows = members(AHEAD, seeds=12)
    for row in rows:
        row["test_accuracy"] += rng.normal(0, 0.02)
    for w in worths(rows)[0][:3]:
        assert 1.5 < w.low < w.ratio < w.high < 2.7
        assert w.low < 2 < w.high and w.n == 12
    few, whole = worths([row for row in rows if row["seed"] < 4])
    assert all(1.5 < w.ratio < 2.7 and math.isnan(w.low) and math.isnan(w.high) for w in [*few[:3], whole])


def test_the_labels_of_each_budget_are_chosen_among_all():
    rows = members(STEPS)
    rows += [synthetic.row(2, TOP, s, 0.3, epoch=5) for s in range(5)]
    group = only(rows)
    found, _ = worth.worths(group, group.soft)
    assert [w.ratio for w in found] == pytest.approx([1, 2, 1, 1, 1])


def test_one_budget_spans_no_range_and_without_hard_labels_there_is_no_exchange():
    (only_one,), whole = worths([r for r in members(AHEAD, [0.1] * 5) if r["ipc"] == 4])
    assert (only_one.ratio, whole) == (math.inf, None)
    assert worths([r for r in members(AHEAD) if r["labels"] != "hard"]) == ([], None)
    assert worths(members(AHEAD), "nothing") == ([], None)


def test_draws_without_a_member_of_some_budget_are_left_out():
    rows = [r for r in members(AHEAD) if not (r["ipc"] == 2 and r["labels"] == "hard" and r["seed"] > 0)]
    for w in worths(rows)[0][:4]:
        assert (w.low, w.ratio, w.high) == pytest.approx((2, 2, 2))


def test_failed_members_of_hard_labels_make_soft_ones_worth_more():
    rows = members(AHEAD)
    for row in rows:
        if row["ipc"] == 4 and row["labels"] == "hard" and row["seed"] < 2:
            row.update(status="failed", test_accuracy=None, val_accuracy=None)
    # Of IPC 2 and 4 hard labels have 0.2 and 0.18, pooled 0.19, so that 0.3 is (0.3 - 0.19) / 0.21 of the way from 4 to 8.
    assert worths(rows)[0][1].ratio == pytest.approx(4 * 2 ** (0.11 / 0.21) / 2)


def test_an_accuracy_takes_the_images_at_which_its_curve_reaches_it():
    rows = [r for r in members(AHEAD) if not (r["labels"] == SOFT and r["ipc"] == 2)]  # a cell that was not run
    group, targets = only(rows), (0.05, 0.2, 0.25, 0.55)
    hard, soft = (worth.images_for(group, arms, targets) for arms in (group.hard, group.soft))
    np.testing.assert_allclose(hard, [[np.nan, 2, 2 * math.sqrt(2), np.inf]] * 3)
    np.testing.assert_allclose(soft, [[np.nan, 1, math.sqrt(2), 8 * math.sqrt(2)]] * 3)
    np.testing.assert_array_equal(worth.images_for(group, [], targets), np.full((3, 4), np.nan))


def test_images_for_an_accuracy_have_intervals_over_seeds_and_stay_monotone():
    rng = np.random.default_rng(0)
    rows = members(AHEAD, (0.1, 0.3, 0.2, 0.4, 0.5), seeds=10)  # hard labels dip
    for row in rows:
        row["test_accuracy"] += rng.normal(0, 0.02)
    group = only(rows)
    images, low, high = worth.images_for(group, group.hard, (0.15, 0.35, 0.45))
    assert (np.diff(images) > 0).all() and (low <= images).all() and (images <= high).all()
    _, (low,), (high,) = worth.images_for(group, group.soft, (0.35,))
    assert low < 2 * math.sqrt(2) < high
    few = only([r for r in rows if r["seed"] < 4])
    images, *ends = worth.images_for(few, few.hard, (0.35,))
    assert np.isfinite(images).all() and np.isnan(ends).all()


@pytest.mark.parametrize(
    "labels, classes, bits",
    [
        ("hard", 10, 4),
        ("hard|smooth(0.1)", 1000, 10),
        ("hard", 1024, 10),
        ("hard", 1025, 11),
        ("teacher(epoch=3)", 10, 160),
        ("teacher(epoch=3)|temperature(2)", 10, 160),
        ("teachers(3)", 200, 3200),
        ("teacher|topk(5)", 200, 5 * (16 + 8)),
        ("teacher|topk(k=5)|renormalize", 200, 5 * (16 + 8)),
        ("teacher|topk(10)", 10, 160),  # all entries need no indices
        ("teacher|topk(9)", 10, 160),  # nine with indices would take more than ten without
        ("teacher(epoch=3, views=300)|topk(2)", 100, 300 * 2 * (16 + 7)),
        ("teachers(2, views=0)", 10, 160),
        ("learned", 10, 160),
        ("teacher(epoch=3)|stored(float32)", 10, 320),
        ("teacher(epoch=3)|stored(float16)", 10, 160),
        ("teacher(epoch=3)|stored(int8)|temperature(2)|topk(3)", 10, 8 * (10 + 2)),  # what follows is free
        ("teacher(epoch=3)|temperature(2)|stored(codec=int4)", 7, 8 * (4 + 2)),
        ("learned|stored('top3:int8')", 300, 8 * (2 * 3 + 4 + 2)),
        ("teacher(epoch=3)|stored(int8)|stored('top1:int4')", 10, 8 * (1 + 1 + 2)),
        ("teacher(epoch=3, views=40)|stored('top3:int4')", 10, 40 * 8 * (3 + 2 + 2)),
        ("teacher(epoch=3)|topk(3)|stored(int8)", 10, 8 * (10 + 2 + 4)),  # with its sum
        ("teacher(epoch=3)|topk(3)|renormalize|stored(int8)", 10, 8 * (10 + 2)),
        ("hard|smooth(0.1)|stored(int8)", 10, 4),
        ("teacher(epoch=3, online=true)|temperature(2)", 10, 0),
    ],
)
def test_bits_of_a_label(labels, classes, bits):
    assert worth.label_bits(labels, classes) == bits


@pytest.mark.parametrize("codec", ["float16", "int8", "int4", "top3:int4"])
def test_bits_of_stored_labels_are_those_of_an_export(codec):
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 20).astype(np.float32)
    stored = codecs.bytes_of(codecs.encode(rows, codec))
    assert 20 * worth.label_bits(f"teacher(epoch=3)|stored('{codec}')", 10) == 8 * stored


@pytest.mark.parametrize(
    ("labels", "bits"),
    [
        ("teacher(epoch=3, online=true)", 80), ("teacher(1, epoch=3, online=true)", 160),
        ("teacher(expert=2, epoch=3, online=true)", 240), ("teachers(2, epoch=3, online=true)", 240),
        ("teachers(epoch=3, online=true)", 480), ("teachers(n=4, epoch=3, online=true)", None),
        ("teacher(epoch=3)", 0), ("hard", 0),
    ],
)  # fmt: skip
def test_online_labels_take_the_bits_of_their_experts(labels, bits):
    assert worth.online_bits(labels, (10, 20, 30)) == bits


def test_what_is_paid_once_does_not_grow_with_images():
    rows = cells({(1, "hard"): 0.2, (4, "hard"): 0.3, (1, TOP): 0.4, (4, TOP): 0.5})
    found = worth.purchases(only(rows), 10, 0, {"hard": 4, TOP: 0}, {TOP: 300})
    assert [(p.ipc, p.labels, p.bits, p.label_bits) for p in found] == [
        (1, "hard", 4, 40), (4, "hard", 4, 160), (4, TOP, 0, 300), (1, TOP, 0, 300),
    ]  # fmt: skip
    (four,) = {p.ipc for p in worth.purchases(only(rows), 10, 0, {"hard": 4, TOP: 0}, ipcs=(4,))}
    assert four == 4


def test_bits_of_an_image_are_its_pixels():
    assert worth.pixel_bits((64, 64, 3)) == 64 * 64 * 3 * 8


def test_the_pareto_set_by_hand():
    cost = np.array([3.0, 1.0, 2.0, 2.0, 4.0, 0.5])
    value = np.array([[0.5, 0.3, 0.3, 0.4, 0.5, np.nan], [0.1, 0.9, 0.2, 0.2, 0.95, 0.2]])
    np.testing.assert_array_equal(worth.pareto(cost, value), [[1, 1, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1]])


def bought(rows):
    return worth.purchases(only(rows), 10, 16, {"hard": 4, TOP: 20})


def cells(accuracies, seeds=4):
    return [
        synthetic.row(ipc, labels, s, accuracy, epoch=5)
        for (ipc, labels), accuracy in accuracies.items()
        for s in range(seeds)
    ]


def test_accuracy_against_bits():
    assert {labels: worth.label_bits(labels, 10) for labels in ("hard", TOP)} == {"hard": 4, TOP: 20}
    found = bought(cells({(1, "hard"): 0.2, (1, TOP): 0.3, (2, "hard"): 0.25, (2, TOP): 0.5, (4, "hard"): 0.4}))
    assert [(p.ipc, p.labels, p.images, p.label_bits, p.total) for p in found] == [
        (1, "hard", 160, 40, 200), (1, TOP, 160, 200, 360), (2, "hard", 320, 80, 400), (2, TOP, 320, 400, 720),
        (4, "hard", 640, 160, 800),
    ]  # fmt: skip
    assert [p.pareto for p in found] == [p.share for p in found] == [True, True, False, True, False]
    assert found[3].accuracy.mean == pytest.approx(0.5) and found[3].bits == 20


def test_seeds_say_how_sure_a_place_on_the_frontier_is():
    rows = cells({(1, "hard"): 0.5}, 3)
    rows += [synthetic.row(1, TOP, s, a, epoch=5) for s, a in enumerate((0.8, 0.4, 0.4))]
    hard, soft = bought(rows)
    assert soft.pareto and hard.share == 1
    # Soft labels win where seed 0 is drawn at least once.
    assert soft.share == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)


def test_the_frontier_is_chosen_on_validation_and_told_on_test():
    rows = cells({(1, "hard"): 0.5, (1, TOP): 0.6})
    for row in rows:
        row["val_accuracy"] = 0.7 if row["labels"] == "hard" else 0.6
    hard, soft = bought(rows)
    assert (hard.pareto, soft.pareto, soft.share, soft.accuracy.mean) == (True, False, 0, pytest.approx(0.6))


def test_cells_that_failed_are_worth_nothing_and_cells_that_were_not_run_are_left_out():
    rows = cells({(1, "hard"): 0.2, (1, TOP): 0.3, (2, "hard"): 0.4})
    for row in rows:
        if row["labels"] == TOP:
            row.update(status="failed", test_accuracy=None, val_accuracy=None)
    assert [(p.ipc, p.labels, p.pareto) for p in bought(rows)] == [
        (1, "hard", True), (1, TOP, False), (2, "hard", True)
    ]  # fmt: skip
    assert worth.purchases(only(rows), 10, 16, {}) == []
