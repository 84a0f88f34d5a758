"""Each dataset is read from the files that its owners publish, and damaged files are named."""

import json
import sys

import numpy as np
import published
import pytest

from jaxsoft import data, errors


@pytest.fixture(autouse=True)
def small(monkeypatch):
    published.make_small(monkeypatch.setattr)


def pairs(split):
    return sorted((image.tobytes(), int(label)) for image, label in zip(split.images, split.labels))


@pytest.mark.parametrize("form", ["folder", "archive"])
@pytest.mark.parametrize("name, folder", [("cifar10", "cifar-10-batches-bin"), ("cifar100", "cifar-100-binary")])
def test_cifar(tmp_path, name, folder, form):
    made = getattr(published, name)(tmp_path)
    if form == "archive":
        published.tar(tmp_path / folder, tmp_path / f"{folder.replace('-batches-bin', '-binary')}.tar.gz")
    data.prepare(name, tmp_path)
    loaded = data.load(name, tmp_path, validation=0.0)
    for split in ("train", "test"):
        wanted = sorted((image.tobytes(), int(label)) for image, label in zip(*made[split]))
        assert pairs(getattr(loaded, split)) == wanted
    assert loaded.class_names[:2] == (("a", "b") if name == "cifar10" else ("class_0", "class_1"))
    assert loaded.image_shape == (32, 32, 3)


@pytest.mark.parametrize("form", ["folder", "archive"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_for_python_is_the_same_as_the_binary_version(tmp_path, name, form):
    getattr(published, name)(tmp_path)
    data.prepare(name, tmp_path)
    wanted = data.load(name, tmp_path)
    folder = published.for_python(tmp_path, name)
    if form == "archive":
        published.tar(folder, tmp_path / f"{folder.name.replace('-batches-py', '-python')}.tar.gz")
    data.prepare(name, tmp_path)
    found = data.load(name, tmp_path)
    assert (found.fingerprint, found.class_names) == (wanted.fingerprint, wanted.class_names)


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("test_batch", b"cposix\nsystem\n(S'touch pwned'\ntR.", "it would import posix.system, which is refused"),
        ("data_batch_2", b"\x80\x02}", "data_batch_2 cannot be read: it is cut short"),
        ("test_batch", published.python2_pickle({"labels": [0] * 20}), "test_batch has pixels"),
        ("test_batch", b"\x80\x02].", "test_batch cannot be read: it holds no dictionary"),
        (
            "test_batch",
            published.python2_pickle({"labels": [0], "data": np.zeros((20, 3072), np.uint8)}),
            "20 class num",
        ),
        (
            "test_batch",
            published.python2_pickle({"labels": [999] * 20, "data": np.zeros((20, 3072), np.uint8)}),
            "20 clas",
        ),
        ("test_batch", published.python2_pickle({"data": [1, 2]}), "it holds no array of whole numbers"),
        ("batches.meta", published.python2_pickle({"label_names": ["cat"]}), "does not name 10 classes as label_names"),
        ("batches.meta", published.python2_pickle({}), "does not name 10 classes as label_names"),
    ],
)
def test_damaged_and_hostile_pickles_of_cifar_are_refused(tmp_path, file, content, message):
    published.cifar10(tmp_path)
    (published.for_python(tmp_path, "cifar10") / file).write_bytes(content)
    with pytest.raises(errors.DataError, match=message) as refused:
        data.prepare("cifar10", tmp_path)
    assert file in str(refused.value) and "\n" not in str(refused.value)


