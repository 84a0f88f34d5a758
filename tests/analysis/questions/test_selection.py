"""What choosing images is worth, with hard and with soft labels."""

import pytest
import synthetic

from jaxsoft.analysis.questions import selection

SOFT = "teacher(epoch=5)"


def member(select, labels, seed, test, val=None, **other):
    val = test if val is None else val
    return synthetic.row(1, labels, seed, test, select=select, val_accuracy=val, **other)


def tenths(seeds=4):
    """With hard labels the first tenth leads by 20 points, with soft labels by 5; seeds move all alike."""
    rows = []
    for s in range(seeds):
        for i in range(3):
            rows.append(member(f"decile({i})", "hard", s, 0.5 + 0.01 * s - 0.1 * i))
            rows.append(member(f"decile({i})", SOFT, s, 0.6 + 0.01 * s - 0.025 * i, epoch=5))
        rows.append(member("random", "hard", s, 0.42))
    return rows


def test_spreads_and_their_difference_by_hand():
    (found,) = selection.find_spreads(tenths())
    assert found.hard.values == pytest.approx(0.2) and found.soft.values == pytest.approx(0.05)
    assert found.lessened.mean == pytest.approx(0.15) and found.lessened.n == 4
    assert found.hard.ways[found.hard.best] == "decile(0)" and found.hard.ways[found.hard.worst] == "decile(2)"


def test_ways_are_ranked_on_validation_not_on_test():
    rows = [member("easiest", "hard", 0, 0.5, val=0.9), member("hardest", "hard", 0, 0.6, val=0.1)]
    (found,) = selection.find_spreads(rows)
    assert found.hard.values == pytest.approx(-0.1)


def test_the_soft_spec_is_one_for_all_ways_and_chosen_on_validation():
    late = [member(f"decile({i})", "teacher(epoch=9)", s, 0.1, val=0.99, epoch=9) for s in range(4) for i in range(3)]
    alone = [member("random", "teacher(epoch=1)", s, 0.1, val=1.0, epoch=1) for s in range(4)]
    (found,) = selection.find_spreads(tenths() + late + alone)
    assert found.soft.labels == "teacher(epoch=9)"  # epoch 1 is better still, but one way alone compares nothing


def test_the_answer_is_honest_when_nothing_can_be_told():
    (section,) = selection.answer(tenths(), [])
    assert section.title.startswith("Which images are chosen matters less once labels are soft: +20.0 points [")
    (section,) = selection.answer(tenths(seeds=2), [])
    assert section.title.startswith(
        "Whether the choice of images matters less with soft labels cannot be told: +20.0 points (n = 2 gives"
    )


def test_a_choice_that_validation_misjudges_is_not_called_one_that_matters():
    rows = tenths()
    for row in rows:  # with soft labels the tenth that is best on validation is worst on test
        if row["labels"] == SOFT:
            row["test_accuracy"] = 1.2 - 2 * row["test_accuracy"]
        else:
            row["test_accuracy"] = row["test_accuracy"] if row["select"] == "random" else 0.8 - row["test_accuracy"]
    (section,) = selection.answer(rows, [])
    assert section.title.startswith(
        "Whether the choice of images matters less with soft labels cannot be told: −20.0 points"
    )


def test_rows_that_were_not_drawn_at_random_are_private():
    ways = ["decile(3)", "stratified", "random", None]
    assert [selection.understands({"select": way}) for way in ways] == [True, True, False, False]
    assert not selection.understands({})


def test_one_way_asks_nothing():
    assert selection.answer([row for row in tenths() if row["select"] == "random"], []) == []
    assert selection.answer([synthetic.row(1, "hard", 0, 0.5)], []) == []
    assert selection.answer([], []) == []
