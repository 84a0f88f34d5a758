"""Results to take home: rows, curves, networks, labels and subsets are those of training, from memory or from a folder."""

import dataclasses
import functools
import gc
import importlib
import inspect
import shutil
import signal
import tempfile

import jax
import numpy as np
import pytest

import jaxsoft
from jaxsoft import config, errors
from jaxsoft.console import Console
from jaxsoft.experiment import run
from jaxsoft.experiment.export import again
from jaxsoft.experiment.learned import learn
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.store import folder as folder_of
from jaxsoft.experiment.store import manifest
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.training import ensemble

TEACHER = jaxsoft.Teacher(model="mlp(hidden=8)", epochs=2, batch=16, learning_rate=0.3)
STUDENT = jaxsoft.Student(model="mlp(hidden=8)", batch=4, steps=8, learning_rate=0.1, evaluations=4)
SWEEP = jaxsoft.Sweep(ipc=(1, 2), labels=("hard", "teacher(epoch=2)"), seed=(0, 1))


@pytest.fixture(scope="module")
def data():
    labels = np.arange(150) % 3
    images = np.random.default_rng(0).random((150, 6, 4)) + labels[:, None, None]
    return jaxsoft.Dataset.from_arrays(images / 3, labels, validation=0.2)


@pytest.fixture(scope="module")
def experts(data):
    return jaxsoft.teach(data, TEACHER)


@pytest.fixture(scope="module")
def found(data, experts):
    return jaxsoft.train_students(data, experts, STUDENT, SWEEP)


@pytest.fixture(scope="module")
def folder(data, experts, tmp_path_factory):
    where = tmp_path_factory.mktemp("runs") / "mine"
    jaxsoft.train_students(data, experts, STUDENT, SWEEP, folder=where)
    return where


def assert_equal(one, other, images):
    assert one == other and one.plan.keys == other.plan.keys
    assert one.curves.equals(other.curves)
    for member in (0, -1, one[3]["member"]):
        jax.tree.map(np.testing.assert_array_equal, one.params(member), other.params(member))
        for ask in ("labels", "subset"):
            np.testing.assert_array_equal(getattr(one, ask)(member), getattr(other, ask)(member))
        np.testing.assert_array_equal(one.predict(member, images), other.predict(member, images))


def test_results_are_a_sequence_of_rows(found):
    assert len(found) == 8 and found[0] == found.rows[0] and [row["ipc"] for row in found] == [1] * 4 + [2] * 4
    assert found == list(found) and found[1:3] == found.rows[1:3]
    assert "curve" not in found[0] and list(found.to_pandas()["member"]) == [row["member"] for row in found]
    assert "teacher(epoch=2)" in jaxsoft.text_table(found)


def test_predictions_have_the_accuracies_that_training_tells(found, data):
    for split, column in ((data.test, "test_accuracy"), (data.validation, "val_accuracy")):
        for place, row in enumerate(found):
            said = found.predict(place, split.images)
            assert round(float((said.argmax(1) == split.labels).mean()), 6) == row[column]
    assert len({row["test_accuracy"] for row in found}) > 1
    as_bytes = np.round(255 * data.test.images).astype(np.uint8)
    np.testing.assert_allclose(found.predict(0, as_bytes), found.predict(0, data.test.images), atol=0.1)
    np.testing.assert_allclose(found.predict(0, data.test.images, probabilities=True).sum(1), 1, rtol=1e-6)


def test_curves_end_where_the_rows_do(found):
    looks = found.curves
    assert list(looks["step"][:4]) == [2, 4, 6, 8] and len(looks) == 8 * 4
    best = looks.groupby("member")["val_accuracy"].max()
    assert all(best[row["member"]] == row["val_accuracy"] for row in found)


def test_labels_are_those_of_the_images_of_the_subset(found, data, experts):
    soft = [place for place, row in enumerate(found) if row["labels"] != "hard"]
    for place in range(8):
        images = found.subset(place)
        true = data.train.labels[images]
        assert sorted(true) == sorted(list(range(3)) * found[place]["ipc"])
        wanted = np.eye(3, dtype=np.float32)[true]
        if place in soft:
            wanted = experts.label(data.train.images[images], "teacher(epoch=2)")
        np.testing.assert_allclose(found.labels(place), wanted, atol=1e-6)


