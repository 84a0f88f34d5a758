"""Array files and their digests: opened only if the header is what it must be, compared piece by piece in threads."""

import hashlib
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxsoft import files

CHUNK = 1 << 24  # bytes of a piece; part of the format
_READ = 1 << 20  # at a time, which stays in cache
_THREADS = min(8, os.cpu_count() or 1)  # hashing and reading go on without the interpreter's lock


class Digests(NamedTuple):
    """SHA-256 in hex of an array's content without its header: of all of it, and of each piece of `CHUNK` bytes."""

    whole: str
    chunks: list[str]


class Stored(NamedTuple):
    """An array file that is open: the file, where its content begins, and the content as a memory map."""

    file: BinaryIO
    start: int
    array: np.ndarray


def opened(path: Path, dtype: type, count: int, axes: int) -> Stored:
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
        return _mapped(file, dtype, count, axes)
    except BaseException:
        file.close()
        raise


def _mapped(file: BinaryIO, dtype: type, count: int, axes: int) -> Stored:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of some damaged headers, and guesses
            version = np.lib.format.read_magic(file)
            shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
    except Exception:  # a bent header may raise nearly anything in its parser
        raise ValueError("its header is damaged") from None
    start, size = file.tell(), os.fstat(file.fileno()).st_size
    if version != (1, 0) or found != dtype or by_columns or len(shape) != axes or shape[0] != count or min(shape) < 1:
        said = f"it holds {found} of shape {'x'.join(map(str, shape))}"
        raise ValueError(f"{said}, not {np.dtype(dtype)} of {count} entries with {axes} axes")
    if size != (wanted := start + math.prod(shape) * found.itemsize):
        raise ValueError(f"it has {size:,} bytes instead of {wanted:,}")
    return Stored(file, start, np.memmap(file, dtype, "r", start, shape))


def of_bytes(content: bytes | memoryview) -> Digests:
    """The digests of an array in memory."""
    pieces = [content[start : start + CHUNK] for start in range(0, len(content), CHUNK)]
    return Digests(hashlib.sha256(content).hexdigest(), [hashlib.sha256(piece).hexdigest() for piece in pieces])


def of_file(path: Path) -> Digests:
    """The digests of an array file, read once."""
    whole, chunks = hashlib.sha256(), []
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        while piece := file.read(CHUNK):
            whole.update(piece)
            chunks.append(hashlib.sha256(piece).hexdigest())
    return Digests(whole.hexdigest(), chunks)


def differing(stored: dict[str, Stored], wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the arrays that are not what their digests say, compared on all cores.

    Args:
      stored: the arrays by name.
      wanted: for each of them one digest of its whole content, or one for each piece.

    Raises:
      OSError: one cannot be read.
    """
    jobs = [(name, *job) for name, one in stored.items() for job in _jobs(one, wanted[name])]
    with ThreadPoolExecutor(_THREADS) as pool:
        same = pool.map(lambda job: _digest(stored[job[0]].file.fileno(), *job[1:3]) == job[3], jobs)
        bad = {job[0] for job, good in zip(jobs, same) if not good}
    return [name for name in stored if name in bad]


def _jobs(one: Stored, wanted: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Where each piece begins and ends in the file, and its digest."""
    size = one.array.nbytes
    starts = range(0, size, size if len(wanted) == 1 else CHUNK)
    if len(starts) != len(wanted):
        yield 0, 0, "there is no digest for every piece"
        return
    for begin, digest in zip(starts, wanted):
        yield one.start + begin, one.start + min(begin + starts.step, size), digest


def _digest(descriptor: int, start: int, stop: int) -> str:
    hasher = hashlib.sha256()
    for at in range(start, stop, _READ):
        hasher.update(os.pread(descriptor, min(_READ, stop - at), at))
    return hasher.hexdigest()