def test_cut_and_missing_cifar_files_are_named(tmp_path):
    published.cifar10(tmp_path)
    folder = tmp_path / "cifar-10-batches-bin"
    whole = (folder / "data_batch_3.bin").read_bytes()
    (folder / "data_batch_3.bin").write_bytes(whole[:-1])
    with pytest.raises(errors.DataError, match="data_batch_3.bin has 61,459 bytes instead of 61,460"):
        data.prepare("cifar10", tmp_path)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(errors.DataError, match="cifar-10-batches-bin lacks data_batch_3.bin"):
        data.prepare("cifar10", tmp_path)
    (folder / "data_batch_3.bin").write_bytes(b"\xff" + whole[1:])
    with pytest.raises(errors.DataError, match="labels beyond its class names"):
        data.prepare("cifar10", tmp_path)
    (folder / "batches.meta.txt").write_text("cat\ndog")
    with pytest.raises(errors.DataError, match="batches.meta.txt names 2 classes instead of 10"):
        data.prepare("cifar10", tmp_path)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_tiny_imagenet(tmp_path, form):
    published.tiny_imagenet(tmp_path)
    if form == "archive":
        published.zipped(tmp_path / "tiny-imagenet-200", tmp_path / "tiny-imagenet-200.zip")
    data.prepare("tiny_imagenet", tmp_path)
    loaded = data.load("tiny_imagenet", tmp_path, validation=0.0)
    assert loaded.class_names == ("goldfish", "toad", "bell cote")
    for split, count in ((loaded.train, published.TINY_TRAIN), (loaded.test, published.TINY_TEST)):
        assert split.images.shape[1:] == (64, 64, 3)
        reds = sorted(zip(split.labels.tolist(), split.images[:, 0, 0, 0].tolist()))
        assert reds == [(k, 10 * k + i) for k in range(3) for i in range(count)]


@pytest.mark.parametrize("form", ["val/{wnid}/images", "val/{wnid}"])
@pytest.mark.parametrize("annotated", [True, False])
def test_tiny_imagenet_whose_val_lies_in_class_folders_is_the_same(tmp_path, form, annotated):
    published.tiny_imagenet(tmp_path)
    data.prepare("tiny_imagenet", tmp_path)
    wanted, folder = data.load("tiny_imagenet", tmp_path), tmp_path / "tiny-imagenet-200"
    annotations, name, place, wnid = folder / "val" / "val_annotations.txt", "", folder, ""
    for line in annotations.read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        place = folder / form.format(wnid=wnid)
        place.mkdir(parents=True, exist_ok=True)
        (folder / "val" / "images" / name).rename(place / name)
    if not annotated:
        annotations.unlink()
        (folder / "val" / "images").rmdir()
    data.prepare("tiny_imagenet", tmp_path)
    assert data.load("tiny_imagenet", tmp_path).fingerprint == wanted.fingerprint
    (place / name).unlink()
    with pytest.raises(errors.DataError, match=f": val lists 1 images of class {wnid} instead of 2"):
        data.prepare("tiny_imagenet", tmp_path)
    (folder / form.format(wnid="n99")).mkdir(parents=True)
    (folder / form.format(wnid="n99") / "val_77.JPEG").write_bytes(published.encoded(published.red(64, 1)))
    (place / name).write_bytes(published.encoded(published.red(64, 1)))
    with pytest.raises(errors.DataError, match=": val lists 1 images of class n99 instead of 0"):
        data.prepare("tiny_imagenet", tmp_path)


def test_damaged_tiny_imagenet_files_are_named(tmp_path):
    published.tiny_imagenet(tmp_path)
    folder = tmp_path / "tiny-imagenet-200"
    image = folder / "train" / "n02" / "images" / "n02_4.JPEG"
    whole = image.read_bytes()
    image.write_bytes(whole[:60])
    with pytest.raises(errors.DataError, match="train/n02/images/n02_4.JPEG cannot be read as an image"):
        data.prepare("tiny_imagenet", tmp_path)
    assert not list((tmp_path / "tiny_imagenet").glob("*.npy*"))
    with pytest.raises(errors.DataError, match="tiny_imagenet is not prepared in .* .its files are there.; run:"):
        data.load("tiny_imagenet", tmp_path)
    image.unlink()
    with pytest.raises(errors.DataError, match=r"lacks train/n02/images/n02_4.JPEG \(1 of 18 images are missing\)"):
        data.prepare("tiny_imagenet", tmp_path)
    image.write_bytes(whole)
    annotations = folder / "val" / "val_annotations.txt"
    lines = annotations.read_text().splitlines()
    annotations.write_text("\n".join(lines[1:]))
    with pytest.raises(errors.DataError, match="lists 1 images of class n01 instead of 2"):
        data.prepare("tiny_imagenet", tmp_path)
    annotations.write_text("\n".join([*lines, "val_77.JPEG\tn99\t0\t0\t1\t1"]))
    with pytest.raises(errors.DataError, match="lists 1 images of class n99 instead of 0"):
        data.prepare("tiny_imagenet", tmp_path)
    annotations.write_text("\n".join(lines))
    (folder / "wnids.txt").write_text("n01\nn02\n")
    with pytest.raises(errors.DataError, match="train/n03 is not among the classes of wnids.txt"):
        data.prepare("tiny_imagenet", tmp_path)
    (folder / "wnids.txt").write_text("n01\nn02\nn03\n")
    data.prepare("tiny_imagenet", tmp_path)
    data.verify("tiny_imagenet", tmp_path)


