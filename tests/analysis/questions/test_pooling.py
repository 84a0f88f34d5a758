"""Pooled experts by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import pooling


def rows(table, seeds=4, epoch=5, ipc=10, noise=0.0):
    """`table`: accuracy by (pool, n)."""
    found = []
    for s in range(seeds):
        for (pool, n), accuracy in table.items():
            named = "" if pool == "logits" else "pool=probabilities, "
            labels = f"teacher(epoch={epoch})" if n == 1 else f"teachers({n}, {named}epoch={epoch})"
            value = accuracy + 0.05 * s + noise * (-1) ** s * n
            found.append(synthetic.row(ipc, labels, s, value, epoch=epoch))
    return found


TABLE = {
    ("logits", 1): 0.30,
    ("logits", 3): 0.33,
    ("logits", 5): 0.35,
    ("probabilities", 3): 0.32,
    ("probabilities", 5): 0.34,
}


def answer(members):
    return pooling.answer(synthetic.one_group(members), [])


def lines(section):
    return [dict(zip(section.blocks[-1].header, row)) for row in section.blocks[-1].rows]


def test_ends_and_differences_by_hand():
    (line,) = lines(answer(rows(TABLE)))
    assert line["source"] == "`teacher(epoch=5)`" and line["experts"] == "1 → 5" and line["pool"] == "logits"
    assert line["fewest, %"].startswith("37.5 [") and line["most, %"].startswith("42.5 [") and line["n"] == "4"
    assert line["gain, points"] == "+5.0 [+5.0, +5.0]"
    assert line["logits − probabilities, points"] == "+1.0 [+1.0, +1.0]"


def test_operations_and_epochs_make_sources_and_other_experts_are_left_out():
    specs = {
        "teachers(5, pool=probabilities, epoch=20)|topk(3)": ("teacher(epoch=20)|topk(3)", "probabilities", 5),
        "teacher(epoch=20)|topk(3)": ("teacher(epoch=20)|topk(3)", "", 1),
        "teachers(epoch=20)": ("teacher(epoch=20)", "logits", 3),
        "teacher(expert=2, epoch=20)": None,
        "hard": None,
    }
    group = synthetic.one_group([synthetic.row(1, labels, 0, 0.5, epoch=20) for labels in specs])
    found = {group.labels(arm): (source, *key) for source, pools in pooling.pooled(group).items() for key in pools
             for arm in pools[key]}  # fmt: skip
    assert found == {labels: place for labels, place in specs.items() if place}


@pytest.mark.parametrize(
    ("five", "noise", "title"),
    [
        (0.35, 0, "5 pooled experts beat the first alone at IPC 10: +5.0 points [+5.0, +5.0]"),
        (0.28, 0, "5 pooled experts lose to the first alone at IPC 10: −2.0 points [−2.0, −2.0]"),
        (0.30, 0.01, "5 pooled experts and the first alone: no clear difference, 0.0 points [−7.3, +7.3] at IPC 10"),
    ],
)
def test_titles(five, noise, title):
    ends = {("logits", 5): five, ("probabilities", 5): five - 0.01 * (five > 0.3)}
    assert answer(rows(TABLE | ends, noise=noise)).title == title


def test_the_largest_gain_is_told_and_the_source_is_chosen():
    late = rows({cell: a + 0.2 for cell, a in TABLE.items()}, epoch=20)
    section = answer(rows(TABLE) + late + rows(TABLE | {("logits", 5): 0.37}, ipc=1))
    assert section.title == (
        "5 pooled experts beat the first alone at every budget, at IPC 1 by +7.0 points [+7.0, +7.0]"
    )
    text, chart, _ = section.blocks
    assert text.text.endswith("another first expert would move these numbers about as much as experts differ.")
    assert text.text.startswith(
        "Pooled logits beat probabilities at every budget, at IPC 1 by +3.0 points [+3.0, +3.0]. "
    )
    assert [line["source"] for line in lines(section) if "chosen" in line["source"]] == [
        "`teacher(epoch=5)` (chosen)", "`teacher(epoch=20)` (chosen)",
    ]  # fmt: skip
    assert [panel.title for panel in chart.panels] == ["IPC 1: teacher(epoch=5)", "IPC 10: teacher(epoch=20)"]


def test_the_figure_has_both_pools_from_the_one_expert_on():
    ((panel,), (logits, probabilities)) = (chart := answer(rows(TABLE)).blocks[1]).panels, chart.panels[0].marks
    for line, wanted in ((logits, (0.375, 0.405, 0.425)), (probabilities, (0.375, 0.395, 0.415))):
        assert list(line.x) == [1, 3, 5] and [value.mean for value in line.y] == pytest.approx(wanted)
    assert (panel.title, panel.log) == ("IPC 10", False)


def test_a_source_of_which_one_number_was_run_at_a_budget_is_not_chosen_there():
    """However good it is: the budget is told of the source that has both ends."""
    good = rows({("logits", 5): 0.9}, epoch=20) + rows({("logits", 1): 0.8, ("logits", 5): 0.9}, epoch=20, ipc=1)
    section = answer(rows(TABLE) + good)
    assert [(line["IPC"], line["source"]) for line in lines(section)] == [
        ("1", "`teacher(epoch=20)` (chosen)"), ("10", "`teacher(epoch=5)` (chosen)"),
    ]  # fmt: skip


def test_numbers_that_differ_between_budgets_are_not_named_in_the_title():
    fewer = {cell: accuracy for cell, accuracy in TABLE.items() if cell[1] < 5}
    assert answer(rows(TABLE) + rows(fewer, ipc=1)).title.startswith(
        "Most experts beat the first alone at every budget"
    )
    three = {cell: accuracy for cell, accuracy in TABLE.items() if cell[1] > 1}
    assert answer(rows(three)).title.startswith("5 pooled experts beat 3 experts at IPC 10")


def test_not_asked_by_one_number_of_experts():
    assert answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20))) is None
    assert answer(rows({("logits", 3): 0.3, ("probabilities", 3): 0.4})) is None
    assert answer(rows({("logits", 3): 0.3}) + rows({("logits", 5): 0.3}, ipc=1)) is None
