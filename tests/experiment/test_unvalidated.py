"""Without validation images: the paper's protocol, which chooses on test, works; whatever would read them is refused."""

import csv
import json

import numpy as np
import pytest
import tiny_run as tiny

import jaxsoft
from jaxsoft import errors
from jaxsoft.experiment.plan import checks

NONE = {"data.validation": 0.0, "protocol": "paper"}


def test_the_papers_protocol_runs_without_validation_images(tmp_path, capsys):
    changes = NONE | {"sweep.ipc": (1, 2), "sweep.labels": ("hard", "teacher(epoch=3)")}
    assert tiny.command(tiny.config_file(tmp_path, changes), tmp_path / "run") == 0, capsys.readouterr()
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").read_text().splitlines()))
    assert {row["val_accuracy"] for row in rows} == {""} and {row["status"] for row in rows} == {"done"}
    assert all(float(row["test_accuracy"]) > 0 for row in rows)
    told = json.loads((tmp_path / "run" / "teachers.json").read_text())
    assert {epoch["val_accuracy"] for epoch in told["experts"][0]["history"]} == {None}
    with np.load(tmp_path / "run" / "examples.npz") as kept:
        assert "train_labels" in kept and "validation_labels" not in kept
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"protocol": "sealed"}, "protocol sealed chooses checkpoints on them; wanted config.data.validation above 0"),
        ({"protocol": "both"}, "protocol both chooses checkpoints on them; .*, or config.protocol paper"),
        (
            {"sweep.labels": ("teacher(accuracy=0.3)",)},
            r"label spec 'teacher\(accuracy=0.3\)' asks for them; wanted config.d",
        ),
        ({"sweep.labels": ("learned",)}, "label spec 'learned' asks for them; wanted config.data.validation above 0"),
    ],
)
def test_what_would_read_validation_images_is_refused(changes, message):
    settings = tiny.settings(NONE | changes)
    with pytest.raises(errors.ConfigError, match=f"there are no validation images, and {message}"):
        checks.check(settings)


def test_a_class_without_test_images_has_no_accuracy():
    digits = jaxsoft.load("digits", limit=20)
    there = digits.test.labels != 4
    empty = jaxsoft.Split(digits.train.images[:0], digits.train.labels[:0])
    test = jaxsoft.Split(digits.test.images[there], digits.test.labels[there])
    data = jaxsoft.Dataset("mine", digits.class_names, digits.train, empty, test)
    experts = jaxsoft.teach(data, tiny.settings().teacher)
    student, sweep = tiny.settings().student, jaxsoft.Sweep(ipc=(1,), labels=("hard",), seed=(0,))
    with pytest.raises(errors.ConfigError, match="there are no validation images, and protocol sealed"):
        jaxsoft.train_students(data, experts, student, sweep)
    (row,) = jaxsoft.train_students(data, experts, student, sweep, protocol="paper")
    accuracies = np.array(row["accuracy_by_class"].split(), float)
    assert np.isnan(accuracies).nonzero()[0].tolist() == [4]
    counts = np.bincount(test.labels, minlength=10)
    assert row["test_accuracy"] == pytest.approx(np.nansum(accuracies * counts) / counts.sum(), abs=1e-3)
