"""A user's own arrays at the door: what is clear is converted, what is not is refused in one line.

    uint8             as it is
    bool              black and white
    uint16            0 to 65,535, if half of that is reached
    other integers    0 to 255
    floats            in [0, 1]; they stay floats

Images are [N, H, W, C] or [N, H, W], clips [N, T, H, W, C]; axes in another order are refused where sizes tell.
Nothing else could be meant by these, unless no pixel is brighter than 1/255: that is refused too, and so are fewer bits
than 16 in uint16, as cameras give them.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32, Shaped

from jaxsoft import errors, files
from jaxsoft.data import refusals
from jaxsoft.data.encoded import Encoded
from jaxsoft.types import Dataset, Split

SPLITS = ("train", "validation", "test")
_CHANNELS = 4  # at most
_WANTED = "wanted [N, H, W, C], or [N, H, W]"
_HALF = 1 << 15  # of the range of uint16
_BLACK = 1.5 / 255  # what is nowhere brighter than the darkest byte but 0


def vouched(dataset: Dataset) -> Dataset:
    """The dataset, marked as one whose arrays are sound and whose fingerprint is theirs."""
    object.__setattr__(dataset, "sound", True)  # the class is frozen, and `replace` must not copy the mark
    return dataset


def checked(dataset: Dataset) -> Dataset:
    """A dataset as the package works on it: arrays of the right types, and a fingerprint that is theirs.

    Args:
      dataset: from `load`, which is returned as it is, or of your own arrays; only its validation split may be empty.

    Raises:
      DataError: names the split, what was found in it, and how to convert it if that is known.
    """
    given: dict[str, Any] = {name: getattr(dataset, name, None) for name in SPLITS}
    if not isinstance(dataset, Dataset) or not all(isinstance(part, Split) for part in given.values()):
        raise errors.DataError(
            "wanted a jaxsoft.Dataset whose train, validation and test are each a jaxsoft.Split(images, labels)"
        )
    arrays = [array for part in given.values() for array in (part.images, part.labels)]
    if dataset.sound and not any(array.flags.writeable for array in arrays):  # a deep copy may have been changed
        return dataset
    who = errors.shown(str(dataset.name))
    names = class_names(dataset.class_names, who)
    splits = {name: split(part, names, f"{who}: {name}") for name, part in given.items()}
    for name, part in splits.items():
        if len(part) == 0 and name != "validation":
            raise errors.DataError(f"{who}: the {name} split is empty")
        shape, wanted = (refusals.size(one.images.shape[1:]) for one in (part, splits["train"]))
        if shape != wanted:
            raise errors.DataError(f"{who}: {name} and train images differ in shape ({shape} and {wanted})")
    refusals.check_classes(splits["train"].labels, names, who)
    return vouched(dataclasses.replace(dataset, class_names=names, fingerprint=_fingerprint(splits), **splits))


def class_names(listed: Any, who: str) -> tuple[str, ...]:
    """The names of classes 0, 1, ...; DataError if they are none."""
    names = () if isinstance(listed, str) or not hasattr(listed, "__iter__") else tuple(listed)
    if not names or not all(isinstance(name, str) for name in names):
        told = errors.shown(f"{listed!r:.100}")
        raise errors.DataError(f"{who}: class_names are {told}; wanted one name for each class")
    return tuple(map(str, names))


def split(given: Split, names: Sequence[str], what: str) -> Split:
    """Images and labels as the package works on them; DataError names `what`, and the first row that is wrong."""
    images = _pixels(given.images, f"{what} images")
    return Split(images, labels(given.labels, f"{what} labels", len(images), len(names)))


def images(given: Any, what: str, shape: tuple[int, ...] | None = None) -> Shaped[np.ndarray, "N *S C"]:
    """As the package works on them; DataError if it is not clear what they are, or if one has not the shape that is given."""
    found = _pixels(given, what)
    if shape is not None and found.shape[1:] != shape:
        sizes = (refusals.size(one) for one in (found.shape[1:], shape))
        raise errors.DataError("{} are {}; wanted {}".format(what, *sizes))
    return found


def _pixels(images: Any, what: str) -> Any:
    """Images as uint8, or float32 in [0, 1]; DataError if it is not clear what they are."""
    if isinstance(images, Encoded):
        return images
    array = array_of(images, what)
    if array.dtype.kind not in "biuf":
        shape = refusals.size(array.shape)
        found = f"{array.dtype.name}, shape {shape}" if array.ndim else f"of type {type(images).__name__}"
        raise errors.DataError(f"{what} are {found}; {_WANTED}: numbers of one shape")
    array = array[..., None] if array.ndim == 3 else array
    if ill := _ill_shaped(array.shape):
        raise errors.DataError(f"{what} have {ill}")
    if array.size == 0:
        return np.zeros(array.shape, np.uint8)
    low, high = array.min(), array.max()
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if (kind, size) == ("u", 2) and high >= _HALF:
        return array.astype(np.float32) / np.float32(65535)
    if kind in "iu" and 0 <= low and 1 < high <= 255 and (kind, size) != ("u", 2):
        return array.astype(np.uint8, copy=False)
    if kind == "f" and 0 <= low and _BLACK < high <= 1:
        return array.astype(np.float32, copy=False)
    advice = _advice(kind, float(low), float(high)) if np.isfinite([low, high]).all() else _not_finite(array)
    found = f"{what} are {array.dtype.name} from {low:.6g} to {high:.6g}"
    raise errors.DataError(f"{found}; wanted uint8, or floats in [0, 1]{advice}")


def _ill_shaped(shape: tuple[int, ...]) -> str:
    """What is wrong with the axes of images or clips, and how they are put right if that is known; "" if nothing is."""
    axes, size = len(shape), refusals.size(shape)
    if axes not in (4, 5):
        return f"shape {size}; {_WANTED}, or clips [N, T, H, W, C]"
    wanted = _WANTED if axes == 4 else "wanted [N, T, H, W, C]"
    for axis in range(axes - 3, 0, -1):  # PyTorch has them before the sides, or before time
        if shape[axis] <= _CHANNELS < min(shape[-2:]):
            return f"their channels first, shape {size}; {wanted}: {_moved(axes, axis, axes - 1)}"
    if shape[-1] > _CHANNELS:
        clips = "; of grey clips [N, T, H, W]: images[..., None]" if axes == 4 and min(shape[1:]) > _CHANNELS else ""
        return f"{shape[-1]} channels, shape {size}; {wanted}, of 1 to {_CHANNELS} channels{clips}"
    if axes == 5 and shape[1] == shape[2] > shape[3]:
        return f"their time after their sides, shape {size}; {wanted}: {_moved(axes, 3, 1)}"
    return f"no pixels, shape {size}" if shape[0] and 0 in shape else ""


def _moved(axes: int, axis: int, to: int) -> str:
    order = [*range(axes)]
    order.insert(to, order.pop(axis))
    return f"images.transpose{tuple(order)}"


def _advice(kind: str, low: float, high: float) -> str:
    """How to convert images of this range, if it tells what they are."""
    bits = int(high).bit_length()
    of_255 = "; if 255 is white: images / 255" if kind == "f" else "; if these are bytes: images.astype(np.uint8)"
    black = "; these are nearly black: masks are bool, and what was divided by 255 once is not divided again"
    rules = (
        (low >= 0 and high <= (_BLACK if kind == "f" else 1), black),
        (low >= -0.01 and high <= 1.01, ": images.clip(0, 1)"),
        (low >= -1.01 and high <= 1.01, "; if -1 is black and 1 is white: (images + 1) / 2"),
        (low >= 0 and high <= 255, of_255),
        (low < 0, "; give the pixels as they were before any normalization"),
        (kind == "u" and high < _HALF, f"; if these are {bits} bits: images / {2**bits - 1}"),
    )
    return next((advice for fits, advice in rules if fits), "")


def _not_finite(images: np.ndarray) -> str:
    row = int(np.argmin(np.isfinite(images).all(axis=tuple(range(1, images.ndim)))))
    return f"; row {row} is the first with a pixel that is no number"


def labels(labels: Any, what: str, count: int, num_classes: int) -> Int32[np.ndarray, "N"]:
    """Class numbers as int32; whole floats are numbers too."""
    array = array_of(labels, what)
    array = array.astype(np.int32) if array.dtype.kind == "b" else array
    wanted = f"wanted one class number for each of the {count} images"
    if array.shape != (count,):
        by_columns = array.ndim == 2 and len(array) == count
        way = "labels[:, 0]" if array.shape[1:] == (1,) else "labels.argmax(1), if these are one-hot"
        shape = refusals.size(array.shape) or "of one number"
        raise errors.DataError(f"{what} have shape {shape}; {wanted}" + f": {way}" * by_columns)
    if count == 0:
        return np.zeros(0, np.int32)
    if array.dtype.kind not in "iuf":
        way = ": names, labels = np.unique(labels, return_inverse=True)" * (array.dtype.kind in "US")
        raise errors.DataError(f"{what} are {array.dtype.name}; {wanted}, counted from 0{way}")
    if array.dtype.kind == "f" and (broken := array != np.floor(array)).any():
        raise errors.DataError(f"{what} are not whole numbers: {_first(array, broken)}; {wanted}")
    low, high = array.min(), array.max()
    if low < 0 or high >= num_classes:
        by_rank = ": labels = np.unique(labels, return_inverse=True)[1]"
        hint = by_rank if low >= 0 and len(np.unique(array)) == num_classes else ""
        hint = ": labels - 1" if (low, high) == (1, num_classes) else hint
        found = f"{what} run from {low:.6g} to {high:.6g}, but there are {num_classes} classes"
        beyond = _first(array, (array < 0) | (array >= num_classes))
        raise errors.DataError(f"{found}: {beyond}; wanted 0 to {num_classes - 1}{hint}")
    return array.astype(np.int32, copy=False)


def _first(labels: np.ndarray, wrong: np.ndarray) -> str:
    row = int(np.argmax(wrong))
    return f"row {row} is {labels[row]:.6g}"


def array_of(values: Any, what: str) -> np.ndarray:
    """An array of numbers of any kind, in this machine's byte order."""
    if isinstance(values, np.ma.MaskedArray):
        raise errors.DataError(f"{what} are a masked array; what is masked would be read: use its filled() form")
    with refusals.naming(f"{what} make no array"):  # lists of unequal length, and tensors of other libraries
        array = np.asarray(values)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _fingerprint(splits: dict[str, Split]) -> str:
    """SHA-256 over types, shapes and contents of all arrays."""

    def parts() -> Iterator[str | memoryview]:
        for array in (array for split in splits.values() for array in (split.images, split.labels)):
            yield f"{array.dtype.str} {array.shape}"
            if isinstance(array, Encoded):
                yield array.digest
                continue
            yield from (np.ascontiguousarray(row).data for row in array)

    return files.digest(parts())
