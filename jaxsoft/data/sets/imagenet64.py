"""ImageNet at 64 pixels (Chrabaszcz et al., 2017): the published batches, `train_data_batch_1.npz` to `_10` and `val_data.npz`.

Rows are red, green and blue planes of 64 x 64 bytes; labels count from 1, in the order of `map_clsloc.txt`.
"""

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from jaxsoft import errors, files
from jaxsoft.data import raw, refusals
from jaxsoft.data.sets import Published

SOURCE = "https://image-net.org/download-images (downsampled, npz format)"
LICENCE = "non-commercial research (terms of ImageNet)"
FILES = "train_data_batch_1.npz to train_data_batch_10.npz and val_data.npz, in one folder or below it"

_SHAPE = 3, 64, 64
_READ = 1 << 24  # bytes at a time


def find(where: Path, argument: str) -> Path | None:
    """The folder that holds the batches, or folders of them."""
    folders = where, where / "imagenet64", where / "Imagenet64"
    return next((path for path in folders if _batches(path, "train_data_batch_*") and _batches(path, "val_data")), None)


def read(found: Path, resize: int | None) -> raw.Raw:
    """All train batches, in the order of their numbers, and the validation images as test."""
    paths = sorted(_batches(found, "train_data_batch_*"), key=lambda path: (len(path.name), path.name))
    train, test = _part(paths), _part(_batches(found, "val_data")[:1])
    names = list(map(str, range(1, int(train.labels.max()) + 2)))
    if (told := found / "map_clsloc.txt").is_file():  # lines such as: n02119789 1 kit_fox
        with refusals.naming(f"{told} cannot be read"):
            for _, number, name in map(str.split, files.read(told, 1 << 20).decode().splitlines()):
                names[int(number) - 1 : int(number)] = [name.replace("_", " ")]
    return raw.Raw(tuple(names), train, test, SOURCE, LICENCE)


def _batches(folder: Path, name: str) -> list[Path]:
    return sorted([*folder.glob(f"{name}.npz"), *folder.glob(f"*/{name}.npz")])


def _part(paths: Sequence[Path]) -> raw.Part:
    """The images of batches, one after the other; none of them is read before it is asked for."""
    batches = [_batch(path) for path in paths]
    starts = np.cumsum([0, *(len(labels) for _, labels in batches)])

    def image(i: int) -> UInt8[np.ndarray, "H W C"]:
        at = int(np.searchsorted(starts, i, side="right")) - 1
        return np.ascontiguousarray(batches[at][0][i - starts[at]].reshape(_SHAPE).transpose(1, 2, 0))

    labels = np.concatenate([labels for _, labels in batches])
    return raw.Part(labels, range(len(labels)), image)


def _batch(path: Path) -> tuple[UInt8[np.ndarray, "n D"], Int32[np.ndarray, "n"]]:
    """Rows of pixels, mapped, and classes from 0 of one file."""
    with refusals.naming(f"{path} cannot be read as a batch of ImageNet64"):
        with np.load(path, allow_pickle=False) as found:
            labels = found["labels"].ravel().astype(np.int64) - 1
        rows = _mapped(path)
        if rows.dtype != np.uint8 or rows.shape != (len(labels), int(np.prod(_SHAPE))):
            raise ValueError(f"its data are {rows.dtype} of shape {refusals.size(rows.shape)}")
        if len(labels) and labels.min() < 0:
            raise errors.DataError(
                errors.shown(f"{path}: labels run from {labels.min() + 1}; published ones count from 1")
            )
    return rows, labels.astype(np.int32)


def _mapped(path: Path) -> np.ndarray:
    """The array `data` of a batch, which is unpacked once into a file without a name: memory stays free."""
    with zipfile.ZipFile(path) as archive, archive.open("data.npy") as packed:
        np.lib.format.read_magic(packed)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(packed)
        if by_columns or dtype.hasobject:
            raise ValueError("its data are not rows of bytes")
        with tempfile.TemporaryFile(dir=path.parent) as file:
            while piece := packed.read(_READ):
                file.write(piece)
            return np.memmap(file, dtype, "r", 0, shape)


TITLE, COUNTS = "1.28 million photographs, 64x64, 1,000 classes", (1000, 1281, 50)
SETS = {"imagenet64": Published(TITLE, SOURCE, FILES, 64, find, read, counts=COUNTS)}