def folder_of_images(tree, sizes, side=4, first=0):
    for k, (name, count) in enumerate(sizes.items()):
        (tree / name).mkdir(parents=True)
        for i in range(count):
            (tree / name / f"{i}.{'png' if i % 2 else 'PNG'}").write_bytes(
                published.encoded(published.red(side, first + 50 * k + i))
            )


def test_image_folder_with_its_own_test(tmp_path):
    folder_of_images(tmp_path / "train", {"cat": 10, "dog": 20})
    folder_of_images(tmp_path / "val", {"dog": 3}, first=200)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / ".hidden").mkdir()
    data.prepare("image_folder", tmp_path)
    loaded = data.load("image_folder", tmp_path, validation=0.0)
    assert loaded.class_names == ("cat", "dog")
    reds = sorted(zip(loaded.train.labels.tolist(), loaded.train.images[:, 1, 1, 0].tolist()))
    assert reds == [(0, i) for i in range(10)] + [(1, 50 + i) for i in range(20)]
    assert loaded.test.labels.tolist() == [1, 1, 1]
    assert loaded.test.images[:, 0, 0, 0].tolist() == [200, 201, 202]
    folder_of_images(tmp_path / "val", {"fox": 1})
    with pytest.raises(
        errors.DataError, match="val holds folders that are not among the 2 classes of the train folder: fox"
    ):
        data.prepare("image_folder", tmp_path)


@pytest.mark.parametrize("form", ["npz", "pickle"])
def test_imagenet64(tmp_path, form):
    made = published.imagenet64(tmp_path, form)
    data.prepare("imagenet64", tmp_path)
    loaded = data.load("imagenet64", tmp_path, validation=0.0)
    assert pairs(loaded.train) == sorted((image.tobytes(), int(label)) for image, label in zip(*made))
    assert (len(loaded.test), loaded.image_shape, loaded.class_names) == (4, (64, 64, 3), ("class 1", "class 2"))


@pytest.mark.parametrize(
    "content, message",
    [
        (
            {"data": np.zeros((4, 12_288), np.uint8), "labels": [1, 2, 2, 3]},
            "labels other than whole numbers from 1 to 2",
        ),
        ({"data": np.zeros((3, 12_288), np.uint8), "labels": [1, 2, 2, 1]}, r"pixels uint8 \(3, 12288\) of 4 labels"),
        ({"labels": [1]}, "train_data_batch_4.npz cannot be read"),
    ],
)
def test_files_of_imagenet64_that_hold_something_else_are_named(tmp_path, content, message):
    published.imagenet64(tmp_path, "npz")
    np.savez(tmp_path / "imagenet64" / "train_data_batch_4.npz", **content)
    with pytest.raises(errors.DataError, match=message) as refused:
        data.prepare("imagenet64", tmp_path)
    assert "train_data_batch_4.npz" in str(refused.value) and "\n" not in str(refused.value)


