"""Labels of another teacher in whole runs: beside hard ones, edited, under another name; and runs without a teacher."""

import contextlib
import json

import numpy as np
import pytest
import tiny_run as tiny
from sklearn.linear_model import LogisticRegression

from jaxsoft import errors, main
from jaxsoft.analysis.reading.results import read_results
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs import prepare, subsets
from jaxsoft.experiment.plan import checks, make, sweep
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.labels.given import read_rows

LABELS = "hard", 'array("svm.v1.npy")', 'array("svm.v1.npy")|temperature(2)', 'array("onehot.npz")'


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture
def folder(data, tmp_path, monkeypatch):
    """A folder of rows: those of a linear classifier, and the true classes. The current folder is another one."""
    pixels = data.train.images.reshape(len(data.train), -1) / 255
    rows = LogisticRegression(C=0.1).fit(pixels, data.train.labels).predict_proba(pixels)
    (tmp_path / "configs").mkdir()
    np.save(tmp_path / "configs" / "svm.v1.npy", rows)
    np.savez(tmp_path / "configs" / "onehot.npz", np.eye(10)[data.train.labels])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "configs"


def accuracies(path):
    return {(row["labels"], row["ipc"], row["seed"]): row["test_accuracy"] for row in read_results(path)}


def planned(labels, data, folder):
    settings = read_rows(tiny.settings({"sweep.labels": labels}), (folder,))
    return settings, make.make(settings, data, [], {})


def test_rows_of_a_classifier_beside_hard_labels_and_edited_rows(folder, tmp_path, capsys):
    file = tiny.config_file(folder, {"sweep.labels": LABELS})
    assert tiny.command(file, tmp_path / "run", "--dry_run") == 0
    told = capsys.readouterr().out
    assert "teachers: none, as nothing asks one" in told and "array(\"svm.v1.npy\") is array('svm.v1', rows=x" in told
    assert not (tmp_path / "run").exists()
    assert tiny.command(file, tmp_path / "run") == 0
    assert main.main(["verify", str(tmp_path / "run")]) == 0
    there = {path.name for path in (tmp_path / "run").iterdir()}
    assert "report.html" in there and not there & {"teachers", "examples.npz"}
    teachers = json.loads((tmp_path / "run" / "teachers.json").read_text())
    assert teachers["experts"] == [] and list(teachers["resolved"]) == list(LABELS[1:])
    before = accuracies(tmp_path / "run")
    specs = list(dict.fromkeys(labels for labels, *_ in before))
    assert len(before) == 16 and specs[:1] + specs[3:] == ["hard", teachers["resolved"][LABELS[3]]]
    for cell in ((ipc, seed) for ipc in (1, 2) for seed in (0, 1)):
        assert before["hard", *cell] == before[specs[3], *cell]
    assert any(before["hard", *cell] != before[specs[1], *cell] for cell in ((1, 0), (1, 1), (2, 0), (2, 1)))
    summary = (tmp_path / "run" / "summary.md").read_text()
    assert "| rows of one's own | `array(" in summary and "minus hard labels" in summary
    assert "Left out" not in summary and "`array('svm.v1')`" in summary

    capsys.readouterr()
    assert tiny.command(file, tmp_path / "run") == 0
    assert "students: 0 of 16 left" in capsys.readouterr().out
    np.save(folder / "svm.v1.npy", np.load(folder / "svm.v1.npy")[::-1])
    assert tiny.command(file, tmp_path / "run") == 0
    told = capsys.readouterr().out
    assert "edited since this run began: label rows svm.v1; students that use it are trained again" in told
    assert "students: 8 of 16 left" in told
    after = accuracies(tmp_path / "run")
    assert len(after) == 16 and {key: after.get(key) for key in before if "svm" not in key[0]} == {
        key: value for key, value in before.items() if "svm" not in key[0]
    }
    assert not set(specs[1:3]) & {labels for labels, *_ in after}


