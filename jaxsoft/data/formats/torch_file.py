"""Files of `torch.save`, read without torch: numbers as arrays, and nothing that a file names is imported or called.

Since PyTorch 1.6 a file is a zip of a pickle and of one entry for each storage; before, it was five pickles and then the
storages. A tensor is a view of a storage: offset, shape and strides, all checked before a storage is read.

Reference: "Serialized file format for torch.save", docs/source/notes/serialization.rst of PyTorch.
"""

import io
import math
import os
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxsoft.data.formats import archive, pickled

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file of PyTorch since 1.6 begins, and one of before."""
BFLOAT16 = "bfloat16"
"""The type that NumPy does not have; of others their NumPy names are used."""

_PICKLE_BYTES = 1 << 24  # about a hundred bytes for each tensor
_MOST_DIMENSIONS = 32
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def itemsize(kind: str) -> int:
    """Bytes of one number of a type."""
    return 2 if kind == BFLOAT16 else np.dtype(kind).itemsize


def numbers(kind: str, content: bytes) -> np.ndarray:
    """The numbers that bytes are; bfloat16 as float32, of which it is the upper half."""
    if kind == BFLOAT16:
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(content, kind)


class _Storage(pickled.Made):
    """Numbers of one type, which tensors are views of, once they are read."""

    def __init__(self, kind: str, count: int):
        self.kind, self.count, self.bytes = kind, count, count * itemsize(kind)
        self.content = numbers(kind, b"")


class _Tensor(pickled.Made):
    """A view of a storage, refused unless it lies in it."""

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any):
        whole = isinstance(storage, _Storage) and type(shape) is type(strides) is tuple
        if not whole or not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
            raise ValueError("it holds a tensor of impossible offset, shape or strides")
        if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"it holds a tensor of {len(shape)} dimensions and {len(strides)} strides")
        count, last = math.prod(shape), offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
        if count and (count > storage.count or last >= storage.count):
            raise ValueError(f"it holds a tensor of {count:,} numbers that reaches beyond its {storage.count:,}")
        self._storage, self._offset, self._shape, self._strides = storage, offset, shape, strides

    def value(self) -> np.ndarray:
        """A view, so that it takes no memory of its own."""
        if 0 in self._shape:
            return np.zeros(self._shape, self._storage.content.dtype)
        seen = self._storage.content[self._offset :]
        strides = [stride * seen.itemsize for stride in self._strides]
        return np.lib.stride_tricks.as_strided(seen, self._shape, strides, writeable=False)


class _Skipped(pickled.Made):
    """The arguments of a script, which some keep beside a network: they are None here."""

    def value(self) -> None:
        return None


class _Ordered(pickled.Dict, pickled.Made):
    def __init__(self, pairs: Any = ()):
        for key, value in pairs:
            self[key] = value

    def build(self, state: Any) -> None:
        """The versions of modules, which a state_dict carries as an attribute, are not kept."""
        if type(state) is not pickled.Dict or state.keys() != {"_metadata"}:
            raise ValueError("it would set attributes, which is refused")


class _Reader(pickled.Reader):
    """Carries out what builds tensors too; `storages` by key."""

    calls = pickled.Reader.calls | {
        **{f"torch.{name}": None for name in _STORAGES},
        "torch._utils._rebuild_tensor": _Tensor,
        "torch._utils._rebuild_tensor_v2": _Tensor,
        "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
        "torch.Size": tuple,
        "collections.OrderedDict": _Ordered,
        "argparse.Namespace": _Skipped,
    }

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:
        """The name itself."""
        if module_name.split(".")[:2] == ["torch", "nn"]:
            told = f"it holds a whole model ({module_name}.{global_name}), which only its own code can build"
            raise ValueError(f"{told}; save model.state_dict() instead")
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a tensor is a view of."""
        match pid:
            case ("storage", pickled.Named() as named, str(key), str(), int(count), *views) if count >= 0:
                known = _STORAGES.get(named.removeprefix("torch."))
                if known and key.isascii() and key.isdecimal() and views in ([], [None]):
                    found = self.storages.setdefault(key, _Storage(known, count))
                    if (found.kind, found.count) == (known, count):
                        return found
        raise ValueError("it refers to a storage as no file of PyTorch does")

    def _newobj(self) -> None:
        given, named = self.stack.pop(), self.stack.pop()
        if type(named) is not pickled.Named:
            raise ValueError("it is damaged")
        self.append(named(*given))

    dispatch = pickled.carrying_out("BINFLOAT", "BINPERSID") | {pickle.NEWOBJ[0]: _newobj}


def read_zip(path: Path) -> Any:
    """The plain value of a file of PyTorch 1.6 or later; ValueError or DataError if it is damaged, or more than plain."""
    entries = archive.zipped(path)
    tops = [name.removesuffix("data.pkl") for name in entries.sizes if name.split("/")[1:] == ["data.pkl"]]
    if len(tops) != 1:
        raise ValueError(f"it is a zip with {len(tops)} data.pkl; wanted one, as PyTorch writes it")
    (top,) = tops
    if entries.sizes.get(f"{top}byteorder", 6) != 6 or entries.sizes[f"{top}data.pkl"] > _PICKLE_BYTES:
        raise ValueError("it was written on a machine of another byte order, or its data.pkl is implausibly large")
    data = entries.read(f"{top}data.pkl")
    with pickled.refusing():
        reader = _Reader(io.BytesIO(data))
        built = reader.load()
    for key, storage in reader.storages.items():
        if (size := entries.sizes.get(name := f"{top}data/{key}", 0)) != storage.bytes:
            raise ValueError(f"{name} has {size:,} bytes; its tensors want {storage.bytes:,}")
        storage.content = numbers(storage.kind, entries.read(name)) if size else storage.content
    with pickled.refusing():
        return pickled.unfolded(built, len(data))


def read_legacy(file: IO[bytes]) -> Any:
    """The plain value of a file of an earlier PyTorch; ValueError if it is damaged, or more than plain."""
    head = io.BytesIO(file.read(_PICKLE_BYTES))
    with pickled.refusing():
        _, version, system = (pickled.unfolded(_Reader(head).load(), 1_000) for _ in range(3))
        if version != 1001 or system.get("little_endian") is not True:
            raise ValueError("it is of a version or a machine that is not known")
        reader = _Reader(head)
        built, keys = reader.load(), _Reader(head).load()
    if type(keys) is not list or {*keys} != {*reader.storages}:
        raise ValueError("its storages are not those of its tensors")
    file.seek(head.tell())
    for key in keys:
        storage = reader.storages[key]
        if (count := int.from_bytes(file.read(8), "little")) != storage.count:
            raise ValueError(f"storage {key} has {count:,} numbers; its tensors want {storage.count:,}")
        if storage.bytes > os.fstat(file.fileno()).st_size - file.tell():
            raise ValueError("it is cut short")
        storage.content = numbers(storage.kind, file.read(storage.bytes))
    with pickled.refusing():
        return pickled.unfolded(built, head.tell())