def test_imagenet_is_its_folder_of_train_and_val(tmp_path):
    for split, count in (("train", 6), ("val", 2)):
        folder_of_images(tmp_path / "imagenet" / split, {"n01": count, "n02": count})
    for source in (tmp_path, tmp_path / "imagenet"):
        data.prepare("imagenet", tmp_path / "root", source, resize=4)
        loaded = data.load("imagenet", tmp_path / "root", validation=0.2, resize=4)
        assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (10, 2, 4)
        assert loaded.class_names == ("n01", "n02")
    with pytest.raises(
        errors.DataError, match="no files of imagenet in .*; place there its folder, with train/ and val/"
    ):
        data.prepare("imagenet", tmp_path / "root", tmp_path / "imagenet" / "train", resize=4)


def test_classes_may_be_called_like_splits(tmp_path):
    folder_of_images(tmp_path, {"dog": 10, "val": 5})
    data.prepare("image_folder", tmp_path)
    loaded = data.load("image_folder", tmp_path)
    assert loaded.class_names == ("dog", "val")
    assert np.bincount(loaded.test.labels, minlength=2).tolist() == [2, 1]


def test_image_folder_resized_beside_the_original(tmp_path):
    folder_of_images(tmp_path, {"cat": 10, "dog": 5})
    wide = np.repeat(np.arange(16, dtype=np.uint8)[None, :, None] * 10, 8, 0) * np.ones(3, np.uint8)
    (tmp_path / "cat" / "0.PNG").write_bytes(published.encoded(wide))
    with pytest.raises(
        errors.DataError, match=r"differ in size: 14 of 4x4x3, 1 of 8x16x3 \(.*cat/0.PNG\); pass --resize"
    ):
        data.prepare("image_folder", tmp_path)
    for side in (4, 8):
        data.prepare("image_folder", tmp_path, resize=side)
        data.verify("image_folder", tmp_path, resize=side)
    loaded = data.load("image_folder", tmp_path, validation=0.0, resize=8)
    assert loaded.image_shape == (8, 8, 3)
    assert loaded.class_names == ("cat", "dog")  # what was prepared beside them is no class
    everything = np.concatenate([loaded.train.images, loaded.test.images])
    assert (everything == wide[:, 4:12]).all((1, 2, 3)).sum() == 1
    with pytest.raises(errors.DataError, match="prepare image_folder --root .* --resize 16"):
        data.load("image_folder", tmp_path, resize=16)


def rows(labels, side=4, first=0):
    return [(published.red(side, first + i), k) for i, k in enumerate(labels)]


def test_tfds_is_read_without_tensorflow(tmp_path):
    others = "tensorflow" in sys.modules  # who imported it was not this test
    published.tfds(tmp_path, "shapes", {"train": rows([0, 1, 2] * 4), "test": rows([2, 1, 0], first=100)}, list("xyz"))
    data.prepare("tfds:shapes", tmp_path)
    data.verify("tfds:shapes", tmp_path)
    loaded = data.load("tfds:shapes", tmp_path, validation=0.25)
    assert loaded.class_names == ("x", "y", "z")
    everything = np.concatenate([loaded.train.images, loaded.validation.images])[:, 0, 0, 0]
    labels = np.concatenate([loaded.train.labels, loaded.validation.labels])
    assert sorted(zip(everything.tolist(), labels.tolist())) == [(i, i % 3) for i in range(12)]
    assert loaded.test.images[:, 3, 3, 0].tolist() == [100, 101, 102]
    assert loaded.test.labels.tolist() == [2, 1, 0]
    assert "shapes" in loaded.source
    assert ("tensorflow" in sys.modules) == others


def test_tfds_of_another_name_is_not_taken(tmp_path):
    folder = published.tfds(tmp_path, "shapes", {"train": rows([0, 1] * 5)}, ["x", "y"])
    data.prepare("tfds:shapes", tmp_path / "root", folder)
    for name in ("tfds:mnist", "cifar10"):
        with pytest.raises(errors.DataError, match=f"no files of {name}"):
            data.prepare(name, tmp_path / "root", folder)


def test_tfds_takes_the_labelled_split_as_test(tmp_path):
    splits = {"train": rows([0, 1] * 5), "test": rows([-1, -1], first=50), "validation": rows([1, 0], first=90)}
    published.tfds(tmp_path, "hidden", splits, ["x", "y"])
    data.prepare("tfds:hidden", tmp_path)
    assert data.load("tfds:hidden", tmp_path).test.images[:, 0, 0, 0].tolist() == [90, 91]


