"""The front door: what every dataset of the package promises, and what a user is told."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import published
import pytest
from PIL import Image

from jaxsoft import data, errors
from jaxsoft.data import datasets, sets


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A folder with a small CIFAR-10, prepared."""
    published.make_small(monkeypatch.setattr)
    published.cifar10(tmp_path)
    data.prepare("cifar10", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", data.names())
def test_every_dataset_follows_the_rules(name, tmp_path):
    known = sets.published()[name]
    assert all(isinstance(text, str) for text in (known.title, known.source, known.files))
    assert known.side is None or known.side > 0
    assert callable(known.read)
    full = name + ":mnist" * (name == "tfds")
    if known.files:
        assert known.find(tmp_path, "mnist") is None
        with pytest.raises(errors.DataError) as caught:
            data.load(full, tmp_path)
        assert f"{full} not found in {tmp_path}; run: jaxsoft data prepare {full} --root {tmp_path}" in str(
            caught.value
        )
        assert known.source in str(caught.value) and "\n" not in str(caught.value)
        with pytest.raises(errors.DataError, match=f"no files of {full} in {tmp_path}; place there .*(http|your own)"):
            data.prepare(full, tmp_path)
        with pytest.raises(errors.DataError, match="jaxsoft data prepare"):
            data.verify(full, tmp_path)
    else:
        assert data.prepare(full, tmp_path).is_dir()
        loaded = data.load(full, tmp_path)
        told = f"images of {loaded.num_classes} classes are as they were prepared"
        assert told in data.verify(full, tmp_path)
        assert loaded.image_shape[-3:-1] == (known.side, known.side)


def test_the_datasets_there_are():
    assert data.names() == [
        "cifar10",
        "cifar100",
        "digits",
        "image_folder",
        "imagenet",
        "imagenet64",
        "moving_digits",
        "tfds",
        "tiny_imagenet",
        "video",
    ]


@pytest.mark.parametrize("validation, limit", [(0.1, None), (0.5, 3), (0.01, None), (0.0, None), (0.0, 2)])
def test_splits_are_disjoint_complete_and_balanced(cifar, validation, limit):
    loaded = data.load("cifar10", cifar, validation=validation, limit=limit)
    held = max(1, round(10 * validation)) if validation else 0  # of 10 train images a class
    kept = min(10 - held, limit or 10)
    assert np.bincount(loaded.train.labels, minlength=10).tolist() == [kept] * 10
    assert np.bincount(loaded.validation.labels, minlength=10).tolist() == [held] * 10
    assert np.bincount(loaded.test.labels, minlength=10).tolist() == [2] * 10
    assert isinstance(loaded.train.images, np.memmap)  # rows of the map; a copy is a plain array
    everything = [image.tobytes() for split in (loaded.train, loaded.validation) for image in split.images]
    assert len(set(everything)) == 10 * (kept + held)


def test_images_keep_their_labels_and_the_test_its_order(tmp_path, monkeypatch):
    published.make_small(monkeypatch.setattr)
    made = published.cifar10(tmp_path)
    data.prepare("cifar10", tmp_path)
    loaded = data.load("cifar10", tmp_path, validation=0.2)
    label_of = {image.tobytes(): label for image, label in zip(*made["train"])}
    for split in (loaded.train, loaded.validation):
        assert [label_of[image.tobytes()] for image in split.images] == split.labels.tolist()
    np.testing.assert_array_equal(loaded.test.images, made["test"][0])
    np.testing.assert_array_equal(loaded.test.labels, made["test"][1])


def test_a_smaller_limit_keeps_a_part_of_the_same_images(cifar):
    few, more = (data.load("cifar10", cifar, limit=limit) for limit in (2, 5))
    assert {i.tobytes() for i in few.train.images} < {i.tobytes() for i in more.train.images}
    np.testing.assert_array_equal(few.validation.images, more.validation.images)


def test_classes_of_different_size(tmp_path):
    for name, count in (("a", 40), ("b", 7), ("c", 3)):
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"{i}.png").write_bytes(published.encoded(published.red(2, i)))
    data.prepare("image_folder", tmp_path)
    loaded = data.load("image_folder", tmp_path, validation=0.1)
    assert np.bincount(loaded.test.labels, minlength=3).tolist() == [8, 1, 1]
    assert np.bincount(loaded.validation.labels, minlength=3).tolist() == [3, 1, 1]
    assert np.bincount(loaded.train.labels, minlength=3).tolist() == [29, 5, 1]
    reds = [sorted(s.images[s.labels == 0][:, 0, 0, 0]) for s in (loaded.train, loaded.validation, loaded.test)]
    assert sorted(sum(reds, [])) == list(range(40))
    with pytest.raises(errors.ConfigError, match=r"validation=0.6 leaves class 2 \(c\) without train images"):
        (tmp_path / "c" / "2.png").unlink()
        data.prepare("image_folder", tmp_path)
        data.load("image_folder", tmp_path, validation=0.6)


