"""One array of numbers in a file: NumPy's own kinds, and lists as text."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxsoft import errors, files
from jaxsoft.config import values
from jaxsoft.data import refusals

KIND = "wanted a .npy file, or an .npz of one array, as numpy.save and numpy.savez write them"
_MOST_TEXT = 2**28  # bytes


def sought(folders: Sequence[Path], file: str, where: str) -> Path:
    """The file of this name in the first folder that has it; a DataError says where it was sought."""
    places = [(folder / values.path(file, where)).absolute() for folder in folders]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        looked = " and ".join(dict.fromkeys(str(place.parent) for place in places))
        raise errors.DataError(f"there is no file {file}; sought in {looked}")
    return path


def read(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The array of a file of NumPy; of an .npz with several all of them, by name."""
    with refusals.naming(f"cannot read {path}", KIND), files.opened(path) as file:
        if not file.peek(4).startswith((b"\x93NUMPY", b"PK")):
            raise errors.DataError(f"{path} is no array; {KIND}")
        found = np.load(file, allow_pickle=False)
        arrays = {"": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def one(path: Path) -> np.ndarray:
    """The array of a file that holds no other."""
    found = read(path)
    if isinstance(found, dict):
        raise errors.DataError(f"{path} holds {len(found)} arrays ({', '.join(found)}); {KIND}")
    return found


def listed(path: Path) -> np.ndarray:
    """As `one`, or of text: .csv with a line for each row and no header, .json with a list or a list of rows."""
    if path.suffix not in (".csv", ".json"):
        return one(path)
    with refusals.naming(f"cannot read {path}", "wanted integers, with commas between them"):
        text = files.read(path, _MOST_TEXT).decode()
        if path.suffix == ".json":
            return np.asarray(json.loads(text))
        return np.loadtxt(text.splitlines(), dtype=np.int64, delimiter=",", ndmin=2)
