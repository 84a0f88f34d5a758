"""`Dataset.from_arrays`: images and labels of a user's own, cut into splits that never change."""

import doctest
import re

import numpy as np
import pytest

import jaxsoft
from jaxsoft import data, errors, types
from jaxsoft.types import Dataset, Split

LABELS = np.array([0] * 30 + [1] * 10 + [2] * 5)
IMAGES = np.random.default_rng(0).integers(0, 256, (45, 4, 6, 3), np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(45)  # which image it is
IMAGES[0, 1] = 255


def which(split):
    return split.images[:, 0, 0, 0].tolist()


def counts(split):
    return np.bincount(split.labels, minlength=3).tolist()


def test_the_example_is_true():
    assert doctest.testmod(types).failed == 0


def test_splits_are_stratified_disjoint_complete_and_always_the_same():
    data, again = (Dataset.from_arrays(given, LABELS.tolist()) for given in (IMAGES, IMAGES.tolist()))
    assert [counts(s) for s in (data.train, data.validation, data.test)] == [[22, 7, 3], [2, 1, 1], [6, 2, 1]]
    assert sorted(which(data.train) + which(data.validation) + which(data.test)) == list(range(45))
    for split in (data.train, data.validation, data.test):
        assert (split.labels == LABELS[which(split)]).all() and which(split) == sorted(which(split))
    assert which(data.test)[:6] != [*range(24, 30)]  # a shuffle, not the last
    assert data.fingerprint == again.fingerprint and len(data.fingerprint) == 64
    assert Dataset.from_arrays(IMAGES, LABELS, validation=0.2).fingerprint != data.fingerprint


def test_splits_of_ones_own_are_taken_as_they_are():
    half = IMAGES[::2] / 255.0, LABELS[::2].tolist()
    data = Dataset.from_arrays(IMAGES, LABELS, test=half, validation=Split(*half), class_names=("a", "b", "c"))
    assert which(data.train) == list(range(45)) and data.class_names == ("a", "b", "c")
    np.testing.assert_allclose(data.test.images, half[0], atol=1e-7)
    assert data.validation.labels.tolist() == half[1]
    none = Dataset.from_arrays(IMAGES, LABELS, test=half, validation=0)
    assert len(none.validation) == 0 and len(none.train) == 45
    cut = Dataset.from_arrays(IMAGES, LABELS, test=0.5, validation=half)
    assert counts(cut.test) == [15, 5, 2] and len(cut.train) == 23


def test_what_a_user_changes_later_changes_nothing():
    images, labels = IMAGES.copy(), LABELS.copy()
    data = Dataset.from_arrays(images, labels, test=(images, labels), validation=0)
    images[:], labels[:] = 7, 1
    assert which(data.train) == which(data.test) == list(range(45)) and counts(data.test) == [30, 10, 5]
    with pytest.raises(ValueError, match="read-only"):
        data.train.images[0] = 1


def bent(row, value, dtype=float):
    labels = LABELS.astype(dtype)
    labels[row] = value
    return labels


@pytest.mark.parametrize(
    "labels, more, message",
    [
        (
            LABELS + 1,
            {},
            "own: labels run from 1 to 3, but there are 3 classes: row 40 is 3; wanted 0 to 2: labels - 1",
        ),
        (bent(11, 9, int), {}, "own: labels run from 0 to 9, but there are 4 classes: row 11 is 9; wanted 0 to 3"),
        (bent(11, 2**40, int), {}, "row 11 is 1.09951e+12"),
        (bent(12, np.nan), {}, "own: labels are not whole numbers: row 12 is nan"),
        (bent(12, 0.5), {}, "own: labels are not whole numbers: row 12 is 0.5"),
        (["cat", *LABELS[1:].tolist()], {}, "own: labels are str"),
        ([None, *LABELS[1:].tolist()], {}, "own: labels are object"),
        (LABELS[1:], {}, "own: labels have shape 44; wanted one class number for each of the 45 images"),
        (np.eye(3)[LABELS], {}, "own: labels have shape 45x3; "),
        (LABELS, {"class_names": ("a", "b")}, "there are 2 classes: row 40 is 2"),
        (LABELS, {"class_names": "abc", "name": "my\n"}, "my\\n: class_names are 'abc'"),
        (LABELS, {"class_names": (*"abcd",)}, "class 3 (d) has no train images"),
        (
            LABELS,
            {"test": (IMAGES[:3], [0, 1, 7])},
            "own: test labels run from 0 to 7, but there are 3 classes: row 2 is 7",
        ),
        (LABELS, {"test": (IMAGES[:0], [])}, "own: the test split is empty"),
        (LABELS, {"validation": (IMAGES[:3, 1:], [0, 1, 2])}, "validation and train images differ in shape"),
        (LABELS, {"test": 0}, "test expects a share in (0, 1) or (images, labels), got 0"),
        (LABELS, {"test": True}, "test expects a share in (0, 1) or (images, labels), got True"),
        (LABELS, {"validation": 1.0}, "validation expects a share in [0, 1) or (images, labels), got 1.0"),
        (LABELS, {"validation": "0.1"}, "validation expects a share in [0, 1) or (images, labels), got '0.1'"),
        (LABELS, {"test": 0.8}, "validation=0.1 leaves class 2 (2) without train images"),
        (LABELS, {"test": 0.99}, "test=0.99 leaves class 0 (0) without train images"),
    ],
)
def test_what_is_wrong_is_one_line(labels, more, message):
    with pytest.raises((errors.ConfigError, errors.DataError), match=re.escape(message)) as refused:
        Dataset.from_arrays(IMAGES, labels, **more)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "images, message",
    [
        (
            np.where(np.arange(45)[:, None, None] == 31, np.nan, IMAGES[..., 0] / 255),
            "row 31 is the first with a pixel",
        ),
        ([IMAGES[0], *(IMAGES[1:] / 255)], "own: images are float64 from 0 to 255; wanted uint8, or floats in [0, 1]"),
        ([IMAGES[0][1:], *IMAGES[1:]], "own: images make no array"),
        ([*IMAGES[:44].tolist(), None], "own: images make no array"),
    ],
)
def test_images_that_are_not_clear_are_one_line(images, message):
    with pytest.raises(errors.DataError, match=re.escape(message)) as refused:
        Dataset.from_arrays(images, LABELS)
    assert "\n" not in str(refused.value)


