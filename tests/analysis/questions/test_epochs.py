"""The best teacher epoch of a few budgets."""

from pathlib import Path

import pytest
import synthetic

from jaxsoft.analysis.questions import epochs
from jaxsoft.analysis.read import Run

# Accuracy by epoch at two IPC; validation is what it is, test is 10 points lower.
CURVES = {1: {0: 0.2, 5: 0.6, 20: 0.5, 80: 0.4}, 50: {0: 0.2, 5: 0.5, 20: 0.7, 80: 0.9}}


def sweep(seeds=6, ipcs=(1, 50), noise=0.0):
    rows = []
    for s in range(seeds):
        for ipc in ipcs:
            rows.append(synthetic.row(ipc, "hard", s, 0.3))
            for epoch, value in CURVES[ipc].items():
                val = value + noise * ((s + epoch) % 3)
                labels = f"teacher(epoch={epoch})"
                rows.append(synthetic.row(ipc, labels, s, value - 0.1, epoch=epoch, val_accuracy=val))
    return rows


def run(experts=1):
    history = [{"epoch": e, "val_accuracy": 0.01 * e, "label_entropy": 2.0 - 0.02 * e} for e in range(81)]
    second = [{**record, "label_entropy": 1.0} for record in history]
    teachers = {"experts": [{"expert": k, "history": h} for k, h in enumerate([history, second][:experts])]}
    return Run(Path("run"), [], {}, {}, {}, {}, teachers, None)


def test_best_epochs_are_those_of_validation_with_the_accuracy_of_test():
    found = epochs.find_courses(sweep())
    assert found is not None and found.source == "teacher" and found.moves == 1
    assert [(c.ipc, c.epoch, c.low, c.high) for c in found.courses] == [(1, 5, 5, 5), (50, 80, 80, 80)]
    assert found.courses[0].test[1].mean == pytest.approx(0.5)


def test_seeds_that_disagree_make_the_interval_wide():
    rows = [row for row in sweep(ipcs=(1,)) if row["teacher_epoch"] not in (0, 80)]
    rows += [synthetic.row(1, "teacher(epoch=2)", s, 0.1, epoch=2) for s in range(6)]
    # Half of the seeds like epoch 5 better, half epoch 80; on the whole they are nearly equal.
    for s in range(6):
        rows.append(synthetic.row(1, "teacher(epoch=80)", s, 0.5, epoch=80, val_accuracy=0.59 + 0.2 * (s % 2 - 0.5)))
    found = epochs.find_courses(rows)
    assert found is not None and (found.courses[0].low, found.courses[0].high) == (5, 80)


def test_the_answer_has_the_entropy_of_the_chosen_labels(no_drawing):
    (section,) = epochs.answer(sweep(), [run()])
    assert section.title == (
        "The best labels sharpen from 1 image per class to 50: 1.90 to 0.40 nats, epoch 5 [5, 5] to 80 [80, 80] of the "
        "teacher"
    )
    (section,) = epochs.answer(sweep(ipcs=(1,)), [run()])
    assert section.title.startswith(
        "At 1 image per class the best teacher is that of epoch 5 [5, 5], whose labels hold"
    )
    assert epochs.answer(sweep(seeds=2), [])[0].title.startswith("Whether the best labels sharpen")


def test_pooled_experts_are_known_by_their_mean():
    assert epochs.teacher_history("teachers(2)", [run(2)])[50] == pytest.approx((0.5, 1.0))
    assert epochs.teacher_history("teacher(expert=1)", [run(2)])[0] == pytest.approx((0.0, 1.0))
    assert epochs.teacher_history("teacher(expert=1)", [run(1)]) == {}


def test_what_single_experts_know_is_not_said_of_pooled_ones(no_drawing):
    pooled = [{**row, "labels": row["labels"].replace("teacher(", "teachers(2, ")} for row in sweep()]
    (section,) = epochs.answer(pooled, [run(2)])
    assert "nats" not in section.title and section.title.endswith("to 50: epoch 5 [5, 5] to 80 [80, 80] of the teacher")
    assert section.blocks[1].header[3:5] == ("single experts' validation, %", "single experts' label entropy, nats")
    assert "above the single experts' own validation accuracy" in section.blocks[0].caption
    assert epochs.answer(sweep(), [run()])[0].blocks[1].header[3] == "teacher's validation, %"


def test_an_interval_over_all_epochs_tells_nothing():
    course = epochs.Course(1, (5, 20, 80), (), 0, 5.0, 80.0, None)
    assert not course.told and course._replace(low=20.0).told and course._replace(high=20.0).told


@pytest.mark.parametrize("rows", [
    [row for row in sweep() if row["teacher_epoch"] != 0],  # three stages for validation to choose from
    synthetic.rows(seeds=2),  # many budgets
    sweep() + [synthetic.row(1, "teacher(epoch=5)|temperature(2)", 0, 0.5, epoch=5)],
    sweep() + [synthetic.row(1, "teacher(expert=1, epoch=5)", 0, 0.5, epoch=5)],
    [{**row, "protocol": "both"} for row in sweep()],
    [],
])  # fmt: skip
def test_not_asked_where_labels_differ_in_more_than_the_epoch(rows):
    assert epochs.answer(rows, []) == []