def test_an_empty_tfds_split_is_no_test(tmp_path):
    published.tfds(tmp_path, "half", {"train": rows([0, 1] * 5), "test": []}, ["x", "y"])
    data.prepare("tfds:half", tmp_path)
    assert len(data.load("tfds:half", tmp_path).test) == 2


def test_tfds_grey_images_without_test_at_the_newest_version(tmp_path):
    grey = [(np.full((4, 4, 1), i, np.uint8), i % 2) for i in range(20)]
    published.tfds(tmp_path, "grey", {"train": grey[:4]}, ["x", "y"]).rename(tmp_path / "grey" / "0.9.0")
    published.tfds(tmp_path, "grey", {"train": grey}, ["x", "y"]).rename(tmp_path / "grey" / "0.10.0")
    data.prepare("tfds:grey", tmp_path, resize=2)
    loaded = data.load("tfds:grey", tmp_path, resize=2)
    assert loaded.image_shape == (2, 2, 1)
    assert [len(split) for split in (loaded.train, loaded.validation, loaded.test)] == [14, 2, 4]


def versions(root, name="shapes", there=("0.9.0", "0.10.0")):
    """A set in several versions, whose images are as red as their place in the list."""
    for i, version in enumerate(there):
        images = [(published.red(4, i), k % 2) for k in range(10)]
        folder = published.tfds(root, "made", {"train": images}, ["x", "y"])
        (root / name).mkdir(parents=True, exist_ok=True)
        folder.rename(root / name / version)


@pytest.mark.parametrize("name, red", [("", 1), (":0.9.0", 0), ("/0.9.0", 0), (":0.10.0", 1), ("/0.10.0", 1)])
@pytest.mark.parametrize("set_name", ["shapes", "shapes/4x4"])
def test_a_version_of_a_tfds_set_is_that_version(tmp_path, set_name, name, red):
    versions(tmp_path, set_name)
    folder = data.prepare(f"tfds:{set_name}{name}", tmp_path)
    assert folder.name == f"tfds-{set_name}{name}".replace("/", "-").replace(":", "-")
    for written in ("/".join, ":".join):
        asked = written([f"tfds:{set_name}", name[1:]]) if name else f"tfds:{set_name}"
        loaded = data.load(asked, tmp_path)
        assert (loaded.train.images[..., 0] == red).all()
        assert loaded.name == f"tfds:{set_name}" + (f":{name[1:]}" if name else "")
        assert data.verify(asked, tmp_path).startswith(loaded.name)


def test_a_version_that_is_not_there_is_told_with_those_that_are(tmp_path):
    versions(tmp_path)
    for name in ("tfds:shapes:3.0.1", "tfds:shapes/3.0.1"):
        wanted = f"no version 3.0.1 of shapes in {tmp_path}; there is 0.9.0, 0.10.0"
        for ask in (data.prepare, data.load):
            with pytest.raises(errors.DataError, match=wanted):
                ask(name, tmp_path)
        with pytest.raises(errors.DataError, match=r"no version 3.0.1 of shapes in .*0.9.0; there is 0.9.0"):
            data.prepare(name, tmp_path / "root", tmp_path / "shapes" / "0.9.0")
    assert data.prepare("tfds:shapes:0.9.0", tmp_path / "root", tmp_path / "shapes" / "0.9.0").is_dir()
    with pytest.raises(errors.DataError, match="tfds build mnist:3.0.1 --file_format=array_record"):
        data.prepare("tfds:mnist/3.0.1", tmp_path)


def test_another_config_of_a_tfds_set_is_not_taken(tmp_path):
    versions(tmp_path, "shapes/4x4")
    with pytest.raises(errors.DataError, match="no files of tfds:shapes/8x8"):
        data.prepare("tfds:shapes/8x8", tmp_path / "root", tmp_path / "shapes" / "4x4" / "0.9.0")


