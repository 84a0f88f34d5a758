"""Temperature against early stopping by hand."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import temperature
from jaxsoft.analysis.showing.chart import Chart


def rows(table, seeds=4, val=None, ipc=1, source="teacher"):
    """`table`: accuracy by (epoch, temperature); validation equals test unless `val` says otherwise."""
    found = []
    for s in range(seeds):
        for (e, t), accuracy in table.items():
            labels = f"{source}(epoch={e})" + ("" if t == 1 else f"|power({1 / t:g})")
            other = {"val_accuracy": (val or table)[e, t]}
            found.append(synthetic.row(ipc, labels, s, accuracy + 0.05 * s, epoch=e, **other))
    return found


EARLY = {(5, 1): 0.50, (5, 2): 0.45, (40, 1): 0.30, (40, 2): 0.42}


def answer(members):
    return temperature.answer(synthetic.one_group(members), [])


def lines(section):
    return [dict(zip(section.blocks[-1].header, row)) for row in section.blocks[-1].rows]


def test_powers_are_inverse_temperatures_and_other_operations_sources_of_their_own():
    specs = {
        "teachers(3, epoch=5)|topk(3)|power(0.25)": ("teachers(3)|topk(3)", (5, 4.0)),
        "teacher(epoch=5)|temperature(2)": ("teacher", (5, 2.0)),
        "teacher(epoch=5)": ("teacher", (5, 1.0)),
        "teacher(epoch=5)|power(3)": ("teacher", (5, 0.333333)),
        "teacher(epoch=5)|power(3.0000001)": ("teacher", (5, 0.333333)),
        "teacher(epoch=5)|temperature(2)|topk(3)": ("teacher|temperature(2)|topk(3)", (5, 1.0)),
    }
    group = synthetic.one_group([synthetic.row(1, labels, 0, 0.5, epoch=5) for labels in specs])
    found = [(s, tuple(cell), group.labels(arm)) for s, field in temperature.fields(group).items() for cell in field
             for arm in field[cell]]  # fmt: skip
    assert sorted(found) == sorted((*place, labels) for labels, place in specs.items())
    assert temperature.fields(synthetic.one_group([synthetic.row(1, "hard|temperature(2)", 0, 0.5)])) == {}


def test_the_contest_of_one_budget():
    (section,) = answer(rows(EARLY))
    assert lines(section) == [
        {"IPC": "1", "last epoch, best t": "epoch 40, t = 2", "best epoch, t = 1": "epoch 5, t = 1",
         "best of both": "epoch 5, t = 1", "difference, points": "−8.0 [−8.0, −8.0]", "gain, points": "0.0 [0.0, 0.0]",
         "n": "4"}
    ]  # fmt: skip


def test_choices_are_made_on_validation():
    (section,) = answer(rows(EARLY, val=EARLY | {(40, 1): 0.9, (5, 2): 0.95}))
    (line,) = lines(section)
    assert [line[name] for name in ("last epoch, best t", "best epoch, t = 1", "best of both")] == [
        "epoch 40, t = 1",
        "epoch 40, t = 1",
        "epoch 5, t = 2",
    ]
    assert line["gain, points"] == "+15.0 [+15.0, +15.0]"


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "Softened last teachers lose to early ones at IPC 1: −8.0 points [−8.0, −8.0]"),
        ({(40, 2): 0.6}, "Softened last teachers beat early ones at IPC 1: +10.0 points [+10.0, +10.0]"),
        ({(40, 2): 0.5}, "Softened last teachers and early ones: no clear difference, 0.0 points [0.0, 0.0] at IPC 1"),
        ({(40, 1): 0.7}, "The last teacher at temperature 1 is best at every budget"),
    ],
)
def test_titles(changes, title):
    assert answer(rows(EARLY | changes))[0].title == title


@pytest.mark.parametrize(
    ("other", "start", "end"),
    [
        (0.6, "beat early ones at 1 of 2 budgets, ", ", at IPC 10 by +10.0 points [+10.0, +10.0]"),
        (0.4, "lose to early ones at every budget, ", ", at IPC 10 by −10.0 points [−10.0, −10.0]"),
    ],
)
def test_titles_of_two_budgets_tell_where_it_is_most(other, start, end):
    (section,) = answer(rows(EARLY) + rows(EARLY | {(40, 2): other}, ipc=10))
    assert section.title.startswith(f"Softened last teachers {start}") and section.title.endswith(end)


def test_what_both_add_is_told_where_it_is_clear():
    (section,) = answer(rows(EARLY) + rows(EARLY | {(5, 2): 0.6}, ipc=10))
    assert section.blocks[0].text == (
        "Epoch and temperature together beat the epoch alone at 1 of 2 budgets, at IPC 10 by +10.0 points [+10.0, +10.0]."
    )


def test_the_map_frames_the_chosen_cell():
    both = rows(EARLY) + rows({cell: 1 - accuracy for cell, accuracy in EARLY.items()}, ipc=10)
    (chart,) = (block for block in answer(both)[0].blocks if isinstance(block, Chart))
    first, second = (panel.marks[0] for panel in chart.panels)
    np.testing.assert_allclose(first.values, [[0, -0.05], [-0.20, -0.08]], atol=1e-9)
    assert (first.rows, first.columns, first.texts[0][0]) == (["5", "40"], ["1", "2"], "57.5")
    assert (first.frames, second.frames) == ([(0, 0)], [(1, 0)])
    assert first.label == "below best, points" and first.limits == second.limits == (pytest.approx(-0.2), 0.0)


def test_sources_have_a_section_each_the_largest_first(no_drawing):
    more = rows(EARLY | {(80, 1): 0.2}, source="teachers")
    first, second = synthetic.ask(temperature, rows(EARLY) + more)
    assert first.title.startswith("Softened `teachers` ") and second.title.startswith("Softened `teacher` ")
    assert [section.blocks[1].name for section in (first, second)] == ["temperature-1", "temperature-2"]


def test_a_budget_at_which_one_side_was_not_run_is_left_out():
    late = [row for row in rows(EARLY, ipc=10) if "power" in row["labels"]]
    (section,) = answer(rows(EARLY) + late)
    assert [line["IPC"] for line in lines(section)] == ["1"]


def test_not_asked_by_epochs_alone_or_temperatures_alone():
    assert answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20))) == []
    assert answer(rows({(5, 1): 0.5, (5, 2): 0.4})) == []
    assert answer(rows({(5, 2): 0.5, (20, 2): 0.4})) == []
