"""Pictures that stay in their files: what is seen of them, and what is said of those that are not what they were."""

import pickle
import shlex
import zlib

import numpy as np
import published
import pytest
from PIL import Image

from jaxsoft import data, errors, main
from jaxsoft.data import arrays, encoded, normalize, stream


def picture(width, height, phase):
    """Smooth colours that every scaling sees."""
    y, x = np.mgrid[:height, :width]
    k = np.arange(1, 4)
    values = 127.5 + 60 * np.sin(x[..., None] * k / 7 + phase) + 60 * np.cos(y[..., None] * k / 5)
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def put(root, classes=("cat", "dog"), count=12):
    """JPEG files of several sizes in class folders."""
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(40 + i, 50 - i, 10 * k + i).save(root / name / f"{i:02}.jpg", quality=95)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A prepared folder of 24 pictures."""
    root = tmp_path_factory.mktemp("encoded")
    put(root / "own")
    data.prepare("image_folder", root, root / "own", resize=16, encoded=True)
    return root


@pytest.fixture(scope="module")
def loaded(root):
    return data.load("image_folder", root, resize=16, validation=0.1)


def test_images_are_read_as_an_array_is(loaded):
    images = loaded.train.images
    assert images.shape == (18, 16, 16, 3) == (len(images), *loaded.image_shape)
    assert (images.dtype, images.ndim, images.nbytes) == (np.uint8, 4, 18 * 16 * 16 * 3)
    whole = np.asarray(images)
    assert whole.dtype == np.uint8 and whole.shape == images.shape
    np.testing.assert_array_equal(images[[3, -1]], whole[[3, -1]])
    np.testing.assert_array_equal(images[2:5], whole[2:5])
    np.testing.assert_array_equal(images[7], whole[7])
    np.testing.assert_array_equal(images.take(slice(4, 9))[1], whole[5])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images.take([6, 2])))[:], whole[[6, 2]])


def test_a_set_that_is_prepared_with_a_side_is_listed_so_alone(root):
    states = {name: state for name, state, _ in data.available(root)}
    assert states["image_folder --resize=16"] == "prepared" and "video" in states
    assert "image_folder" not in states


def test_the_same_files_are_the_same_data_however_often_they_are_opened(root, loaded):
    again = data.load("image_folder", root, resize=16, validation=0.1)
    assert again.fingerprint == loaded.fingerprint
    assert arrays.checked(loaded) is loaded
    assert data.load("image_folder", root, resize=16, validation=0.2).fingerprint != loaded.fingerprint


def test_a_picture_that_changed_is_named_when_it_is_read(root, tmp_path):
    put(tmp_path / "own", count=3)
    data.prepare("image_folder", tmp_path, tmp_path / "own", resize=16, encoded=True)
    assert "as they were prepared" in data.verify("image_folder", tmp_path, resize=16)
    train = data.load("image_folder", tmp_path, resize=16, validation=0.0).train
    name = train.images.place(2).split(": ")[1]
    changed = tmp_path / "own" / name
    changed.write_bytes(changed.read_bytes()[:-40])
    train = data.load("image_folder", tmp_path, resize=16, validation=0.0).train  # the index is whole
    way_on = (
        "; put back what was there and repeat the command, or prepare the set anew, as another one with other keys$"
    )
    told = f"own: {name} changed since it was prepared{way_on}"
    with pytest.raises(errors.DataError, match=told):
        train.images[:]
    with pytest.raises(errors.DataError, match=told):
        list(stream.windows(train, 4, 1, 0, 0, 2, threads=1))
    with pytest.raises(errors.DataError, match=f"1 of 4 images: .*{name} changed since it was prepared{way_on}"):
        data.verify("image_folder", tmp_path, resize=16)
    changed.unlink()
    with pytest.raises(errors.DataError, match=f"own: {name} cannot be read: No such file or directory{way_on}"):
        train.images[:]


def test_one_error_names_all_that_cannot_be_read(tmp_path):
    put(tmp_path / "own", count=3)
    for name in ("cat/00.jpg", "dog/02.jpg"):
        path = tmp_path / "own" / name
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(errors.DataError, match="2 images are damaged: .*cat/00.jpg.*dog/02.jpg"):
        data.prepare("image_folder", tmp_path, tmp_path / "own", resize=16, encoded=True)
    assert not (tmp_path / "image_folder-16px" / "dataset.json").exists()


def test_what_cannot_stay_in_its_files_is_refused(tmp_path):
    put(tmp_path / "own", count=2)
    with pytest.raises(errors.ConfigError, match="encoded=True expects resize"):
        data.prepare("image_folder", tmp_path, tmp_path / "own", encoded=True)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    with pytest.raises(errors.ConfigError, match="encoded=True cannot be: cifar10 is decoded once; image_folder, "):
        data.prepare("cifar10", tmp_path, encoded=True)


# CRC32 of what torchvision 0.28 makes of `picture(w, h, w + h)`: Resize(round(side * 256 / 224)), CenterCrop(side)
EVALUATED = {
    (500, 400, 64): 4057076378,
    (500, 400, 32): 2275056423,
    (40, 300, 64): 1580713526,
    (40, 300, 32): 2985740558,
    (300, 40, 64): 2326565226,
    (300, 40, 32): 1211825024,
    (257, 256, 64): 3451135943,
    (257, 256, 32): 2603850477,
    (90, 80, 64): 2371183032,
    (90, 80, 32): 847233196,
}
# (w, h, phase, box that RandomResizedCrop.get_params draws of stream.draws(3, 1, phase), CRC32 of resized_crop to 32)
CROPPED = (
    (500, 400, 0, (226, 133, 481, 328), 2139435374),
    (40, 300, 1, (0, 123, 40, 176), 3554270254),
    (300, 40, 2, (236, 1, 271, 36), 4011439551),
    (333, 500, 3, (35, 109, 244, 353), 3359313505),
    (20, 400, 4, (0, 186, 20, 213), 3741228647),
    (7, 5, 5, (3, 3, 5, 5), 168092934),
    (500, 400, 6, (11, 0, 308, 378), 2334932133),
    (40, 300, 7, (0, 123, 40, 176), 1799306975),
    (300, 40, 8, (123, 0, 176, 40), 2912346151),
    (333, 500, 9, (39, 146, 333, 398), 2066977188),
    (20, 400, 10, (0, 186, 20, 213), 3458418941),
    (7, 5, 11, (4, 2, 7, 5), 3371497263),
)


@pytest.mark.parametrize(("width", "height", "side"), EVALUATED)
def test_evaluation_sees_what_torchvision_makes(width, height, side):
    seen = encoded.evaluated(picture(width, height, width + height), side)
    assert zlib.crc32(seen.tobytes()) == EVALUATED[width, height, side]


@pytest.mark.parametrize(("width", "height", "phase", "box", "crc"), CROPPED)
def test_training_sees_what_torchvision_makes(width, height, phase, box, crc):
    draws = stream.draws(3, 1, phase)
    found = encoded.crop(width, height, draws)
    assert found == box
    seen = picture(width, height, phase).crop(found).resize((32, 32), Image.Resampling.BILINEAR)
    assert zlib.crc32(seen.tobytes()) == crc


def test_crops_are_spread_as_their_formula_says():
    boxes = np.array([encoded.crop(400, 400, stream.draws(0, 0, i)) for i in range(3000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= 400).all()
    shape = np.log(width / height)
    assert abs(shape.mean()) < 0.02 and np.abs(shape).max() < np.log(4 / 3) + 0.02
    assert 0.079 < (width * height / 160_000).min() < 0.1
    mirrored = [stream.draws(0, 0, i)[-1] < 0.5 for i in range(3000)]
    assert abs(np.mean(mirrored) - 0.5) < 0.03


def test_a_view_is_mirrored_by_its_last_draw(loaded):
    draws = np.full(encoded.DRAWS, 0.5)
    mirrored = draws.copy()
    mirrored[-1] = 0.4
    images = loaded.train.images
    np.testing.assert_array_equal(images.view(0, draws)[:, ::-1], images.view(0, mirrored))


def test_normalization_reads_the_first_images_alone(loaded, monkeypatch):
    monkeypatch.setattr(normalize, "_SAMPLE", 5)
    found = normalize.fit("standardize", loaded.train.images)
    np.testing.assert_array_equal(found.scale, normalize.standardize(loaded.train.images[:5]).scale)
    assert found.store_beyond(loaded.train.images) is loaded.train.images
    assert isinstance(found.store(loaded.train.images), np.ndarray)


def test_more_than_the_memory_is_refused_before_it_is_decoded(loaded, monkeypatch):
    monkeypatch.setattr(encoded.os, "sysconf", lambda name: 100)
    with pytest.raises(errors.DataError, match="18 images of 16x16x3 take 0 GB decoded, and this machine has 0 GB"):
        np.asarray(loaded.train.images)


def test_the_command_that_is_told_of_a_damaged_set_mends_it(tmp_path):
    """It says where the pictures are, and that they stay there: else all of them would be decoded."""
    put(tmp_path / "own pictures", count=3)
    data.prepare("image_folder", tmp_path / "root", tmp_path / "own pictures", resize=16, encoded=True)
    labels = tmp_path / "root" / "image_folder-16px" / "train_labels.npy"
    labels.write_bytes(labels.read_bytes()[:-4])
    with pytest.raises(errors.DataError, match=r"; run: jaxsoft data prepare .* --encoded$") as told:
        data.verify("image_folder", tmp_path / "root", resize=16)
    assert main.main(shlex.split(str(told.value).partition("run: jaxsoft ")[2])) == 0
    assert isinstance(data.load("image_folder", tmp_path / "root", resize=16).train.images, encoded.Encoded)


def test_pictures_of_tensorflow_datasets_stay_in_its_files(tmp_path):
    draw = np.random.default_rng(0)
    rows = [(draw.integers(0, 256, (20, 25, 3), np.uint8), i % 3) for i in range(9)]
    published.tfds(tmp_path, "shapes", {"train": rows, "test": rows[:3]}, ["x", "y", "z"])
    data.prepare("tfds:shapes", tmp_path, resize=16, encoded=True)
    train = data.load("tfds:shapes", tmp_path, resize=16, validation=0.0).train
    assert isinstance(train.images, encoded.Encoded) and len(train) == 9
    for row, label in enumerate(train.labels):
        pixels, true = rows[int(train.images.place(row).rpartition(":")[2])]
        assert label == true
        np.testing.assert_array_equal(train.images[row], encoded.evaluated(Image.fromarray(pixels), 16))


def test_what_is_listed_can_be_verified(root, capsys):
    published.tfds(root, "shapes", {"train": [(published.red(4, i), i % 2) for i in range(10)]}, ["x", "y"])
    data.prepare("tfds:shapes", root)
    assert main.main(["data", "list", f"--root={root}"]) == 0
    here = [
        line.partition(" prepared ")[0].split() for line in capsys.readouterr().out.splitlines() if " prepared " in line
    ]
    assert [words for words in here if words[0] != "jaxsoft"] == [["image_folder", "--resize=16"], ["tfds:shapes"]]
    for words in (["image_folder", "--resize=16"], ["tfds:shapes"]):
        assert main.main(["data", "verify", *words, f"--root={root}"]) == 0