def test_a_folder_gives_what_memory_gives(found, folder, data):
    assert_equal(jaxsoft.Results.load(str(folder), data), found, data.test.images)
    assert manifest.verify(folder) == []


def test_saved_and_loaded_results_are_equal(found, data, tmp_path):
    assert_equal(jaxsoft.Results.load(found.save(tmp_path / "one"), data), found, data.test.images)
    again = jaxsoft.Results.load(tmp_path / "one", data).save(tmp_path / "two")
    assert_equal(jaxsoft.Results.load(again, data), found, data.test.images)
    assert manifest.verify(tmp_path / "one") == []
    assert any(name.startswith("teachers/") for name in manifest.listed(RunFolder(tmp_path / "one")))
    with pytest.raises(errors.CheckpointError, match="two is there already, and not empty"):
        found.save(again)


def test_what_has_no_folder_goes_with_its_results(data, tmp_path, monkeypatch):
    """Whether a student was trained or training was stopped; nothing is told but progress."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = dataclasses.replace(SWEEP, ipc=(1,), labels=("hard",))
    found = jaxsoft.train_students(data, None, STUDENT, one)
    assert len(list(tmp_path.iterdir())) == 1 and str(tmp_path) not in repr(found)
    assert found.params(0) and not (found.save(tmp_path / "saved") / "teachers").exists()
    del found
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has none
    with pytest.raises(KeyboardInterrupt):
        jaxsoft.train_students(data, None, STUDENT, one, progress=lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, before)
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_all_looks_are_kept_in_memory_and_in_a_folder(data, tmp_path):
    """The chosen checkpoint is the last look of the highest accuracy; a student that diverged is none."""
    rates = dataclasses.replace(
        SWEEP, labels=("hard",), seed=(0,), learning_rate=(0.1, 1e30), axes=("ipc", "learning_rate")
    )
    call = data, None, dataclasses.replace(STUDENT, optimizer="sgd"), rates
    memory = jaxsoft.train_students(*call, keep="all")
    stored = jaxsoft.train_students(*call, keep="all", folder=tmp_path)
    saved = jaxsoft.Results.load(memory.save(tmp_path / "saved"), data)
    (well, *_), (bad, *_) = ([i for i, row in enumerate(memory) if row["status"] == how] for how in ("done", "failed"))
    looks = memory.curves
    accuracies = looks[looks["member"] == memory[well]["member"]]["val_accuracy"].tolist()
    best = max(range(4), key=lambda i: (accuracies[i], i)) + 1
    for found in (memory, stored, saved):
        jax.tree.map(np.testing.assert_array_equal, found.params(well), found.params(well, look=best))
        for look in range(1, 5):
            said = found.predict(well, data.validation.images, look=look).argmax(1)
            assert round(float((said == data.validation.labels).mean()), 6) == accuracies[look - 1]
        with pytest.raises((errors.ConfigError, errors.CheckpointError), match="failed"):
            found.params(bad)
        with pytest.raises((errors.ConfigError, errors.CheckpointError), match="look 9"):
            found.params(well, look=9)


def test_any_run_folder_is_read(tmp_path):
    """Of the command line, with rows of one's own; what it does not keep is said with the way to keep it."""
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 200).astype(np.float32)
    labels = jaxsoft.Labels.from_array(rows, name="svm")
    sweep = dataclasses.replace(SWEEP, labels=("teacher(epoch=1)", labels), ipc=(1,), seed=(0,))
    settings = config.Settings(data=config.Data(limit=20), teacher=TEACHER, student=STUDENT, sweep=sweep)
    run.run(settings, tmp_path, Console(quiet=True))
    found, again = jaxsoft.Results.load(tmp_path), jaxsoft.Results.load(tmp_path, given=[labels])
    assert len(found.dataset.train) == 200 and len(found.curves) == 2 * 4
    np.testing.assert_array_equal(again.labels(1), labels.rows[again.subset(1)])
    wanted = again.experts.label(again.dataset.train.images[again.subset(0)], "teacher(epoch=1)")
    np.testing.assert_allclose(again.labels(0), wanted, atol=1e-6)
    with pytest.raises(errors.DataError, match="there is no file svm"):
        found.labels(1)
    with pytest.raises(errors.CheckpointError, match="no students of look 0 are kept; config.keep.students=best, in"):
        found.params(0)
    shutil.rmtree(tmp_path / "teachers")
    with pytest.raises(errors.CheckpointError, match="the experts of .* are not in .*; give them as experts="):
        _ = jaxsoft.Results.load(tmp_path).experts
    np.testing.assert_array_equal(
        jaxsoft.Results.load(tmp_path, given=[labels]).subset(1), again.subset(1)
    )  # asks no expert


