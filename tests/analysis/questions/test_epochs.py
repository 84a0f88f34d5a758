"""The best teacher epoch of a few budgets."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import synthetic

from jaxsoft.analysis.questions import epochs
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing.chart import Level, Range

# Accuracy by epoch at two IPC; validation is what it is, test is 10 points lower.
CURVES = {1: {0: 0.2, 5: 0.6, 20: 0.5, 80: 0.4}, 50: {0: 0.2, 5: 0.5, 20: 0.7, 80: 0.9}}


def sweep(seeds=6, ipcs=(1, 50)):
    rows = []
    for s in range(seeds):
        for ipc in ipcs:
            rows.append(synthetic.row(ipc, "hard", s, 0.3))
            for epoch, value in CURVES[ipc].items():
                labels = f"teacher(epoch={epoch})"
                rows.append(synthetic.row(ipc, labels, s, value - 0.1, epoch=epoch, val_accuracy=value))
    return rows


def run(experts=1):
    history = [{"epoch": e, "val_accuracy": 0.01 * e, "label_entropy": 2.0 - 0.02 * e} for e in range(81)]
    second = [{**record, "label_entropy": 1.0} for record in history]
    teachers = {"experts": [{"expert": k, "history": h} for k, h in enumerate([history, second][:experts])]}
    return Run(Path("run"), [], {}, {}, {}, {}, teachers, None)


def answer(members, *runs):
    section = epochs.answer(synthetic.one_group(members), runs)
    chart, table = section.blocks
    return section.title, chart, [dict(zip(table.header, row)) for row in table.rows]


def test_best_epochs_are_those_of_validation_with_the_accuracy_of_test():
    title, _, lines = answer(sweep())
    assert title == "More images want a later teacher: epoch 5 [5, 5] at IPC 1, 80 [80, 80] at 50"
    assert [(line["best epoch"], line["test, %"]) for line in lines] == [
        ("5 [5, 5]", "50.0 [50.0, 50.0]"),
        ("80 [80, 80]", "80.0 [80.0, 80.0]"),
    ]


def test_seeds_that_disagree_make_the_interval_wide():
    rows = [row for row in sweep(ipcs=(1,)) if row["teacher_epoch"] not in (0, 80)]
    rows += [synthetic.row(1, "teacher(epoch=2)", s, 0.1, epoch=2) for s in range(6)]
    # Half of the seeds like epoch 5 better, half epoch 80; on the whole they are nearly equal.
    for s in range(6):
        rows.append(synthetic.row(1, "teacher(epoch=80)", s, 0.5, epoch=80, val_accuracy=0.59 + 0.2 * (s % 2 - 0.5)))
    assert answer(rows)[0] == "At IPC 1 the best teacher is that of epoch 5 [5, 80]"


def test_few_seeds_tell_no_trend():
    title, chart, _ = answer(sweep(seeds=2))
    assert title == "Best teacher by budget, no clear trend: epoch 5 at IPC 1, 80 at 50"
    assert not any(isinstance(mark, Range) for panel in chart.panels for mark in panel.marks)


def test_a_budget_that_a_draw_of_units_was_not_run_at_has_no_epoch_there():
    """The last epoch of the table is not taken for it."""
    rows = [row for row in sweep() if row["ipc"] == 1 or row["seed"] == 0]
    group = synthetic.one_group(rows)
    ipcs, draws = epochs.chosen_epochs(group, [arm for arm in group.soft if group.arms["epoch"][arm] < 80])
    assert ipcs == [1, 50] and set(draws[:, 0]) == {5.0}
    assert set(draws[:, 1]) - {20.0} and all(epoch != epoch for epoch in set(draws[:, 1]) - {20.0})


def test_the_answer_has_the_entropy_of_the_chosen_labels():
    _, chart, lines = answer(sweep(), run())
    knew = [(line["teacher's validation, %"], line["teacher's label entropy, nats"]) for line in lines]
    assert knew == [("5.0", "1.90"), ("80.0", "0.40")]
    assert [panel.y for panel in chart.panels][2:] == ["validation, %", "label entropy, nats"]
    assert [list(panel.marks[0].x) for panel in chart.panels] == [[0, 5, 20, 80]] * 4  # one axis for all
    assert "above the teacher's own validation accuracy" in chart.caption


def test_pooled_experts_are_known_by_their_mean():
    assert epochs.teacher_history("teachers(2)", [run(2)])[50] == pytest.approx((0.5, 1.0))
    assert epochs.teacher_history("teacher(expert=1)", [run(2)])[0] == pytest.approx((0.0, 1.0))
    assert epochs.teacher_history("teacher(expert=1)", [run(1)]) == {}


def test_what_single_experts_know_is_not_said_of_pooled_ones():
    pooled = [{**row, "labels": row["labels"].replace("teacher(", "teachers(2, ")} for row in sweep()]
    _, chart, lines = answer(pooled, run(2))
    assert list(lines[0])[3:5] == ["single experts' validation, %", "single experts' label entropy, nats"]
    assert "above the single experts' own validation accuracy" in chart.caption


def test_a_panel_has_the_curve_its_best_epoch_and_hard_labels_and_leaves_out_what_would_flatten_it():
    _, chart, _ = answer(sweep())
    curve, best, interval, hard, foot = chart.panels[1].marks
    assert (list(curve.x), [round(v.mean, 6) for v in curve.y]) == ([0, 5, 20, 80], [0.1, 0.4, 0.6, 0.8])
    assert (best.x, best.y[0], interval[:2]) == ([80], pytest.approx(0.8), (80, 80))
    assert hard == Level(pytest.approx(0.3))
    _, axes = plt.subplots()
    axes.set_ylim(0, 100)
    foot(axes)
    assert axes.get_ylim() == (pytest.approx(100 * (0.3 - 0.6 * 0.5)), 100)
    plt.close()


@pytest.mark.parametrize("rows", [
    [row for row in sweep() if row["teacher_epoch"] != 0],  # three stages for validation to choose from
    synthetic.rows(seeds=2),  # many budgets
    sweep() + [synthetic.row(1, "teacher(epoch=5)|temperature(2)", 0, 0.5, epoch=5)],
    sweep() + [synthetic.row(1, "teacher(expert=1, epoch=5)", 0, 0.5, epoch=5)],
    [{**row, "protocol": "both"} for row in sweep()],
    [row for row in sweep() if row["labels"] == "hard"],
])  # fmt: skip
def test_not_asked_where_labels_differ_in_more_than_the_epoch(rows):
    assert synthetic.ask(epochs, rows) == []
