"""Learning rates by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import rates
from jaxsoft.analysis.statistics import groups

SOFT = "teacher(epoch=5)"
TURNING = {("hard", 0.01): 0.30, ("hard", 0.1): 0.20, (SOFT, 0.01): 0.28, (SOFT, 0.1): 0.36}
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(table, seeds=4, ipc=1, val=None):
    """`table`: accuracy by (labels, learning rate)."""
    return [
        synthetic.row(
            ipc, labels, s, accuracy + 0.03 * s, learning_rate=rate, val_accuracy=(val or table)[labels, rate]
        )
        for s in range(seeds)
        for (labels, rate), accuracy in table.items()
    ]


def tell(members):
    """The one section, and its table as records."""
    (section,) = synthetic.ask(rates, members)
    return section, [dict(zip(section.blocks[1].header, line)) for line in section.blocks[1].rows]


def test_each_at_its_own_rate_and_at_shared_ones():
    _, (line,) = tell(rows(TURNING) + rows({(SOFT, 0.01): 0.5}, ipc=10))  # one rate is no duel
    assert (line["hard: rate"], line["soft: rate"], line["soft labels"]) == ("0.01", "0.1", f"`{SOFT}`")
    assert line["soft − hard, points"] == "+6.0 [+6.0, +6.0]" and line["n"] == "4"
    assert line["turned at"] == "0.01: −2.0 [−2.0, −2.0]"
    assert line["hard: test, %"].startswith("34.5 [") and line["soft: test, %"].startswith("40.5 [")


def test_rates_and_soft_labels_are_chosen_on_validation():
    table = TURNING | {("teacher(epoch=9)", 0.01): 0.1, ("teacher(epoch=9)", 0.1): 0.2}
    val = table | {("hard", 0.1): 0.9, ("teacher(epoch=9)", 0.01): 0.9}
    _, (line,) = tell(rows(table, val=val))
    chosen = line["hard: rate"], line["soft labels"], line["soft: rate"]
    assert chosen == ("0.1", "`teacher(epoch=9)`", "0.01")
    assert line["soft − hard, points"] == "−10.0 [−10.0, −10.0]"


@pytest.mark.parametrize(
    ("table", "title"),
    [
        (TURNING, "The learning rate decides who wins at IPC 1: soft − hard +6.0 at best rates, −2.0 at 0.01"),
        (TURNING | {(SOFT, 0.01): 0.32}, "Tuned, soft labels beat hard labels at IPC 1: +6.0 points [+6.0, +6.0]"),
        (TURNING | {(SOFT, 0.1): 0.30}, "Tuned, soft labels and hard labels: no clear difference, 0.0 points [0.0, 0.0] at IPC 1"),
        (
            {cell: a for cell, a in TURNING.items() if cell[0] == "hard"},
            "The best learning rate of hard labels is 0.01 at IPC 1",
        ),
    ],
)  # fmt: skip
def test_titles(table, title):
    assert tell(rows(table))[0].title == title


def test_titles_of_several_budgets():
    steady = TURNING | {(SOFT, 0.01): 0.32}
    other = rows(steady | {(SOFT, 0.1): 0.4}, ipc=10)
    steadily, turning = (tell(rows(table) + other)[0].title for table in (steady, TURNING))
    assert steadily == "Tuned, soft labels beat hard labels at every budget, at IPC 10 by +10.0 points [+10.0, +10.0]"
    assert turning.startswith("The learning rate decides who wins at IPC 1: soft − hard +6.0")
    losing = {("hard", 0.01): 0.5, ("hard", 0.1): 0.4, (SOFT, 0.01): 0.3, (SOFT, 0.1): 0.2}
    title = tell(rows(losing) + other + rows(losing, ipc=50, seeds=2))[0].title
    assert "lose to hard labels at 1 of 3 budgets, at IPC 1 by −20.0" in title and len(title) <= 100
    hard = {cell: a for cell, a in TURNING.items() if cell[0] == "hard"}
    same = tell(rows(hard) + rows(hard, ipc=5))[0].title
    assert same == "The best learning rate of hard labels is 0.01 at every budget"
    moved = tell(rows(hard) + rows(hard | {("hard", 0.1): 0.9}, ipc=5))[0].title
    assert moved == "The best learning rate of hard labels is 0.01 at IPC 1 and 0.1 at IPC 5"


def test_a_rate_at_the_edge_is_said():
    three = TURNING | {("hard", 0.001): 0.1, (SOFT, 0.001): 0.1}
    warning = tell(rows(three))[0].blocks[-1]
    assert warning.kind == "warning" and "for soft labels at IPC 1;" in warning.text and "hard" not in warning.text
    every = tell([row for ipc in range(1, 7) for row in rows(TURNING, ipc=ipc)])[0].blocks[-1]
    assert "soft labels at IPC 1, hard labels at IPC 2 and 9 more;" in every.text


def test_a_rate_at_which_members_fail_loses_as_guessing():
    failed = [
        {**row, "status": "failed", "test_accuracy": None, "val_accuracy": None, "accuracy_by_class": None}
        if (row["labels"], row["learning_rate"]) == (SOFT, 0.1) else {**row, "accuracy_by_class": "0.1 0.1"}
        for row in rows(TURNING | {(SOFT, 0.1): 0.9})
    ]  # fmt: skip
    _, (line,) = tell(failed)
    assert line["soft: rate"] == "0.1" and line["soft: test, %"] == "50.0 [50.0, 50.0]"


def test_the_figure_rings_the_rate_that_was_chosen():
    (group,) = groups.groups(groups.tidy(rows(TURNING)))
    section = rates.answer(group, [])
    (panel,) = section.blocks[0].panels
    lines = {mark.name: mark for mark in panel.marks if mark.name}
    assert [round(v.mean, 3) for v in lines["hard labels"].y] == [0.345, 0.245] and lines["hard labels"].x == [
        0.01,
        0.1,
    ]
    rings = [(mark.x[0], round(mark.y[0], 3)) for mark in panel.marks if not mark.name]
    assert sorted(rings) == [(0.01, 0.345), (0.1, 0.405)] and panel.log


def test_not_asked_when_each_cell_has_one_rate():
    assert synthetic.ask(rates, synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20))) == []
    assert synthetic.ask(rates, rows({("hard", 0.1): 0.3, (SOFT, 0.01): 0.4})) == []


def test_of_several_losses_those_without_hard_labels_are_told_by_the_question_of_losses():
    other = [{**row, "loss": "gift"} for row in rows(TURNING) if row["labels"] == SOFT]
    (section,) = synthetic.ask(rates, rows(TURNING) + other)
    assert "+6.0 at best rates" in section.title
    assert synthetic.ask(rates, other)[0].title == "The best learning rate of soft labels is 0.1 at IPC 1"
