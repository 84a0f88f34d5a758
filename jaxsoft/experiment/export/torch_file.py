"""An array as `torch.save` writes a tensor, without torch: a zip, not compressed, of a pickle and of the numbers.

Reference: "Serialized file format for torch.save", docs/source/notes/serialization.rst of PyTorch.
"""

import io
import math
import struct
import zipfile

import numpy as np

_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}


def packed(array: np.ndarray) -> bytes:
    """The file of a tensor: float32 or int64, of any shape; equal arrays give equal bytes."""
    numbers = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    parts = {
        "data.pkl": _pickle(array),
        "byteorder": b"little",
        "data/0": numbers.tobytes(),
        "version": b"3\n",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, content in parts.items():
            zipped.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    return file.getvalue()


def _pickle(array: np.ndarray) -> bytes:
    """What `torch.load` unpickles: a call of `_rebuild_tensor_v2` on a storage, an offset, a shape and strides."""
    strides = [math.prod(array.shape[i + 1 :]) for i in range(array.ndim)]
    storage = b"(%b" % _text("storage") + f"ctorch\n{_STORAGES[array.dtype.name]}\n".encode()
    storage += _text("0") + _text("cpu") + _whole(array.size) + b"tQ"
    rest = _whole(0) + _wholes(array.shape) + _wholes(strides) + b"\x89" + b"ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _whole(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _wholes(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(map(_whole, numbers)) + b"t"
