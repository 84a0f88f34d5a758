"""Numbers in words: formats of cells, and every sentence that a report can open with."""

import math

import pytest
import synthetic

from jaxsoft.analysis import overview
from jaxsoft.analysis.findings import Choice, Findings
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.statistics.fits import Parameter
from jaxsoft.analysis.statistics.groups import groups, tidy
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate

NAN = math.nan


def told(low, high, n=10):
    """A difference of n seeds with such an interval, or without one."""
    mean = (low + high) / 2
    return Estimate(mean, (high - low) / 4.5, *((low, high) if n > 2 else (NAN, NAN)), n)


@pytest.mark.parametrize("value, text", [(0.5125, "51.2"), (1.0, "100.0"), (0.0, "0.0"), (NAN, "–")])
def test_percent(value, text):
    assert words.percent(value) == text


@pytest.mark.parametrize(
    "value, text",
    [(0.0314, "+3.1"), (-0.0314, "−3.1"), (0.0, "0.0"), (-0.0001, "0.0"), (0.0001, "0.0"), (NAN, "–")],
)
def test_points(value, text):
    assert words.points(value) == text


def test_intervals_are_shown_where_there_are_any():
    assert words.accuracy(Estimate(0.5, 0.01, 0.45, 0.55, 5)) == "50.0 [45.0, 55.0]"
    assert words.accuracy(Estimate(0.5, NAN, NAN, NAN, 1)) == "50.0"
    assert words.difference(Estimate(-0.01, 0.01, -0.03, 0.01, 5)) == "−1.0 [−3.0, +1.0]"
    assert words.accuracy(NOTHING) == words.interval(NOTHING) == "–"
    assert words.signed(told(0.01, 0.03)) == "+2.0 points [+1.0, +3.0]"
    assert words.signed(told(0.01, 0.03, n=2)) == "+2.0 points (n = 2)"


def test_ratios_budgets_and_bytes_in_words():
    assert [words.times(x) for x in (2.345, 12.4, 0.9, 0.02)] == ["2.3", "12", "0.90", "0.02"]
    assert [words.budgets(x) for x in ([1, 2, 5], [1])] == ["1, 2 and 5 images per class", "1 image per class"]
    assert [words.bits(8 * x) for x in (512, 1536, 10**9)] == ["512 B", "1.5 kB", "1.0 GB"]


def test_parameters_that_are_not_identified_have_a_star():
    assert words.parameter(Parameter(0.623, 0.5, 0.7, True)) == "0.62 [0.50, 0.70]"
    assert words.parameter(Parameter(0.623, NAN, NAN, False)) == "0.62 *"
    assert words.parameter(Parameter(NAN, NAN, NAN, False)) == "–"


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("test, %", 0.5, "50.0"), ("misfit, %", Estimate(0.5, 0.1, 0.4, 0.6, 5), "50.0 [40.0, 60.0]"),
        ("gain, points", told(-0.03, 0.01), "−1.0 [−3.0, +1.0]"), ("trend", told(-0.5, -0.25), "−0.38 [−0.50, −0.25]"),
        ("exponent b", Parameter(0.5, 0.4, 0.6, True), "0.50 [0.40, 0.60]"), ("labels", "`hard`", "`hard`"), ("n", 0, "0"),
        ("x", NAN, "–"), ("x, %", NOTHING, "–"), ("x, points", None, "–"),
    ],
)  # fmt: skip
def test_a_cell_is_written_as_the_name_of_its_column_says(name, value, text):
    assert words.cell(name, value) == text


@pytest.mark.parametrize(
    "some, of, text",
    [([1, 2], [1, 2], "at every budget"), ([1, 2, 5], [1, 2, 5, 9], "at IPC 1, 2 and 5"),
     ([1, 2, 5, 9], [1, 2, 5, 9, 20], "at 4 of 5 budgets"), ([], [], "at no budget"), ([5], [5], "at IPC 5")],
)  # fmt: skip
def test_where(some, of, text):
    assert words.where(some, of) == text


WON, LOST, NEAR, NONE, FEW = (
    told(0.01, 0.05),
    told(-0.05, -0.01),
    told(0.0002, 0.04),
    told(-0.01, 0.05),
    told(0.09, 0.11, 2),
)


@pytest.mark.parametrize(
    "values, text",
    [
        ({1: WON, 5: told(0.01, 0.03)}, "A beat B at every budget, at IPC 1 by +3.0 points [+1.0, +5.0]"),
        ({1: WON, 5: NONE}, "A beat B at 1 of 2 budgets, at IPC 1 by +3.0 points [+1.0, +5.0]"),
        ({1: WON}, "A beat B at IPC 1: +3.0 points [+1.0, +5.0]"),
        ({2: LOST, 5: NONE}, "A lose to B at 1 of 2 budgets, at IPC 2 by −3.0 points [−5.0, −1.0]"),
        ({1: WON, 2: told(-0.02, -0.01)}, "A beat B at 1 of 2 budgets, lose at 1, at IPC 1 by +3.0 points [+1.0, +5.0]"),
        ({1: NONE}, "A and B: no clear difference, +2.0 points [−1.0, +5.0] at IPC 1"),
        ({1: NEAR, 2: NONE}, "A and B: no clear difference, +2.0 points [0.0, +4.0] at IPC 1 (of 2)"),  # Holm: one of two
        ({1: NEAR}, "A beat B at IPC 1: +2.0 points [0.0, +4.0]"),
        ({1: FEW}, "A and B: too few seeds to tell, +10.0 points (n = 2) at IPC 1"),
        ({1: FEW, 5: told(0.01, 0.03)}, "A beat B at 1 of 2 budgets, at IPC 5 by +2.0 points [+1.0, +3.0]"),
    ],
)  # fmt: skip
def test_a_comparison_is_told_where_holm_lets_it(values, text):
    assert words.compare("A", "B", values) == text


