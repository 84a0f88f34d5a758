"""The digests of array files: of all of an array, and of pieces of it, which are compared in threads."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BufferedIOBase
from typing import NamedTuple

import numpy as np

from jaxsoft import files

CHUNK = 1 << 24  # bytes of a piece; part of the format
_READ = 1 << 20  # at a time, which stays in cache
_THREADS = min(8, os.cpu_count() or 1)  # hashing and reading go on without the interpreter's lock


class Digests(NamedTuple):
    """SHA-256 in hex of an array's content without its header: of all of it, and of each piece of `CHUNK` bytes."""

    whole: str
    chunks: list[str]


def of(file: BufferedIOBase) -> Digests:
    """The digests of an array file that was just written."""
    file.seek(0)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    chunks = []

    def noted() -> Iterator[bytes]:
        while piece := file.read(CHUNK):
            chunks.append(files.digest([piece]))
            yield piece

    return Digests(files.digest(noted()), chunks)


def same(file: BufferedIOBase, content: range, wanted: Sequence[str]) -> bool:
    """Whether this range of a file's bytes has the digests wanted: one of all of it, or one for each piece; on all cores."""
    step = len(content) if len(wanted) == 1 else CHUNK
    pieces = [content[at : at + step] for at in range(0, len(content), step)]

    def digest(piece: range) -> str:
        reads = (piece[at : at + _READ] for at in range(0, len(piece), _READ))
        return files.digest(os.pread(file.fileno(), len(read), read.start) for read in reads)

    with ThreadPoolExecutor(_THREADS) as pool:
        return len(pieces) == len(wanted) and all(map(str.__eq__, pool.map(digest, pieces), wanted))
