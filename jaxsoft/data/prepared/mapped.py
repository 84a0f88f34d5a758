"""Array files and their digests: mapped only if the header is what it must be, compared piece by piece in threads."""

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxsoft import files
from jaxsoft.data import refusals

CHUNK = 1 << 24  # bytes of a piece; part of the format
_READ = 1 << 20  # at a time, which stays in cache
_THREADS = min(8, os.cpu_count() or 1)  # hashing and reading go on without the interpreter's lock


class Digests(NamedTuple):
    """SHA-256 in hex of an array's content without its header: of all of it, and of each piece of `CHUNK` bytes."""

    whole: str
    chunks: list[str]


class Mapped(NamedTuple):
    """An array file that is open, and its content as a memory map."""

    file: BinaryIO
    array: np.memmap


def opened(path: Path, dtype: type, count: int, axes: int) -> Mapped:
    """Open an array file as a memory map, once all that its header claims is what it must be.

    Args:
      path: the file.
      dtype: of its entries.
      count: length of its first axis.
      axes: how many there are.

    Raises:
      OSError, ValueError: it is missing, no regular file, or not such an array.
    """
    file = files.opened(path)
    try:
        return Mapped(file, _mapped(file, dtype, count, axes))
    except BaseException:
        file.close()
        raise


def _mapped(file: BinaryIO, dtype: type, count: int, axes: int) -> np.memmap:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of some damaged headers, and guesses
            version = np.lib.format.read_magic(file)
            shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
    except Exception:  # a bent header may raise nearly anything in its parser
        raise ValueError("its header is damaged") from None
    start, bytes_there = file.tell(), os.fstat(file.fileno()).st_size
    if version != (1, 0) or found != dtype or by_columns or len(shape) != axes or shape[0] != count or min(shape) < 1:
        said = f"it holds {found} of shape {refusals.size(shape)}"
        raise ValueError(f"{said}, not {np.dtype(dtype)} of {count} entries with {axes} axes")
    if bytes_there != (wanted := start + math.prod(shape) * found.itemsize):
        raise ValueError(f"it has {bytes_there:,} bytes instead of {wanted:,}")
    return np.memmap(file, dtype, "r", start, shape)


def of_bytes(content: bytes) -> Digests:
    """The digests of an array in memory."""
    return _digests(content[start : start + CHUNK] for start in range(0, len(content), CHUNK))


def of_file(path: Path) -> Digests:
    """The digests of an array file, read once."""
    with files.opened(path) as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return _digests(files.pieces(file, CHUNK))


def _digests(pieces: Iterable[bytes]) -> Digests:
    chunks = []

    def noted() -> Iterator[bytes]:
        for piece in pieces:
            chunks.append(files.digest([piece]))
            yield piece

    return Digests(files.digest(noted()), chunks)


def differing(mapped: dict[str, Mapped], wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the arrays that are not what their digests say, compared on all cores.

    Args:
      mapped: the arrays by name.
      wanted: for each of them one digest of its whole content, or one for each piece.

    Raises:
      OSError: one cannot be read.
    """
    jobs = [(name, *job) for name, one in mapped.items() for job in _jobs(one.array, wanted[name])]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda job: files.digest(_read(mapped[job[0]].file, job[1])), jobs)
        bad = {name for (name, _, digest), now in zip(jobs, found) if now != digest}
    return [name for name in mapped if name in bad]


def _jobs(array: np.memmap, wanted: Sequence[str]) -> Iterator[tuple[range, str]]:
    """Which bytes of the file each piece is, and its digest."""
    start, stop = array.offset, array.offset + array.nbytes
    begins = range(start, stop, array.nbytes if len(wanted) == 1 else CHUNK)
    if len(begins) != len(wanted):
        yield range(0), "there is no digest for every piece"
        return
    for begin, digest in zip(begins, wanted):
        yield range(begin, min(begin + begins.step, stop)), digest


def _read(file: BinaryIO, piece: range) -> Iterator[bytes]:
    for at in piece[::_READ]:
        yield os.pread(file.fileno(), min(_READ, piece.stop - at), at)
