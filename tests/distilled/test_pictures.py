"""Folders of pictures as distilled sets: which class, which order, which labels; what cannot be is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxsoft import errors
from jaxsoft.distilled.reading import pictures
from jaxsoft.distilled.reading.options import Options

FILES = Path(__file__).resolve().parents[3] / "shared" / "golden" / "files"
NAMES = ("cat", "dog", "sea lion")
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)


def read(folder, class_names=(), channels=3, **options) -> Any:
    return pictures.read(folder, class_names, channels, Options(**options))


def put(folder, *paths, images: Any = PIXELS):
    """Pictures by their paths in a folder."""
    for path, image in zip(paths, images):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).save(folder / path)
    return folder


@pytest.fixture
def files():
    if not FILES.exists():
        pytest.skip("looked for sample files of the systems beside the checkout")
    return FILES


@pytest.fixture
def table(tmp_path):
    """A function that writes the text of a table of labels."""

    def written(text, name="rows.csv"):
        (path := tmp_path / name).write_text(text)
        return path

    return written


@pytest.mark.parametrize(
    ("paths", "classes", "system"),
    [
        (("new000/class000_id000.png", "new002/class002_id000.png"), [0, 2], "SRe2L / CV-DD"),
        (("00000/class00000_id00001.png", "00001/class00001_id00000.png"), [0, 1], "RDED"),
        (("sea_lion/b.png", "Dog/a.png"), [1, 2], "image folder"),  # in the order of folders: D, s
        (("n02/a.png", "n01440764/a.png"), [0, 1], "image folder"),  # "n01440764" comes first
        (("002-sea_lion/7.png", "000-cat/12.png"), [0, 2], "image folder"),
    ],
)
def test_classes_are_names_or_numbers_or_ranks_of_folders(tmp_path, paths, classes, system):
    found = read(put(tmp_path / "set", *paths), NAMES)
    assert (found.labels.tolist(), found.system, found.space, found.rows) == (classes, system, "pixels", None)
    order = np.argsort(paths)
    np.testing.assert_array_equal(found.images, PIXELS[order])
    assert [path.relative_to(tmp_path / "set").as_posix() for path in found.files] == sorted(paths)


def test_frames_are_clips_in_the_order_of_time(tmp_path):
    paths = [f"00000/class00000_id0000{clip}_t00{t}.png" for clip in (1, 0) for t in (2, 0, 1)]
    found = read(put(tmp_path / "set", *paths), NAMES)
    assert (found.system, found.labels.tolist(), found.classes) == ("Video-DC", [0, 0], 1)
    np.testing.assert_array_equal(found.images, PIXELS.reshape(2, 3, 5, 4, 3)[::-1, [1, 2, 0]])
    (tmp_path / "set" / paths[1]).unlink()
    with pytest.raises(errors.DataError, match=r"clip 1 of class 0 in 00000 has frames \[1, 2\]; wanted 0 to 2"):
        read(tmp_path / "set", NAMES)


@pytest.mark.parametrize("text", [
    "0.png,.1,.9,0\n1.png,.2,.8,0\n2.png,1,0,0\n",
    "file;cat;dog;sea lion\n2.png;1;0;0\n0.png;.1;.9;0\n1.png;.2;.8;0\n",
    "sea lion,dog,cat\n0,.9,.1\n0,.8,.2\n0,0,1\n",
    ",cat,dog,sea lion\n0,.1,.9,0\n1,.2,.8,0\n2,1,0,0\n",  # as pandas writes its index
    "\ufeff.1\t.9\t0\r\n.2\t.8\t0\r\n\r\n1\t0\t0\r\n",
    "path,label,cat,dog,sea lion\n./0.png,1,.1,.9,0\n1.png,1,.2,.8,0\n2.png,0,1,0,0",
])  # fmt: skip
def test_rows_of_a_table_are_those_of_the_files_whatever_their_order(tmp_path, table, text):
    folder = put(tmp_path / "set", "0.png", "1.png", "2.png")
    found = read(folder, NAMES, labels=table(text))
    np.testing.assert_array_equal(found.rows, np.array([[0.1, 0.9, 0], [0.2, 0.8, 0], [1, 0, 0]], np.float32))
    assert (found.labels.tolist(), found.kind) == ([1, 1, 0], "")
    assert found.files[-1] == tmp_path / "rows.csv"


def test_classes_of_a_flat_folder_are_in_a_table_an_array_or_the_names(tmp_path, table):
    folder = put(tmp_path / "set", "a.png", "b.png")
    np.save(tmp_path / "rows.npy", np.array([[0, 3.5], [1, -1]]))
    np.savez(tmp_path / "classes.npz", np.array([[2], [0]]))
    for path, classes in [
        (table("name,class\nb.png,0\na.png,2\n"), [2, 0]),
        (tmp_path / "classes.npz", [2, 0]),
        (tmp_path / "rows.npy", [1, 0]),
    ]:
        assert read(folder, NAMES, labels=path).labels.tolist() == classes
    named = put(tmp_path / "named", "class1_id0.png", "class0_id0.png")
    assert read(named, NAMES).labels.tolist() == [0, 1]
    with pytest.raises(errors.DataError, match="no class folders.*--labels=FILE"):
        read(folder, NAMES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,0\n", "has 1 lines; wanted 2"),
        ("", "it is empty"),
        ("1,0\n1\n", "line 2 has 1 cells, and line 1 has 2"),
        ("a.png,1,0\nc.png,0,1\n", "names 'c.png', which is no image of the folder"),
        ("a.png,1,0\na.png,0,1\n", "names 'a.png' twice"),
        ("1,0\n0,x\n", "'x' of line 2 is no number"),
        ("1,0\n0,nan\n", "row 1 holds what is no finite number"),
        ("1,0\n0,1e39\n", "row 1 holds what is no finite number"),
        ("a.png\nb.png\n", "names of files alone"),
        ("0\n-1\n", "row 1 has the class -1; wanted whole numbers from 0"),
        ("0\n0.5\n", "row 1 has the class 0.5"),
        ('"1,0\n0,1\n', "cannot read .*rows.csv"),
    ],
)
def test_a_table_that_is_none_of_the_pictures_is_refused(tmp_path, table, text, words):
    folder = put(tmp_path / "set", "a.png", "b.png")
    with pytest.raises(errors.DataError, match=words):
        read(folder, NAMES, labels=table(text))


def test_tables_of_other_kinds_and_other_classes_are_refused(tmp_path, table):
    folder = put(tmp_path / "set", "cat/a.png", "dog/b.png")
    assert read(folder, NAMES, labels=table("cat/a.png,0\ndog/b.png,1\n")).labels.tolist() == [0, 1]
    np.save(tmp_path / "rows.npy", np.zeros((3, 2)))
    for path, words in [
        (table("0\n2\n"), "b.png is of class 1 by its folder, and 2 in the table"),
        (table("", "rows.xlsx"), "is no table of labels; wanted .csv, .npy or .npz"),
        (tmp_path / "rows.npy", "holds float64 3x2; wanted 2 rows"),
    ]:
        with pytest.raises(errors.DataError, match=words):
            read(folder, NAMES, labels=path)


def test_what_is_no_set_of_pictures_is_refused(tmp_path):
    def refused(folder, words, **options):
        with pytest.raises(errors.DataError, match=words):
            read(folder, NAMES, **options)

    linked = put(tmp_path / "linked", "cat/a.png")
    (linked / "dog").symlink_to(linked / "cat")
    refused(linked, "dog is a link")
    (linked / "dog").unlink()
    put(tmp_path, "outside.png")
    (linked / "cat" / "b.png").symlink_to(tmp_path / "outside.png")
    refused(linked, "b.png is a link")
    (put(tmp_path / "empty", "cat/a.png") / "dog").mkdir()
    refused(tmp_path / "empty", "dog holds no pictures")
    refused(put(tmp_path / "both", "cat/a.png", "b.png"), "beside class folders")
    refused(tmp_path / "empty" / "dog", "holds no pictures; wanted a folder")
    refused(tmp_path / "nowhere", "nowhere cannot be read")
    refused(put(tmp_path / "named", "new001/class000_id000.png"), "of class 0 by its name, and its folder is class 1")
    sizes = put(tmp_path / "sizes", "cat/a.png", "cat/b.png", images=(PIXELS[0], PIXELS[1, :4]))
    refused(sizes, r"b.png is of another size than .*a.png \(5x4x3 and 4x4x3\); --side=")
    assert read(sizes, NAMES, side=3).images.shape == (2, 3, 3, 3)
    refused(sizes, "a.png is in colour", channels=1)
    grey = put(tmp_path / "grey", "cat/a.png", images=PIXELS[..., :1])
    np.testing.assert_array_equal(read(grey, NAMES, channels=1).images, PIXELS[:1, ..., :1])


def test_a_set_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    folder = put(tmp_path / "set", "cat/a.png", "cat/b.png")
    (folder / "cat" / "b.png").write_bytes(b"not looked at")
    monkeypatch.setattr(pictures, "_MOST_BYTES", 100)
    with pytest.raises(errors.DataError, match="2 pictures of 5x4x3 are more than"):
        read(folder, NAMES)


def test_other_files_are_left_out_and_told(tmp_path):
    folder = put(tmp_path / "set", "cat/a.png", "cat/.b.png")
    (folder / "readme.txt").write_text("")
    (folder / "cat" / "notes.md").write_text("")
    found = read(folder, NAMES)
    assert len(found.images) == 1 and "left out: readme.txt, cat/notes.md" in found.notes


@pytest.mark.parametrize("name", ["sre2l_cvdd/syn", "rded/syn", "video_dc/syn"])
def test_recorded_folders_are_what_their_systems_say(files, name):
    found = read(files / name, tuple("abc"))
    labels = [0, 0, 1, 1, 2, 2]
    wanted = {
        "rded/syn": ("RDED", labels),
        "sre2l_cvdd/syn": ("SRe2L / CV-DD", labels),
        "video_dc/syn": ("Video-DC", [0, 1]),
    }
    assert (found.system, found.labels.tolist()) == wanted[name]
    assert found.images.shape == ((2, 3, 32, 32, 3) if name == "video_dc/syn" else (6, 32, 32, 3))
    assert pictures.is_pictures(files / name) and not pictures.is_pictures(files / "mtt")


def test_views_of_recorded_labels_are_slots_of_their_classes(files):
    """Two images a class in three views, as 8-bit pixels of `fkd.replay`; epochs are a part of it."""
    from jaxsoft.data.formats import fkd

    own, labels = files / "sre2l_cvdd/syn", files / "sre2l_cvdd/fkd"
    beside = read(own)
    assert any(f"--labels={labels} imports" in note for note in beside.notes)
    found = read(own, labels=labels, draws=2)
    views = fkd.replay(labels, beside.images, draws=2)
    np.testing.assert_allclose(found.images / np.float32(255), views.images.reshape(found.images.shape), atol=1e-6)
    np.testing.assert_array_equal(found.rows, views.logits.reshape(18, 3))
    assert (found.labels.tolist(), found.kind) == ([0, 0, 1, 1, 2, 2] * 3, "logits")
    assert any("2 images a class in 3 views = 6 slots a class" in note for note in found.notes)
    less = read(own, labels=labels, draws=2, epochs=1)
    np.testing.assert_array_equal(less.images, found.images[:6])
    with pytest.raises(errors.DataError, match="nothing tells how often"):
        read(own, labels=labels)


def test_views_that_do_not_fit_in_memory_are_refused_before_they_are_made(files, monkeypatch):
    monkeypatch.setattr(pictures, "_MOST_BYTES", 6 * 32 * 32 * 3 * 4 * 2)
    with pytest.raises(errors.DataError, match="3 epochs of views would take .* GiB of memory; --epochs=2 takes"):
        read(files / "sre2l_cvdd/syn", labels=files / "sre2l_cvdd/fkd", draws=2)


@pytest.mark.parametrize("case", ["bomb", "class_disagrees", "empty_file", "mixed_sizes", "text", "truncated"])
def test_recorded_hostile_folders_are_refused(files, case):
    with pytest.raises(errors.DataError):
        read(files / "hostile" / f"folder_{case}")