BIRDS = """
import numpy as np
from jaxsoft import Dataset

def pair(count: int = 40, broken: bool = False):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 4
    return rng.random((count, 5, 6)), labels + broken

def made(count: int = 40, name: str = "birds"):
    return Dataset.from_arrays(*pair(count), validation=0.25, name=name)

def nothing():
    return {"images": 3}

def fails():
    return np.zeros(3)[4]
"""


@pytest.fixture
def birds(tmp_path, monkeypatch):
    (tmp_path / "some_birds.py").write_text(BIRDS)
    monkeypatch.syspath_prepend(tmp_path)
    return "some_birds"


def test_a_function_that_returns_images_and_labels_is_a_dataset(birds):
    loaded = jaxsoft.load(f"{birds}:pair(count=80)")
    assert (loaded.name, loaded.image_shape, loaded.class_names) == (f"{birds}:pair(count=80)", (5, 6, 1), (*"0123",))
    assert [len(s) for s in (loaded.train, loaded.validation, loaded.test)] == [56, 8, 16]
    none, few = jaxsoft.load(f"{birds}:pair", validation=0.0), jaxsoft.load(f"{birds}:pair", limit=3)
    assert [len(s) for s in (none.train, none.validation, none.test)] == [32, 0, 8]
    assert np.bincount(few.train.labels).tolist() == [3] * 4 and len(few.validation) == 4
    assert len({d.fingerprint for d in (loaded, none, few)}) == 3


def test_a_function_that_returns_a_dataset_keeps_its_name_and_its_splits(birds):
    loaded = jaxsoft.load(f"{birds}:made")
    assert (loaded.name, len(loaded.train), len(loaded.validation)) == ("birds", 24, 8)
    assert jaxsoft.load(f"{birds}:made", validation=0.5).fingerprint == loaded.fingerprint
    none = jaxsoft.load(f"{birds}:made(name=owls)", validation=0.0, limit=2)
    assert (none.name, len(none.train), len(none.validation)) == ("owls", 8, 0)


@pytest.mark.parametrize(
    "name, more, message",
    [
        ("some_birds:nests", {}, "module some_birds has no function 'nests'; it has: "),
        ("no_such_birds:pair", {}, "module no_such_birds not found "),
        (
            "some_birds:pair(size=3)",
            {},
            "some_birds:pair(size=3).*usage: some_birds:pair(count: int=40, broken: bool=false)",
        ),
        (
            "some_birds:pair(broken=True)",
            {},
            "some_birds:pair(broken=True): labels run from 1 to 4, but there are 4 classes",
        ),
        (
            "some_birds:nothing",
            {},
            "some_birds:nothing should return a jaxsoft.Dataset or (images, labels), got 'dict'",
        ),
        ("some_birds:fails", {}, "some_birds:fails: .*some_birds.py, line 17: IndexError: index 4 is out of bounds"),
        ("some_birds:pair", {"resize": 8}, "resize=8 cannot be: images of some_birds:pair are of the size"),
        ("cifar10:pair", {}, "only tfds takes a name after a colon"),
    ],
)
def test_a_function_that_gives_no_dataset_is_one_line(birds, name, more, message):
    with pytest.raises(
        (errors.ConfigError, errors.DataError), match=re.escape(message).replace(r"\.\*", ".*")
    ) as refused:
        jaxsoft.load(name, **more)
    assert "\n" not in str(refused.value)


def test_of_a_function_nothing_is_prepared(birds):
    for ask in (data.prepare, data.verify):
        with pytest.raises(errors.ConfigError, match="some_birds:pair names a function: there is nothing to prepare"):
            ask(f"{birds}:pair")
