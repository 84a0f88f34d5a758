"""Files of HDF5 that hold arrays of numbers, every claim of them checked before memory is taken.

The format can do far more than that: refer to other files, follow links in circles, compute an array from others, run
filters that are installed, claim terabytes that are nowhere. All of it is refused, and compressed chunks are unpacked
here, where their size is bounded.

Reference: The HDF Group, "HDF5 File Format Specification", version 3.0.
"""

import math
import os
import zlib
from collections.abc import Sequence
from typing import IO, Any

import h5py
import numpy as np
from h5py import h5d, h5l, h5o, h5s, h5t, h5z  # pyright: ignore[reportAttributeAccessIssue]

_MOST_ARRAYS, _MOST_CHUNKS = 1_000, 1 << 20
_MOST_BYTES, _CHUNK_BYTES = 1 << 32, 1 << 26  # of all arrays, of one chunk
_MAX_RATIO = 200  # unpacked over packed, as of archives
_MORE_BYTES = 1 << 12  # of a chunk that does not shrink


def read(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Its arrays by name; ValueError or OSError if it is damaged, or holds more than arrays of numbers at its top."""
    size = os.fstat(file.fileno()).st_size
    with h5py.File(file, "r") as opened:
        top = opened.id
        if len(top) > _MOST_ARRAYS:
            raise ValueError(f"it holds {len(top):,} things, which is implausible")
        names = [_own(top, top.get_objname_by_idx(i)) for i in range(len(top))]
        found = {name.decode(): h5o.open(top, name) for name in names}
        total = sum(_checked(f"{name!r:.60}", dataset, size) for name, dataset in found.items())
        if total > min(_MOST_BYTES, _MAX_RATIO * size):
            raise ValueError(f"it claims {total:,} bytes of numbers, and has {size:,} bytes")
        return {name: _numbers(dataset) for name, dataset in found.items()}


def _own(top: h5py.h5g.GroupID, name: bytes) -> bytes:
    """A name that leads to something in this very place; links may lead anywhere, to other files and in circles."""
    if top.links.get_info(name).type != h5l.TYPE_HARD:
        raise ValueError(f"{name.decode(errors='replace')!r:.60} is a link, and links are not followed")
    return name


def _checked(name: str, dataset: Any, size: int) -> int:
    """The bytes that an array unpacks to; ValueError unless they are numbers, and lie in this file of `size` bytes."""
    if not isinstance(dataset, h5d.DatasetID) or dataset.shape is None:
        raise ValueError(f"{name} is a group, a type or nothing; wanted arrays alone")
    kind, plist = dataset.get_type(), dataset.get_create_plist()
    if type(kind) not in (h5t.TypeIntegerID, h5t.TypeFloatID) or not h5t.py_create(dataset.dtype).equal(kind):
        raise ValueError(f"{name} does not hold numbers as NumPy has them")
    if plist.get_external_count() or plist.get_layout() == h5d.VIRTUAL:
        raise ValueError(f"the numbers of {name} lie in another file, which is not opened")
    if {*_filters(dataset)} - {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE}:
        raise ValueError(f"{name} is packed in a way that is not read; only gzip and shuffle are")
    claimed, kept = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.get_storage_size()
    if kept > size or claimed > (_MAX_RATIO if _filters(dataset) else 1) * kept:
        raise ValueError(f"{name} claims {claimed:,} bytes, for which the file has {min(kept, size):,}")
    return claimed


def _filters(dataset: h5d.DatasetID) -> list[int]:
    plist = dataset.get_create_plist()
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]


def _numbers(dataset: h5d.DatasetID) -> np.ndarray:
    """The numbers of an array that was checked."""
    if dataset.get_create_plist().get_layout() == h5d.CHUNKED:
        return _chunks(dataset)
    found = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5s.ALL, h5s.ALL, found)
    return found


def _chunks(dataset: h5d.DatasetID) -> np.ndarray:
    """Chunk by chunk, each unpacked to what it may have and no further."""
    shape, chunk = dataset.shape, dataset.get_create_plist().get_chunk()
    size, places = math.prod(chunk) * dataset.dtype.itemsize, math.prod(-(-n // c) for n, c in zip(shape, chunk))
    if dataset.get_num_chunks() != places or places > _MOST_CHUNKS or size > _CHUNK_BYTES:
        raise ValueError(f"it has {dataset.get_num_chunks():,} chunks of {places:,}, of {size:,} bytes each")
    found = np.empty(shape, dataset.dtype)
    for i in range(places):
        info = dataset.get_chunk_info(i)
        if info.size > size + _MORE_BYTES or info.filter_mask:
            raise ValueError("it has a chunk that is larger than its numbers, or packed as no other")
        begin = tuple(info.chunk_offset)
        place = tuple(slice(at, at + n) for at, n in zip(begin, chunk))
        block = _unpacked(dataset.read_direct_chunk(begin)[1], _filters(dataset), size, dataset.dtype.itemsize)
        numbers = np.frombuffer(block, dataset.dtype).reshape(chunk)
        found[place] = numbers[tuple(slice(n) for n in found[place].shape)]
    return found


def _unpacked(content: bytes, filters: Sequence[int], size: int, itemsize: int) -> bytes:
    """The bytes of a chunk, its filters undone from the last to the first."""
    for each in reversed(filters):
        if each == h5z.FILTER_DEFLATE:
            packed = zlib.decompressobj()
            content = packed.decompress(content, size + 1)
        else:  # all first bytes of numbers, then all second ones
            content = np.frombuffer(content, np.uint8).reshape(itemsize, -1).T.tobytes()
        if len(content) != size:
            raise ValueError("it has a chunk that unpacks to another size than that of its numbers")
    return content
