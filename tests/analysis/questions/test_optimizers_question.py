"""Losses under several optimizers."""

import pytest
import synthetic

from jaxsoft.analysis.questions import optimizers
from jaxsoft.analysis.statistics import groups

KL, GIFT = "kl(20)", "gift"
# Accuracy by optimizer, loss and rate: under kl the optimizer is worth 20 points, under gift 5.
TABLE = {
    ("adamw", KL, 0.01): 0.50, ("adamw", KL, 0.1): 0.30, ("sgd", KL, 0.01): 0.10, ("sgd", KL, 0.1): 0.30,
    ("adamw", GIFT, 0.01): 0.40, ("adamw", GIFT, 0.1): 0.45, ("sgd", GIFT, 0.01): 0.20, ("sgd", GIFT, 0.1): 0.40,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(table=TABLE, seeds=4, ipc=1, labels="teacher(epoch=5)", noise=0.0):
    return [
        synthetic.row(
            ipc, labels, s, a + 0.02 * s + noise * (-1) ** (s + len(loss)), loss=loss, optimizer=optimizer, learning_rate=rate
        )
        for s in range(seeds)
        for (optimizer, loss, rate), a in table.items()
    ]  # fmt: skip


def tell(members):
    """The one section, and its tables as records."""
    (section,) = synthetic.ask(optimizers, members)
    tables = [block for block in section.blocks if hasattr(block, "header")]
    return section, *([dict(zip(table.header, line)) for line in table.rows] for table in tables)


def test_every_pair_has_its_own_rate_and_the_spread_is_of_the_best_and_the_worst():
    section, (kl, gift), _ = tell(rows())
    assert (kl["loss"], kl["adamw: rate"], kl["sgd: rate"]) == (f"`{KL}`", "0.01 (edge)", "0.1 (edge)")
    assert kl["adamw: test, %"].startswith("53.0 [") and kl["sgd: test, %"].startswith("33.0 [")
    assert kl["spread, points"] == "+20.0 [+20.0, +20.0]" and gift["spread, points"] == "+5.0 [+5.0, +5.0]"
    assert section.title == "The optimizer matters less under `gift` than `kl`: −15.0 points [−15.0, −15.0] at IPC 1"
    assert section.blocks[0].text == (
        "`gift` minus `kl(20)`: −5.0 points [−5.0, −5.0] under `adamw` at IPC 1; +10.0 points [+10.0, +10.0] under `sgd` at IPC 1."
    )


def test_what_was_tuned_under_one_optimizer_and_used_under_another():
    _, _, crossed = tell(rows())
    told = {(line["tuned under"], line["loss"]): line for line in crossed}
    assert {key: line["rate kept, points"] for key, line in told.items()} == {
        ("`adamw`", f"`{KL}`"): "−20.0 [−20.0, −20.0]",  # the rate .01 under sgd
        ("`adamw`", "`gift`"): "0.0 [0.0, 0.0]",
        ("`sgd`", f"`{KL}`"): "−20.0 [−20.0, −20.0]",
        ("`sgd`", "`gift`"): "0.0 [0.0, 0.0]",
    }
    # kl is chosen under adamw and loses ten points to gift under sgd; gift, chosen there, loses five under adamw.
    kept = {key: line["loss kept, points"] for key, line in told.items() if line["loss kept, points"] != "–"}
    assert kept == {("`adamw`", f"`{KL}`"): "−10.0 [−10.0, −10.0]", ("`sgd`", "`gift`"): "−5.0 [−5.0, −5.0]"}


def test_a_rate_that_was_not_tried_under_the_other_is_a_gap():
    apart = {(o, loss, rate * (10 if o == "sgd" else 1) + (o == "sgd")): a for (o, loss, rate), a in TABLE.items()}
    _, _, crossed = tell(rows(apart))
    assert [line["loss"] for line in crossed] == [f"`{KL}`", "`gift`"] and all(
        "rate kept, points" not in line for line in crossed
    )
    section, _ = tell(rows({cell: a for cell, a in apart.items() if cell[1] == KL}))  # one loss: nothing is crossed
    assert section.title == "The optimizer is worth +20.0 points [+20.0, +20.0] under `kl(20)` at IPC 1"


@pytest.mark.parametrize(
    ("moved", "title"),
    [
        ({("sgd", GIFT, 0.1): 0.1, ("sgd", GIFT, 0.01): 0.05},
         "The optimizer matters more under `gift` than `kl`: +15.0 points [+15.0, +15.0] at IPC 1"),
        ({("sgd", GIFT, 0.1): 0.25},
         "The optimizer under `gift` and `kl`: no clear change, 0.0 points [0.0, 0.0] at IPC 1"),
    ],
)  # fmt: skip
def test_titles(moved, title):
    assert tell(rows(TABLE | moved))[0].title == title


def test_titles_of_several_budgets_and_long_losses_are_short():
    long = {(o, loss.replace(GIFT, "gift(gamma=0.25, alpha=0.15)"), r): a for (o, loss, r), a in TABLE.items()}
    title = tell(rows(long) + rows(long, ipc=100))[0].title
    assert title.endswith("at IPC 1 (of 2)") and len(title) <= 100
    few = tell(rows(seeds=2))[0].title
    assert few == "The optimizer under `gift` and `kl`: no clear change, −15.0 points (n = 2) at IPC 1"


def test_hard_labels_alone_have_a_spread_too():
    section, (line,) = tell(
        rows({("adamw", "soft_cross_entropy", 0.1): 0.5, ("sgd", "soft_cross_entropy", 0.1): 0.4}, labels="hard")
    )
    assert line["loss"] == "`hard labels`" and line["spread, points"] == "+10.0 [+10.0, +10.0]"


def test_the_figure_has_a_series_for_each_optimizer():
    (group,) = groups.groups(groups.tidy(rows()), optimizers.TOGETHER)
    (panel,) = optimizers.answer(group, []).blocks[1].panels
    assert [mark.name for mark in panel.marks] == ["adamw", "sgd"] and panel.names == [KL, GIFT]
    assert [round(value.mean, 2) for value in panel.marks[1].y] == [0.33, 0.43]


def test_one_optimizer_or_two_that_share_no_budget_ask_nothing():
    one = {cell: a for cell, a in TABLE.items() if cell[0] == "sgd"}
    assert synthetic.ask(optimizers, rows(one)) == []
    other = {cell: a for cell, a in TABLE.items() if cell[0] == "adamw"}
    assert synthetic.ask(optimizers, rows(one) + rows(other, ipc=5)) == []
    assert synthetic.ask(optimizers, [synthetic.row(1, "hard", 0, 0.5)]) == []