def test_settings_of_another_version_are_named_and_left_out(folder, data, tmp_path, caplog):
    shutil.copytree(folder, tmp_path / "old")
    stored = folder_of.RunFolder(tmp_path / "old")
    known = stored.read_json("config.json")
    stored.write_json("config.json", {**known, "compute": {**known["compute"], "tune": "auto"}, "extra": {"a": 1}})
    assert jaxsoft.Results.load(tmp_path / "old", data).settings == jaxsoft.Results.load(folder, data).settings
    assert "begun by another version: settings unknown here: compute.tune, extra.a" in caplog.text
    stored.write_json("config.json", {**known, "protocol": "open"})
    with pytest.raises(errors.CheckpointError, match="cannot read .*config.json: config.protocol expects one of"):
        jaxsoft.Results.load(tmp_path / "old")


def test_students_of_several_waves_are_told_apart(found, data, experts, tmp_path, monkeypatch):
    """As many waves as a device without memory would need; their networks are those of one wave, to rounding."""
    monkeypatch.setattr(make.memory, "budget_bytes", lambda _: 1)
    several = jaxsoft.train_students(data, experts, STUDENT, SWEEP)
    assert len(several.plan.waves) == 4
    for member in range(8):
        close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
        jax.tree.map(close, several.params(member), found.params(member))
    assert_equal(jaxsoft.Results.load(several.save(tmp_path / "saved"), data), several, data.test.images)


def test_labels_that_were_learned_are_saved_with_the_results(data, tmp_path, monkeypatch):
    learned = jaxsoft.Learned(
        looks=1, look_outer_steps=2, unroll_steps=4, first_unroll_steps=4, window_steps=2, students=1, judges=1
    )
    sweep = dataclasses.replace(SWEEP, ipc=(1,), labels=("learned",), seed=(0,))
    experts = jaxsoft.teach(data, dataclasses.replace(TEACHER, epochs=1))
    found = jaxsoft.train_students(data, experts, STUDENT, sweep, learned=learned)
    again = jaxsoft.Results.load(found.save(tmp_path / "run"), data)
    monkeypatch.setattr(learn, "_learn", lambda *_: pytest.fail("labels were learned again"))
    np.testing.assert_array_equal(again.labels(0), found.labels(0))


def test_images_of_ones_own_choice_are_the_subset(data, tmp_path):
    chosen = np.stack([np.flatnonzero(data.train.labels == c)[[5, 2]] for c in range(3)])
    sweep = dataclasses.replace(SWEEP, ipc=(2,), labels=("hard",), seed=(0,))
    found = jaxsoft.train_students(data, None, STUDENT, sweep, chosen, folder=tmp_path)
    indices = jaxsoft.Indices.from_array(chosen)
    for one in (found, jaxsoft.Results.load(tmp_path, data, given=[indices])):
        np.testing.assert_array_equal(one.subset(0), chosen.ravel())
        np.testing.assert_array_equal(one.labels(0).argmax(1), data.train.labels[chosen.ravel()])
    with pytest.raises(errors.DataError, match="there is no file images"):
        jaxsoft.Results.load(tmp_path, data).subset(0)


def test_a_report_is_written(found, folder, data, tmp_path):
    assert jaxsoft.Results.load(folder, data).report() == folder / "report.html"
    assert manifest.verify(folder) == []
    assert "teacher(epoch=2)" in found.report(tmp_path / "mine.html").read_text()
    with pytest.raises(errors.ConfigError, match="in no run folder; give report"):
        found.report()


