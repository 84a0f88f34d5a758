"""ImageNet at 64 pixels (Chrabaszcz et al., 2017): the published batches, `train_data_batch_1` to `_10` and `val_data`.

They are arrays of NumPy, or pickles, which are in memory together: 16 GB. Rows are red, green and blue planes of 64 x 64
bytes; labels count from 1, in the order of `map_clsloc.txt`.
"""

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from jaxsoft import files
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import pickled
from jaxsoft.data.sets import Published

SOURCE = "https://image-net.org/download-images (downsampled, npz format)"
LICENCE = "non-commercial research (terms of ImageNet)"
FILES = "train_data_batch_1 to train_data_batch_10 and val_data, pickles or .npz, in one folder or below it"

CLASSES = 1000
_SHAPE = 3, 64, 64
_MOST_BYTES = 1 << 31  # of one file; the published ones have 1.6 billion
_READ = 1 << 24  # bytes at a time


def find(where: Path, argument: str) -> Path | None:
    """The folder that holds the batches, or folders of them."""
    return next((path for path in (where, where / "imagenet64") if _file(path, "train_data_batch_1").is_file()), None)


def read(found: Path, resize: int | None) -> raw.Raw:
    """All train batches, in the order of their numbers, and the validation images as test."""
    train = _part([_file(found, f"train_data_batch_{i}") for i in range(1, 11)])
    test = _part([_file(found, "val_data")])
    names = [f"class {k}" for k in range(1, CLASSES + 1)]
    if (told := found / "map_clsloc.txt").is_file():  # lines such as: n02119789 1 kit_fox
        with refusals.naming(f"{told} cannot be read"):
            for _, number, name in map(str.split, files.read(told, 1 << 20).decode().splitlines()):
                names[int(number) - 1 : int(number)] = [name.replace("_", " ")]
    return raw.Raw(tuple(names), train, test, SOURCE, LICENCE)


def _file(folder: Path, name: str) -> Path:
    """The file of a batch, of either form, in a folder or one below it; one that is not there is refused as it is read."""
    paths = (place for form in (".npz", "") for place in (folder / f"{name}{form}", *folder.glob(f"*/{name}{form}")))
    return next((path for path in paths if path.is_file()), folder / f"{name}.npz")


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
    """Rows of pixels, and classes from 0, of one file; DataError if it does not hold such."""
    with refusals.naming(f"{path} cannot be read"):
        rows, labels = _mapped(path) if path.suffix == ".npz" else _unpickled(path)
        if rows.dtype != np.uint8 or rows.shape != (len(labels), int(np.prod(_SHAPE))):
            raise ValueError(f"it has pixels {rows.dtype} {rows.shape} of {len(labels)} labels")
        if labels.dtype.kind not in "iu" or labels.min() < 1 or labels.max() > CLASSES:
            raise ValueError(f"it has labels other than whole numbers from 1 to {CLASSES}")
    return rows, labels.astype(np.int32) - 1


def _unpickled(path: Path) -> tuple[np.ndarray, np.ndarray]:
    held = pickled.load(files.read(path, _MOST_BYTES))
    return np.asarray(held["data"]), np.asarray(held["labels"])


def _mapped(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of arrays; the pixels are unpacked once into a file without a name, so that memory stays free."""
    with np.load(path, allow_pickle=False) as found:
        labels = found["labels"]
    with zipfile.ZipFile(path) as archive, archive.open("data.npy") as packed:
        np.lib.format.read_magic(packed)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(packed)
        if by_columns or dtype.hasobject:
            raise ValueError("its data are not rows of bytes")
        with tempfile.TemporaryFile(dir=path.parent) as file:
            while piece := packed.read(_READ):
                file.write(piece)
            return np.memmap(file, dtype, "r", 0, shape), labels


TITLE, COUNTS = "1.28 million photographs, 64x64, 1,000 classes", (CLASSES, 1281, 50)
SETS = {"imagenet64": Published(TITLE, SOURCE, FILES, 64, find, read, counts=COUNTS)}
