"""Image folders as people have them: what is a class, what is a split, and what is said of all the rest."""

import os

import numpy as np
import published
import pytest

from jaxsoft import data, errors, main
from jaxsoft.data.sets import image_folder


def put(path, red=0, side=4, kind="PNG"):
    """An image file; its red says which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(published.encoded(published.red(side, red), kind))


def put_classes(tree, names, count=4):
    for name in names:
        for i in range(count):
            put(tree / name / f"{i}.png", i)


def prepared(root, **arguments):
    """What was prepared from a folder, and what was said of it."""
    said = []
    data.prepare("image_folder", root.parent / "prepared", root, say=said.append, **arguments)
    return data.load("image_folder", root.parent / "prepared", validation=0.0, **arguments), said


def reds(split):
    return sorted(zip(split.labels.tolist(), split.images[:, 0, 0, 0].tolist()))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "own"


def test_what_is_left_out_is_counted_and_named(root):
    put_classes(root, ("cat", "dog"))
    for name in ("cat/notes.txt", "cat/a.heic", "cat/.hidden.png", "cat/plain", "readme.md", "__MACOSX/cat/x.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in ("cat/@eaDir/t.jpg", "dog/.ipynb_checkpoints/c.png"):
        put(root / name)
    put(root / "loose.png")
    (root / "empty" / "inside").mkdir(parents=True)
    loaded, said = prepared(root)
    assert loaded.class_names == ("cat", "dog")
    assert len(loaded.train) + len(loaded.test) == 8
    assert said == [
        "2 classes; train: 6 images of own; validation: cut from train; test: 2 of own, a fifth of each class",
        "left out: files of the system: 2 (__MACOSX/cat/x.png, cat/@eaDir/t.jpg)",
        "left out: files that are no images: 3, of them 1 .txt, 1 no ending, 1 .md (cat/notes.txt, cat/plain, readme.md)",
        "left out: folders without an image: 1 (empty)",
        "left out: hidden files: 2 (cat/.hidden.png, dog/.ipynb_checkpoints/c.png)",
        "left out: images of kinds that are not read: 1, of them 1 .heic (cat/a.heic)",
        "left out: images that lie in no class folder: 1 (loose.png)",
    ]


def test_the_command_line_says_what_is_left_out(root, tmp_path, capsys):
    put_classes(root, ("cat", "dog"))
    (root / "cat" / "a\x1b[2J.txt").touch()
    command = ["prepare", "image_folder", f"--root={tmp_path / 'prepared'}", f"--source={root}"]
    assert main.main(["data", *command]) == 0
    told = capsys.readouterr().out
    assert "left out: files that are no images: 1, of them 1 .txt (cat/a\\x1b[2J.txt)\n" in told


def test_a_long_list_is_cut(root):
    put_classes(root, ("cat", "dog"))
    for i in range(30):
        (root / "cat" / f"{i:02}.txt").touch()
    line = prepared(root)[1][-1]
    assert line.startswith("left out: files that are no images: 30, of them 30 .txt (cat/00.txt, cat/01.txt, ")
    assert line.endswith("cat/04.txt, and 25 more)")


@pytest.mark.parametrize(
    "kind, ending", [("WEBP", "webp"), ("BMP", "BMP"), ("JPEG", "jpe"), ("TIFF", "Tiff"), ("GIF", "gif")]
)
def test_images_of_every_usual_ending_are_read(root, kind, ending):
    put_classes(root, ("cat", "dog"))
    put(root / "cat" / f"more.{ending}", 99, kind=kind)
    loaded, _ = prepared(root)
    assert len(loaded.train) + len(loaded.test) == 9


def test_a_class_may_be_called_like_our_own_folders(root):
    put_classes(root, ("image_folder_photos", "image_folder", "dog"))
    assert prepared(root)[0].class_names == ("dog", "image_folder", "image_folder_photos")


def test_what_was_prepared_inside_the_folder_is_no_class(root):
    put_classes(root, ("cat", "image_folder"))
    for _ in range(2):  # the second time the arrays lie among the images
        said = []
        data.prepare("image_folder", root, say=said.append)
        data.prepare("image_folder", root, resize=2)
        assert data.load("image_folder", root, validation=0.0).class_names == ("cat", "image_folder")
    assert not any("without an image" in line or "image_folder-2px" in line for line in said)


def test_a_second_folder_does_not_take_the_place_of_the_first(root, tmp_path):
    put_classes(root, ("cat", "dog"))
    put_classes(tmp_path / "else" / "own", ("fox", "owl"))
    prepared(root)
    with pytest.raises(errors.DataError, match=f"image_folder prepared from {root}, and .*/else/own is another folder"):
        data.prepare("image_folder", tmp_path / "prepared", tmp_path / "else" / "own")
    assert prepared(root)[0].class_names == ("cat", "dog")
    told = {name: text for name, _, text in data.available(tmp_path / "prepared")}
    assert told["image_folder"].endswith(f", from {root}")


@pytest.mark.parametrize("train, test", [("Train", "TEST"), ("TRAIN", "Valid"), ("training", "Testing")])
def test_splits_in_any_case(root, train, test):
    put_classes(root / train, ("cat", "dog"))
    put(root / test / "dog" / "7.png", 7)
    loaded, said = prepared(root)
    assert (len(loaded.train), reds(loaded.test)) == (8, [(1, 7)])
    assert said[0] == f"2 classes; train: 8 images of {train}; validation: cut from train; test: 1 of {test}"
    assert "classes with no test image: nothing is said of their accuracy: cat" in said


@pytest.mark.parametrize("inner", ["", "images/"])
def test_an_unlabelled_test_is_not_used(root, inner):
    put_classes(root / "train", ("cat", "dog"))
    put(root / "test" / f"{inner}8.png", 8)
    put(root / "val" / "cat" / "9.png", 9)
    loaded, said = prepared(root)
    assert reds(loaded.test) == [(0, 9)]
    assert said[0] == "2 classes; train: 8 images of train; validation: cut from train; test: 1 of val"
    assert said[1] == "test has no folders of the train classes, so its images have no labels"
    assert f"left out: images that lie in no class folder: 1 (test/{inner}8.png)" in said


def test_splits_of_their_own_are_used_and_other_folders_left_out_and_named(root):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        put_classes(root / split, ("cat", "dog"), count)
    put(root / "val" / "dog" / "7.png", 7)
    put(root / "extra" / "cat" / "e.png")
    put(root / "loose.png")
    without, said = prepared(root)
    assert said == [
        "2 classes; train: 6 images of train; validation: 5 of val; test: 2 of test",
        "left out: images beside the folders of splits: 1 (extra/cat/e.png)",
        "left out: images that lie in no class folder: 1 (loose.png)",
    ]
    loaded, smaller = (data.load("image_folder", root.parent / "prepared", limit=limit) for limit in (None, 2))
    assert reds(loaded.validation) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 7)] == reds(smaller.validation)
    assert reds(loaded.train) == reds(without.train) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert reds(loaded.test) == [(0, 0), (1, 0)] and len(without.validation) == 0 and len(smaller.train) == 4
    assert len({loaded.fingerprint, without.fingerprint, smaller.fingerprint}) == 3
    told = data.verify("image_folder", root.parent / "prepared")
    assert told == "image_folder: 6 train, 5 validation and 2 test images of 2 classes are as they were prepared"


def test_a_validation_folder_without_a_class_is_told(root):
    put_classes(root / "train", ("cat", "dog"), 1)
    put_classes(root / "test", ("cat", "dog"))
    put(root / "val" / "cat" / "8.png", 8)
    assert prepared(root)[1][1:] == ["classes with no validation image: they have no say in what is chosen: dog"]


def test_a_class_that_is_in_validation_alone_is_refused(root):
    put_classes(root / "train", ("cat", "dog"))
    put_classes(root / "test", ("cat", "dog"))
    put_classes(root / "val", ("cat", "fox"))
    with pytest.raises(
        errors.DataError, match="val holds folders that are not among the 2 classes of the train.*: fox"
    ):
        prepared(root)


def test_images_at_any_depth(root):
    for i, where in enumerate(("cat/images/0.png", "cat/a/b/c/1.png", "dog/images/2.png", "dog/3.png")):
        put(root / "train" / where, i)
    put(root / "test" / "cat" / "images" / "4.png", 4)
    loaded, _ = prepared(root)
    assert reds(loaded.train) == [(0, 0), (0, 1), (1, 2), (1, 3)]


def test_folders_nested_deeper_than_functions(root):
    deep = [root / "cat" / "/".join("d" * depth) for depth in range(1, 980)]
    deep[0].mkdir(parents=True)
    for folder in deep[1:]:
        os.mkdir(folder)
    (deep[-1] / "x.png").touch()
    try:
        assert image_folder.Listing(root).classes(root) == {"cat": [deep[-1] / "x.png"]}
    finally:  # what clears up after tests is not written for this
        (deep[-1] / "x.png").unlink()
        for folder in reversed(deep):
            os.rmdir(folder)


def test_classes_called_by_numbers_come_in_their_order(root):
    put_classes(root, ("10", "2", "1"))
    assert prepared(root)[0].class_names == ("1", "2", "10")


def test_classes_called_by_numbers_and_words_are_sorted(root):
    put_classes(root, ("10", "2", "a"))
    assert prepared(root)[0].class_names == ("10", "2", "a")


def test_sets_of_their_own_are_no_classes(root):
    put_classes(root, ("cat", "dog"))
    for split in ("train", "test"):
        put_classes(root / "birds" / split, ("owl", "hen"))
    loaded, said = prepared(root)
    assert loaded.class_names == ("cat", "dog")
    assert any("images of birds, which has train and test folders of its own: 16 (" in line for line in said)


@pytest.mark.parametrize(
    "files, message",
    [
        (
            ("a.png", "b.png"),
            r"holds images of 0 classes; wanted are one folder .*left out: images that lie in no class folder: 2",
        ),
        (("cat/a.png", "cat/b.png"), r"holds images of 1 classes \(cat\); wanted are"),
        (
            ("own/train/a/1.png", "own/test/a/1.png"),
            r"holds images of 0 classes.*left out: images of own, which has .*: 2",
        ),
        (("train/a.png", "test/b.png"), "train holds no class folders, so its images have no labels"),
        (("val/a.png", "test/b.png"), r"holds images of 2 classes \(test, val\); wanted are"),
        (("train/a/1.png", "Train/a/2.png"), "holds both Train and train; rename or remove one"),
        (
            ("cat/a.heic",),
            r"holds images of 0 classes.*left out: images of kinds that are not read: 1, of them 1 .heic",
        ),
        (
            ("a/1.png", "b/2.png", "b/3.png"),
            "classes with one image cannot be split into train and test: a; add images",
        ),
    ],
)
def test_what_is_no_set_is_refused_with_what_lies_there(root, files, message):
    for name in files:
        put(root / name)
    with pytest.raises(errors.DataError, match=message) as caught:
        prepared(root)
    assert "\n" not in str(caught.value)


def test_a_class_of_images_of_trains(root):
    put_classes(root, ("bus", "car", "train"))
    assert prepared(root)[0].class_names == ("bus", "car", "train")


def test_classes_of_hardly_any_images_are_told(root):
    put_classes(root, ("cat",), 20)
    put_classes(root, ("dog",), 2)
    put_classes(root, ("fox",), 3)
    _, said = prepared(root)
    assert "classes with one train image: validation, which takes one of each class, would leave none: dog" in said
    assert "classes with two train images: one of them is for validation, so IPC is 1 at most: fox" in said


def test_classes_that_differ_in_case_only_are_told(root):
    put_classes(root, ("Cat", "cat", "dog"))
    loaded, said = prepared(root)
    assert loaded.class_names == ("Cat", "cat", "dog")
    assert "Cat and cat are classes of their own" in said


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"\x1b[2Jred", "ü 犬".encode()])
def test_strange_names_are_shown_escaped(root, name):
    put_classes(root, (os.fsdecode(name), "dog"))
    (root / os.fsdecode(name) / "x.txt").touch()
    loaded, said = prepared(root)
    shown = errors.shown(os.fsdecode(name))
    assert shown in loaded.class_names and shown.isprintable()
    assert any(f"{shown}/x.txt" in line for line in said)
    data.verify("image_folder", root.parent / "prepared")
    (root / os.fsdecode(name) / "0.png").write_bytes(b"damaged")
    with pytest.raises(errors.DataError) as caught:
        prepared(root)
    assert f"{shown}/0.png cannot be read as an image" in str(caught.value) and str(caught.value).isprintable()


def test_every_damaged_image_is_named_at_once(root):
    put_classes(root, ("cat", "dog"))
    for name in ("cat/0.png", "cat/3.png", "dog/1.png"):
        (root / name).write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(errors.DataError, match="3 images are damaged: .*cat/0.png.*; .*cat/3.png.*; .*dog/1.png"):
        prepared(root)


def test_links_to_images_and_classes_are_followed_but_never_in_circles(root, tmp_path):
    put_classes(root, ("cat", "dog"))
    put_classes(tmp_path, ("elsewhere",))
    put(tmp_path / "photo.png", 77)
    (root / "cat" / "linked.png").symlink_to(tmp_path / "photo.png")
    (root / "fox").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "circle").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    loaded, said = prepared(root)
    assert loaded.class_names == ("cat", "dog", "fox")
    assert 77 in [red for _, red in reds(loaded.train) + reds(loaded.test)]
    assert "left out: linked folders inside class folders, which are not followed: 1 (dog/circle)" in said


@pytest.mark.parametrize("target", [".", "cat"])
def test_a_link_that_makes_one_folder_two_classes_is_refused(root, target):
    put_classes(root, ("cat", "dog"))
    (root / "twin").symlink_to(root / target)
    with pytest.raises(errors.DataError, match="own/twin is a link to the same images as"):
        prepared(root)


def test_a_test_that_is_the_train_folder_is_refused(root):
    put_classes(root / "train", ("cat", "dog"))
    (root / "test").symlink_to(root / "train")
    with pytest.raises(errors.DataError, match="own/test/cat is a link to the same images as .*own/train/cat"):
        prepared(root)


def test_pipes_devices_and_huge_files_are_refused_before_they_hang(root):
    put_classes(root, ("cat", "dog"))
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "cat" / "zero.png").symlink_to("/dev/zero")
    (root / "cat" / "gone.png").symlink_to("nowhere")
    with open(root / "cat" / "huge.png", "wb") as file:
        file.truncate(1 << 40)  # a hole, which takes no disk
    with pytest.raises(errors.DataError, match="4 images are damaged") as caught:
        prepared(root)
    for words in (
        "gone.png cannot be read: .*No such file",
        "huge.png.*67,108,864 bytes",
        "pipe.*named pipe",
        "zero.*device",
    ):
        caught.match(words)


def test_a_folder_that_may_not_be_read_is_named(root, monkeypatch):
    put_classes(root, ("cat", "dog"))
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(errors.DataError, match="own/dog cannot be read: .*Permission denied"):
        prepared(root)


@pytest.mark.parametrize("resize", [100_000, 8193])
def test_an_absurd_size_is_refused_before_anything_is_read(root, resize):
    put_classes(root, ("cat", "dog"))
    with pytest.raises(errors.ConfigError, match=f"resize={resize} cannot be: it expects int >= 1 and <= 8192"):
        prepared(root, resize=resize)


def test_animations_are_told(root):
    put_classes(root, ("cat", "dog"))
    frames = [image_folder_frame(level) for level in (1, 200)]
    frames[0].save(root / "cat" / "film.gif", save_all=True, append_images=frames[1:])
    assert "images with several frames, of which the first is used: 1 (cat/film.gif)" in prepared(root)[1]


def image_folder_frame(level):
    from PIL import Image

    return Image.fromarray(np.full((4, 4, 3), level, np.uint8))


def test_find_is_quick_and_never_fails(tmp_path):
    assert image_folder.find(tmp_path / "missing", "") is None
    assert image_folder.find(tmp_path, "") is None
    put(tmp_path / "a" / "b.png")
    assert image_folder.find(tmp_path, "") == tmp_path
