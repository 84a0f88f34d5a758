"""Knowledge against data by hand."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import knowledge
from jaxsoft.analysis.showing.chart import Chart
from jaxsoft.analysis.showing.page import Table


def rows(table, seeds=4, epoch=5, hard=0.2, val=None, **other):
    """`table`: accuracy by (k, ipc), k = 0 being the whole label; hard labels at every IPC."""
    found = []
    for s in range(seeds):
        found += [synthetic.row(ipc, "hard", s, hard + 0.02 * s) for ipc in {ipc for _, ipc in table}] if hard else []
        for (k, ipc), accuracy in table.items():
            labels = f"teacher(epoch={epoch})" + (f"|topk({k})" if k else "")
            values = {"val_accuracy": (val or table)[k, ipc], **other}
            found.append(synthetic.row(ipc, labels, s, accuracy + 0.02 * s, epoch=epoch, **values))
    return found


TABLE = {(1, 1): 0.30, (4, 1): 0.40, (0, 1): 0.35, (1, 10): 0.50, (4, 10): 0.51, (0, 10): 0.54}


def answer(members):
    return knowledge.answer(synthetic.one_group(members), [])


def charts(section):
    return [block for block in section.blocks if isinstance(block, Chart)]


def lines(section, i=0):
    found = [block for block in section.blocks if isinstance(block, Table)][i]
    return [dict(zip(found.header, row)) for row in found.rows]


def test_the_map_has_every_k_and_hard_labels_below():
    (chart,) = charts(answer(rows(TABLE)))
    (heat,), (hard,) = (panel.marks for panel in chart.panels)
    assert (heat.rows, heat.columns) == (["1", "4", "all"], ["1", "10"])
    np.testing.assert_allclose(heat.values - 0.03, [[0.30, 0.50], [0.40, 0.51], [0.35, 0.54]])
    np.testing.assert_allclose(hard.values - 0.03, [[0.2, 0.2]])
    assert heat.dots == [(1, 0), (2, 1)] and heat.limits == hard.limits == pytest.approx((0.23, 0.57))
    assert heat.levels[:2] == [20, 25]  # of equal accuracy, in percent


def test_gains_of_each_budget_by_hand():
    (first, second) = lines(answer(rows(TABLE)))
    assert (first["best k"], second["best k"]) == ("4", "all")
    assert first["over hard, points"] == "+20.0 [+20.0, +20.0]"
    assert first["over k = 1, points"] == "+10.0 [+10.0, +10.0]"
    assert second["over k = 1, points"] == "+4.0 [+4.0, +4.0]"


def test_images_that_an_accuracy_takes_by_hand():
    column = {line["labels"]: line["images for 40 %"] for line in lines(answer(rows(TABLE, seeds=5, hard=0.08)), 1)}
    # The surface is 4 points higher on average: from 34 to 54 % over one factor of ten, 40 % lies 6 of 20 points on.
    source = "`teacher(epoch=5)"
    assert column[f"{source}|topk(1)`"].startswith(f"{10 ** (6 / 20):.1f} [")
    assert list(column)[:2] == ["`hard`", f"{source}|topk(1)`"] and len(column) == 4
    assert column == column | {"`hard`": "> 10", f"{source}|topk(4)`": "≤ 1"}


def test_k_and_source_are_chosen_on_validation():
    worse, seen = {cell: accuracy - 0.2 for cell, accuracy in TABLE.items()}, dict.fromkeys(TABLE, 0.9)
    section = answer(rows(TABLE) + rows(worse, epoch=20, hard=0, val=seen))
    assert [line["source"] for line in lines(section, -1)[:2]] == ["`teacher(epoch=5)`", "`teacher(epoch=20)`"]
    first = lines(section)[0]
    assert (first["source"], first["best k"]) == ("`teacher(epoch=20)`", "1")  # ties go to the smallest k


def test_the_answer():
    section = answer(rows(TABLE) + rows(TABLE, epoch=20, hard=0))
    assert section.title == "Larger k beat k = 1 at every budget, at IPC 1 by +10.0 points [+10.0, +10.0]"
    assert section.blocks[0].text == (
        "With the k and the source chosen on validation soft labels beat hard labels at every budget. Best k: 4 of "
        "`teacher(epoch=5)` at IPC 1, all of `teacher(epoch=5)` at IPC 10."
    )
    early, late = charts(section)
    assert early.name == late.name == "knowledge"  # whoever asks numbers them
    (a, *_), (b, *_) = early.panels[0].marks, late.panels[0].marks
    assert a.limits == b.limits and a.levels == b.levels  # all figures share colours and levels
    assert [line["IPC"] for line in lines(section, -1)] == ["1", "1", "10", "10"] and section.blocks[-1].folded
    flat = answer(rows(dict.fromkeys(TABLE, 0.5)))
    assert flat.title == "Larger k and k = 1: no clear difference, 0.0 points [0.0, 0.0] at IPC 1 (of 2)"


def test_without_hard_labels_nothing_is_said_of_them():
    section = answer(rows(TABLE, hard=0))
    assert "hard" not in section.blocks[0].text and "over hard, points" not in lines(section)[0]
    assert len(charts(section)[0].panels) == 1


def test_sources_whose_smallest_k_differ_are_told_of_the_smallest():
    late = {(k * 2, ipc): accuracy - 0.1 for (k, ipc), accuracy in TABLE.items()}
    section = answer(rows(TABLE) + rows(late, epoch=20, hard=0))
    assert section.title.startswith("Larger k beat the smallest k at every budget")
    assert "over the smallest k, points" in lines(section)[0]


def test_budgets_that_no_unit_was_run_for_under_the_choice_of_others_are_left_out():
    alone = [
        synthetic.row(50, "teacher(epoch=5)|topk(1)", s, 0.5, epoch=5, learning_rate=0.001 * (s + 1)) for s in (0, 1)
    ]
    section = answer(rows(TABLE, hard=0) + alone)
    assert [line["IPC"] for line in lines(section)] == ["1", "10"]
    assert knowledge.answer(synthetic.one_group(alone), []) is None


def test_not_asked_by_epochs_or_by_one_k():
    assert answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20))) is None
    assert answer(rows({cell: a for cell, a in TABLE.items() if cell[0] != 1})) is None
