"""Losses side by side, each at its own best rate."""

import pytest
import synthetic

from jaxsoft.analysis import questions
from jaxsoft.analysis.questions import losses
from jaxsoft.analysis.statistics import groups

CE, TEACHER = "soft_cross_entropy", "teacher(epoch=5)"
# Test accuracy by loss and rate; validation is the same.
TABLE = {
    (CE, 0.1): 0.40,
    (CE, 1.0): 0.30,
    ("mse", 0.1): 0.35,
    ("mse", 1.0): 0.38,
    ("gift", 0.1): 0.45,
    ("gift", 1.0): 0.44,
}
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(table=TABLE, seeds=4, ipc=1, hard=0.25, **other):
    found = [
        synthetic.row(ipc, TEACHER, s, a + 0.02 * s, epoch=5, loss=loss, learning_rate=rate, **other)
        for s in range(seeds)
        for (loss, rate), a in table.items()
    ]
    return found + [
        synthetic.row(ipc, "hard", s, hard + 0.02 * s, loss=CE, learning_rate=0.1) for s in range(seeds if hard else 0)
    ]


def tell(members):
    """The one section, what it says first, and its table by budget and loss."""
    (section,) = synthetic.ask(losses, members)
    said, _, table, *_ = section.blocks
    lines = [dict(zip(table.header, line)) for line in table.rows]
    return section, said.text, {(line["IPC"], line["loss"]): line for line in lines}


def test_each_loss_at_its_own_rate_against_soft_cross_entropy():
    section, said, lines = tell(rows())
    column = "minus soft cross-entropy, points"
    told = {loss: (line["rate"], line[column], line["n"]) for (_, loss), line in lines.items()}
    assert told == {
        f"`{CE}`": ("0.1", "–", "4"),
        "`mse`": ("1", "−2.0 [−2.0, −2.0]", "4"),
        "`gift` (chosen)": ("0.1", "+5.0 [+5.0, +5.0]", "4"),
        "hard labels": ("0.1", "−15.0 [−15.0, −15.0]", "4"),
    }
    assert section.title == "Other losses beat soft cross-entropy at IPC 1: +5.0 points [+5.0, +5.0]"
    assert said == (
        "Best on validation: `gift` at IPC 1. Of 2 differences between losses 2 can be told from zero beside the others: "
        "`mse` at IPC 1 by −2.0 and `gift` at IPC 1 by +5.0."
    )
    warning = section.blocks[-1].text
    assert f"tried for `{CE}` at IPC 1, `mse` at IPC 1 and `gift` at IPC 1;" in warning


def test_titles_are_short_and_of_all_budgets():
    worse = {cell: a - 0.1 * (cell[0] != CE) for cell, a in TABLE.items()}
    for second in (TABLE, worse):
        (section, said, _) = tell([*rows(), *rows(second, ipc=100)])
        assert section.title.startswith("Other losses ") and len(section.title) <= 100
    assert "`gift` at IPC 1 and `soft_cross_entropy` at IPC 100." in said


def test_too_few_seeds_tell_no_loss_from_another():
    section, said, _ = tell(rows(seeds=2))
    assert section.title == "Other losses and soft cross-entropy: too few seeds to tell, +5.0 points (n = 2) at IPC 1"
    assert said.endswith("Of 2 differences between losses none can be told from zero beside the others.")


def test_without_soft_cross_entropy_the_first_loss_is_the_measure():
    section, _, lines = tell(rows({cell: a for cell, a in TABLE.items() if cell[0] != CE}, hard=0))
    assert lines["1", "`gift` (chosen)"]["minus `mse`, points"] == "+7.0 [+7.0, +7.0]"
    assert section.title == "Other losses beat `mse` at IPC 1: +7.0 points [+7.0, +7.0]"


def test_a_budget_at_which_the_measure_was_not_run_has_accuracies_alone():
    alone = rows({("gift", 0.1): 0.6}, ipc=5, hard=0)
    _, said, lines = tell([*rows(), *alone])
    assert lines["5", "`gift` (chosen)"]["minus soft cross-entropy, points"] == "–" and "Of 2 differences" in said


def test_the_figure_has_a_place_for_each_loss_and_hard_labels_last():
    (group,) = groups.groups(groups.tidy(rows()), losses.TOGETHER)
    (panel,) = losses.answer(group, []).blocks[1].panels
    _, series = panel.marks
    assert panel.names == ["mse", "gift", "hard labels"] and panel.y == "minus soft cross-entropy, points"
    assert [round(value.mean, 3) for value in series.y] == [-0.02, 0.05, -0.15]


def test_other_losses_stay_off_the_curves_of_soft_against_hard_labels():
    members = groups.tidy(rows())
    assert set(questions.common(members, [losses])["loss"]) == {CE}
    assert not losses.private(members[members["loss"] == "gift"]).any()


def test_optimizers_are_asked_apart():
    both = [{**row, "optimizer": name} for name in ("adamw", "sgd") for row in rows()]
    assert [section.title.partition(":")[0] for section in synthetic.ask(losses, both)] == [
        "Optimizer `adamw`",
        "Optimizer `sgd`",
    ]


def test_one_loss_or_losses_that_share_no_budget_ask_nothing():
    assert synthetic.ask(losses, rows({cell: a for cell, a in TABLE.items() if cell[0] == CE})) == []
    assert synthetic.ask(losses, rows({(CE, 0.1): 0.4}) + rows({("gift", 0.1): 0.4}, ipc=5)) == []
    assert synthetic.ask(losses, [row | {"loss": None} for row in rows({(CE, 0.1): 0.4})]) == []
