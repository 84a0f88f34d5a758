"""ImageNet-1K: the photographs as everybody keeps them, a folder a class, and downsampled to 64 pixels, as published.

Their test images have no labels, so `val` is the test split. Of the photographs classes are WordNet numbers in sorted
order; the downsampled ones count their classes from 1, in an order of their own, and name none.

Reference: Russakovsky et al. (2015), "ImageNet Large Scale Visual Recognition Challenge"; Chrabaszcz et al. (2017), "A
Downsampled Variant of ImageNet as an Alternative to the CIFAR datasets".
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from jaxsoft import files
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import pickled
from jaxsoft.data.sets import Published, image_folder

CLASSES = 1000
SOURCE = "https://image-net.org/download"
LICENCE = "non-commercial research (terms of ImageNet)"
TRAIN, TEST = [f"train_data_batch_{i}" for i in range(1, 11)], ["val_data"]
_SIDE = 64
_MOST_BYTES = 1 << 31  # of one file; the published ones have 1.6 billion


class _Batch(NamedTuple):
    """The images of one file: their classes, and pixels colour by colour."""

    labels: Int32[np.ndarray, "n"]
    pixels: UInt8[np.ndarray, "n P"]


def find(where: Path, argument: str) -> Path | None:
    """The folder itself, or one below it called imagenet, that holds train/ and val/."""
    return next((p for p in (where, where / "imagenet") if (p / "train").is_dir() and (p / "val").is_dir()), None)


def find_small(where: Path, argument: str) -> Path | None:
    """The folder itself, or one below it called imagenet64, that holds the first file of train images."""
    return next((p for p in (where, where / "imagenet64") if _path(p, TRAIN[0]).exists()), None)


def read_small(found: Path, resize: int | None) -> raw.Raw:
    """Ten files of train images and one of test images, which are in memory together: 16 GB."""
    train, test = (_part([_batch(_path(found, name)) for name in names]) for names in (TRAIN, TEST))
    return raw.Raw(tuple(f"class {k}" for k in range(1, CLASSES + 1)), train, test, SOURCE, LICENCE)


def _path(folder: Path, name: str) -> Path:
    """A file as it is published, a pickle or arrays of NumPy."""
    return folder / f"{name}.npz" if (folder / f"{name}.npz").exists() else folder / name


def _batch(path: Path) -> _Batch:
    """The images of a file; DataError if it does not hold such."""
    with refusals.naming(f"{path} cannot be read"):
        content = files.read(path, _MOST_BYTES)
        held = np.load(io.BytesIO(content)) if path.suffix == ".npz" else pickled.load(content)
        pixels, labels = (np.asarray(held[key]) for key in ("data", "labels"))
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * _SIDE**2):
            raise ValueError(f"it has pixels {pixels.dtype} {pixels.shape} of {len(labels)} labels")
        if labels.dtype.kind not in "iu" or labels.min() < 1 or labels.max() > CLASSES:
            raise ValueError(f"it has labels other than whole numbers from 1 to {CLASSES}")
    return _Batch(labels.astype(np.int32) - 1, pixels)


def _part(batches: Sequence[_Batch]) -> raw.Part:
    """Images by their numbers through all files, which no array holds together."""
    starts = np.cumsum([0, *(len(batch.labels) for batch in batches)])

    def image(number: int) -> UInt8[np.ndarray, "H W 3"]:
        batch = int(np.searchsorted(starts, number, side="right")) - 1
        pixels = batches[batch].pixels[number - starts[batch]]
        return pixels.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)

    return raw.Part(np.concatenate([batch.labels for batch in batches]), range(int(starts[-1])), image)


_PHOTOGRAPHS = "its folder, with train/ and val/ that hold a folder for each class"
_SMALL = f"imagenet64/ with {TRAIN[0]} to {TRAIN[-1]} and {TEST[0]}, pickles or .npz"
_COUNTS = CLASSES, 1281, 50
SETS = {
    "imagenet": image_folder.SETS["image_folder"]._replace(
        title="1.3 million photographs, 1,000 classes", source=SOURCE, files=_PHOTOGRAPHS, find=find, counts=_COUNTS
    ),
    "imagenet64": Published(
        "1.3 million photographs, 64x64, 1,000 classes", SOURCE, _SMALL, _SIDE, find_small, read_small, counts=_COUNTS
    ),
}
