"""A prepared set is compared with its digests whenever it is opened: no damage to any of its files goes unnoticed."""

import hashlib
import json
import os

import numpy as np
import pytest

from jaxsoft import data, errors, files
from jaxsoft.data import prepared, raw
from jaxsoft.data.prepared import reading, writing

ARRAYS = tuple(f"{array}.npy" for array in reading.ARRAYS)
FILES = (*ARRAYS, reading.MANIFEST)


def written(folder, first=0):
    """A tiny prepared set; of another `first`, other images with the same labels."""

    def part(count, offset):
        return raw.Part((np.arange(count) % 3).astype(np.int32), range(offset, offset + count), pixel)

    def pixel(i):
        return np.full((2, 2, 1), i, np.uint8)

    prepared.write(raw.Raw(("a", "b", "c"), part(30, first), part(9, 100 + first), "page", "terms"), folder, "x")
    return folder


def described(folder, change, seal=True):
    """Change what the description says; sealed again, as nobody but us would."""
    told = json.loads((folder / reading.MANIFEST).read_text())
    told.pop("seal")
    change(told)
    told |= {"seal": files.seal(told)["sha256"]} if seal else {}
    (folder / reading.MANIFEST).write_text(json.dumps(told))


def as_format_1(folder):
    """The description as releases before the chunks wrote it."""
    described(folder, lambda told: (told.pop("chunks"), told.update(format=1)), seal=False)
    return folder


def refusal(folder):
    with pytest.raises(errors.DataError) as refused:
        prepared.read(folder, "x", "run: this")
    assert str(refused.value).endswith("; run: this") and "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("form", [1, 2])
def test_every_flipped_bit_is_noticed(tmp_path, monkeypatch, form):
    """Every byte of the arrays and their headers, and of a description that is sealed, each with a bit of it bent."""
    monkeypatch.setattr(reading, "CHUNK", 64)
    monkeypatch.setattr(reading, "_THREADS", 1)
    written(tmp_path) if form == 2 else as_format_1(written(tmp_path))
    sound, rng, flips, harmless = prepared.read(tmp_path, "x"), np.random.default_rng(form), 0, []
    for name in FILES if form == 2 else ARRAYS:
        whole = (tmp_path / name).read_bytes()
        for position in range(0, len(whole), 1 if name in ARRAYS else 4):
            bent = bytearray(whole)
            bent[position] ^= 1 << rng.integers(8)
            (tmp_path / name).unlink()  # disks take their time over a file that is emptied and written again
            (tmp_path / name).write_bytes(bent)
            flips += 1
            try:
                found = prepared.read(tmp_path, "x")
            except errors.DataError as refused:
                assert name.removesuffix(".npy") in str(refused)
            else:  # a comma of a header that became a form feed: the header says the same
                assert position < 128 and name in ARRAYS
                assert (found.train.images == sound.train.images).all() and (
                    found.test.images == sound.test.images
                ).all()
                harmless.append((name, position))
        (tmp_path / name).write_bytes(whole)
    assert flips > 800 and len(harmless) <= 2


def test_the_pieces_are_those_of_the_whole(tmp_path, monkeypatch):
    content = np.arange(100, dtype=np.uint8)
    np.save(tmp_path / "a.npy", content)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for size, count in ((7, 15), (50, 2), (100, 1), (1000, 1)):
        monkeypatch.setattr(reading, "CHUNK", size)
        with open(tmp_path / "a.npy", "rb") as file:
            whole, chunks = writing._digests(file)
            assert (whole, len(chunks)) == (hashlib.sha256(content.tobytes()).hexdigest(), count)
            for same in (chunks, [whole]):
                assert reading._same(file, mapped, same)
            for other in ([*chunks, whole], chunks[:-1], [*chunks[:-1], "0" * 64]):
                assert not reading._same(file, mapped, other)