@pytest.mark.parametrize("name", ["tfds:a:b", "tfds:a:1", "tfds:a/../b", "tfds:a/", "tfds:a:1.0.0:2.0.0", "tfds:a/.b"])
def test_tfds_names_that_cannot_be_read_are_refused(name):
    with pytest.raises(
        errors.ConfigError, match="only tfds takes a name after a colon, as tfds:mnist or tfds:mnist:3.0.1"
    ):
        data.load(name)


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_tfds_images_that_are_not_bytes_are_refused(tmp_path, dtype):
    folder = published.tfds(
        tmp_path, "odd", {"train": [(np.full((4, 4, 1), i, np.uint8), i % 2) for i in range(9)]}, ["x", "y"]
    )
    features = (folder / "features.json").read_text()
    assert "uint8" in features
    (folder / "features.json").write_text(features.replace("uint8", dtype))
    with pytest.raises(errors.DataError, match=f"odd/1.0.0: image is {dtype}; only images of uint8 are read"):
        data.prepare("tfds:odd", tmp_path)


def test_tfds_features_that_are_no_image_or_no_label_are_named(tmp_path):
    from tensorflow_datasets import features as kinds

    folder = published.tfds(tmp_path, "odd", {"train": rows([0, 1] * 5)}, ["x", "y"])
    image, label = kinds.Image(shape=(4, 4, 3)), kinds.ClassLabel(names=["x", "y"])
    odd = {
        r"image \(Image\), label \(Sequence\)": {"image": image, "label": kinds.Sequence(label)},
        r"image \(Sequence\), label \(ClassLabel\)": {"image": kinds.Sequence(image), "label": label},
        r"image \(Tensor\), label \(ClassLabel\)": {
            "image": kinds.Tensor(shape=(4, 4, 3), dtype=np.float32),
            "label": label,
        },
        r"a \(Image\), b \(Image\), label \(ClassLabel\)": {"a": image, "b": image, "label": label},
        r"image has shape \(4, 4, 4\); only 1 or 3 channels": {"image": kinds.Image(shape=(4, 4, 4)), "label": label},
    }
    for message, described in odd.items():
        kinds.FeaturesDict(described).save_config(str(folder))
        with pytest.raises(errors.DataError, match=message):
            data.prepare("tfds:odd", tmp_path)


def test_cifar_as_tfds(tmp_path):
    published.tfds(tmp_path, "cifar10", {"train": rows([0, 1] * 5, 32), "test": rows([1, 0], 32)}, ["x", "y"])
    data.prepare("cifar10", tmp_path)
    assert data.load("cifar10", tmp_path).class_names == ("x", "y")


def test_unusable_tfds_folders_are_named(tmp_path):
    folder = published.tfds(tmp_path, "odd", {"train": rows([0, 1])}, ["x", "y"])
    info = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(info.replace("array_record", "tfrecord"))
    with pytest.raises(errors.DataError, match="odd/1.0.0 is tfrecord.*wanted array_record and a train split"):
        data.prepare("tfds:odd", tmp_path)
    (folder / "dataset_info.json").write_text(info)
    features = (folder / "features.json").read_text()
    (folder / "features.json").write_text(features.replace('"label"', '"other"'))
    (folder / "label.labels.txt").rename(folder / "other.labels.txt")
    with pytest.raises(errors.DataError, match="odd/1.0.0: train cannot be read"):
        data.prepare("tfds:odd", tmp_path)
    unlabelled = json.loads(features)
    del unlabelled["featuresDict"]["features"]["label"]
    (folder / "features.json").write_text(json.dumps(unlabelled))
    with pytest.raises(
        errors.DataError,
        match=r"odd/1.0.0 is no image classification set: its features are image \(Image\); wanted one Image and one ClassLabel",
    ):
        data.prepare("tfds:odd", tmp_path)
    (folder / "features.json").write_text("{")
    with pytest.raises(errors.DataError, match="odd/1.0.0 cannot be read as a TensorFlow Datasets folder"):
        data.prepare("tfds:odd", tmp_path)
    with pytest.raises(errors.DataError, match="tfds build mnist --file_format=array_record --data_dir="):
        data.load("tfds:mnist", tmp_path)
