"""Faults between the published files and the arrays: interruptions, damage, two writers, full disks."""

import errno
import fcntl
import os
import shutil

import numpy as np
import pytest

from jaxsoft import errors, files
from jaxsoft.data import prepared, raw
from jaxsoft.data.prepared import writing

FILES = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy", "dataset.json")


def part(count, offset=0, classes=3):
    """Images whose one pixel is their number; class after class, as folders come."""
    labels = (np.arange(count) * classes // max(1, count)).astype(np.int32)
    return raw.Part(labels, range(offset, offset + count), lambda i: np.full((1, 1, 1), i, np.uint8))


def whole(offset=0):
    return raw.Raw(("a", "b", "c"), part(30, offset), part(9, 100 + offset), "page", "terms")


def content(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def ending(function, countdown):
    """The function, until the countdown runs out."""

    def call(*args):
        if next(countdown, None) is None:
            raise KeyboardInterrupt
        return function(*args)

    return call


def test_every_image_keeps_its_label(tmp_path):
    prepared.write(whole(), tmp_path, "x")
    read = prepared.read(tmp_path, "x")
    assert isinstance(read.train.images, np.memmap)
    assert sorted(read.train.images.ravel()) == list(range(30))
    np.testing.assert_array_equal(read.train.images.ravel() // 10, read.train.labels)
    np.testing.assert_array_equal(read.test.images.ravel(), np.arange(100, 109))
    np.testing.assert_array_equal(read.test.labels, np.arange(9) // 3)
    for start in range(0, 30, 3):
        assert sorted(read.train.labels[start : start + 3]) == [0, 1, 2]
    assert (read.manifest.train_counts, read.manifest.test_counts) == ([10] * 3, [3] * 3)
    assert (read.manifest.source, read.manifest.licence) == ("page", "terms")


def test_memory_and_disk_give_the_same(tmp_path):
    prepared.write(whole(), tmp_path, "x")
    read, held = prepared.read(tmp_path, "x"), prepared.hold(whole(), "x")
    assert read.manifest == held.manifest
    np.testing.assert_array_equal(read.train.images, held.train.images)
    np.testing.assert_array_equal(read.train.labels, held.train.labels)


def test_blocks_and_progress(tmp_path, monkeypatch):
    prepared.write(whole(), tmp_path / "one", "x")
    monkeypatch.setattr(writing, "_BLOCK_BYTES", 7)
    monkeypatch.setattr(writing, "_TASK", 2)
    seen = []
    prepared.write(whole(), tmp_path / "many", "x", lambda *both: seen.append(both))
    assert content(tmp_path / "one") == content(tmp_path / "many")
    assert seen == [(n, 39) for n in (7, 14, 21, 28, 30, 37, 39)]


def test_interrupted_anywhere_it_is_not_prepared_and_a_second_run_completes(tmp_path, monkeypatch):
    """Whatever call is the last one: afterwards there is the old set or none, and running again gives the new one."""
    prepared.write(whole(), tmp_path / "old", "x")
    prepared.write(whole(1), tmp_path / "new", "x")
    ends = 0
    for stop in range(20):
        folder = tmp_path / str(stop)
        prepared.write(whole(), folder, "x")
        with monkeypatch.context() as patch:
            countdown = iter(range(stop))
            for name in ("replace", "fsync"):
                patch.setattr(os, name, ending(getattr(os, name), countdown))
            try:
                prepared.write(whole(1), folder, "x")
            except KeyboardInterrupt:
                ends += 1
        if (folder / "dataset.json").exists():
            prepared.read(folder, "x")
            assert content(folder) in (content(tmp_path / "old"), content(tmp_path / "new"))
        else:
            with pytest.raises(errors.DataError, match="prepare x again"):
                prepared.read(folder, "x")
        prepared.write(whole(1), folder, "x")
        assert content(folder) == content(tmp_path / "new")
        assert not any(files.is_temporary(path.name) for path in folder.iterdir())
    assert ends == 15  # 5 files are synced and renamed, and each time their folder


def test_another_format_is_refused(tmp_path):
    prepared.write(whole(), tmp_path, "x")
    text = (tmp_path / "dataset.json").read_text()
    (tmp_path / "dataset.json").write_text(text.replace('"format": 2', '"format": 3'))
    with pytest.raises(errors.DataError, match="has format 3, wanted 2; prepare x again"):
        prepared.read(tmp_path, "x")


def test_a_second_writer_is_refused(tmp_path):
    with open(tmp_path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(errors.DataError, match="another process is preparing"):
            prepared.write(whole(), tmp_path, "x")
    prepared.write(whole(), tmp_path, "x")


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.DataError, match=r"cannot write .*: No space left on device"):
        prepared.write(whole(), tmp_path, "x")
    (tmp_path / "file").touch()
    with pytest.raises(errors.DataError, match="cannot write .*file"):
        prepared.write(whole(), tmp_path / "file", "x")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train": part(30, classes=2)}, r"class 2 \(c\) has no train images"),
        ({"train": part(30, classes=4)}, "x: the train split is empty or has labels beyond its class names"),
        ({"test": part(0)}, "x: the test split is empty"),
    ],
)
def test_wrong_classes_are_refused(tmp_path, change, message):
    made = raw.Raw(**{**whole().__dict__, **change})
    with pytest.raises(errors.DataError, match=message):
        prepared.write(made, tmp_path, "x")


def test_images_of_two_sizes_are_refused(tmp_path):
    odd = raw.Part(part(9).labels, part(9).items, lambda i: np.zeros((1, 1 + (i % 5 == 0), 1), np.uint8))
    with pytest.raises(errors.DataError, match=r"differ in size: 37 of 1x1x1, 2 of 1x2x1 \(0\); pass --resize=SIDE"):
        prepared.write(raw.Raw(("a", "b", "c"), part(30), odd, "", ""), tmp_path, "x")


def test_all_damaged_images_are_in_one_line(tmp_path):
    def bent(item):
        if item % 2 == 0:
            raise errors.DataError(f"image {item:02} is bent")
        return np.zeros((1, 1, 1), np.uint8)

    damaged = raw.Part(part(60).labels, part(60).items, bent)
    with pytest.raises(errors.DataError, match="^35 images are damaged: image 00 is bent; image 02.*; and 15 more$"):
        test = raw.Part(part(9).labels, range(100, 109), bent)
        prepared.write(raw.Raw(("a", "b", "c"), damaged, test, "", ""), tmp_path, "x")
    with pytest.raises(errors.DataError, match="^image 58 is bent$"):
        good = raw.Part(part(60).labels, part(60).items, lambda i: bent(i if i == 58 else 1))
        prepared.write(raw.Raw(("a", "b", "c"), good, part(9), "", ""), tmp_path, "x")


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=38))
    with pytest.raises(errors.DataError, match="39 images of 1x1x1 take 39 bytes, and .* has 38 free"):
        prepared.write(whole(), tmp_path, "x")
    assert not list(tmp_path.glob("*.npy*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=39))
    (tmp_path / ".train_images.npy.0123abcd.tmp").write_bytes(b"x")  # of a run that was killed
    prepared.write(whole(), tmp_path, "x")
    assert not list(tmp_path.glob("*.tmp"))


def test_images_of_another_origin_are_not_replaced(tmp_path):
    def own(origin):
        return raw.Raw(**{**whole().__dict__, "origin": origin})

    prepared.write(own(""), tmp_path, "x")
    prepared.write(own("/a"), tmp_path, "x")
    before = content(tmp_path)
    with pytest.raises(errors.DataError, match="holds x prepared from /a, and /b is another folder: give .* --root"):
        prepared.write(own("/b"), tmp_path, "x")
    assert content(tmp_path) == before
    assert prepared.write(own("/a"), tmp_path, "x").origin == prepared.origin(tmp_path) == "/a"


@pytest.mark.parametrize("name", ["train_images.npy", "test_labels.npy", "dataset.json", ".lock"])
def test_nothing_is_written_through_a_link(tmp_path, name):
    victim, folder = tmp_path / "victim", tmp_path / "x"
    victim.write_bytes(b"of somebody else")
    folder.mkdir()
    (folder / name).symlink_to(victim)
    try:
        prepared.write(whole(), folder, "x")
        prepared.read(folder, "x")
    except errors.DataError as refusal:
        assert name == ".lock" and "cannot write" in str(refusal)
    assert victim.read_bytes() == b"of somebody else"


def test_what_is_left_out_is_kept_with_the_arrays(tmp_path):
    prepared.write(raw.Raw(**{**whole().__dict__, "notes": lambda: ["left out: 1 \udcff"]}), tmp_path, "x")
    assert prepared.read(tmp_path, "x").manifest.notes == ["left out: 1 \udcff"]
