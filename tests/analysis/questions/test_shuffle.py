"""Hard, structured and shuffled labels by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import shuffle


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


def test_three_paired_differences():
    (effect,) = shuffle.effects(rows(0.04, -0.02)).all
    assert (effect.source, effect.ipc) == ("teacher(epoch=5)", 1)
    for value, truth in ((effect.soft, 0.04), (effect.shuffled, -0.02), (effect.structure, 0.06)):
        assert value.n == 4 and value.mean == pytest.approx(truth) and value.low == pytest.approx(truth)


def test_the_source_of_each_budget_is_chosen_on_validation():
    members = rows(0.04, -0.02, epochs=(5, 20, 40))
    for row in members:
        row["val_accuracy"] = row["test_accuracy"] + 0.1 * (row["labels"] == "teacher(epoch=20)")
    assert shuffle.effects(members).chosen[1].source == "teacher(epoch=20)"


@pytest.mark.parametrize(
    ("soft", "shuffled", "title"),
    [
        (
            0.04, -0.02,
            "Shuffled labels of equal entropy lose 2.0 points [2.0, 2.0] against hard labels at 1 image per class where "
            "structured ones gain 4.0 points [4.0, 4.0]",
        ),
        (
            0.04, 0.0,
            "Shuffled labels of equal entropy cannot be told from hard ones at 1 image per class, 0.0 points [0.0, 0.0]; "
            "structured ones gain 4.0 points [4.0, 4.0]",
        ),
        (
            0.0, 0.0,
            "Neither structured nor shuffled labels can be told from hard ones at 1 image per class: shuffled 0.0 points "
            "[0.0, 0.0], structured 0.0 points [0.0, 0.0]",
        ),
    ],
)  # fmt: skip
def test_titles(soft, shuffled, title, monkeypatch):
    monkeypatch.setattr(shuffle.plots, "png", lambda *args: b"")
    assert shuffle.answer(rows(soft, shuffled), [])[0].title == title


def test_without_hard_labels_shuffling_is_compared_with_no_shuffling(monkeypatch):
    monkeypatch.setattr(shuffle.plots, "png", lambda *args: b"")
    (section,) = shuffle.answer(rows(0.04, -0.02, hard=False), [])
    assert section.title == "Shuffling labels at equal entropy costs 6.0 points [6.0, 6.0] at 1 image per class"
    (section,) = shuffle.answer(rows(0.04, -0.02, hard=False, seeds=2), [])
    assert section.title.startswith("No difference between structured and shuffled labels can be told")


def test_the_largest_of_two_budgets_is_said_to_be(no_drawing):
    (section,) = shuffle.answer(rows(0.04, -0.02) + rows(0.08, -0.02, ipcs=(10,)), [])
    assert section.title == (
        "Shuffled labels of equal entropy lose 2.0 points [2.0, 2.0] against hard labels at 10 images per class where "
        "structured ones gain 8.0 points [8.0, 8.0] (the largest effect of structure among 2 budgets)"
    )


def test_shuffled_labels_are_no_rivals_of_hard_ones():
    asked = {
        "teacher(epoch=5)": False,
        "teacher(epoch=5)|shuffle": True,
        "teacher|shuffle|topk(3)": True,
        "hard": False,
    }
    assert {labels: shuffle.understands({"labels": labels}) for labels in asked} == asked


def test_the_figure_has_a_panel_for_each_source():
    figure = shuffle.draw(shuffle.effects(rows(0.04, -0.02, epochs=(5, 11, 20), ipcs=(1, 10))))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"teacher(epoch={e})" for e in (5, 11, 20)]
    soft, shuffled = (container[0].get_ydata() for container in figure.axes[0].containers)
    assert soft.tolist() == pytest.approx([4, 4]) and shuffled.tolist() == pytest.approx([-2, -2])


def test_not_asked_without_shuffled_labels_and_their_source():
    assert shuffle.answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20)), []) == shuffle.answer([], []) == []
    assert shuffle.answer([r for r in rows(0.1, 0.1) if r["labels"] != "teacher(epoch=5)"], []) == []
