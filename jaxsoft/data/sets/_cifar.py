"""What CIFAR-10 and CIFAR-100 share: records of 32x32 pixels with labels before them, in binary files or in pickles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import archive, pickled
from jaxsoft.data.sets import tfds

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
LICENCE = "none stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
SIDE = 32

_PIXELS = 3 * SIDE * SIDE


class Form(NamedTuple):
    """One form in which a set is published.

    `names` is the file that names the classes, `train` and `test` are those of the records. These have `label_bytes`, of
    which the last is the class; or they are pickles, and `keys` are the entries of class numbers and of class names.
    """

    folder: str
    packed: str
    names: str
    train: Sequence[str]
    test: str
    label_bytes: int = 0
    keys: tuple[str, ...] = ()


def find(where: Path, forms: Sequence[Form], name: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    published = (archive.locate(where, form.folder, form.packed) for form in forms)
    return next(filter(None, published), None) or tfds.find(where, name)


def read(found: Path, forms: Sequence[Form], classes: int, counts: tuple[int, int]) -> raw.Raw:
    """The set as one of its forms holds it; `counts` are the records of a train file and of the test file."""
    if tfds.is_prepared(found):
        return tfds.read(found, None)
    form = next(form for form in forms if found.name in (form.folder, form.packed))
    files = archive.files(found, form.folder)
    class_names, records = (_pickled_names, _pickled_records) if form.keys else (_names, _records)
    names = class_names(files, form, classes)
    train = np.concatenate([records(files, name, counts[0], form) for name in form.train])
    return raw.Raw(names, _part(train), _part(records(files, form.test, counts[1], form)), SOURCE, LICENCE)


def _names(files: archive.Files, form: Form, count: int) -> tuple[str, ...]:
    """The class names, one a line."""
    found = tuple(files.read(form.names).decode(errors="replace").split())
    if len(found) != count:
        raise errors.DataError(f"{files.path}: {form.names} names {len(found)} classes instead of {count}")
    return found


def _records(files: archive.Files, name: str, count: int, form: Form) -> UInt8[np.ndarray, "N R"]:
    """The records of one binary file: label bytes, then the pixels, colour by colour."""
    data, size = files.read(name), form.label_bytes + _PIXELS
    if len(data) != count * size:
        raise errors.DataError(f"{files.path}: {name} has {len(data):,} bytes instead of {count * size:,}")
    return np.frombuffer(data, np.uint8).reshape(count, size)


def _pickled_names(files: archive.Files, form: Form, count: int) -> tuple[str, ...]:
    key = form.keys[1]
    found = _unpickled(files, form.names).get(key)
    if type(found) is not list or len(found) != count or not all(type(word) in (str, bytes) for word in found):
        raise errors.DataError(f"{files.path}: {form.names} does not name {count} classes as {key}")
    return tuple(map(_text, found))


def _pickled_records(files: archive.Files, name: str, count: int, form: Form) -> UInt8[np.ndarray, "N R"]:
    """The records of one pickle, as the binary form has them with one label byte."""
    content, key = _unpickled(files, name), form.keys[0]
    labels, pixels = content.get(key), content.get("data", np.zeros(0))
    if pixels.shape != (count, _PIXELS) or pixels.dtype != np.uint8:
        told = f"{name} has pixels {pixels.dtype} {pixels.shape} instead of {count} images"
        raise errors.DataError(f"{files.path}: {told}")
    if type(labels) is not list or len(labels) != count or not all(type(k) is int and 0 <= k < 256 for k in labels):
        raise errors.DataError(f"{files.path}: {name} does not hold {count} class numbers as {key}")
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1)


def _unpickled(files: archive.Files, name: str) -> dict[str, Any]:
    """What a pickle holds, `data` as an array."""
    try:
        found = pickled.load(files.read(name))
        if not isinstance(found, dict):
            raise ValueError("it holds no dictionary")
        content = {_text(key): value for key, value in found.items()}
        return {key: pickled.array(value) if key == "data" else value for key, value in content.items()}
    except ValueError as problem:
        raise refusals.unreadable(f"{files.path}: {name} cannot be read", problem) from None


def _text(word: str | bytes) -> str:
    return word.decode("latin-1") if type(word) is bytes else str(word)


def _part(records: UInt8[np.ndarray, "N R"]) -> raw.Part:
    pixels = records[:, -_PIXELS:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return raw.Part(records[:, -_PIXELS - 1].astype(np.int32), range(len(records)), pixels.__getitem__)
