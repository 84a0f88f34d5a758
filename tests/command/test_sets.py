"""`jaxsoft import`: what others published becomes a set that says what it is, or is refused in one line."""

import json
import pathlib

import numpy as np
import pytest

import jaxsoft
from jaxsoft import errors, sealed
from jaxsoft.command.sets import imported
from jaxsoft.command.verify import verified
from jaxsoft.data import normalize
from jaxsoft.distilled import kept
from jaxsoft.experiment.teach import imported as teacher
from jaxsoft.main import main

FILES = pathlib.Path(__file__).resolve().parents[3] / "shared" / "golden" / "files"
TOYS = "--dataset=toy_sets:toys(classes={}, side={})"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Prepared data, and so sets and experts, in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("JAXSOFT_SETS", raising=False)
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[1] / "distilled")


@pytest.fixture(scope="module")
def digits():
    """The data set, and five train images of each class with their classes."""
    data = jaxsoft.load("digits")
    rows = np.concatenate([np.flatnonzero(data.train.labels == k)[:5] for k in range(10)])
    return data, (data.train.images[rows] / np.float32(255)).astype(np.float32), data.train.labels[rows]


@pytest.mark.parametrize(
    ("name", "space"), [("none", ""), ("standardize", "standardize"), ("zca", "zca(regularization=0.1)")]
)
def test_a_set_in_any_space_is_a_set_in_pixels(digits, name, space):
    data, pixels, labels = digits
    whole = np.concatenate([data.train.images, data.validation.images])
    np.savez("seen.npz", images=normalize.fit(name, whole)(pixels), labels=labels)
    lines = imported(["seen.npz", "--as=mine", "--dataset=digits", "--no_order", f"--space={space}"])
    own = jaxsoft.load_set("mine")
    np.testing.assert_allclose(own.images, pixels, atol=1e-5)
    assert own.labels.tolist() == labels.tolist() and own.logits is None and own.images.dtype == np.float32
    how = "given" if space else "inferred"
    assert own.record["ipc"] == 5 and own.record["told"]["space"]["how"] == how
    assert own.record["told"]["order of classes"]["how"] == "not checked"
    assert any(line.startswith("space: ") and line.endswith(f"({how})") for line in lines)
    assert "distilled('mine')" in lines[-2] and lines[-1] == "next: jaxsoft compare mine"


def test_grey_images_need_no_channel(digits):
    _, pixels, labels = digits
    np.savez("grey.npz", images=np.rint(255 * pixels[..., 0]).astype(np.uint8), labels=labels)
    imported(["grey.npz", "--as=grey", "--dataset=digits", "--no_order"])
    assert jaxsoft.load_set("grey").images / np.float32(255) == pytest.approx(pixels, abs=0.002)


def test_what_can_be_meant_in_two_ways_is_not_guessed(digits):
    """Rows in [0, 1] that do not sum to 1; told to be probabilities they are taken as they are."""
    _, pixels, labels = digits
    np.savez("mine.npz", images=pixels, labels=labels, rows=np.eye(10, dtype=np.float32)[labels] * 0.5 + 0.2)
    argv = ["mine.npz", "--as=mine", "--dataset=digits", "--space=pixels", "--no_order"]
    with pytest.raises(errors.ConfigError, match="cannot be told.*--kind=probabilities or --kind=logits"):
        imported(argv)
    assert not kept.KIND.home().exists()
    lines = imported([*argv, "--kind=probabilities"])
    assert any("rows sum to 2.5 to 2.5: they are taken as they are" in line for line in lines)
    assert jaxsoft.load_set("mine").rows.sum(1) == pytest.approx(2.5)


