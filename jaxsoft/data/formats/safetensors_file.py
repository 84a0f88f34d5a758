"""Files of safetensors, every claim of their header checked before a number is read.

Reference: "Format", README of huggingface/safetensors: eight bytes of length, a header in JSON, the numbers without holes.
"""

import json
import math
import os
from typing import IO, Any

import numpy as np

from jaxsoft.data.formats import torch_file

_HEADER_BYTES = 1 << 24
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": torch_file.BFLOAT16, "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip


def read(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Its arrays by name, bfloat16 as float32; ValueError if it is damaged."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(_HEADER_BYTES, size - 8):
        raise ValueError(f"its header claims {length:,} bytes of a file of {size:,}")
    header = json.loads(file.read(length), object_pairs_hook=_without_doubles)
    if not isinstance(header, dict):
        raise ValueError("its header lists no arrays")
    header.pop("__metadata__", None)
    end, found = 0, {}
    for name, entry in sorted(header.items(), key=lambda item: _place(*item)):
        begin, to, _ = _place(name, entry)
        if begin != end or to > size - 8 - length:
            raise ValueError(f"{name!r:.60} is not where the numbers before it end, or reaches beyond the file")
        numbers = torch_file.numbers(_DTYPES[entry["dtype"]], file.read(to - begin))
        found[name], end = numbers.reshape(entry["shape"]), to
    if end != size - 8 - length:
        raise ValueError(f"{size - 8 - length - end:,} bytes belong to no array")
    return found


def _place(name: str, entry: Any) -> tuple[int, int, str]:
    """Where an array begins and ends; refused unless type, shape and place agree."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its header does not describe {name!r:.60}")
    kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _DTYPES if isinstance(kind, str) else True:
        raise ValueError(f"{name!r:.60} is of type {kind!r:.20}; choices: {', '.join(_DTYPES)}")
    whole = isinstance(shape, list) and isinstance(place, list) and len(place) == 2 and len(shape) <= 32
    if not whole or not all(type(n) is int and n >= 0 for n in (*shape, *place)):
        raise ValueError(f"{name!r:.60} has an impossible shape or place")
    if place[1] - place[0] != math.prod(shape) * torch_file.itemsize(_DTYPES[kind]):
        raise ValueError(f"{name!r:.60} has {place[1] - place[0]:,} bytes, which its shape does not fit")
    return place[0], place[1], name


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header has a name twice")
    return found