def test_keys_know_the_content_and_not_the_name(folder, data):
    rows = np.load(folder / "svm.v1.npy")
    np.save(folder / "other.npy", rows.astype(np.float32))
    np.save(folder / "third.npy", rows[::-1])
    first, same, another = (
        planned(("hard", f'array("{name}.npy")|topk(3)'), data, folder)[1].keys for name in ("svm.v1", "other", "third")
    )
    assert first == same and len(set(first) & set(another)) == 4 < len(first)
    both = planned(('array("svm.v1.npy")', 'array("other.npy")'), data, folder)[1].members
    assert len(both) == 4 and {member.labels.split(",")[0] for member in both} == {"array('svm.v1'"}


def test_a_teacher_and_its_own_logits_are_the_same_labels(folder, data):
    settings = tiny.settings()
    experts = teach(data, settings.teacher)
    bank = experts.logits(data.train, np.arange(len(data.train)), [3])
    np.save(folder / "said.npy", bank.logits[0, 0])
    ways = "teacher(epoch=3)|temperature(3)|topk(4)", 'array("said.npy", logits=true)|temperature(3)|topk(4)'
    found = []
    for way in ways:
        settings = read_rows(tiny.settings({"sweep.labels": (way,)}), (folder,))
        members = sweep.expand(settings)
        images = subsets.draw_images(members, settings, data, experts)
        found.append(prepare.finish_rows(members, images, settings, data, experts))
    assert np.allclose(found[0][0], found[1][0], atol=1e-6) and found[0][0].any()
    assert all(map(np.array_equal, found[0][1], found[1][1]))


@pytest.mark.parametrize(
    "name, rows, code, told",
    [
        ("svm.v2.npy", None, 3, "config.sweep.labels: there is no file svm.v2.npy; sought in {configs} and {current}"),
        ("few.npy", np.eye(10), 3, "config.sweep.labels: 'array(\"few.npy\")' has 10x10 numbers, rows by classes; digits "
         "wants 200x10: a row for each image of its train split, without those of validation"),
        ("k.npy", np.ones((200, 1)), 3, "has 200x1 numbers, rows by classes; digits wants 200x10"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line_and_nothing_is_written(folder, tmp_path, capsys, name, rows, code, told):
    if rows is not None:
        np.save(folder / name, rows)
    file = tiny.config_file(folder)
    assert tiny.command(file, tmp_path / "run", f'--config.sweep.labels=hard,array("{name}")') == code
    said = capsys.readouterr().err
    assert told.format(configs=folder, current=tmp_path) in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes, needed",
    [
        ({"sweep.labels": ("hard", "hard|smooth(0.1)")}, False),
        ({"sweep.labels": ("hard",), "sweep.select": ("random", "easiest")}, True),
        ({"sweep.labels": ("hard|drop_class(1)",), "subjects": "accuracy"}, True),
        ({"sweep.labels": ("learned",)}, True),
        ({}, True),
    ],
)
def test_experts_are_needed_where_something_asks_them(changes, needed):
    assert checks.needs_experts(checks.check(tiny.settings(changes))) is needed
    without = tiny.settings(changes | {"teacher.experts": 0})
    if needed:
        with pytest.raises(errors.ConfigError, match="config.teacher.experts is 0"):
            checks.check(without)
    else:
        checks.check(without)


def test_the_logarithm_of_a_row_that_holds_0_is_refused_where_a_loss_wants_logits(folder, data):
    rows = np.eye(10)[data.train.labels] * 0.5 + 0.05
    rows[:, 4] += rows[:, 3]
    rows[:, 3] = 0
    np.save(folder / "cut.npy", rows)
    experts = teach(data, tiny.settings({"teacher.experts": 0}).teacher)
    for loss, is_refused in (("mse", True), ("kl", False)):
        changes = {"sweep.labels": ("array('cut.npy')|log",), "student.loss": loss, "teacher.experts": 0}
        settings = checks.check(read_rows(tiny.settings(changes), (folder,)))
        members = sweep.expand(settings)
        images = subsets.draw_images(members, settings, data, experts)
        told = r"^config\.sweep\.labels: 'array\(cut, .*\|log' makes logits of train image \d+ that are not finite"
        with pytest.raises(errors.ConfigError, match=told) if is_refused else contextlib.nullcontext():
            prepare.finish_rows(members, images, settings, data, experts)
