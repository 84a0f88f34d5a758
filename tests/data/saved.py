"""Files as PyTorch and safetensors write them, and as nobody should, made up by the tests opcode by opcode."""

import io
import json
import struct
import zipfile
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class Raw(bytes):
    """Instructions of a pickle, as they are."""


class Tensor(NamedTuple):
    """A call that rebuilds a tensor."""

    key: str
    count: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    storage: str = "FloatStorage"
    location: str = "cpu"


def emitted(value: Any) -> bytes:
    """The instructions that build a value."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, Tensor):
        views = () if value.key in "0123456789" else (None,)  # the earlier format has one entry more
        kind = Raw(b"ctorch\n" + value.storage.encode() + b"\n")
        pid = emitted(("storage", kind, value.key, value.location, value.count, *views))
        rest = emitted((value.offset, value.shape, value.strides, False, Raw(b"ccollections\nOrderedDict\n)R")))
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"Q" + rest[1:-1] + b"tR"
    if isinstance(value, dict):
        return b"}(" + b"".join(emitted(key) + emitted(each) for key, each in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(emitted, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(emitted, value)) + b"t"
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def program(value: Any) -> bytes:
    """A pickle of a value."""
    return b"\x80\x02" + emitted(value) + b"."


def zipped(
    value: Any, more: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED, **storages: Any
) -> bytes:
    """A file of PyTorch since 1.6; storages as `s0=array`; `more` entries by their whole name."""
    parts = {"t/data.pkl": program(value), "t/byteorder": b"little"}
    parts |= {f"t/data/{key[1:]}": np.asarray(array).tobytes() for key, array in storages.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as pack:
        for name, content in (parts | (more or {})).items():
            pack.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def legacy(value: Any, storages: dict[str, np.ndarray], counts: dict[str, int] | None = None) -> bytes:
    """A file of PyTorch before 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = MAGIC + program(1001) + program(system) + program(value) + program([*storages])
    sizes = {key: array.size for key, array in storages.items()} | (counts or {})
    return head + b"".join(struct.pack("<q", sizes[key]) + array.tobytes() for key, array in storages.items())


def safetensors(header: Any, numbers: bytes = b"") -> bytes:
    """A file of safetensors; the header as JSON, or as bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def whole(value: Any) -> bytes:
    """A file of PyTorch since 1.6 of nested values, arrays in them as tensors with a storage each."""
    arrays: list[np.ndarray] = []
    return zipped(_with_tensors(value, arrays), **{f"s{i}": array for i, array in enumerate(arrays)})


def _with_tensors(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        strides = tuple(stride // array.itemsize for stride in array.strides)
        kind = {"f4": "Float", "f8": "Double", "i8": "Long", "i4": "Int", "u1": "Byte"}[array.dtype.str[1:]]
        arrays.append(array)
        return Tensor(str(len(arrays) - 1), array.size, value.shape, strides[: value.ndim], 0, f"{kind}Storage")
    if isinstance(value, dict):
        return {key: _with_tensors(each, arrays) for key, each in value.items()}
    return type(value)(_with_tensors(each, arrays) for each in value) if isinstance(value, (list, tuple)) else value
