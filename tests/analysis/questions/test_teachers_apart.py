"""Early teachers against softened late ones, loss by loss."""

import pytest
import synthetic

from jaxsoft.analysis.questions import teachers_apart
from jaxsoft.analysis.statistics import groups

CE = "soft_cross_entropy"
# Accuracy by loss, epoch and temperature: the early teacher wins under the cross-entropy, the late one under gift.
TABLE = {
    (CE, 5, 1): 0.50, (CE, 20, 1): 0.30, (CE, 20, 4): 0.45, ("mse", 5, 1): 0.40, ("mse", 20, 1): 0.30, ("mse", 20, 4): 0.40,
    ("gift", 5, 1): 0.40, ("gift", 20, 1): 0.48,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(table=TABLE, seeds=4, ipc=1):
    return [
        synthetic.row(ipc, f"teacher(epoch={e})" + f"|temperature({t})" * (t != 1), s, a + 0.02 * s, epoch=e, loss=loss)
        for s in range(seeds)
        for (loss, e, t), a in table.items()
    ]


def tell(members):
    (section,) = synthetic.ask(teachers_apart, members)
    table = section.blocks[-1]
    return section, [dict(zip(table.header, line)) for line in table.rows]


def test_the_last_teacher_at_its_best_temperature_against_the_best_early_one():
    section, lines = tell(rows())
    told = [(line["loss"], line["last epoch, best t"], line["early epoch, t = 1"]) for line in lines]
    early = "epoch 5, t = 1"
    assert told == [
        (f"`{CE}`", "epoch 20, t = 4", early),
        ("`mse`", "epoch 20, t = 4", early),
        ("`gift`", "epoch 20, t = 1", early),
    ]
    assert [line["softened last − early, points"] for line in lines] == [
        "−5.0 [−5.0, −5.0]", "0.0 [0.0, 0.0]", "+8.0 [+8.0, +8.0]"
    ]  # fmt: skip
    assert section.title == "Early teachers beat softened last ones under 1 of 3 losses, lose under 1"


def test_a_loss_may_win_at_one_budget_and_lose_at_another():
    turned = {cell: 0.9 - a for cell, a in TABLE.items()}
    section, lines = tell(rows() + rows(turned, ipc=10))
    assert (
        len(lines) == 6 and section.title == "Early teachers beat softened last ones under 2 of 3 losses, lose under 3"
    )


def test_two_seeds_tell_nothing():
    assert tell(rows(seeds=2))[0].title == (
        "Early teachers and softened last ones: no clear difference under any of 3 losses"
    )


def test_the_figure_has_a_place_for_each_loss():
    (group,) = groups.groups(groups.tidy(rows()), teachers_apart.TOGETHER)
    (panel,) = teachers_apart.answer(group, []).blocks[0].panels
    assert panel.names == [CE, "mse", "gift"]
    assert [round(value.mean, 2) for value in panel.marks[1].y] == [-0.05, 0.0, 0.08]


def test_the_source_with_most_cells_speaks_for_a_loss():
    more = [{**row, "labels": row["labels"].replace("teacher", "teachers"), "test_accuracy": 0.9} for row in rows()[:2]]
    assert tell(rows() + more)[1] == tell(rows())[1]


@pytest.mark.parametrize("kept", [
    lambda loss, e, t: loss == CE, lambda loss, e, t: t == 1, lambda loss, e, t: e == 20,
    lambda loss, e, t: loss == CE or e == 5,
])  # fmt: skip
def test_one_loss_one_temperature_or_one_epoch_ask_nothing(kept):
    assert synthetic.ask(teachers_apart, rows({cell: a for cell, a in TABLE.items() if kept(*cell)})) == []


def test_early_teachers_stand_as_they_are():
    assert tell(rows(TABLE | {(CE, 5, 4): 0.9, ("mse", 5, 4): 0.9}))[1] == tell(rows())[1]
