"""ImageNet as it is published, a few images of it: folders with every kind of list, and batches of 64 pixels."""

import numpy as np
import published
import pytest

from jaxsoft import data, errors

WNIDS = ("n01440764", "n02979186")


def put(root, flat=False):
    """Four train and two val images of two classes; red says which."""
    for k, wnid in enumerate(WNIDS):
        for i in range(4):
            path = root / "train" / wnid / f"{wnid}_{i}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(published.encoded(published.red(20, 100 * k + i), "PNG"))
        for i in (1, 2):
            path = root / "val" / ("" if flat else wnid) / f"ILSVRC2012_val_0000000{2 * k + i}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(published.encoded(published.red(20, 100 * k + 50), "PNG"))


def loaded(root, **arguments):
    data.prepare("imagenet", root, resize=8, **arguments)
    return data.load("imagenet", root, resize=8, validation=0.0)


LISTS = {
    "LOC_val_solution.csv": "ImageId,PredictionString\n"
    + "".join(
        f"ILSVRC2012_val_0000000{2 * k + i},{wnid} 1 2 3 4 {wnid} 5 6 7 8\n"
        for k, wnid in enumerate(WNIDS)
        for i in (1, 2)
    ),
    "val.txt": "".join(f"ILSVRC2012_val_0000000{2 * k + i}.JPEG {k}\n" for k in range(2) for i in (1, 2)),
}


@pytest.mark.parametrize("name", ["", *LISTS])
def test_val_is_read_as_class_folders_or_by_a_list(tmp_path, name):
    put(tmp_path / "ILSVRC2012", flat=bool(name))
    if name:
        (tmp_path / "ILSVRC2012" / name).write_text(LISTS[name])
    found = loaded(tmp_path, encoded=True)
    assert found.class_names == WNIDS and len(found.train) == 8
    assert (found.test.images[:][:, 0, 0, 0] == 50 + 100 * found.test.labels).all()
    assert np.bincount(found.test.labels).tolist() == [2, 2]


def test_classes_have_the_names_of_the_mapping_and_may_be_decoded_once(tmp_path):
    put(tmp_path)
    (tmp_path / "LOC_synset_mapping.txt").write_text(f"{WNIDS[0]} tench, Tinca tinca\n{WNIDS[1]} cassette player\n")
    found = loaded(tmp_path)
    assert found.class_names == ("tench", "cassette player")
    assert isinstance(found.train.images, np.memmap)


def test_images_of_val_without_a_class_are_refused(tmp_path):
    put(tmp_path, flat=True)
    (tmp_path / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 0\n")
    with pytest.raises(errors.DataError, match="of 4 images in .*/val, 1 have a class; wanted class folders, or LOC"):
        data.prepare("imagenet", tmp_path, resize=8)


def test_batches_of_64_pixels_may_lie_below_and_be_packed(tmp_path, monkeypatch):
    published.make_small(monkeypatch.setattr)
    images, labels = published.imagenet64(tmp_path, "npz")
    for path in [*(tmp_path / "imagenet64").glob("train*.npz")]:
        with np.load(path) as found:
            content = dict(found)
        (tmp_path / "imagenet64" / "Imagenet64_train").mkdir(exist_ok=True)
        np.savez_compressed(tmp_path / "imagenet64" / "Imagenet64_train" / path.name, **content)
        path.unlink()
    (tmp_path / "imagenet64" / "map_clsloc.txt").write_text("n02119789 1 kit_fox\nn02100735 2 English_setter\n")
    data.prepare("imagenet64", tmp_path)
    found = data.load("imagenet64", tmp_path, validation=0.0)
    assert found.class_names == ("kit fox", "English setter")
    sent = {image.tobytes(): label for image, label in zip(images, labels)}
    assert {image.tobytes(): label for image, label in zip(found.train.images, found.train.labels)} == sent
    assert [path.name for path in (tmp_path / "imagenet64").rglob("*.tmp")] == []