def test_files_that_are_cut_swapped_deleted_or_of_another_set_are_named(tmp_path):
    written(tmp_path)
    other, whole = written(tmp_path / "other", first=1), {name: (tmp_path / name).read_bytes() for name in FILES}
    for name in FILES:
        cut = [whole[name][:end] for end in (0, 5, 40, len(whole[name]) // 2, -5, -2)]
        for content in (None, *cut, whole[name] + b"\0", (other / name).read_bytes()):
            if content == whole[name]:  # the labels of both are the same
                continue
            (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
            told = refusal(tmp_path)
            assert name in told or (name == reading.MANIFEST and "train_images.npy, test_images.npy changed" in told)
            (tmp_path / name).write_bytes(whole[name])
    for kind in ("images", "labels"):
        one, two = (tmp_path / f"{split}_{kind}.npy" for split in ("train", "test"))
        one.write_bytes(whole[two.name])
        two.write_bytes(whole[one.name])
        assert one.name in refusal(tmp_path)
        one.write_bytes(whole[one.name])
        two.write_bytes(whole[two.name])
    prepared.read(tmp_path, "x")


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_regular_file_is_refused_before_it_hangs(tmp_path, name):
    (written(tmp_path) / name).unlink()
    os.mkfifo(tmp_path / name)
    assert "it is a named pipe" in refusal(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    assert "it is a device" in refusal(tmp_path)


@pytest.mark.parametrize(
    "claim",
    [
        {"shape": (10**15, 2, 2, 1)},
        {"shape": (30, 10**12, 1, 1)},
        {"shape": (30, -2, -2, 1)},
        {"shape": (30, 0, 2, 1)},
        {"shape": (30, 4)},
        {"shape": (15, 2, 2, 2)},
        {"descr": "|i1"},
        {"descr": "|O"},
        {"descr": "|b1"},
        {"fortran_order": True},
    ],
)
def test_a_header_that_claims_something_else_is_refused(tmp_path, claim):
    path = written(tmp_path) / "train_images.npy"
    with open(path, "r+b") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (30, 2, 2, 1)} | claim
        np.lib.format.write_array_header_1_0(file, header)
    assert str(path) in refusal(tmp_path)


@pytest.mark.parametrize(
    "entry, value",
    [
        ("name", 3), ("class_names", ["a", "b", 3]), ("class_names", "abc"), ("class_names", ["a", "b"]),
        ("train_counts", [10, 10, True]), ("train_counts", [10, 10, -10]), ("train_counts", [10, 10, 1e400]),
        ("train_counts", [10, 10, 10, 0]), ("test_counts", [0, 0, 0]), ("test_counts", [3, 3, 3, 0]), ("test_counts", []),
        ("digests", {}), ("digests", None), ("digests", dict.fromkeys(reading.ARRAYS, "x" * 64)),
        ("chunks", {}), ("chunks", dict.fromkeys(reading.ARRAYS, [])), ("chunks", dict.fromkeys(reading.ARRAYS, [1])),
        ("held", 30), ("held", -1), ("held", 1.0), ("held", True),
        ("source", None), ("licence", ["CC"]), ("format", "2"), ("further", 1),
    ],
)  # fmt: skip
def test_a_description_that_makes_no_sense_is_refused_even_if_it_is_sealed(tmp_path, entry, value):
    described(written(tmp_path), lambda told: told.update({entry: value}))
    assert "dataset.json is damaged" in refusal(tmp_path)


@pytest.mark.parametrize("entry", ["digests", "class_names", "train_counts"])
def test_a_description_that_lacks_an_entry_or_a_part_of_it_is_refused(tmp_path, entry):
    first = reading.ARRAYS[0] if entry == "digests" else 0
    for change in (lambda told: told.pop(entry), lambda told: told[entry].pop(first)):
        described(written(tmp_path), change)
        assert "dataset.json is damaged" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"null", b'{"format": 1}', b'{"format": 1, "digests": 3}'),
        *(b"[" * 100_000, b"\xff\xfe", b'{"format": 1' + b"0" * 5_000 + b"}"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path, content):
    (written(tmp_path) / reading.MANIFEST).write_bytes(content)
    assert "dataset.json is damaged" in refusal(tmp_path)


def test_a_folder_of_another_dataset_is_not_taken_for_this_one(tmp_path):
    with pytest.raises(errors.DataError, match="holds x, not y; prepare y again"):
        prepared.read(written(tmp_path), "y")


def test_sets_that_earlier_releases_prepared_are_read_and_have_the_same_fingerprint(tmp_path):
    new = prepared.read(written(tmp_path), "x")
    old = prepared.read(as_format_1(tmp_path), "x")
    assert old.manifest.digests == new.manifest.digests
    np.testing.assert_array_equal(old.train.images, new.train.images)


def test_a_run_is_told_what_to_do_about_damage(tmp_path, monkeypatch):
    import published

    published.make_small(monkeypatch.setattr)
    published.cifar10(tmp_path)
    data.prepare("cifar10", tmp_path)
    with open(tmp_path / "cifar10" / "train_images.npy", "r+b") as file:
        file.seek(5_000)
        file.write(b"\1\2\3")
    wanted = f"train_images.npy changed since it was prepared; run: jaxsoft data prepare cifar10 --root {tmp_path}"
    for ask in (data.load, data.verify):
        with pytest.raises(errors.DataError, match=wanted):
            ask("cifar10", tmp_path)
