"""Learning rates by hand."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import rates


def rows(table, seeds=4, ipc=1, val=None):
    """`table`: accuracy by (labels, learning rate)."""
    return [
        synthetic.row(
            ipc, labels, s, accuracy + 0.03 * s, learning_rate=rate, val_accuracy=(val or table)[labels, rate]
        )
        for s in range(seeds)
        for (labels, rate), accuracy in table.items()
    ]


SOFT = "teacher(epoch=5)"
TURNING = {("hard", 0.01): 0.30, ("hard", 0.1): 0.20, (SOFT, 0.01): 0.28, (SOFT, 0.1): 0.36}


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch):
    monkeypatch.setattr(rates.plots, "png", lambda *args: b"")


def test_each_at_its_own_rate_and_at_shared_ones():
    (duel,) = rates.duels(rows(TURNING) + rows({(SOFT, 0.01): 0.5}, ipc=10)).all  # one rate is no duel
    assert (duel.hard.chosen, duel.soft.chosen) == (0.01, 0.1)
    assert duel.own.mean == pytest.approx(0.06) and duel.own.n == 4
    assert {rate: round(value.mean, 6) for rate, value in duel.shared.items()} == {0.01: -0.02, 0.1: 0.16}
    assert duel.turning == [0.01]
    assert [e.mean for e in duel.soft.test] == pytest.approx([0.325, 0.405])


def test_rates_and_soft_labels_are_chosen_on_validation():
    table = TURNING | {("teacher(epoch=9)", 0.01): 0.1, ("teacher(epoch=9)", 0.1): 0.2}
    val = table | {("hard", 0.1): 0.9, ("teacher(epoch=9)", 0.01): 0.9}
    (duel,) = rates.duels(rows(table, val=val)).all
    assert (duel.hard.chosen, duel.soft.labels, duel.soft.chosen) == (0.1, "teacher(epoch=9)", 0.01)
    assert duel.own.mean == pytest.approx(0.1 - 0.2)


@pytest.mark.parametrize(
    ("table", "title"),
    [
        (
            TURNING,
            "The learning rate decides who wins at 1 image per class: each at its best rate soft labels gain 6.0 points "
            "[6.0, 6.0] at IPC 1, at 0.01 they lose 2.0 points [2.0, 2.0]",
        ),
        (
            TURNING | {(SOFT, 0.01): 0.32},
            "At no rate tried can the ranking of soft and hard labels be told to turn: each at its best rate, soft labels gain "
            "6.0 points [6.0, 6.0] at 1 image per class",
        ),
        (
            TURNING | {(SOFT, 0.1): 0.30},
            "At their own best learning rates no difference between soft and hard labels can be told: 0.0 points [0.0, 0.0] "
            "at 1 image per class",
        ),
        (
            {cell: a for cell, a in TURNING.items() if cell[0] == "hard"},
            "The best learning rate of hard labels is 0.01 at 1 image per class",
        ),
    ],
)  # fmt: skip
def test_titles(table, title):
    assert rates.answer(rows(table), [])[0].title == title


def test_the_largest_of_two_budgets_is_said_to_be():
    steady = TURNING | {(SOFT, 0.01): 0.32}
    titles = [
        rates.answer(rows(table) + rows(steady | {(SOFT, 0.1): 0.4}, ipc=10), [])[0].title
        for table in (steady, TURNING)
    ]
    assert titles[0].endswith(
        "gain 10.0 points [10.0, 10.0] at 10 images per class (the largest difference among 2 budgets)"
    )
    assert titles[1].startswith(
        "The learning rate decides who wins at 1 image per class: each at its best rate soft labels gain 6"
    )


def test_a_rate_at_the_edge_is_said():
    three = TURNING | {("hard", 0.001): 0.1, (SOFT, 0.001): 0.1}
    warning = rates.answer(rows(three), [])[0].blocks[-1]
    assert warning.kind == "warning" and f"`{SOFT}` at IPC 1;" in warning.text and "hard" not in warning.text


def test_the_figure_marks_the_rate_that_was_chosen():
    (axes,) = rates.draw(rates.duels(rows(TURNING))).axes
    hard, soft = axes.containers
    np.testing.assert_allclose(hard[0].get_xydata(), [[0.01, 34.5], [0.1, 24.5]])
    marks = [line.get_xydata()[0].tolist() for line in axes.get_lines() if line.get_markersize() == 10]
    assert marks == [pytest.approx([0.01, 34.5]), pytest.approx([0.1, 40.5])]
    assert axes.get_xscale() == "log"


def test_not_asked_when_each_cell_has_one_rate():
    assert rates.answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20)), []) == rates.answer([], []) == []
    assert rates.answer(rows({("hard", 0.1): 0.3, (SOFT, 0.01): 0.4}), []) == []
