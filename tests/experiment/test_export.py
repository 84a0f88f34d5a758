"""A student taken from a run: the same to the bit when it is loaded back, and refused where anything was altered."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_run as tiny
from PIL import Image

import jaxsoft
from jaxsoft import errors, main
from jaxsoft.analysis.reading.results import read_results
from jaxsoft.distilled.reading import exports
from jaxsoft.experiment.export import choose, torch_file
from jaxsoft.labels import codecs

LABELS = "hard", "teacher(epoch=3)", "teacher(epoch=3)|topk(2)", "teacher(epoch=2, views=2)"
MORE = {
    "sweep.labels": LABELS, "sweep.ipc": (2,), "sweep.select": ("random", "easiest"), "sweep.without": (-1, 4),
    "sweep.seed": (0, 1), "student.augment": "one_of('flip')",
}  # fmt: skip
LEARNED = {
    "sweep.labels": ("learned",), "sweep.ipc": (1,), "sweep.seed": (0,), "learned.looks": 1, "learned.look_outer_steps": 1,
    "learned.unroll_steps": 4, "learned.first_unroll_steps": 4, "learned.window_steps": 2, "learned.judges": 1,
    "learned.students": 1, "learned.meta_batch": 32,
}  # fmt: skip
ONE = {"ipc": "2", "labels": "teacher(epoch=3)", "seed": "1", "select": "random", "without": "-1"}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, kept_programs):
    return tiny.finished(tmp_path_factory.mktemp("runs"), MORE)[1]


def words(asked):
    return [f"--{column}={value}" for column, value in asked.items()]


def command(*argv):
    with tiny.plain_flags():
        return main.main([str(word) for word in argv])


def exported(run_folder, to, *more, **asked):
    assert command("export", run_folder, f"--to={to}", *words(ONE | asked), *more) == 0
    return to


def trained(folder):
    taken = jaxsoft.load_export(folder)
    data = taken.load()
    with tiny.plain_flags():
        (row,) = jaxsoft.train_students(data, **taken.students(data))
    return taken, row


def in_run(run_folder, member):
    return next(row for row in read_results(run_folder) if row["member"] == member)


def same(row, reached):
    return {c for c in ("test_accuracy", "val_accuracy", "accuracy_by_class", "steps") if row[c] != reached[c]} == set()


def kept_rows(folder):
    labels = jaxsoft.load_export(folder).labels
    assert isinstance(labels, jaxsoft.Labels)
    return labels.rows


def alter(path, edit):
    path.write_bytes(edit(path.read_bytes()))


@pytest.mark.parametrize(
    "asked", [{"labels": LABELS[0]}, {}, {"labels": LABELS[2], "without": "4", "select": "easiest"}]
)
def test_loaded_back_it_is_the_same_student_to_the_bit(run_folder, tmp_path, asked):
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    folder = exported(run_folder, tmp_path / "out", **asked)
    taken, row = trained(folder)
    assert same(row, taken.record["reached"]) and same(row, in_run(run_folder, taken.record["member"]))
    assert row["test_accuracy"] == taken.test_accuracy
    assert command("verify", folder, f"--run={run_folder}") == 0
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before


def test_its_config_trains_the_same_student(run_folder, tmp_path):
    folder = exported(run_folder, tmp_path / "out", select="easiest", without="4")
    assert tiny.command(folder / "config.py", tmp_path / "again") == 0
    (found,) = read_results(tmp_path / "again")
    reached = jaxsoft.load_export(folder).record["reached"]
    assert same(found, reached) and found["member"] != reached["member"]


def test_without_labels_experts_are_taught_again_and_it_is_the_very_member(run_folder, tmp_path):
    folder = exported(run_folder, tmp_path / "out", "--codec=none", labels=LABELS[3])
    assert not (folder / "labels.npz").exists()
    taken, row = trained(folder)
    assert row["member"] == taken.record["member"] and same(row, taken.record["reached"])


@pytest.mark.parametrize("codec", ["float16", "int8", "top3:int8", "top3:int4"])
def test_codecs_store_less_and_come_back_as_they_decode(run_folder, tmp_path, codec):
    whole, coded = (exported(run_folder, tmp_path / c, f"--codec={c}") for c in ("float32", codec))
    sizes = [(folder / "labels.npz").stat().st_size for folder in (whole, coded)]
    rows = [kept_rows(folder) for folder in (whole, coded)]
    known = np.isfinite(rows[0]).all(1)
    assert sizes[1] < sizes[0] and known.sum() == 20 and np.array_equal(np.isfinite(rows[1]).all(1), known)
    wanted = codecs.decode(codecs.encode(rows[0][known], codec))
    assert np.array_equal(rows[1][known], wanted) and not np.array_equal(wanted, rows[0][known])
    assert trained(coded)[1]["labels"].startswith("array(labels, rows=x")
    assert command("verify", coded, f"--run={run_folder}") == 0


def test_the_same_export_is_the_same_bytes_and_of_kilobytes(run_folder, tmp_path):
    folders = [exported(run_folder, tmp_path / name, "--images", "--codec=int8") for name in "ab"]
    found = [{p.relative_to(f): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()} for f in folders]
    assert found[0] == found[1] and len(found[0]) == 5 + 1 + 20 + 3
    assert sum(len(found[0][Path(name)]) for name in ("images.npy", "labels.npz")) < 4000


def test_pixels_are_those_of_the_dataset(run_folder, tmp_path):
    folder = exported(run_folder, tmp_path / "out", "--images")
    taken = jaxsoft.load_export(folder)
    data, places = taken.load(), np.load(folder / "images.npy").ravel()
    with np.load(folder / "pixels.npz") as kept:
        assert np.array_equal(kept["places"], places) and np.array_equal(kept["images"], data.train.images[places])
        assert np.array_equal(kept["classes"], data.train.labels[places])
    for place in places:
        (path,) = folder.glob(f"images/*/{place}.png")
        assert path.parent.name == f"{data.train.labels[place]:03d}-{data.class_names[data.train.labels[place]]}"
        assert np.array_equal(np.asarray(Image.open(path)), data.train.images[place][..., 0])
    with zipfile.ZipFile(folder / "images_best.pt") as zipped:
        seen = np.frombuffer(zipped.read("archive/data/0"), np.float32).reshape(20, 1, 8, 8)
    pixels = data.train.images / 255
    wanted = (pixels[places] - pixels.mean()) / pixels.std()
    assert np.allclose(seen, wanted.transpose(0, 3, 1, 2), atol=1e-5)
    assert "**normalised**: `standardize`" in (folder / "README.md").read_text()


@pytest.mark.parametrize("codec", ["float32", "top3:int4", "none"])
def test_an_export_is_a_distilled_set(run_folder, tmp_path, codec):
    """Its images by their positions, or as pixels where the data set is another one; its labels out of their codec."""
    folder = exported(run_folder, tmp_path / "out", "--images", f"--codec={codec}")
    taken = jaxsoft.load_export(folder)
    data, places = taken.load(), np.load(folder / "images.npy").ravel()
    other = jaxsoft.load("digits")
    for found in (exports.read(folder, data), exports.read(folder, other)):
        assert (found.system, found.space, found.learning_rate) == (
            "jaxsoft",
            "pixels",
            taken.record["reached"]["learning_rate"],
        )
        np.testing.assert_array_equal(found.images, data.train.images[places])
        np.testing.assert_array_equal(found.labels, data.train.labels[places])
        if codec == "none":
            assert (found.rows, found.kind) == (None, "")
        else:
            np.testing.assert_array_equal(found.rows, kept_rows(folder)[places])
            assert found.kind == "probabilities" and any(f"stored as {codec}" in note for note in found.notes)
    bare = exported(run_folder, tmp_path / "bare", f"--codec={codec}")
    with pytest.raises(errors.DataError, match="`jaxsoft export --images` writes them"):
        exports.read(bare, other)
    alter(folder / "pixels.npz", lambda content: content[:-1] + b"x")
    with pytest.raises(errors.CheckpointError, match="pixels.npz was changed"):
        exports.read(folder, data)


def test_torch_reads_the_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for i, made in enumerate(
        (rng.random((3, 2, 4, 5), np.float32), np.float32(0.5), np.arange(7), np.zeros((0, 3), "f4"))
    ):
        path = tmp_path / f"{i}.pt"
        path.write_bytes(torch_file.packed(np.asarray(made)))
        for how in ({"weights_only": True}, {"weights_only": False}, {"mmap": True}):
            read = torch.load(path, **how)
            assert read.is_contiguous() and np.array_equal(read.numpy(), made) and read.numpy().dtype == made.dtype


@pytest.mark.parametrize(
    ("name", "edit", "told"),
    [
        ("images.npy", lambda b: b[:-1] + b"\x07", "is not what was exported: images.npy was changed"),
        ("labels.npz", None, "labels.npz: No such file"),
        ("config.py", lambda b: b + b"#", "config.py was changed"),
        ("export.json", lambda b: b.replace(b'"seed": 1', b'"seed": 2'), "export.json: the record is not what was saved"),
        ("export.json", lambda b: b[:-9], "cannot read"),
        ("export.json", None, "no run folder"),
    ],
)  # fmt: skip
def test_a_tampered_export_is_refused(run_folder, tmp_path, capsys, name, edit, told):
    folder = exported(run_folder, tmp_path / "out")
    (folder / name).unlink() if edit is None else alter(folder / name, edit)
    with pytest.raises(errors.CheckpointError):
        jaxsoft.load_export(folder)
    capsys.readouterr()
    assert command("verify", folder) == 4
    said = capsys.readouterr().err
    assert (told in said or "has not finished" in said) and said.count("\n") == 1


def test_other_data_are_refused_with_both_fingerprints(run_folder, tmp_path, capsys):
    folder = exported(run_folder, tmp_path / "out")
    taken, other = jaxsoft.load_export(folder), jaxsoft.load("digits")
    with pytest.raises(errors.CheckpointError) as caught:
        taken.students(other)
    assert other.fingerprint in str(caught.value) and taken.record["data"]["fingerprint"] in str(caught.value)
    assert taken.checked(taken.load()).name == "digits"
    copy = shutil.copytree(run_folder, tmp_path / "copy")
    stored = json.loads((copy / "config.json").read_text())
    stored["data"]["limit"] = 25
    stored.pop("sha256")
    (copy / "config.json").write_text(json.dumps(stored))
    capsys.readouterr()
    assert command("export", copy, f"--to={tmp_path / 'not'}", *words(ONE)) == 3
    said = capsys.readouterr().err
    assert (
        "was trained on other data than digits: fingerprint" in said
        and said.count("\n") == 1
        and not (tmp_path / "not").exists()
    )
    assert taken.record["data"]["fingerprint"] in said


def test_labels_are_taught_again_only_when_asked(run_folder, tmp_path, capsys):
    folder = exported(run_folder, tmp_path / "out")
    capsys.readouterr()
    assert command("verify", folder) == 0
    assert "labels: not compared" in capsys.readouterr().out
    assert command("verify", folder, "--teach") == 0
    assert "labels: 20 derived anew, equal" in capsys.readouterr().out
    copy = shutil.copytree(run_folder, tmp_path / "copy")
    shutil.rmtree(copy / "teachers")
    assert command("export", copy, f"--to={tmp_path / 'more'}", *words(ONE)) == 4
    assert "--teach teaches them again" in capsys.readouterr().err
    exported(copy, tmp_path / "more", "--teach")
    assert not (copy / "teachers").exists()


def test_learned_labels_are_those_that_the_run_keeps(tmp_path, capsys):
    _, run_folder = tiny.finished(tmp_path, LEARNED)
    folder = tmp_path / "out"
    assert command("export", run_folder, f"--to={folder}") == 0
    taken, row = trained(folder)
    assert same(row, taken.record["reached"])
    assert command("verify", folder, f"--run={run_folder}") == 0
    (run_folder / "learned.npz").unlink()
    capsys.readouterr()
    assert command("verify", folder, f"--run={run_folder}") == 4
    assert (
        f"the learned labels, or the priors of committees, are not in {run_folder}; --teach makes them again"
        in capsys.readouterr().err
    )


def test_rows_of_an_export_speak_of_its_images_alone(run_folder, tmp_path):
    taken = jaxsoft.load_export(exported(run_folder, tmp_path / "out"))
    data = taken.load()
    given: dict[str, Any] = taken.students(data) | {"select": "random"}
    given["sweep"] = jaxsoft.Sweep(ipc=(2,), labels=(taken.labels,), seed=(0,))
    with pytest.raises(errors.DataError, match="has rows of 20 of 200 train images, and image .* select those images"):
        jaxsoft.train_students(data, **given)


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ({"seed": ""}, 2, "2 members of {run} are meant; say which: --seed=0 | 1"),
        ({"labels": "teacher(epoch=1)"}, 2, "no such member in {run} has --labels=teacher(epoch=1); choices: hard | teach"),
        ({"labels": "teecher"}, 2, "unknown label source"),
        ({"ipc": "5"}, 2, "has --ipc=5; choices: 2"),
        ({"codec": "int3"}, 2, "--codec=int3 is none for 10 classes; choices: float32, float16, int8, int4, top1:int8"),
        ({"labels": LABELS[3]}, 2, "labels of views are made anew"),
        ({"to": "{run}"}, 2, "--to={run} is there already, and not empty"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_line_and_nothing_is_written(run_folder, tmp_path, capsys, asked, code, told):
    given = {"to": str(tmp_path / "out")} | ONE | asked
    given["to"] = given["to"].format(run=run_folder)
    assert command("export", run_folder, *words(given)) == code
    said = capsys.readouterr().err
    assert told.format(run=run_folder) in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_run_and_a_command_without_words_are_refused(tmp_path, capsys):
    assert command("export", tmp_path, f"--to={tmp_path / 'x'}") == 4
    assert "there is no run in" in capsys.readouterr().err
    assert command("export", f"--to={tmp_path / 'x'}") == 2
    assert "expected: jaxsoft export RUN --to=FOLDER" in capsys.readouterr().err


def test_label_specs_are_meant_as_the_config_wrote_them(run_folder):
    accuracy = json.loads((run_folder / "teachers.json").read_text())["experts"][0]["history"][3]["val_accuracy"]
    rows = jaxsoft.Results.load(run_folder).rows
    assert choose.member(rows, ONE, run_folder)["labels"] == "teacher(epoch=3)" and 0 < accuracy
    spaced = ONE | {"labels": "teacher(0, epoch=3) | topk(k=2)"}
    assert choose.member(rows, spaced, run_folder)["labels"] == "teacher(epoch=3)|topk(2)"


def test_rows_and_images_of_ones_own_are_named_by_the_config(tmp_path, capsys):
    data = tiny.run.load(tiny.settings())
    np.save(tmp_path / "svm.npy", np.eye(10)[data.train.labels] * 0.9 + 0.01)
    np.save(tmp_path / "core.npy", np.stack([np.flatnonzero(data.train.labels == k)[-2:] for k in range(10)]))
    own = {"sweep.labels": ("array('svm.npy')|temperature(2)", "teacher(epoch=3)"), "select": "indices('core.npy')"}
    file, run_folder = tiny.finished(tmp_path, own | {"sweep.ipc": (2,), "sweep.seed": (0,)})
    specs = [row["labels"] for row in read_results(run_folder)]
    for labels in specs:
        to, asked = tmp_path / f"out-{specs.index(labels)}", f"--labels={labels}"
        capsys.readouterr()
        assert command("export", run_folder, f"--to={to}", asked) == 2
        assert "not in the run folder; --config=FILE.py names them" in capsys.readouterr().err
        assert command("export", run_folder, f"--to={to}", asked, f"--config={file}") == 0
        taken, row = trained(to)
        assert same(row, taken.record["reached"]) and taken.record["reached"]["labels"] == labels
        assert command("verify", to, f"--run={run_folder}") == 0
    assert "member: " in capsys.readouterr().out
    again = ("export", run_folder, f"--to={tmp_path / 'none'}", f"--labels={specs[0]}", f"--config={file}")
    assert command(*again, "--codec=none") == 2
    assert "no expert gives array(svm" in capsys.readouterr().err
    assert command(*again, "--config.sweep.ipc=1") == 4
    assert "belongs to another config: config.sweep.ipc is [2] there, [1] now" in capsys.readouterr().err
