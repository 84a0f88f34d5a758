"""An index of pictures that stay in their files: where each lies, and the digest of its bytes."""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np

from jaxsoft import errors
from jaxsoft.data import encoded, raw, refusals

_BLOCK = 1 << 10  # pictures between two reports of progress
_TASK = 16  # that a thread looks at together
_THREADS = min(16, os.cpu_count() or 1)


class Indexer:
    """Reads and decodes every picture once, as it would be read later; one error names all that cannot be."""

    shape: tuple[int, ...] = ()

    def __init__(self, found: raw.Raw, stored: Callable[[str], bytes]):
        self._stored, self._damaged = stored, list[str]()
        places = (self._place(part, item) for part in (found.train, found.test) for item in part.items)
        self.width = max(map(len, places))
        self.dtype = encoded.entries(self.width)

    def blocks(self, part: raw.Part) -> Iterator[np.ndarray]:
        """The entries of a split, block by block."""

        def entry(item: Any) -> tuple[bytes, np.ndarray] | errors.DataError:
            try:
                part.read(item)
                digest = hashlib.sha256(self._stored(os.fsdecode(place := self._place(part, item)))).digest()
            except errors.DataError as problem:
                return problem
            return place, np.frombuffer(digest, np.uint8)

        with warnings.catch_warnings(), ThreadPool(_THREADS) as pool:
            warnings.filterwarnings("ignore", module="PIL")  # what it warns of is either an error or harmless
            for start in range(0, len(part.items), _BLOCK):
                found = list(pool.imap(entry, part.items[start : start + _BLOCK], _TASK))
                self._damaged += [str(each) for each in found if isinstance(each, errors.DataError)]
                yield np.array([(b"", 0) if isinstance(each, errors.DataError) else each for each in found], self.dtype)

    def refuse(self) -> None:
        """Raise DataError, in one line, if a picture is damaged."""
        if self._damaged:
            count = f"{len(self._damaged):,} images are damaged: " * (len(self._damaged) > 1)
            raise errors.DataError(count + refusals.listed(sorted(self._damaged), separator="; "))

    @staticmethod
    def _place(part: raw.Part, item: Any) -> bytes:
        assert part.place is not None
        return os.fsencode(part.place(item))
