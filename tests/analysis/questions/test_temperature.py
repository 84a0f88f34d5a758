"""Temperature against early stopping by hand."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import temperature


def rows(table, seeds=4, val=None, ipc=1):
    """`table`: accuracy by (epoch, temperature); validation equals test unless `val` says otherwise."""
    found = []
    for s in range(seeds):
        for (e, t), accuracy in table.items():
            labels = f"teacher(epoch={e})" + ("" if t == 1 else f"|power({1 / t:g})")
            other = {"val_accuracy": (val or table)[e, t]}
            found.append(synthetic.row(ipc, labels, s, accuracy + 0.05 * s, epoch=e, **other))
    return found


EARLY = {(5, 1): 0.50, (5, 2): 0.45, (40, 1): 0.30, (40, 2): 0.42}


def test_powers_are_inverse_temperatures():
    assert temperature.place("teachers(3, epoch=5)|topk(3)|power(0.25)") == ("teachers(3)|topk(3)", (5, 4.0))
    assert temperature.place("teacher(epoch=5)|temperature(2)") == ("teacher", (5, 2.0))
    assert temperature.place("teacher(epoch=5)") == ("teacher", (5, 1.0))
    assert temperature.place("hard|temperature(2)") is None
    assert temperature.place("teacher(epoch=5)|power(3)") == temperature.place("teacher(epoch=5)|power(3.0000001)")


def test_the_contest_of_one_budget():
    (field,) = temperature.fields(rows(EARLY))
    assert (field.source, field.epochs, field.temperatures) == ("teacher", (5, 40), (1.0, 2.0))
    np.testing.assert_allclose(field.accuracy[1], [[0.575, 0.525], [0.375, 0.495]])
    (contest,) = field.contests
    assert (contest.late, contest.early, contest.best) == ((40, 2.0), (5, 1.0), (5, 1.0))
    assert contest.late_minus_early.mean == pytest.approx(-0.08) and contest.late_minus_early.n == 4
    assert contest.best_minus_early.mean == 0


def test_choices_are_made_on_validation():
    val = EARLY | {(40, 1): 0.9, (5, 2): 0.95}
    (contest,) = temperature.fields(rows(EARLY, val=val))[0].contests
    assert (contest.late, contest.early, contest.best) == ((40, 1.0), (40, 1.0), (5, 2.0))
    assert contest.best_minus_early.mean == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        (
            {},
            "Temperature does not replace early stopping: the last teacher at its best temperature stays 8.0 points "
            "[8.0, 8.0] below the best epoch at 1 image per class",
        ),
        (
            {(40, 2): 0.6},
            "The last teacher at its best temperature beats the best epoch, by 10.0 points [10.0, 10.0] at 1 image per class",
        ),
        (
            {(40, 2): 0.5},
            "No difference between the best temperature and the best epoch can be told: 0.0 points [0.0, 0.0] at 1 image "
            "per class",
        ),
        (
            {(40, 1): 0.7},
            "The last teacher at temperature 1 is best at every budget: neither another temperature nor an earlier epoch "
            "helps by itself",
        ),
    ],
)  # fmt: skip
def test_titles(changes, title, monkeypatch):
    monkeypatch.setattr(temperature.plots, "png", lambda *args: b"")
    assert temperature.answer(rows(EARLY | changes), [])[0].title == title


@pytest.mark.parametrize(
    ("other", "title"),
    [
        (
            {(40, 2): 0.6},
            "Temperature does not replace early stopping at 1 of 2 budgets: the last teacher at its best temperature stays 8.0 "
            "points [8.0, 8.0] below the best epoch at 1 image per class; the last teacher at its best temperature "
            "beats the best epoch at 1 of 2 budgets, by 10.0 points [10.0, 10.0] at 10 images per class",
        ),
        (
            {(40, 2): 0.4},
            "Temperature does not replace early stopping: the last teacher at its best temperature stays 10.0 points "
            "[10.0, 10.0] below the best epoch at 10 images per class (the largest difference of these)",
        ),
    ],
)  # fmt: skip
def test_titles_of_two_budgets_tell_both_sides(other, title, no_drawing):
    assert temperature.answer(rows(EARLY) + rows(EARLY | other, ipc=10), [])[0].title == title


def test_what_both_add_is_told_where_it_can_be(no_drawing):
    (section,) = temperature.answer(rows(EARLY) + rows(EARLY | {(5, 2): 0.6}, ipc=10), [])
    assert section.blocks[0].text == (
        "A temperature beside the best epoch adds 10.0 points [10.0, 10.0] at 10 images per class to choosing the epoch alone, "
        "told at 1 of 2 budgets."
    )


def test_the_map_frames_the_chosen_cell():
    both = rows(EARLY) + rows({cell: 1 - accuracy for cell, accuracy in EARLY.items()}, ipc=10)
    (field,) = temperature.fields(both)
    first, second, bar = temperature.draw(field).axes
    np.testing.assert_allclose(first.images[0].get_array(), [[0, -5], [-20, -8]], atol=1e-9)
    assert [(round(p.get_x() + 0.47), round(p.get_y() + 0.47)) for axes in (first, second) for p in axes.patches] == [
        (0, 0), (0, 1),
    ]  # fmt: skip
    assert bar.get_ylabel() == "test points below best"


def test_not_asked_by_epochs_alone_or_temperatures_alone():
    assert (
        temperature.answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20)), []) == temperature.answer([], []) == []
    )
    assert temperature.answer(rows({(5, 1): 0.5, (5, 2): 0.4}), []) == []
    assert temperature.answer(rows({(5, 2): 0.5, (20, 2): 0.4}), []) == []
