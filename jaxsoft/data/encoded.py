"""Pictures that stay in their files: read as an array of pixels, each is decoded when it is asked for.

    seen in evaluation   the shorter side scaled to 256/224 of the wanted side, then the centre
    seen in training     a random part of 8 to 100 percent of the area, scaled to the wanted side, and mirrored half the time

Both are scaled bilinearly with antialias, by Pillow, and equal those of torchvision on the same picture. What a file holds
is compared with its digest each time it is read, as prepared arrays are when they are opened.
"""

import hashlib
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from jaxsoft import errors, files
from jaxsoft.data import refusals
from jaxsoft.data.formats import images

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Of the part that is seen in training: its share of the picture, and its width by its height."""
_TRIES = 10
DRAWS = 4 * _TRIES + 1
"""Numbers that decide what is seen: for each try its area, shape and place, and whether it is mirrored."""
_THREADS = os.cpu_count() or 1

WAY_ON = "put back what was there and repeat the command, or prepare the set anew, as another one with other keys"
"""What to do about pictures that are not what was prepared."""

Box = tuple[int, int, int, int]
"""Left, upper, right, lower, in pixels."""


def entries(width: int) -> np.dtype:
    """What an index holds of a picture: its place, of at most so many bytes, and the SHA-256 of its bytes."""
    return np.dtype([("place", f"S{width}"), ("sha256", "u1", (32,))])


class Encoded:
    """Pictures as the package reads arrays: uint8 [N, H, W, C] in `shape`, `dtype` and `[...]`, which decodes.

    An index, a slice or an array of rows gives pixels as they are seen in evaluation; `view` those of training.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(
        self,
        index: Path,
        stored: Callable[[str], bytes],
        side: int,
        where: str,
        rows: Int[np.ndarray, "N"] | None = None,
    ):
        """Pictures by their entries.

        Args:
          index: the file of the entries.
          stored: gives the bytes of a place.
          side: of what is seen, in colour.
          where: their folder, in messages.
          rows: which of the entries these are; None: all.
        """
        entries = np.load(index, mmap_mode="r")
        self._given = index, stored, side, where, np.arange(len(entries)) if rows is None else rows
        self._entries, self._stored, self._where, self._rows = entries, stored, where, self._given[-1]
        self.flags = SimpleNamespace(writeable=False)
        self.shape = (len(self._rows), side, side, 3)
        self.nbytes = self.size = math.prod(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> Any:
        return Encoded, self._given  # whoever it is sent to opens the index

    def __getitem__(self, rows: Any) -> UInt8[np.ndarray, "*n H W C"]:
        if isinstance(rows, (int, np.integer)):
            return evaluated(self._picture(int(rows)), self.shape[1])
        chosen = np.arange(len(self))[rows]
        out = np.empty((len(chosen), *self.shape[1:]), np.uint8)

        def fill(place: int) -> None:
            out[place] = self[int(chosen[place])]

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fill, range(len(chosen))))  # raises what one of them raises
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.nbytes > (memory := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")):
            told = f"{len(self):,} images of {refusals.size(self.shape[1:])} take {self.nbytes / 1e9:,.0f} GB decoded"
            raise errors.DataError(f"{self._where}: {told}, and this machine has {memory / 1e9:,.0f} GB")
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, rows: Any) -> "Encoded":
        """These pictures, still in their files."""
        return Encoded(*self._given[:-1], self._rows[rows])

    @property
    def digest(self) -> str:
        """SHA-256 in hex over the entries of these pictures, which have the digests of their files."""
        return files.digest(entry.tobytes() for entry in self._entries[self._rows])

    def view(self, row: int, draws: Float[np.ndarray, "d"]) -> UInt8[np.ndarray, "H W C"]:
        """One picture as it is seen in training, by `DRAWS` numbers in [0, 1)."""
        picture, side = self._picture(row), self.shape[1]
        seen = picture.crop(crop(*picture.size, draws)).resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draws[-1] < 0.5 else seen)

    def changed(self) -> list[str]:
        """What is wrong with each picture whose bytes cannot be read, or have another digest; nothing is decoded."""

        def problem(row: int) -> str:
            try:
                self._bytes(row)
            except errors.DataError as problem:
                return str(problem)
            return ""

        with ThreadPoolExecutor(_THREADS) as pool:
            return [*filter(None, pool.map(problem, range(len(self))))]

    def place(self, row: int) -> str:
        """Where a picture lies, in messages."""
        return f"{self._where}: {self._key(row)}"

    def _key(self, row: int) -> str:
        return os.fsdecode(bytes(self._entries["place"][self._rows[row]]))

    def _bytes(self, row: int) -> bytes:
        data = self._stored(self._key(row))
        if hashlib.sha256(data).digest() != self._entries["sha256"][self._rows[row]].tobytes():
            raise errors.DataError(errors.shown(f"{self.place(row)} changed since it was prepared"))
        return data

    def _picture(self, row: int) -> Image.Image:
        try:
            data = self._bytes(row)
        except errors.DataError as problem:
            raise errors.DataError(f"{problem}; {WAY_ON}") from None
        return images.picture(data, self.place(row))


def taken(images: Any, rows: Any) -> Any:
    """Some rows of images, read or still in their files."""
    return images.take(rows) if isinstance(images, Encoded) else images[rows]


def evaluated(picture: Image.Image, side: int) -> UInt8[np.ndarray, "H W C"]:
    """A picture as it is seen in evaluation: torchvision's Resize(side * 256 / 224) and CenterCrop(side)."""
    width, height = picture.size
    short = round(side * 256 / 224)
    size = tuple(short if s == min(picture.size) else int(short * s / min(picture.size)) for s in (width, height))
    left, upper = (round((s - side) / 2) for s in size)
    scaled = picture.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    return np.asarray(scaled.crop((left, upper, left + side, upper + side)))


def crop(width: int, height: int, draws: Float[np.ndarray, "d"]) -> Box:
    """A part of a picture as torchvision's RandomResizedCrop draws it: of ten, the first that lies inside; else the centre."""
    low, high = map(math.log, RATIO)
    for share, shape, down, right in draws[:-1].reshape(_TRIES, 4).tolist():
        area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * share)
        ratio = math.exp(low + (high - low) * shape)
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            upper, left = int(down * (height - h + 1)), int(right * (width - w + 1))
            return left, upper, left + w, upper + h
    return central(width, height)


def central(width: int, height: int) -> Box:
    """The largest part in the middle whose sides are in `RATIO`.

    >>> central(100, 50), central(80, 80)
    ((16, 0, 83, 50), (0, 0, 80, 80))
    """
    w = min(width, round(height * RATIO[1]))
    h = min(height, round(width / RATIO[0]))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h
