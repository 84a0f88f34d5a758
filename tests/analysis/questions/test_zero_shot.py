"""Accuracy on a class whose images or labels were left out."""

from pathlib import Path

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import zero_shot
from jaxsoft.analysis.read import Examples, Run

SOURCE = "teacher(epoch=5)"


def member(labels, seed, by_class, ipc=1, without=None, **other):
    text = " ".join(map(str, by_class))
    accuracy = float(np.nanmean(by_class))
    return synthetic.row(ipc, labels, seed, accuracy, without=without, accuracy_by_class=text, select="random", **other)


def study(seeds=4):
    """Three classes; of 0 and 2 the images or the labels are left out. The last class moves with the seed."""
    rows = []
    for s in range(seeds):
        rows += [
            member(SOURCE, s, [0.9, 0.8, 0.7 + 0.1 * s]),
            member(SOURCE, s, [0.4, 0.9, 0.9], without=0),
            member(SOURCE, s, [0.9, 0.9, 0.2 + 0.1 * s], without=2),
            member(f"{SOURCE}|drop_class(0)", s, [0.1, 0.9, 0.9]),
            member(f"{SOURCE}|drop_class(2)", s, [0.9, 0.9, 0.0]),
        ]
    return rows


def test_means_over_subjects_then_seeds_by_hand():
    (found,) = zero_shot.find_subjects(study(seeds=3))
    assert (found.source, found.classes, found.num_classes) == (SOURCE, (0, 2), 3)
    assert found.mean("control").mean == pytest.approx((0.9 + 0.8) / 2)
    assert found.mean("images").mean == pytest.approx((0.4 + 0.3) / 2)
    assert found.mean("labels").mean == pytest.approx(0.05)
    assert found.subject("images", 1).mean == pytest.approx(0.3)
    loss = found.loss("images")  # control and treatment move alike, so the difference does not move at all
    assert (loss.mean, loss.low, loss.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_a_subject_that_one_treatment_lacks_counts_in_none():
    rows = [row for row in study() if not (row["without"] == 0 and row["seed"] == 1)]
    (found,) = zero_shot.find_subjects(rows)
    assert np.isnan(found.accuracy[:, 1, 0]).all() and np.isfinite(found.accuracy[:, 1, 1]).all()
    assert found.mean("control").n == 4


def test_a_class_without_test_images_is_no_subject():
    rows = [
        {**row, "accuracy_by_class": " ".join([*row["accuracy_by_class"].split()[:2], f"{np.nan:.4g}"])}
        for row in study()
    ]
    (found,) = zero_shot.find_subjects(rows)
    assert found.mean("images").mean == pytest.approx(0.4) and found.mean("labels").mean == pytest.approx(0.1)
    assert zero_shot.answer(rows, [])[0].title.startswith("Without a single image of a class students reach 40.0")


def test_the_answer_names_both_treatments_and_chance(no_drawing):
    (section,) = zero_shot.answer(study(), [])
    assert section.title.startswith("Without a single image of a class students reach 37.5 [")
    assert section.title.endswith("; without its labels 5.0 [5.0, 5.0] % (1 image per class, chance 33.3 %)")


def test_rows_of_a_treatment_are_private_and_the_control_is_not():
    control, images, _, labels, _ = study(1)
    assert [zero_shot.understands(row) for row in (control, images, labels)] == [False, True, True]
    assert not zero_shot.understands(synthetic.row(1, "hard", 0, 0.5))  # a table from before the column


def test_hard_labels_are_a_source_too_but_do_not_lead():
    rows = study() + [member("hard", s, [0.0, 0.9, 0.9], without=c) for s in range(4) for c in (0, 2)]
    found = zero_shot.find_subjects(rows)
    assert [s.source for s in found] == [SOURCE, "hard"]
    assert "37.5" in zero_shot.answer(rows, [])[0].title


@pytest.mark.parametrize(("datasets", "shown"), [(("one",), ("cat", "dog", "owl")), (("one", "two"), ())])
def test_names_of_one_dataset_are_not_given_to_the_classes_of_another(datasets, shown, monkeypatch):
    seen = []
    monkeypatch.setattr(zero_shot.plots, "png", lambda draw, line, names: seen.append(names) or b"")
    none = np.zeros(0, np.int32)
    images, probabilities = np.zeros((0, 2, 2, 1), np.uint8), np.zeros((0, 0, 3), np.float32)
    run = Run(Path("run"), [], {}, {}, {}, {}, {}, Examples(images, none, none, probabilities, ("cat", "dog", "owl")))
    zero_shot.answer([{**row, "dataset": d} for d in datasets for row in study()], [run])
    assert seen == [shown] * len(datasets)


def test_nothing_is_asked_without_treatments_or_without_accuracy_by_class():
    assert zero_shot.answer([row for row in study() if not zero_shot.understands(row)], []) == []
    assert zero_shot.answer([{**row, "accuracy_by_class": None} for row in study()], []) == []
    assert zero_shot.answer([], []) == []