def test_own_arrays_go_on_in_a_folder_after_ctrl_c(found, data, experts, tmp_path):
    """Stopped after the second look, and finished by the same call."""

    def interrupt(stage, done, total, words):
        if (stage, done) == ("students", 2):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    call = data, experts, STUDENT, SWEEP
    with pytest.raises(KeyboardInterrupt, match="stopped after chunk 2 of 4"):
        jaxsoft.train_students(*call, folder=tmp_path / "run", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    seen = []
    again = jaxsoft.train_students(*call, folder=tmp_path / "run", progress=lambda *told: seen.append(told))
    assert [told[:3] for told in seen if told[0] == "students"] == [("students", 3, 4), ("students", 4, 4)]
    assert_equal(again, found, data.test.images)
    with pytest.raises(
        errors.CheckpointError, match="belongs to another config: config.student.batch is 4 there, 8 now"
    ):
        jaxsoft.train_students(data, experts, dataclasses.replace(STUDENT, batch=8), SWEEP, folder=tmp_path / "run")


def test_an_equal_sweep_is_not_compiled_again(data, experts, monkeypatch):
    made = []
    whole = jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda *args, **how: made.append(1) or whole(*args, **how))
    ensemble._compiled.cache_clear()
    compiled = []
    for batch, seeds in ((4, (0, 1)), (4, (2, 3)), (3, (0, 1))):
        sweep, before = dataclasses.replace(SWEEP, labels=("hard",), ipc=(2,), seed=seeds), len(made)
        jaxsoft.train_students(data, experts, dataclasses.replace(STUDENT, batch=batch), sweep)
        compiled.append(len(made) - before)
    assert compiled == [3, 0, 3]  # initialize, chunk and test; other seeds are other arguments; another batch is not


def test_what_is_compiled_does_not_outlive_an_edit(data, tmp_path, monkeypatch):
    """A module that is imported anew, as a notebook does, is what trains."""
    code = "def steep(learning_rate, weight_decay):\n    import optax\n    return optax.sgd(RATE * learning_rate)\n"
    monkeypatch.syspath_prepend(tmp_path)
    said, sweep = [], dataclasses.replace(SWEEP, ipc=(1,), labels=("hard",), seed=(0,))
    for rate in (1.0, 3.25):  # of another size, or Python would take its own copy of the first
        (tmp_path / "reloaded.py").write_text(f"RATE = {rate}\n{code}")
        importlib.invalidate_caches()
        importlib.reload(importlib.import_module("reloaded"))
        student = dataclasses.replace(STUDENT, optimizer="reloaded:steep")
        said.append(jaxsoft.train_students(data, student=student, sweep=sweep).curves["train_loss"].iloc[-1])
    assert said[0] != said[1]


def test_progress_is_told_of_experts(data, tmp_path):
    seen = []
    jaxsoft.teach(data, TEACHER, progress=lambda *told: seen.append(told))
    assert [told[:3] for told in seen] == [("teachers", 1, 2), ("teachers", 2, 2)]
    assert "validation accuracy" in seen[0][3]


def test_experts_have_variables_and_label_any_images(data, experts):
    params = experts.params(0, 1)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params)) and list(params) == ["params"]
    jax.tree.map(np.testing.assert_array_equal, experts.params(), experts.params(0, 2))
    rows = experts.label(data.test.images, "teacher(epoch=2)|topk(1)")
    assert rows.shape == (30, 3) and ((rows > 0).sum(1) == 1).all()
    hard = experts.label(data.test.images, "hard|smooth(0.3)", classes=data.test.labels)
    np.testing.assert_array_equal(hard.argmax(1), data.test.labels)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda e, d: e.label(d.test.images, "learned"), "label spec 'learned' has no labels for any images"),
        (lambda e, d: e.label(d.test.images, "teacher(epoch=1, views=4)"), "has no labels for any images"),
        (lambda e, d: e.label(d.test.images, "hard"), "reads the true class; give classes="),
        (lambda e, d: e.label(d.test.images, "teacher(epoch=3)"), "epoch=3 but there are epochs 0 to 2"),
        (lambda e, d: e.label(d.test.images, "teachers(2, epoch=1)"), "expert=1 but there are 1 experts"),
        (lambda e, d: e.label(d.test.images, "teacher"), "has no epoch yet"),
        (lambda e, d: e.label(d.test.images[:, :5], "teacher(epoch=1)"), "images to label are 5x4x1; wanted 6x4x1"),
        (lambda e, d: e.params(0, 7), "epoch=7 but there are epochs 0 to 2"),
    ],
)
def test_what_experts_cannot_say_is_one_line(ask, message, experts, data):
    with pytest.raises((errors.ConfigError, errors.DataError), match=message):
        ask(experts, data)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_export_is_the_same_from_memory_and_from_a_folder(found, folder, data, experts, tmp_path):
    places = {"memory": found, "folder": jaxsoft.Results.load(folder, data, experts)}
    told = [results.export(5, tmp_path / name, images=True) for name, results in places.items()]
    memory, stored = (contents(tmp_path / name) for name in places)
    assert memory == stored and told[0] == told[1] and told[0].bytes == sum(map(len, memory.values()))
    assert "config.py" not in memory and b"data = ...  # the very dataset" in memory["README.md"]
    taken = jaxsoft.load_export(tmp_path / "memory")
    assert again.verify(tmp_path / "memory")[1].startswith("data: arrays of one's own, which no settings give")
    (row,) = jaxsoft.train_students(data, **taken.students(data))
    assert row["test_accuracy"] == found[5]["test_accuracy"] == taken.test_accuracy
    for codec, place, said in (
        ("int5", "new", "--codec=int5 is none for 3 classes"),
        ("int8", "memory", "is there al"),
    ):
        with pytest.raises(errors.ConfigError, match=said):
            found.export(5, tmp_path / place, codec)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "memory"]


