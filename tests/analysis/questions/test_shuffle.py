"""Hard, structured and shuffled labels by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import shuffle
from jaxsoft.analysis.statistics import groups


def rows(soft, shuffled, seeds=4, hard=True, epochs=(5,), ipcs=(1,)):
    """Accuracies that move with the seed; `soft` and `shuffled` minus hard."""
    found = []
    for ipc in ipcs:
        for s in range(seeds):
            base = 0.3 + 0.05 * s
            found += [synthetic.row(ipc, "hard", s, base)] if hard else []
            for i, e in enumerate(epochs):
                found.append(synthetic.row(ipc, f"teacher(epoch={e})", s, base + soft - 0.01 * i, epoch=e))
                found.append(synthetic.row(ipc, f"teacher(epoch={e})|shuffle", s, base + shuffled, epoch=e))
    return found


def group(rows):
    (found,) = groups.groups(groups.tidy(rows))
    return found


pytestmark = pytest.mark.usefixtures("no_drawing")


@pytest.mark.parametrize(
    ("soft", "shuffled", "title", "said"),
    [
        (0.04, -0.02, "Structure beats shuffling at IPC 1: +6.0 points [+6.0, +6.0]", "labels lose to hard ones at IPC 1: −2.0"),
        (0.0, 0.0, "Structure and shuffling: no clear difference, 0.0 points [0.0, 0.0] at IPC 1", "no clear difference, 0.0"),
    ],
)  # fmt: skip
def test_three_paired_differences(soft, shuffled, title, said):
    (section,) = synthetic.ask(shuffle, rows(soft, shuffled))
    text, picture, table = section.blocks
    ends = [
        f"{v:+.1f}".replace("-", "−") if v else "0.0" for v in (100 * soft, 100 * shuffled, 100 * (soft - shuffled))
    ]
    assert table.rows == [("1", "`teacher(epoch=5)`", *(f"{v} [{v}, {v}]" for v in ends), "4")]
    assert section.title == title and said in text.text and picture.name == "shuffle"


def test_the_source_of_each_budget_is_chosen_on_validation():
    members = rows(0.04, -0.02, epochs=(5, 20, 40))
    for row in members:
        row["val_accuracy"] = row["test_accuracy"] + 0.1 * (row["labels"] == "teacher(epoch=20)")
    (section,) = synthetic.ask(shuffle, members)
    assert [line[1] for line in section.blocks[-1].rows if "chosen" in line[1]] == ["`teacher(epoch=20)` (chosen)"]
    assert "+5.0 points" in section.title and "on validation" in section.blocks[-1].caption


def test_without_hard_labels_shuffling_is_compared_with_no_shuffling():
    (section,) = synthetic.ask(shuffle, rows(0.04, -0.02, hard=False))
    assert section.title == "Structure beats shuffling at IPC 1: +6.0 points [+6.0, +6.0]"
    assert section.blocks[-1].header == ("IPC", "source", "soft − shuffled, points", "n")
    assert section.blocks[0].text.endswith("what shuffled labels keep is softness alone.")
    (chart,) = (b for b in shuffle.answer(group(rows(0.04, -0.02, hard=False)), []).blocks if hasattr(b, "panels"))
    assert chart.panels[0].y == "minus shuffled labels, points" and len(chart.panels[0].marks) == 2


def test_two_seeds_are_too_few_and_the_largest_of_two_budgets_is_told():
    (section,) = synthetic.ask(shuffle, rows(0.04, -0.02, seeds=2))
    assert section.title == "Structure and shuffling: too few seeds to tell, +6.0 points (n = 2) at IPC 1"
    (section,) = synthetic.ask(shuffle, rows(0.04, -0.02) + rows(0.08, -0.02, ipcs=(10,)))
    assert section.title == "Structure beats shuffling at every budget, at IPC 10 by +10.0 points [+10.0, +10.0]"
    assert "at every budget (2 of 2 budgets, Holm's correction)" in section.blocks[0].text


def test_the_title_is_short_where_budgets_disagree():
    members = rows(0.24, -0.02, ipcs=(10,)) + rows(-0.14, 0.02, ipcs=(1,)) + rows(0, 0, ipcs=(5,))
    (section,) = synthetic.ask(shuffle, members)
    assert "beats shuffling at 1 of 3 budgets, loses at 1, at IPC 10" in section.title and len(section.title) <= 100


def test_shuffled_labels_are_no_rivals_of_hard_ones():
    asked = ["teacher(epoch=5)", "teacher(epoch=5)|shuffle", "teacher|shuffle|topk(3)", "hard"]
    members = groups.tidy([synthetic.row(1, labels, 0, 0.5) for labels in asked])
    assert groups.is_probe(members).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("epochs", "shown"), [((5, 11, 20), 3), (range(1, 9), 1)])
def test_the_figure_has_a_panel_for_each_source_or_for_those_chosen(epochs, shown):
    _, chart, _ = shuffle.answer(group(rows(0.04, -0.02, epochs=epochs, ipcs=(1, 10))), []).blocks
    assert [panel.title for panel in chart.panels] == [f"teacher(epoch={e})" for e in epochs][:shown]
    _, soft, other = chart.panels[0].marks
    assert [value.mean for value in soft.y] == pytest.approx([0.04, 0.04]) and list(soft.x) == [1, 10]
    assert [value.mean for value in other.y] == pytest.approx([-0.02, -0.02])


@pytest.mark.parametrize("gone", ["teacher(epoch=5)", "teacher(epoch=5)|shuffle"])
def test_not_asked_without_shuffled_labels_and_their_source(gone):
    assert synthetic.ask(shuffle, [r for r in rows(0.1, 0.1) if r["labels"] != gone]) == []


def test_pairs_that_no_seed_has_whole_are_not_compared():
    members = [r for r in rows(0.1, 0.1, seeds=2) if ("shuffle" in r["labels"]) == r["seed"] or r["labels"] == "hard"]
    assert synthetic.ask(shuffle, members) == []
