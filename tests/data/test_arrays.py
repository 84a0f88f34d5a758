"""Arrays of a user's own: converted where they are clear, else refused in one line that says what was found."""

import copy
import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from jaxsoft import data, errors, types
from jaxsoft.data import arrays, normalize

BYTES = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), np.uint8)
BYTES[0, 0, 0] = 0, 128, 255
LABELS = np.arange(12) % 3
NAMES = ("a", "b", "c")


def made(images: Any = BYTES, labels: Any = LABELS, names: Any = NAMES, **changes: Any) -> types.Dataset:
    split = types.Split(images, labels)
    splits: dict[str, Any] = {"train": split, "validation": split, "test": split}
    return types.Dataset("mine", names, **(splits | changes))


def forced(**changes: Any) -> types.Dataset:
    """With parts that the annotations do not allow, which these tests check and a user's Python does not."""
    dataset = made()
    for name, value in changes.items():
        object.__setattr__(dataset, name, value)
    return dataset


def unit(dtype):
    return (BYTES / 255).astype(dtype)


@pytest.mark.parametrize(
    "images, exact",
    [
        (BYTES, True),
        (BYTES.tolist(), True),
        (BYTES.astype(np.int64), True),
        (BYTES.astype(">i2"), True),
        (np.asfortranarray(BYTES), True),
        (np.repeat(BYTES, 2, 1)[:, ::2], True),
        (unit(np.float32), False),
        (unit(np.float64), False),
        (unit(">f8"), False),
        (unit(np.float64).tolist(), False),
        (BYTES.astype(np.uint16) * 257, False),
        ((BYTES.astype(">u2") * 257), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["standardize", "zca", "none"])
def test_whatever_the_type_a_network_sees_the_same_pixels(images, exact, how):
    wanted, found = (arrays.checked(made(given)).train.images for given in (BYTES, images))
    assert found.dtype == (np.uint8 if exact else np.float32)
    normalizers = normalize.fit(how, wanted), normalize.fit(how, found)
    stored = [n.store(i).astype(np.float32) for n, i in zip(normalizers, (wanted, found))]
    seen = [s * n.affine[0] + n.affine[1] for n, s in zip(normalizers, stored)]
    np.testing.assert_allclose(seen[1], seen[0], atol=0 if exact else 1e-4)
    np.testing.assert_allclose(normalizers[1](found), seen[0], atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_one_to_four_channels_and_without_an_axis_of_them(channels):
    images = BYTES[..., [0, 1, 2, 0][:channels]]
    assert arrays.checked(made(images)).image_shape == (5, 6, channels)
    assert arrays.checked(made(BYTES[..., 0])).image_shape == (5, 6, 1)


def test_masks_are_black_and_white():
    masks = BYTES > 100
    assert (arrays.checked(made(masks)).train.images == 255 * masks).all()


def test_a_memory_map_is_read_where_it_lies(tmp_path):
    np.save(tmp_path / "images.npy", BYTES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert np.shares_memory(arrays.checked(made(mapped)).train.images, mapped)


@pytest.mark.parametrize(
    "images, message",
    [
        (BYTES.astype(np.float32), "train images are float32 from 0 to 255; .*if 255 is white: images / 255"),
        (unit(np.float32) * 2 - 1, r"are float32 from -1 to 1; .*: \(images \+ 1\) / 2"),
        (unit(np.float64) - 0.001, r"from -0.001 to 0.999; .*: images.clip\(0, 1\)"),
        (unit(np.float64) * 1.001, r"float64 from 0 to 1.001; .*: images.clip\(0, 1\)"),
        ((BYTES - 120.0) / 60, "give the pixels as they were before any normalization"),
        (unit(np.float32) / 255, "nearly black"),
        (unit(np.float32).astype(np.uint8), "uint8 from 0 to 1; .*nearly black: masks are bool"),
        (np.zeros_like(BYTES), "nearly black"),
        (BYTES.astype(np.uint16), r"uint16 from 0 to 255; .*if these are bytes: images.astype\(np.uint8\)"),
        (BYTES.astype(np.uint16) * 16, r"uint16 from 0 to 4080; .*if these are 12 bits: images / 4095"),
        (BYTES.astype(np.int32) * 257, "int32 from 0 to 65535; wanted uint8, or floats in"),
        (BYTES.astype(np.int64) - 128, "int64 from -128 to 127"),
        (BYTES.astype(np.int8), "int8 from -128 to 127"),
        (
            np.where(BYTES == 255, np.nan, unit(np.float32)),
            "float32 from nan to nan; wanted .*; row 0 is the first with a pixel that is no number$",
        ),
        (np.where(BYTES == 255, np.inf, unit(np.float32)), "float32 from 0 to inf; wanted .*; row 0 is the first"),
        (
            BYTES.reshape(12, -1),
            r"have shape 12x90; wanted \[N, H, W, C\], or \[N, H, W\], or clips \[N, T, H, W, C\]$",
        ),
        (BYTES.transpose(0, 3, 1, 2), r"channels first, shape 12x3x5x6; .*: images.transpose\(0, 2, 3, 1\)"),
        (BYTES[..., :1].transpose(0, 3, 1, 2), "channels first, shape 12x1x5x6"),
        (BYTES[..., [0, 1, 2, 0, 1]], r"have 5 channels, shape 12x5x6x5; wanted \[N, H, W, C\], .* of 1 to 4 channels"),
        (BYTES[..., [0, 1, 2, 0]].transpose(0, 3, 1, 2), "channels first, shape 12x4x5x6"),
        (BYTES[:, :0], "no pixels, shape 12x0x6x3"),
        (BYTES.astype(complex), "complex128"),
        (BYTES.astype(str), r"wanted .*: numbers of one shape$"),
        ([[1, 2], [3]], "mine: train images make no array: "),
        (None, r"train images are of type NoneType; wanted \[N, H, W, C\]"),
        ("x.npy", "train images are of type str; wanted"),
        (np.ma.masked_less(BYTES, 3), r"masked array.*filled\(\)"),
        (BYTES[:7], "train labels have shape 12; wanted one class number for each of the 7 images"),
    ],
)
def test_images_that_could_mean_anything_else_are_refused(images, message):
    with pytest.raises(errors.DataError, match=message) as refused:
        arrays.checked(made(images))
    assert "\n" not in str(refused.value) and str(refused.value).startswith("mine: train ")


@pytest.mark.parametrize("labels", [LABELS.tolist(), LABELS.astype(float), LABELS.astype(">i8"), LABELS.astype("u1")])
def test_whole_numbers_are_labels(labels):
    found = arrays.checked(made(labels=labels)).train.labels
    assert found.dtype == np.int32 and found.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    "labels, message",
    [
        (LABELS + 1, "labels run from 1 to 3, but there are 3 classes: row 2 is 3; wanted 0 to 2: labels - 1"),
        (LABELS - 1, "labels run from -1 to 1, but there are 3 classes: row 0 is -1; wanted 0 to 2$"),
        (LABELS * 2, r"row 2 is 4; wanted 0 to 2: labels = np.unique\(labels, return_inverse=True\)\[1\]$"),
        (LABELS + 0.5, "labels are not whole numbers: row 0 is 0.5"),
        (np.where(LABELS == 1, np.nan, LABELS), "not whole numbers: row 1 is nan"),
        (np.where(LABELS == 1, np.inf, LABELS), "from 0 to inf"),
        (np.full(12, 2**63, np.uint64), "from 9.22337e"),
        (np.eye(3)[LABELS], r"have shape 12x3; .*: labels.argmax\(1\), if these are one-hot"),
        (LABELS[:, None], r"have shape 12x1; .*: labels\[:, 0\]"),
        (LABELS[:5], "have shape 5; wanted one class number for each of the 12 images"),
        (3, "have shape of one number"),
        ([*"abcabcabcabc"], r"labels are str32; .*, counted from 0: names, labels = np.unique\(labels"),
        (np.zeros(12), r"class 1 \(b\) has no train images, of 3 class names"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(labels, message):
    with pytest.raises(errors.DataError, match=message) as refused:
        arrays.checked(made(labels=labels))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"names": "abc"}, "class_names are 'abc'; wanted one name for each class"),
        ({"names": ()}, r"class_names are \(\)"),
        ({"names": (*NAMES, "d")}, r"class 3 \(d\) has no train images, of 4 class names"),
        ({"names": NAMES[:2]}, "from 0 to 2, but there are 2 classes: row 2 is 2"),
        ({"test": types.Split(BYTES[:0], LABELS[:0])}, "mine: the test split is empty"),
        ({"train": types.Split(BYTES[:0], LABELS[:0])}, "mine: the train split is empty"),
        ({"test": types.Split(BYTES[:, 1:], LABELS)}, r"test and train images differ in shape \(4x6x3 and 5x6x3\)"),
        ({"test": types.Split(BYTES / 1.0, LABELS)}, "mine: test images are float64 from 0 to 255"),
    ],
)
def test_splits_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(errors.DataError, match=message):
        arrays.checked(made(**changes))


def test_names_are_shown_escaped():
    with pytest.raises(errors.DataError, match=re.escape(r"m\x1b[2J: train images have shape")):
        arrays.checked(dataclasses.replace(made(BYTES[0, 0]), name="m\x1b[2J"))


def test_only_validation_may_be_empty():
    empty = types.Split(BYTES[:0], LABELS[:0])
    assert len(arrays.checked(made(validation=empty)).validation) == 0


def test_the_fingerprint_is_that_of_the_arrays_whatever_is_given():
    given = dataclasses.replace(made(), fingerprint="0" * 64)
    prints = [arrays.checked(dataset).fingerprint for dataset in (made(), given, made(BYTES.tolist()))]
    assert len(set(prints)) == 1 and len(prints[0]) == 64
    for split in arrays.SPLITS:
        bent = BYTES.copy()
        bent[5, 1, 1, 1] ^= 1
        prints.append(arrays.checked(made(**{split: types.Split(bent, LABELS)})).fingerprint)
        prints.append(arrays.checked(made(**{split: types.Split(BYTES, LABELS[::-1].copy())})).fingerprint)
    assert len(set(prints)) == 7


def test_a_loaded_set_keeps_its_fingerprint_and_a_changed_copy_of_it_does_not():
    digits = data.load("digits", limit=5)
    assert arrays.checked(digits) is digits
    half = types.Split(digits.train.images[:25], digits.train.labels[:25])
    assert arrays.checked(dataclasses.replace(digits, train=half)).fingerprint != digits.fingerprint
    for array in (digits.train.images, digits.train.labels, digits.test.images, digits.validation.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_deep_copy_that_was_changed_is_other_data():
    loaded = data.load("digits", limit=3)
    changed = copy.deepcopy(loaded)
    for split in (changed.train, changed.validation, changed.test):
        split.labels.flags.writeable = True
        split.labels[:] = (split.labels + 1) % 10
    assert arrays.checked(loaded) is loaded
    assert arrays.checked(changed).fingerprint != loaded.fingerprint


@pytest.mark.parametrize(
    "names", [np.array(NAMES), (name for name in NAMES), list(NAMES)], ids=["array", "generator", "list"]
)
def test_class_names_of_any_row_are_names(names):
    assert arrays.checked(forced(class_names=names)).class_names == NAMES


@pytest.mark.parametrize("names", [4, "abc", (), (1, 2, 3)])
def test_class_names_that_are_none_are_refused(names):
    with pytest.raises(errors.DataError, match="class_names are .*; wanted one name for each class"):
        arrays.checked(forced(class_names=names))


@pytest.mark.parametrize("changes", [{"train": (BYTES, LABELS)}, {"validation": None}])
def test_splits_of_another_kind_are_refused(changes):
    with pytest.raises(errors.DataError, match="wanted a jaxsoft.Dataset whose train"):
        arrays.checked(forced(**changes))
