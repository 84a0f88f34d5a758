"""What questions share: specs taken apart, groups, choices, words."""

import numpy as np
import pytest
import synthetic
from jaxsoft.analysis.grid import grid
from jaxsoft.analysis.stats import Estimate
from matplotlib.figure import Figure

from jaxsoft.analysis.page import Section
from jaxsoft.analysis.questions import _parts as parts


def test_a_spec_without_its_last_operation():
    source, call = parts.split("teachers(3, epoch=5)|temperature(2)|swap(i=4)")
    assert source == "teachers(3, epoch=5)|temperature(2)"
    assert (call.name, parts.argument(call)) == ("swap", 4)
    assert parts.split("teacher(epoch=5)") == ("teacher(epoch=5)", None)
    assert (parts.epoch(source), parts.epoch("hard")) == (5, None)


def test_only_groups_that_ask_are_told_and_named():
    rows = [synthetic.row(1, "hard", s, 0.5, model=model) for s in range(2) for model in ("mlp", "convnet", "resnet")]
    asked = []

    def find(group):
        return group[0]["model"] if group[0]["model"] != "mlp" else None

    def tell(found, suffix):
        asked.append((found, suffix))
        return [Section("It is so", [])]

    told = parts.by_group(rows, find, tell)
    assert asked == [("convnet", "-1"), ("resnet", "-2")]
    assert [section.title for section in told] == ["Model `convnet`: It is so", "Model `resnet`: It is so"]
    assert parts.by_group(rows[:1], lambda group: 1, lambda found, suffix: [Section(suffix, [])])[0].title == ""


def test_the_choice_is_made_on_validation_and_ties_go_to_the_first():
    rows = [synthetic.row(1, labels, 0, test, val_accuracy=val) for labels, test, val in (
        ("hard", 0.9, 0.1), ("teacher(epoch=1)", 0.2, 0.3), ("teacher(epoch=2)", 0.3, 0.3)
    )]  # fmt: skip
    table = grid(rows)
    assert parts.chosen(table, 1, ["hard", "teacher(epoch=1)", "teacher(epoch=2)"]) == "teacher(epoch=1)"
    assert parts.chosen(table, 1, ["teacher(epoch=9)"]) is None


def test_differences_are_paired_by_seed():
    rows = [
        synthetic.row(1, labels, s, base + 0.1 * s)
        for labels, base in (("hard", 0.2), ("teacher", 0.25))
        for s in range(4)
    ]
    value = parts.paired(grid(rows[:-1]), 1, "teacher", "hard")  # the last seed has no partner
    assert value.n == 3 and value.mean == pytest.approx(0.05) and value.high == pytest.approx(0.05)


def test_of_the_best_of_several_each_seed_judges_what_the_others_chose():
    luck = np.eye(4)[:, :3] * 0.2  # each of three equal specs is lucky in one seed, on validation as on test
    rows = [
        synthetic.row(1, f"teacher(epoch={e})", s, 0.4 + luck[s, e], epoch=e) for e in range(3) for s in range(4)
    ] + [
        synthetic.row(1, labels, s, level)
        for s in range(4)
        for labels, level in (("hard", 0.3), ("hard|smooth(0.1)", 0.2))
    ]
    table, epochs = grid(rows), [f"teacher(epoch={e})" for e in range(3)]
    assert parts.paired(table, 1, parts.chosen(table, 1, epochs), "hard").mean == pytest.approx(0.15)
    value = parts.chosen_minus(table, 1, epochs, ["hard|smooth(0.1)", "hard"])
    # No seed with luck has others that share it; the fourth sees the first spec lead.
    assert value.mean == pytest.approx(0.1) and value.n == 4 and value.low < 0.1 < value.high
    assert parts.chosen_minus(table, 1, epochs[:1], ["hard"]) == parts.paired(table, 1, epochs[0], "hard")


def test_differences_in_words():
    lost = Estimate(-0.02, 0.001, -0.03, -0.01, 5)
    assert (parts.sign(lost), parts.size(lost)) == (-1, "2.0 points [1.0, 3.0]")
    unsure = Estimate(0.004, 0.001, -0.002, 0.01, 5)
    assert (parts.sign(unsure), parts.signed(unsure)) == (0, "+0.4 points [−0.2, +1.0]")
    nan = float("nan")
    assert parts.signed(Estimate(0.004, nan, nan, nan, 2)) == "+0.4 points (n = 2 gives no interval)"
    assert parts.sign(Estimate(0.4, nan, nan, nan, 2)) == 0


def test_the_largest_of_several_budgets_is_said_to_be():
    up, down, none = (
        Estimate(0.2, 0.1, 0.1, 0.3, 5),
        Estimate(-0.3, 0.1, -0.4, -0.2, 5),
        Estimate(0.4, 0.3, -0.1, 0.9, 5),
    )
    assert parts.largest({1: none, 5: up, 10: up}) == (5, " (the largest difference among 3 budgets, told at 2)")
    assert parts.largest({1: up, 5: down}, "gain") == (5, " (told at 1 of 2 budgets)")
    assert parts.largest({1: up, 5: up}, "gain") == (1, " (the largest gain among 2 budgets)")
    assert parts.largest({1: none, 5: none}) == (1, " (the largest difference among 2 budgets)")


def test_names_of_ticks_keep_clear_of_each_other():
    axes = Figure((5, 3)).subplots()
    values = (0.0005, 0.001, 0.005, 0.01, 0.05)
    parts.measured_axis(axes, values, "learning rate", part=0.5)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0.0005", "", "0.005", "", "0.05"]
    parts.measured_axis(axes, values, "learning rate")
    assert [t.get_text() for t in axes.get_xticklabels()] == [f"{v:g}" for v in values]