def test_verbs_follow_the_sign():
    verbs = "gain", "cost points"
    assert words.compare("A", "B", {1: LOST}, verbs).startswith("A cost points B at IPC 1")


def findings(differences, epochs=(), trend=NOTHING, specs="teacher(epoch={})"):
    """Findings of choices with such differences, of a group that offered epochs 5, 11, 20 and 50."""
    offered = dict.fromkeys(epochs or (5,))
    rows = [synthetic.row(1, specs.format(e), s, 0.5, epoch=e) for e in sorted({*offered}) for s in (0, 1, 2)]
    (group,) = groups(tidy([*rows, synthetic.row(1, "hard", 0, 0.5)]))
    choices = []
    for i, (ipc, value) in enumerate(differences.items()):
        epoch = epochs[i] if epochs else 5
        (arm,) = group.of(specs.format(epoch))
        test, hard = Estimate(0.5 + value.mean, 0.01, 0.4, 0.6, value.n), Estimate(0.5, 0.01, 0.4, 0.6, value.n)
        choices.append(Choice(ipc, arm, specs.format(epoch), epoch, test, hard, value, {}))
    return Findings(group, choices, trend, [], None, [])


def test_the_headline_compares_soft_with_hard_labels_or_says_what_there_is():
    assert overview.headline(findings({1: WON})) == "Soft labels beat hard labels at IPC 1: +3.0 points [+1.0, +5.0]"
    alone = findings({1: WON})
    (choice,) = alone.choices
    choice = choice._replace(test=Estimate(0.7, 0.1, 0.6, 0.8, 3), hard=NOTHING, difference=NOTHING)
    assert (
        overview.headline(Findings(alone.group, [choice], NOTHING, [], None, []))
        == "Soft labels reach 70.0 % at 1 image per class"
    )
    assert overview._comparison(choice) == "At 1 image per class `teacher(epoch=5)` reaches 70.0 % on test (n = 3)."
    assert (
        overview.headline(Findings(alone.group, [], NOTHING, [], None, []))
        == "Hard labels reach 50.0 % at 1 image per class"
    )


def test_a_budget_says_both_accuracies_and_n():
    (choice,) = findings({1: WON}).choices
    said = "At 1 image per class `teacher(epoch=5)` reaches 53.0 % on test and hard labels 50.0 %: +3.0 points [+1.0, +5.0], n = 10."
    assert overview._comparison(choice) == said


@pytest.mark.parametrize(
    "epochs, low, high, start",
    [
        ([5, 5, 5], 0.0, 0.0, ""),  # one epoch was offered
        ([5, 11, 11], 0.2, 1.0, "More images want a later teacher: epoch 5 at 1 image per class, epoch 11 at 9"),
        ([50, 20, 5], -1.0, -0.1, "More images want an earlier teacher: epoch 50"),
        ([5, 50, 20], -0.1, 0.9, "The best teacher epoch shows no clear trend with images: epoch 5"),
        ([5, 50, 20], NAN, NAN, "The best teacher of each budget: epoch 5"),
        ([5, 50, 5][:2], NAN, NAN, "The best teacher of each budget: epoch 5"),
        ([5], NAN, NAN, ""),
    ],
)
def test_the_path_of_epochs(epochs, low, high, start):
    found = findings(dict(zip((1, 5, 9), [WON] * len(epochs))), epochs, Estimate(0.5, 0.1, low, high, 9))
    said = overview._path(found)
    assert said.startswith(start) and bool(said) == bool(start)


def test_one_epoch_at_every_budget_is_news_where_others_were_offered_for_the_same_labels():
    found = findings({1: WON, 5: WON, 9: WON}, [5, 5, 20])
    one, two, other = found.choices
    same = Findings(found.group, [one, two], NOTHING, [], None, [])
    assert overview._path(same) == "Epoch 5 of the teacher is chosen at every budget"
    group = found.group
    group.arms.loc[other.arm, "family"] = "teacher|topk(3)"
    assert overview._path(Findings(group, [one, other], NOTHING, [], None, [])) == ""


def test_text_from_outside_stays_code():
    assert words.code("a`b\n") == "`a\\x60b\\n`" and words.code("") == "` `" and len(words.code("x" * 999)) == 302
    assert words.named(["digits", "a b", "<b>"]) == "digits, a b, `<b>`"
