"""Teachers of several architectures, students of several."""

from pathlib import Path

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import architectures
from jaxsoft.analysis.read import Run

MODELS = ["convnet(depth=3)", "resnet18"]
HARD = {"convnet(depth=2)": 0.30, "resnet18": 0.20}
# Gain over hard labels by (student, expert).
GAIN = {
    ("convnet(depth=2)", 0): 0.10,
    ("convnet(depth=2)", 1): 0.06,
    ("resnet18", 0): 0.03,
    ("resnet18", 1): 0.09,
}


def run(models):
    return Run(Path("run"), [], {}, {}, {}, {}, {"teacher": {"models": models}}, None)


def matrix(seeds=4):
    rows = []
    for s in range(seeds):
        for student, hard in HARD.items():
            rows.append(synthetic.row(10, "hard", s, hard + 0.02 * s, model=student))
        for (student, expert), gain in GAIN.items():
            labels = f"teacher(expert={expert}, epoch=5)" if expert else "teacher(epoch=5)"
            rows.append(synthetic.row(10, labels, s, HARD[student] + 0.02 * s + gain, epoch=5, model=student))
            # A later epoch that validation likes less and test likes more.
            late = labels.replace("5", "9")
            rows.append(synthetic.row(10, late, s, 0.9, epoch=9, model=student, val_accuracy=0.1))
    return rows


def test_every_pair_has_its_own_epoch_and_is_paired_with_its_own_hard_labels():
    pairs = architectures.find_pairs(MODELS, matrix())
    assert {(p.student, MODELS.index(p.teacher)): round(p.gain.mean(), 9) for p in pairs} == GAIN
    assert all(np.ptp(p.gain) < 1e-9 and "epoch=5" in p.labels for p in pairs)


def test_own_kind_is_told_by_the_function_not_by_its_arguments():
    own = architectures.own_kind(architectures.find_pairs(MODELS, matrix()))
    assert own.mean == pytest.approx(((0.10 - 0.06) + (0.09 - 0.03)) / 2)
    assert own.n == 4


def test_the_answer_names_teachers_students_and_their_kind(no_drawing):
    (section,) = architectures.answer(matrix(), [run(MODELS)])
    assert section.title == (
        "At 10 images per class every student has its best teacher in its own kind; "
        "students learn more from their own kind than from the others, by 5.0 points [5.0, 5.0] on average"
    )
    twisted = [{**row, "model": {"resnet18": "mlp"}.get(row["model"], row["model"])} for row in matrix()]
    (section,) = architectures.answer(twisted, [run(MODELS)])
    assert section.title.startswith(
        "At 10 images per class `convnet(depth=3)` is the best teacher of `convnet(depth=2)` and `resnet18` is the best "
        "teacher of `mlp`; students learn more from their own kind than from the others, by 4.0"  # of an mlp there is no teacher
    )
    (section,) = architectures.answer(matrix(seeds=2), [run(MODELS)])
    assert "own kind on validation, not told apart from the second best; whether" in section.title
    assert "cannot be told" in section.title


def test_a_best_teacher_that_is_best_by_luck_is_said_to_be(no_drawing):
    rows = matrix()
    for row in rows:  # what either expert gives the residual student now swings with the seed
        if row["model"] == "resnet18" and "epoch=5" in row["labels"]:
            row["test_accuracy"] += 0.08 * (-1) ** row["seed"] * (1 if "expert" in row["labels"] else -1)
    (section,) = architectures.answer(rows, [run(MODELS)])
    assert "in its own kind on validation, not told apart from the second best for 1 of 2 students; " in section.title


def test_one_s_own_kind_is_compared_with_the_mean_of_the_others():
    rows, third = matrix(), 0.04
    for row in matrix():
        if row["labels"] == "teacher(epoch=5)":
            test = HARD[row["model"]] + 0.02 * row["seed"] + third
            rows.append({**row, "labels": "teacher(expert=2, epoch=5)", "test_accuracy": test, "val_accuracy": test})
    own = architectures.own_kind(architectures.find_pairs([*MODELS, "mlp"], rows))
    assert own.mean == pytest.approx((0.10 - (0.06 + third) / 2 + 0.09 - (0.03 + third) / 2) / 2)


def test_a_student_without_hard_labels_still_has_its_accuracy():
    rows = [row for row in matrix() if row["labels"] != "hard"]
    pairs = architectures.find_pairs(MODELS, rows)
    assert all(np.isnan(p.gain).all() and np.isfinite(p.test).all() for p in pairs)
    assert architectures.answer(rows, [run(MODELS)])


def test_experts_that_are_all_alike_ask_nothing():
    assert architectures.answer(matrix(), [run([])]) == []
    assert architectures.answer(matrix(), []) == []
    assert architectures.answer(matrix(), [run(["resnet18", "resnet18"])]) == []
    assert architectures.answer(matrix(), [run(MODELS), run(MODELS[::-1])]) == []  # whose expert 0?
    assert architectures.answer([], [run(MODELS)]) == []