def test_an_imported_set_is_listed_verified_and_not_replaced(digits, capsys):
    _, pixels, labels = digits
    np.savez("mine.npz", images=pixels, rows=np.eye(10, dtype=np.float32)[labels] * 4 - 1)
    argv = ["mine.npz", "--as=mine", "--dataset=digits", "--space=pixels", "--no_order"]
    assert main(["import", *argv, "--licence=MIT"]) == 0
    folder = kept.KIND.place("mine")
    record = jaxsoft.load_set("mine").record
    assert record["kind"] == "logits" and record["licence"] == "MIT" and record["source"][0]["file"] == "mine.npz"
    assert record["bytes"]["images"] == pixels.nbytes and record["bytes"]["labels"] == 4 * labels.size * 10
    assert main(["data", "list"]) == 0 and "mine" in capsys.readouterr().out
    assert verified(["mine"]) == verified([str(folder)])[:0] + [
        "mine: arrays, 5 images of each class of digits, labels: logits: every array is as it was imported"
    ]
    with pytest.raises(errors.ConfigError, match="there is a set in .* already"):
        imported(argv)
    whole = (folder / "arrays.safetensors").read_bytes()
    (folder / "arrays.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(errors.CheckpointError, match="not what was saved"):
        verified(["mine"])


def test_a_small_expert_sees_the_classes_and_is_kept(digits):
    """Another order is found out, and accepted where it is given."""
    _, pixels, labels = digits
    np.savez("right.npz", images=pixels, labels=labels)
    np.savez("moved.npz", images=pixels, labels=(labels + 3) % 10)
    argv = ["--dataset=digits", "--space=pixels"]
    assert any("an expert (mlp" in line for line in imported(["right.npz", "--as=right", *argv]))
    assert len(list(pathlib.Path("data/experts").iterdir())) == 1
    with pytest.raises(errors.ConfigError, match=r"--classes=7,8,9,0,1,2,3,4,5,6"):
        imported(["moved.npz", "--as=moved", *argv])
    assert not kept.KIND.place("moved").exists()
    imported(["moved.npz", "--as=moved", *argv, "--classes=7,8,9,0,1,2,3,4,5,6"])
    assert jaxsoft.load_set("moved").labels.tolist() == labels.tolist()


def test_a_teacher_of_ones_own_may_be_asked(digits):
    data, pixels, labels = digits
    taught = jaxsoft.teach(data, jaxsoft.Teacher(model="mlp(layers=1)", epochs=4, batch=64, learning_rate=0.2))
    own = normalize.standardize(data.train.images)
    record = {
        "model": "mlp(layers=1)", "data": {"name": "digits"}, "class_names": list(data.class_names),
        "image_shape": list(data.image_shape), "mean": (-own.shift / (255 * own.scale)).tolist(),
        "std": (1 / (255 * own.scale)).tolist(),
    }  # fmt: skip
    teacher.KIND.keep(teacher.KIND.place("mine"), record, taught.params())
    np.savez("set.npz", images=pixels, labels=labels)
    argv = ["set.npz", "--space=pixels", "--teacher=mine"]
    assert any("the teacher 'mine': " in line for line in imported([*argv, "--as=one", "--dataset=digits"]))
    with pytest.raises(errors.ConfigError, match="the teacher 'mine' is of the data set digits"):
        imported(["set.npz", "--space=pixels", "--teacher=mine", "--as=two", "--dataset=toy_sets:toys(10, 8, 1)"])


def test_what_cannot_be_is_refused_in_one_line(digits, capsys):
    _, pixels, labels = digits
    np.savez("small.npz", images=pixels[:, :4, :4], labels=labels)
    np.savez("few.npz", images=pixels[5:], labels=labels[5:])
    np.savez("far.npz", images=pixels, labels=labels + 5)
    np.savez("nan.npz", images=np.where(pixels > 0.9, np.nan, pixels), labels=labels)
    np.savez("good.npz", images=pixels, labels=labels)
    pathlib.Path("rows.csv").write_text("0.9,0.1")
    for name in ("run/results.csv", "run/manifest.json", "run/curves.npz"):
        pathlib.Path("run").mkdir(exist_ok=True)
        pathlib.Path(name).write_text("")
    own = ["--as=bad", "--dataset=digits", "--space=pixels", "--no_order"]
    for words, code, told in (
        ([], 2, "expected: jaxsoft import SOURCE --as=NAME"),
        (["good.npz"], 2, "expected: jaxsoft import SOURCE --as=NAME"),
        (["good.npz", "--as=a/b"], 2, "--as expects a name"),
        (["good.npz", *own, "--data=cifar10"], 2, "--data and --dataset"),
        (["good.npz", *own, "--teacher=x"], 2, "--no_order"),
        (["good.npz", *own, "--w0=ten"], 2, "--w0 expects a number, got 'ten'"),
        (["good.npz", *own, "--classes=0,b"], 2, "--classes expects whole numbers"),
        (["good.npz", *own, "--classes=0,1"], 2, "--classes expects each of 0 to 9 once, got 0,1"),
        (["good.npz", *own, "--kind=logits"], 2, "no label rows"),
        (["good.npz", *own, "--space=spaceless"], 2, "spaceless"),
        (["good.npz", *own, "--format=formless"], 2, "formless"),
        (["none.npz", *own], 3, "none.npz"),
        (["rows.csv", *own], 3, "rows.csv is no file of arrays"),
        (["run", *own], 3, "run is a run folder, and no set; jaxsoft export run --to=FOLDER"),
        (["small.npz", *own], 2, "images are 4x4x1; those of digits are 8x8x1"),
        (["few.npz", *own], 3, "class 0"),
        (["far.npz", *own], 3, "no image of class 0"),
        (["nan.npz", *own], 3, "finite"),
    ):
        assert main(["import", *words]) == code, words
        line = capsys.readouterr().err
        assert line.startswith("jaxsoft: ") and line.count("\n") == 1 and told in line, line
    assert not pathlib.Path("data").exists()


def test_a_way_to_select_is_no_name_of_a_set():
    np.savez("mine.npz", images=np.zeros((10, 8, 8, 1), np.uint8))
    with pytest.raises(errors.ConfigError, match="^--as=k_centers is a way to select images; choose another name$"):
        imported(["mine.npz", "--as=k_centers", "--dataset=digits"])
    assert not pathlib.Path("data").exists()


def test_what_a_killed_import_left_is_no_set_and_goes_with_the_next_one(digits, monkeypatch):
    """Killed before the folder has its name: all is written, and lies beside it."""
    _, pixels, labels = digits
    np.savez("mine.npz", images=pixels, labels=labels)
    import_it = ["mine.npz", "--as=mine", "--dataset=digits", "--no_order"]
    with monkeypatch.context() as patch:
        patch.setattr(sealed.os, "rename", kill)
        patch.setattr(sealed.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            imported(import_it)
    home = pathlib.Path("data/sets")
    (left,) = home.iterdir()
    assert (left / "set.json").is_file() and kept.listed() == []
    (home / ".mine.else.0123abcd.tmp").mkdir()
    imported(import_it)
    assert sorted(path.name for path in home.iterdir()) == [".mine.else.0123abcd.tmp", "mine"]
    with pytest.raises(errors.ConfigError, match="already; choose another name"):
        imported(import_it)


def kill(*_):
    raise SystemExit


def test_a_set_that_is_not_there_is_said_to_be_none():
    with pytest.raises(errors.CheckpointError, match=r"no run folder at .*/mine, and no imported set 'mine'$"):
        verified(["mine"])


TOLD = "--space=standardize"
IMPORTS = {
    "datm_edf_drupi": ("", (4, 16), (TOLD,)),
    "mtt": ("images_best.pt", (4, 16), (TOLD,)),
    "dc_dm": ("", (4, 16), (TOLD,)),
    "ncfm": ("", (4, 16), ("--factor=2", "--decode=single")),
    "gift/syn_data/rded/cifar10_conv3/ipc2": ("", (4, 16), ()),
    "gift/syn_data/sre2l/cifar10_conv3/ipc2": ("", (4, 16), ()),
    "gift/syn_data/datm/cifar10_conv3/ipc2": ("", (4, 16), ("--space=zca(regularization=0.1)", "--kind=logits")),
    "ddif/CIFAR10_32": ("DDiF_TM_1ipc#synset_best.pt", (4, 8), (TOLD,)),
    "ddif/ImageNet_128": ("DDiF_DM_1ipc#synset_best.pt", (4, 8), (TOLD, "--w0=40")),
    "sre2l_cvdd/syn": ("", (3, 32), ()),
    "rded/syn": ("", (3, 32), ()),
    "rat_bptt": ("IPC_2_0_curr_unroll_90_130_0_hard.h5", (4, 16), (TOLD,)),
    "paper": ("Tiny/ipc2_random_image_syn.pt", (4, 16), (TOLD,)),
}
"""By the folder of samples: the file in it, how many classes and which side its data set has, and what files do not say."""


def wanted(name):
    """What is recorded of a sample."""
    if not FILES.is_dir():
        pytest.skip(f"samples of other systems are not here; looked for {FILES.name} beside the checkout")
    found = json.loads((FILES / "manifest.json").read_text())["imports"][name]
    return found["files"][IMPORTS[name][0]] if "files" in found else found


@pytest.mark.parametrize("name", IMPORTS)
def test_every_system_imports(name):
    told, (file, (classes, side), flags) = wanted(name), IMPORTS[name]
    lines = imported([str(FILES / name / file), "--as=one", "--no_order", TOYS.format(classes, side), *flags])
    own = jaxsoft.load_set("one")
    assert own.images.shape == (told.get("n_decoded", told["n"] if "n" in told else 0), side, side, 3)
    assert own.record["images"] == len(own.labels) == len(own.rows) and own.record["ipc"] >= 1
    assert np.isclose(own.record["learning_rate"] or 0, told.get("student_lr") or told.get("syn_lr") or 0)
    kind = next((kind for kind in ("logits", "probabilities") if kind in told["labels"].partition(" + ")[0]), "hard")
    assert own.record["kind"] == kind and (own.logits is None) == (kind != "logits")
    assert own.images.dtype == (np.uint8 if told.get("space") == "uint8" else np.float32)
    assert lines[0].startswith(f"{own.record['system']}: {len(own.labels)} images of {side}x{side}x3")


def test_labels_of_views_make_a_set_of_views():
    wanted("sre2l_cvdd/syn")
    where = FILES / "sre2l_cvdd"
    argv = [str(where / "syn"), f"--labels={where / 'fkd'}", "--draws=2", "--no_order", TOYS.format(3, 32)]
    imported([*argv, "--as=all"])
    imported([*argv, "--as=two", "--epochs=2"])
    whole, two = jaxsoft.load_set("all"), jaxsoft.load_set("two")
    assert (whole.record["ipc"], two.record["ipc"]) == (6, 4) and whole.record["kind"] == "logits"
    assert np.array_equal(whole.images[:12], two.images) and np.array_equal(whole.rows[:12], two.rows)


def test_frames_of_clips_make_a_set_of_clips():
    told = FILES / "video_dc" / "syn"
    if not told.is_dir():
        pytest.skip(f"samples of other systems are not here; looked for {FILES.name} beside the checkout")
    lines = imported([str(told), "--as=one", "--dataset=toy_sets:clips(2, 3, 32)"])
    own = jaxsoft.load_set("one")
    assert own.images.shape == (2, 3, 32, 32, 3) and own.labels.tolist() == [0, 1] and own.images.dtype == np.uint8
    assert "  nobody was asked: the order of clips is not checked" in lines
