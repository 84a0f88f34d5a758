"""Losses as an axis: one program for all, members as they are alone, runs that go on, and what is refused."""

import contextlib
import csv
import io
import re

import numpy as np
import pytest
import tiny_run as tiny

import jaxsoft
from jaxsoft import errors
from jaxsoft.experiment import run as story
from jaxsoft.labels import given
from jaxsoft.main import main

LOSSES = ("soft_cross_entropy", "gift", "mse", "mylab:pull(0.5)")
LABELS = ("teacher(epoch=3)", "teacher(epoch=2)|temperature(2)")
# Twenty images in batches of 16: the second batch of an epoch is padded.
AXES = {
    "sweep.loss": LOSSES,
    "sweep.labels": LABELS,
    "sweep.ipc": (2,),
    "sweep.seed": (0,),
    "compute.checkpoint_seconds": 0.0,
}
MINE = """import jax.numpy as jnp
def pull(logits, label_logits, weight: float):
    return weight * jnp.abs(logits - label_logits).sum()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kept_programs):
    """A config file, the folder of its run, and what it said."""
    base = tmp_path_factory.mktemp("losses")
    (base / "mylab.py").write_text(MINE)
    file = tiny.config_file(base, AXES | {"teacher.store": str(base / "experts")})
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert tiny.command(file, base / "run") == 0
    return file, base / "run", told.getvalue()


def table(folder):
    with open(folder / "results.csv", newline="") as file:
        rows = [{name: value for name, value in row.items() if name != "commit"} for row in csv.DictReader(file)]
    return {(row["loss"], row["labels"]): row for row in rows}


def test_every_loss_trains_on_every_label_and_they_differ(finished):
    rows = table(finished[1])
    assert set(rows) == {(loss, labels) for loss in LOSSES for labels in LABELS}
    assert {row["status"] for row in rows.values()} == {"done"} and len({row["member"] for row in rows.values()}) == 8
    with np.load(finished[1] / "curves.npz") as curves:
        assert len({tuple(losses) for losses in curves["train_loss"].tolist()}) == 8


def test_the_plan_names_the_losses_and_one_program_serves_them(finished, capsys):
    file = finished[0]
    assert tiny.command(file, file.parent / "dry", "--dry_run") == 0
    told = capsys.readouterr().out
    assert "plan: 8 students in 4 buckets, 1 waves" in told and "executables: 1 for training (all buckets)" in told
    for loss in LOSSES:
        assert re.search(rf"2 x mlp\(hidden=8\): .*, loss {re.escape(loss)}\n", told)
    assert ", optimizer " not in told  # there is one


def test_one_program_serves_all_losses(finished):
    assert re.findall(r"chunk \d+x", finished[2]) == ["chunk 1x"]


def test_a_member_alone_is_as_among_others(finished, tmp_path):
    """Its loss wants label logits and the true class."""
    only = "--config.sweep.loss=gift", f'--config.sweep.labels="{LABELS[1]}"'
    assert tiny.command(finished[0], tmp_path / "run", *only) == 0
    ((_, alone),) = table(tmp_path / "run").items()
    assert alone == table(finished[1])["gift", LABELS[1]]
    with np.load(finished[1] / "curves.npz") as many, np.load(tmp_path / "run" / "curves.npz") as one:
        at = many["member"].tolist().index(alone["member"])
        np.testing.assert_allclose(one["train_loss"][0], many["train_loss"][at], rtol=1e-5)


def test_a_run_that_stopped_ends_as_one_that_did_not(finished, tmp_path):
    def stop(program, index):
        if program.select and index == 1:
            raise errors.Interrupted("stop")

    with tiny.before_chunk(stop):
        assert tiny.command(finished[0], tmp_path / "run") == errors.Interrupted.exit_code
    assert not (tmp_path / "run" / "results.csv").exists()
    trained = []
    with tiny.before_chunk(lambda program, index: trained.append(index)):
        assert tiny.command(finished[0], tmp_path / "run") == 0
    assert trained == [1, 2]  # the first chunk was saved
    assert table(tmp_path / "run") == table(finished[1])


@pytest.fixture(scope="module")
def taken_home(finished, tmp_path_factory):
    """Exports of the student of label logits, by codec."""
    base = tmp_path_factory.mktemp("taken")
    one = "--loss=gift", f"--labels={LABELS[1]}"
    for codec in ("float32", "float16"):
        with tiny.plain_flags():
            assert main(["export", str(finished[1]), f"--to={base / codec}", f"--codec={codec}", *one]) == 0
    return base


def test_an_export_of_label_logits_trains_the_same_student(finished, taken_home):
    taken = jaxsoft.load_export(taken_home / "float32")
    data = taken.load()
    with tiny.plain_flags():
        (row,) = jaxsoft.train_students(data, **taken.students(data))
        assert main(["verify", str(taken_home / "float32"), f"--run={finished[1]}"]) == 0
    assert taken.record["reached"]["member"] == table(finished[1])["gift", LABELS[1]]["member"]
    same = "test_accuracy", "val_accuracy", "accuracy_by_class", "loss"
    assert [row[c] for c in same] == [taken.record["reached"][c] for c in same]
    assert "array('labels.npz', logits=True)" in (taken_home / "float32" / "config.py").read_text()
    card = (taken_home / "float32" / "README.md").read_text()
    assert "loss `gift`" in card and "logits, 800 bytes (float32)" in card


def test_label_logits_are_stored_as_they_are_and_by_no_codec_of_probabilities(finished, taken_home, capsys):
    whole, half = (jaxsoft.load_export(taken_home / codec).labels for codec in ("float32", "float16"))
    known = np.isfinite(whole.logits).all(1)
    assert known.sum() == 20 and (whole.logits[known] < 0).any()
    assert np.array_equal(half.logits[known], whole.logits[known].astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(whole.rows[known].sum(1), 1, rtol=1e-6)
    one = ["export", str(finished[1]), f"--to={taken_home / 'no'}", "--loss=gift", f"--labels={LABELS[1]}"]
    for codec in ("int8", "top3:float16"):
        assert main([*one, f"--codec={codec}"]) == 2
        told = f"--codec={codec} stores probabilities, and this student learned from logits; choices: float32, float16, none"
        assert capsys.readouterr().err == f"jaxsoft: {told}\n"
    assert not (taken_home / "no").exists()


def test_what_an_export_holds_is_read_as_that_alone(taken_home):
    settings = tiny.settings({"sweep.labels": ("array('labels.npz')",)})
    with pytest.raises(errors.DataError, match="is of an export and holds logits; wanted logits=true"):
        given.read_rows(settings, (taken_home / "float32",))


def test_python_takes_a_function_of_label_logits_and_class_beside_names():
    def margin(logits, label_logits, true_class, weight=0.5):
        return ((logits - label_logits) ** 2).mean() - weight * logits[true_class]

    data = jaxsoft.load("digits")
    rows = np.random.default_rng(0).normal(size=(len(data.train), 10)).astype(np.float32)
    labels = jaxsoft.Labels.from_array(rows, logits=True)
    student = jaxsoft.Student(model="mlp(hidden=8)", batch=16, steps=6, evaluations=1, learning_rate=0.1)
    sweep = jaxsoft.Sweep(ipc=(1,), seed=(0,), labels=(labels, "hard|as_logits"), loss=(margin, "gift"))
    found = jaxsoft.train_students(data, student=student, sweep=sweep)
    names = [re.sub("_x[0-9a-f]{12}", "", row["loss"]) for row in found]
    assert names == ["object:margin", "gift"] * 2 or names == ["object:margin"] * 2 + ["gift"] * 2
    assert all(row["status"] == "done" for row in found)


LOG = "'{0}|smooth(0.1)|log' has logits, and '{0}|as_logits' takes its numbers as they are"
WANTED = "wanted logits, and of the label row or label_logits, with or without true_class, or true_class alone"
REFUSED = {
    "of hard labels": (
        {"sweep.loss": ("gift",), "sweep.labels": ("hard",)},
        f"config.sweep.loss: gift wants logits, and label spec 'hard' gives probabilities; {LOG.format('hard')}",
    ),
    "of a spec that ends in rows": (
        {"student.loss": "mse", "sweep.labels": ("teacher(epoch=3)|topk(3)",)},
        "config.student.loss: mse wants logits, and label spec 'teacher(epoch=3)|topk(3)' gives probabilities; "
        + LOG.format("teacher(epoch=3)|topk(3)"),
    ),
    "of pooled probabilities": (
        {"student.loss": "cosine", "sweep.labels": ("teachers(2, pool=probabilities, epoch=3)",), "teacher.experts": 2},
        "config.student.loss: cosine wants logits, and label spec 'teachers(2, pool=probabilities, epoch=3)' gives "
        "probabilities; " + LOG.format("teachers(2, pool=probabilities, epoch=3)"),
    ),
    "of learned labels": (
        {"student.loss": "gift", "sweep.labels": ("learned",)},
        "config.student.loss: labels are learned as probabilities, and gift wants label_logits and true_class; "
        "wanted a loss of rows, such as soft_cross_entropy or kl",
    ),
    "of a column with learned labels": (
        {"sweep.loss": ("soft_cross_entropy", "mse"), "sweep.labels": ("learned",)},
        f"config.sweep.loss: mse wants logits, and label spec 'learned' gives probabilities; {LOG.format('learned')}",
    ),
    "a logarithm of 0": (
        {"student.loss": "mse", "sweep.labels": ("hard|log",)},
        "config.sweep.labels: label spec 'hard|log' takes the logarithm of 0; smooth the row before, as in "
        "'hard|smooth(0.1)|log', or take its numbers as they are, `as_logits`",
    ),
    "logits that are not there": (
        {"sweep.labels": ("hard|centre",)},
        "config.sweep.labels: centre is done to logits, and 'hard|centre' has none before it; `log` makes some "
        "of a row",
    ),
    "an argument out of range": (
        {"sweep.loss": ("kl(0)",)},
        "config.sweep.loss: kl: t must be above 0, got 0.0",
    ),
    "an unknown loss": (
        {"sweep.loss": ("gfit",)},
        "config.sweep.loss: unknown loss 'gfit'; closest: gift, mse_gt, features (all of them: "
        "jaxsoft/training/losses.py)",
    ),
    "an argument that there is not": (
        {"sweep.loss": ("gift(beta=1)",)},
        "config.sweep.loss: gift(beta=1) in 'gift(beta=1)': got an unexpected keyword argument 'beta'; usage: "
        "gift(gamma: float=0.1, alpha: float=0.1)",
    ),
    "both forms": (
        {"sweep.loss": ("bad:both",)},
        f"config.sweep.loss: loss 'bad:both' takes logits, row, label_logits; {WANTED}",
    ),
    "nothing of a label": (
        {"student.loss": "bad:nothing"},
        f"config.student.loss: loss 'bad:nothing' takes logits; {WANTED}",
    ),
    "other names": (
        {"student.loss": "bad:other"},
        f"config.student.loss: loss 'bad:other' takes logits, target; {WANTED}",
    ),
    "the class alone, with learned labels": (
        {"student.loss": "cross_entropy", "sweep.labels": ("learned",)},
        "config.student.loss: labels are learned as probabilities, and cross_entropy wants true_class; wanted a loss "
        "of rows, such as soft_cross_entropy or kl",
    ),
    "a loss twice": (
        {"sweep.loss": ("mse", "mse"), "sweep.labels": ("teacher(epoch=3)",)},
        "config.sweep.loss has 'mse' more than once",
    ),
    "an optimizer twice": (
        {"sweep.optimizer": ("sgd", "sgd")},
        "config.sweep.optimizer has 'sgd' more than once",
    ),
    "an unknown optimizer": (
        {"sweep.optimizer": ("adm",)},
        "config.sweep.optimizer: unknown optimizer 'adm'; closest: adamw, sgd (all of them: jaxsoft/training/optim.py)",
    ),
}
BAD = """
def both(logits, row, label_logits):
    return (row * logits).sum()
def nothing(logits):
    return logits.sum()
def other(logits, target):
    return (target * logits).sum()
"""


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_one_line(name, tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    changes, told = REFUSED[name]
    with pytest.raises(errors.ConfigError) as caught:
        story._checked(tiny.settings(changes))
    assert str(caught.value) == told


def test_a_setting_that_an_axis_replaces_has_no_effect(finished, capsys):
    for name in ("loss", "optimizer"):
        more = ["--config.sweep.optimizer=sgd,adamw"] if name == "optimizer" else []
        value = "sgd" if name == "optimizer" else "kl"
        assert tiny.command(finished[0], finished[0].parent / "no", f"--config.student.{name}={value}", *more) == 2
        wanted = f"config.student.{name} has no effect: config.sweep.{name} replaces it; change or empty that"
        assert wanted in capsys.readouterr().err
    assert not (finished[0].parent / "no").exists()