def test_the_fingerprint_follows_pixels_labels_and_split(cifar):
    prints = [data.load("cifar10", cifar).fingerprint]
    assert data.load("cifar10", cifar).fingerprint == prints[0]
    prints.append(data.load("cifar10", cifar, validation=0.2).fingerprint)
    prints.append(data.load("cifar10", cifar, limit=3).fingerprint)
    folder = cifar / "cifar-10-batches-bin"
    for name, position in (("data_batch_1.bin", 500), ("test_batch.bin", 3073 * 5 + 9)):
        bent = bytearray((folder / name).read_bytes())
        bent[position] ^= 1
        (folder / name).write_bytes(bent)
        data.prepare("cifar10", cifar)
        prints.append(data.load("cifar10", cifar).fingerprint)
    rows = np.fromfile(folder / "test_batch.bin", np.uint8).reshape(-1, 3073)
    rows[[0, 1], 0] = rows[[1, 0], 0]
    (folder / "test_batch.bin").write_bytes(rows.tobytes())
    data.prepare("cifar10", cifar)
    prints.append(data.load("cifar10", cifar).fingerprint)
    assert len(set(prints)) == 6
    assert all(len(text) == 64 and int(text, 16) for text in prints)


def test_digits_never_change():
    digits = data.load("digits")
    assert [len(split) for split in (digits.train, digits.validation, digits.test)] == [1168, 129, 500]
    assert np.bincount(digits.test.labels, minlength=10).tolist() == [50] * 10
    assert digits.class_names == tuple("0123456789")
    assert digits.fingerprint == "cbed898c4e3334fdcf8956ad8514bb2d117a134543fafb6d8e246a2f4bfdac93", (
        "the images or their splits moved: every number measured on them is void"
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "cifar"}, "unknown dataset 'cifar'; closest: cifar10, cifar100"),
        ({"name": "tfds"}, "cannot read dataset 'tfds'; only tfds takes a name after a colon, as tfds:mnist"),
        ({"name": "tfds:"}, "only tfds takes a name"),
        ({"name": "tfds:../../etc"}, "only tfds takes a name"),
        ({"name": "digits:"}, "only tfds takes a name"),
        ({"name": "digits:2"}, "only tfds takes a name"),
        ({"name": "digits", "validation": 1.0}, r"validation expects a share in \[0, 1\), got 1.0"),
        ({"name": "digits", "validation": -0.1}, r"validation expects a share in \[0, 1\), got -0.1"),
        ({"name": "digits", "validation": float("nan")}, r"validation expects a share in \[0, 1\), got nan"),
        ({"name": "."}, "unknown dataset '.'; .*; a folder of images: jaxsoft data prepare image_folder --source=."),
        ({"name": "my.birds"}, "unknown dataset 'my.birds'; .*; one's own is written package.module:function"),
        ({"name": "digits", "root": "gs://x"}, "root expects a path on this machine, got 'gs://x'; mount it first"),
        ({"name": "digits", "limit": 0}, "limit expects int >= 1 images per class, got 0"),
        ({"name": "digits", "resize": 16}, "resize=16 cannot be: images of digits are 8 pixels wide as published"),
        ({"name": "image_folder", "resize": 0}, "resize=0 cannot be: it expects int >= 1"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_read(arguments, message):
    with pytest.raises(errors.ConfigError, match=message):
        data.load(**arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((3, 0.1, None), "name expects the name of a dataset, such as digits, got 3"),
        (("digits", "a", None), r"validation expects a share in \[0, 1\), got 'a'"),
        (("digits", 0.1, 1.5), "limit expects int >= 1 images per class, got 1.5"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments, message):
    with pytest.raises(errors.ConfigError, match=message):
        datasets._check(*arguments)


def test_files_that_wait_to_be_prepared_are_mentioned(tmp_path):
    root = tmp_path / "with space ü"
    published.cifar10(root)
    with pytest.raises(errors.DataError) as caught:
        data.load("cifar10", root)
    assert str(caught.value) == (
        f"cifar10 is not prepared in {root} (its files are there); run: jaxsoft data prepare cifar10 --root '{root}'"
    )


def test_half_prepared_sets_are_mentioned(cifar):
    (cifar / "cifar10" / "dataset.json").unlink()
    with pytest.raises(
        errors.DataError, match="cifar10 is only half prepared in .*; run: jaxsoft data prepare cifar10"
    ):
        data.load("cifar10", cifar)


def test_prepare_from_elsewhere(tmp_path, monkeypatch):
    published.make_small(monkeypatch.setattr)
    published.cifar10(tmp_path / "raw")
    assert data.prepare("cifar10", tmp_path / "root", tmp_path / "raw") == tmp_path / "root" / "cifar10"
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["cifar10"]
    assert len(data.load("cifar10", tmp_path / "root").test) == 20


def test_verify_names_the_damaged_file(cifar):
    assert data.verify("cifar10", cifar) == (
        "cifar10: 100 train and 20 test images of 10 classes are as they were prepared"
    )
    path = cifar / "cifar10" / "test_images.npy"
    bent = bytearray(path.read_bytes())
    bent[-1] ^= 1
    path.write_bytes(bent)
    with pytest.raises(
        errors.DataError, match="cifar10 in .* is damaged: test_images.npy changed since it was prepared"
    ):
        data.verify("cifar10", cifar)


def test_available_says_in_which_state_each_dataset_is(cifar):
    (cifar / "tiny-imagenet-200").mkdir()
    (cifar / "cifar100").mkdir()
    (cifar / "cifar100" / ".train_images.npy.0123abcd.tmp").touch()
    published.tfds(cifar, "shapes", {"train": [(published.red(4, i), i % 2) for i in range(10)]}, ["x", "y"])
    data.prepare("tfds:shapes", cifar)
    states = {name: state for name, state, _ in data.available(cifar)}
    assert states == {
        "cifar10": "prepared",
        "cifar100": "half prepared",
        "digits": "built in",
        "image_folder": "absent",
        "imagenet": "absent",
        "imagenet64": "absent",
        "moving_digits": "built in",
        "tfds": "absent",
        "tiny_imagenet": "files found",
        "video": "absent",
        "tfds:shapes": "prepared",
    }


def test_where_data_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "a"))
    assert datasets.root_folder(None) == tmp_path / "a"
    assert datasets.root_folder(tmp_path / "b") == tmp_path / "b"
    monkeypatch.delenv("JAXSOFT_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert datasets.root_folder(None) == tmp_path / ".cache" / "jaxsoft" / "data"
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    assert datasets.root_folder(None) == Path(tempfile.gettempdir()) / "jaxsoft" / "data"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does without HOME and without a user entry
    assert datasets.root_folder(None) == Path(tempfile.gettempdir()) / "jaxsoft" / "data"


def test_a_side_that_was_prepared_is_told_where_another_is_asked_for(tmp_path):
    for label in ("a", "b"):
        (tmp_path / "shots" / label).mkdir(parents=True)
        for i in range(5):
            Image.new("L", (9, 9), 40 * i).save(tmp_path / "shots" / label / f"{i}.png")
    for resize in (16, 8):
        data.prepare("image_folder", tmp_path / "root", tmp_path / "shots", resize=resize)
    with pytest.raises(
        errors.DataError,
        match=r"is prepared in .*root with resize=8 and 16, not without; ask for that \(--resize=8, in a run .*\), or run: ",
    ):
        data.load("image_folder", tmp_path / "root")
    with pytest.raises(errors.DataError, match="with resize=8 and 16, not 4; "):
        data.load("image_folder", tmp_path / "root", resize=4)
    with pytest.raises(errors.DataError, match="^there is no folder "):
        data.prepare("image_folder", tmp_path, tmp_path / "nowhere")


def test_tensorflow_datasets_is_imported_by_sets_of_it_alone():
    code = "import sys, jaxsoft.experiment.run; jaxsoft.load('digits'); print('tensorflow_datasets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "False\n", done.stderr
