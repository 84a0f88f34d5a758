"""What questions share: who is asked and named, choices, differences, words, ticks."""

import types

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import questions
from jaxsoft.analysis.showing import drawing, words
from jaxsoft.analysis.showing.chart import Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section
from jaxsoft.analysis.statistics import groups
from jaxsoft.analysis.statistics.inference import Estimate


def group(rows):
    (found,) = groups.groups(groups.tidy(rows))
    return found


def test_a_spec_without_its_last_operation():
    found = groups.factors("teachers(3, epoch=5)|temperature(2)|swap(i=4)")
    assert (found["base"], found["op"], found["value"]) == ("teachers(3, epoch=5)|temperature(2)", "swap", 4)
    assert groups.factors("teacher(epoch=5)")["op"] == ""


def test_only_groups_that_answer_are_told_and_named(no_drawing):
    rows = [synthetic.row(1, "hard", s, 0.5, model=model) for s in range(2) for model in ("mlp", "convnet", "resnet")]

    def answer(group, runs):
        chart = Chart("so", [Panel([Level(0.5)])], "It.")
        return None if group.members["model"].iat[0] == "mlp" else Section("It is so", [chart])

    module = types.ModuleType("asked")
    module.answer = answer
    told = synthetic.ask(module, rows)
    assert [section.title for section in told] == ["Model `convnet`: It is so", "Model `resnet`: It is so"]
    assert [section.blocks[0].name for section in told] == ["so-1", "so-2"]
    (alone,) = synthetic.ask(module, rows[:2] + rows[1:2])
    assert (alone.title, alone.blocks[0].name, alone.blocks[0].alt) == ("It is so", "so", "It. It is so.")


def test_figures_of_one_name_are_numbered_and_others_are_not(no_drawing):
    one, two = (Chart(name, [Panel([Level(0.5)])], "It.") for name in ("one", "two"))
    module = types.ModuleType("asked")
    module.answer = lambda group, runs: [Section("First", [one, two]), Section("Second", [one])]
    told = synthetic.ask(module, [synthetic.row(1, "hard", 0, 0.5)])
    assert [block.name for section in told for block in section.blocks] == ["one-1", "two", "one-2"]


def test_every_question_has_its_place_and_an_answer():
    found = questions.modules()
    assert len(found) == len({module.__name__ for module in found}) >= 18
    assert [module.ORDER for module in found] == sorted(module.ORDER for module in found)
    assert all(hasattr(module, "answer") or hasattr(module, "of_runs") for module in found)


def test_the_choice_is_made_on_validation_and_ties_go_to_the_first():
    rows = [synthetic.row(1, labels, 0, test, val_accuracy=val) for labels, test, val in (
        ("hard", 0.9, 0.1), ("teacher(epoch=1)", 0.2, 0.3), ("teacher(epoch=2)", 0.3, 0.3)
    )]  # fmt: skip
    found = group(rows)
    assert found.chosen(1, [*found.hard, *found.soft]) == "`teacher(epoch=1)`"
    assert found.chosen(1, []) is None


def test_differences_are_paired_by_seed():
    levels = {"hard": 0.2, "teacher": 0.25}
    rows = [synthetic.row(1, labels, s, base + 0.1 * s) for labels, base in levels.items() for s in range(4)]
    found = group(rows[:-1])  # the last seed has no partner
    value = found.contrast(1, found.soft, found.hard)
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
    found = group(rows)
    epochs, plain = found.find(source="teacher"), found.find(source="hard")
    assert found.contrast(1, epochs[:1], found.hard).mean == pytest.approx(0.15)
    value = found.contrast(1, epochs, plain)
    # No seed with luck has others that share it; the fourth sees the first spec lead.
    assert value.mean == pytest.approx(0.1) and value.n == 4 and value.low < 0.1 < value.high


SURE, LOST = Estimate(0.2, 0.01, 0.17, 0.23, 5), Estimate(-0.3, 0.01, -0.33, -0.27, 5)
UNSURE, FEW = Estimate(0.4, 0.3, -0.1, 0.9, 5), Estimate(0.004, *[float("nan")] * 3, 2)


def test_differences_in_words():
    assert (LOST.sign, words.signed(LOST)) == (-1, "−30.0 points [−33.0, −27.0]")
    assert (UNSURE.sign, words.signed(UNSURE)) == (0, "+40.0 points [−10.0, +90.0]")
    assert (FEW.sign, words.signed(FEW)) == (0, "+0.4 points (n = 2)")


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ({1: UNSURE, 5: SURE, 10: SURE}, "Soft beat hard at 2 of 3 budgets, at IPC 5 by +20.0 points [+17.0, +23.0]"),
        ({1: SURE, 5: LOST}, "Soft lose to hard at 1 of 2 budgets, beat at 1, at IPC 5 by −30.0 points [−33.0, −27.0]"),
        ({1: UNSURE, 5: UNSURE}, "Soft and hard: no clear difference, +40.0 points [−10.0, +90.0] at IPC 1 (of 2)"),
        ({1: FEW}, "Soft and hard: too few seeds to tell, +0.4 points (n = 2) at IPC 1"),
    ],
)
def test_the_largest_of_the_budgets_that_can_be_told_is_told(values, title):
    assert words.compare("Soft", "hard", values) == title


def test_what_went_the_other_way_is_left_out_of_a_title_that_is_too_long():
    title = words.compare("Smoothed hard labels", "hard labels", {1: SURE, 5: LOST})
    assert title.endswith("at 1 of 2 budgets, at IPC 5 by −30.0 points [−33.0, −27.0]") and len(title) <= 100


@pytest.mark.parametrize(("panels", "left_out"), [(2, ("0.001", "0.01")), (1, ())])
def test_names_of_ticks_keep_clear_of_each_other(panels, left_out):
    values = (0.0005, 0.001, 0.005, 0.01, 0.05)
    panel = Panel([Series("accuracy", values, [0.5] * 5)], x="learning rate")
    axes = drawing._draw(Chart("rates", [panel] * panels, "Rates.")).axes[0]
    shown = ["" if f"{v:g}" in left_out else f"{v:g}" for v in values]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == shown