def test_rows_and_images_of_ones_own_are_taken_along(data, tmp_path):
    rows = np.full((len(data.train), 3), 0.1) + 0.7 * np.eye(3)[data.train.labels]
    images = np.stack([np.flatnonzero(data.train.labels == k)[-2:] for k in range(3)])
    sweep = dataclasses.replace(
        SWEEP, labels=(jaxsoft.Labels.from_array(rows) | "temperature(2)",), ipc=(2,), seed=(3,)
    )
    found = jaxsoft.train_students(data, None, STUDENT, sweep, select=images)
    found.export(0, tmp_path / "out")
    taken = jaxsoft.load_export(tmp_path / "out")
    assert np.array_equal(taken.select.given, images) and np.array_equal(
        taken.labels.rows[found.subset(0)], found.labels(0)
    )
    (row,) = jaxsoft.train_students(data, **taken.students(data))
    assert row["accuracy_by_class"] == found[0]["accuracy_by_class"]
    assert taken.record["reached"]["curve"]["step"] == [2, 4, 6, 8]


def test_what_is_not_there_is_one_line_that_says_how_to_have_it(found, folder, data, experts, tmp_path):
    for member in (8, -9, "0123456789ab"):
        with pytest.raises(errors.ConfigError, match="there is no member .* wanted a position below 8"):
            found.params(member)
    for member in (1.5, None, [0], slice(1)):
        with pytest.raises(errors.ConfigError, match="there is no member .* wanted a position below 8"):
            inspect.unwrap(type(found)._place)(found, member)  # which no annotation checks
    with pytest.raises(errors.DataError, match="images are 4x6x1; wanted 6x4x1"):
        found.predict(0, data.test.images.transpose(0, 2, 1, 3))
    (tmp_path / "file").touch()
    for results in (found, jaxsoft.Results.load(folder, data)):
        with pytest.raises(errors.CheckpointError, match="file is there already, and not empty; choose another"):
            results.save(tmp_path / "file")
        with pytest.raises(errors.CheckpointError, match="cannot write /proc/mine"):
            results.save("/proc/mine")
    with pytest.raises(errors.CheckpointError, match="there is no run in"):
        jaxsoft.Results.load(tmp_path)
    with pytest.raises(errors.ConfigError, match="unknown dataset 'own'.*give Results.load the dataset="):
        jaxsoft.Results.load(folder).predict(0, data.test.images)
    with pytest.raises(errors.DataError, match="was trained on other data than digits"):
        _ = jaxsoft.Results.load(folder, jaxsoft.load("digits")).dataset
    with pytest.raises(errors.ConfigError, match="keep.students expects one of none, best, all, got 'some'"):
        jaxsoft.train_students(data, experts, STUDENT, SWEEP, keep="some")
    one = dataclasses.replace(SWEEP, ipc=(1,), labels=("hard",))
    with pytest.raises(errors.CheckpointError, match="in Python keep=.best., keeps those"):
        jaxsoft.train_students(data, experts, STUDENT, one, keep="none").params(0)
