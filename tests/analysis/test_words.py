"""Numbers in words: every sentence that a report can open with."""

import dataclasses
import math

import pytest
from jaxsoft.analysis.exchange import Worth
from jaxsoft.analysis.frontier import Choice
from jaxsoft.analysis.scaling import Law, Parameter
from jaxsoft.analysis.stats import Estimate

from jaxsoft.analysis import words
from jaxsoft.analysis.fits import Fit, HeldOut

NAN = math.nan
NOTHING = Estimate(NAN, NAN, NAN, NAN, 0)


def choice(ipc, low, high, epoch=5, n=10, mean=None):
    mean = (low + high) / 2 if mean is None else mean
    test, hard = Estimate(0.5 + mean, 0.01, 0.4, 0.6, n), Estimate(0.5, 0.01, 0.4, 0.6, n)
    difference = Estimate(mean, 0.01, low, high, n)
    return Choice(ipc, f"teacher(epoch={epoch})", epoch, 0.5, test, hard, difference, {})


@pytest.mark.parametrize(
    "value, text",
    [(0.5125, "51.2"), (1.0, "100.0"), (0.0, "0.0"), (NAN, "–")],
)
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
    assert words.accuracy(NOTHING) == "–"


@pytest.mark.parametrize(
    "ratio, low, high, text",
    [
        (2.345, 1.9, 3.2, "2.3 [1.9, 3.2]"),
        (12.3, 9.97, 15.0, "12 [10, 15]"),
        (0.999, 0.9, 1.1, "1.0 [0.90, 1.1]"),
        (math.inf, 1.5, math.inf, "> 5 [1.5, > 5]"),
        (0.0, 0.0, 0.5, "< 1/10 [< 1/10, 0.50]"),
        (2.0, NAN, NAN, "2.0"),
    ],
)
def test_worth(ratio, low, high, text):
    assert words.worth(Worth(10, ratio, low, high, 1 / 10, 5.0, 4)) == text


@pytest.mark.parametrize(
    "choices, text",
    [
        ([choice(1, 0.01, 0.05), choice(5, 0.01, 0.03)], "Soft labels beat hard labels at every budget, by up to 3.0 points"),
        (
            [choice(1, 0.01, 0.05), choice(5, -0.01, 0.03), choice(9, 0.02, 0.02)],
            "Soft labels beat hard labels at 1 and 9 images per class, by up to 3.0 points",
        ),
        ([choice(1, 0.01, 0.05)], "Soft labels beat hard labels at 1 image per class, by 3.0 points"),
        ([choice(2, -0.05, -0.01), choice(5, -0.1, 0.1)], "Hard labels beat soft labels at 2 images per class, by 3.0 points"),
        ([choice(1, 0.01, 0.05), choice(50, -0.02, -0.01)], "Soft labels win at 1 image per class, hard labels at 50"),
        ([choice(1, -0.01, 0.05)], "No difference between soft and hard labels can be told"),
        ([choice(1, NAN, NAN, n=2, mean=0.1)], "Too few seeds to tell soft from hard labels"),
    ],
)  # fmt: skip
def test_headline(choices, text):
    assert words.headline(choices) == text


def test_headline_without_hard_labels():
    alone = Choice(5, "smooth", None, 0.5, Estimate(0.7, 0.1, 0.6, 0.8, 3), NOTHING, NOTHING, {})
    assert words.headline([alone]) == "Soft labels reach 70.0 % at 5 images per class"
    assert words.comparison(alone) == "At 5 images per class `smooth` reaches 70.0 % on test (n = 3)."


def test_comparison_says_both_accuracies_and_n():
    text = "At 1 image per class `teacher(epoch=5)` reaches 53.0 % on test and hard labels 50.0 %: +3.0 [+1.0, +5.0] points (n = 10)."
    assert words.comparison(choice(1, 0.01, 0.05)) == text


@pytest.mark.parametrize(
    "epochs, low, high, start",
    [
        ([5, 5, 5], 0.0, 0.0, "Epoch 5 of the teacher is chosen at every budget"),
        ([5, 11, 11], 0.2, 1.0, "More images want a later teacher: epoch 5 at 1 image per class, epoch 11 at 3"),
        ([50, 20, 5], -1.0, -0.1, "More images want an earlier teacher: epoch 50"),
        ([5, 50, 20], -0.1, 0.9, "The best teacher epoch shows no clear trend with images: epoch 5"),
        ([5, 50, 20], NAN, NAN, "The best teacher of each budget: epoch 5"),
    ],
)
def test_frontier(epochs, low, high, start):
    choices = [choice(i, 0, 1, epoch=e) for i, e in enumerate(epochs, 1)]
    assert words.frontier(choices, Estimate(0.5, 0.1, low, high, 9), 3).startswith(start)


def test_frontier_needs_two_budgets():
    assert words.frontier([choice(1, 0, 1)], None, 3) == ""


def test_frontier_is_no_news_where_one_epoch_was_offered_or_labels_differ_in_more():
    choices = [choice(1, 0, 1), choice(5, 0, 1)]
    assert words.frontier(choices, None, 2) and words.frontier(choices, None, 1) == ""
    other = dataclasses.replace(choices[1], labels="teacher(epoch=5)|topk(3)")
    assert words.frontier([choices[0], other], None, 2) == ""


@pytest.mark.parametrize(
    "smallest, largest, said, short",
    [
        (0.1, 5.0, "is worth 1.8 hard-labelled images [1.5, 2.2] (geometric mean over 1 and 5 images", "1.8 ×"),
        (0.1, math.inf, "is worth at least 1.8 hard-labelled images (low end 1.5) (geo", "≥ 1.8 ×"),
        (0.0, 5.0, "is worth at most 1.8 hard-labelled images (high end 2.2) (geo", "≤ 1.8 ×"),
        (0.0, math.inf, "leaves the measured range on both sides", "1.8 ×"),
    ],
)
def test_the_value_of_a_label(smallest, largest, said, short):
    whole = Worth(0, 1.8, 1.5, 2.2, smallest, largest, 10, (1, 5))
    assert said in words.value_of_a_label(whole)
    assert words.short_value(whole)[0] == short


def test_law():
    parameters = Parameter(0.02, 0.01, 0.03, True), Parameter(0.46, 0.4, 0.5, True), Parameter(0.62, 0.5, 0.7, False)
    fit = Law("hard", *parameters, 6, 10, "the exponent is not identified")
    assert (
        words.law(fit)
        == "hard: error = 0.02 + 0.46 · IPC^−0.62, exponent [0.50, 0.70] (the exponent is not identified)"
    )
    assert words.parameter(parameters[2]) == "0.62 [0.50, 0.70] *"
    assert words.parameter(Parameter(NAN, NAN, NAN, False)) == "–"


def test_forms_that_cannot_be_told_apart_are_named_together():
    def fit(form, aicc, predicted):
        return Fit("hard", form, {}, 6, 10, aicc, HeldOut(50, predicted, 0.9), "")

    rivals = [fit("power with floor", 8.0, 0.913), fit("power", 9.5, 0.95), fit("log-saturating", 10.5, 0.8)]
    assert words.form(rivals) == "power with floor, or power"
    assert words.form(rivals[:1]) == "power with floor"
    assert words.extrapolation(rivals[::-1]) == "+1.3 at 50"
    few = [fit("power", 5.0, 0.95), fit("power with floor", NAN, 0.88)]
    assert words.form(few) == "too few budgets"
    assert words.extrapolation(few) == "−2.0 at 50"
    assert (words.form([]), words.extrapolation([])) == ("–", "–")
