"""Images as their owners publish them, before they are prepared: what a dataset file hands over."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Int32, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxsoft import errors
from jaxsoft.data import classes, formats


@dataclass(frozen=True)
class Part:
    """One split that is not decoded yet.

    `read(items[i])` gives image i, uint8 [H, W, C]; items are names or numbers and appear in messages.
    """

    labels: Int32[np.ndarray, "N"]
    items: Sequence[Any]
    read: Callable[[Any], UInt8[np.ndarray, "H W C"]]

    def take(self, rows: Int[np.ndarray, "M"]) -> "Part":
        """The same split, only these rows, in this order."""
        return Part(self.labels[rows], [self.items[row] for row in rows], self.read)


@dataclass(frozen=True)
class Raw:
    """A published dataset: its classes, its two splits, where it comes from and under which terms.

    `origin` is the folder that it was read from where the name does not say which images these are; `notes`, called
    once every image is read, says what was left out and what a user should know, a line each.
    """

    class_names: tuple[str, ...]
    train: Part
    test: Part
    source: str
    licence: str
    origin: str = ""
    notes: Callable[[], list[str]] = list


def carve(part: Part, held: Int[np.ndarray, "K"]) -> tuple[Part, Part]:
    """Split off `held[k]` images of class k by the fixed shuffle; the rows keep their order.

    Args:
      part: the images of a set that is published without a test split.
      held: how many images of each class to split off, [K].

    Returns:
      The images that stay and those split off.
    """
    order = classes.spread(part.labels)
    labels = part.labels[order]
    out = classes.rank(labels) >= (np.bincount(labels, minlength=len(held)) - held)[labels]
    return part.take(np.sort(order[~out])), part.take(np.sort(order[out]))


def listed(names: Sequence[str], most: int = 20, separator: str = ", ") -> str:
    """The first of the names, and how many there are beside them.

    >>> listed(["a", "b", "c"], most=2)
    'a, b, and 1 more'
    """
    more = [f"and {len(names) - most:,} more"] if len(names) > most else []
    return separator.join([*names[:most], *more])


def unreadable(what: str, problem: Exception) -> errors.DataError:
    """The error that says what cannot be read and why, in one line."""
    if isinstance(problem, UnidentifiedImageError):
        reason = "no image of a kind that is read"
    else:
        reason = getattr(problem, "strerror", None) or " ".join(str(problem).split())
    return errors.DataError(errors.shown(f"{what}: {reason or type(problem).__name__}"))


def decode(
    data: bytes, name: str, resize: int | None = None, mode: str = "RGB", told: formats.Told | None = None
) -> UInt8[np.ndarray, "H W C"]:
    """Decode one image of any kind in `formats.FORMATS`: its first frame, turned as its EXIF says, opaque on white.

    Args:
      data: the file's bytes.
      name: the file, for messages.
      resize: side in pixels; the shorter side is scaled to it and the centre is cut out. None keeps the size.
      mode: Pillow's name of the channels: RGB, or L for grey.
      told: called with what a user should know of this image, such as that it has further frames.

    Returns:
      Pixels, [H, W, C].

    Raises:
      DataError: the bytes are not an 8-bit image, are cut short, or claim more than 67 million pixels.
    """
    told = told or (lambda what: None)
    try:
        with Image.open(io.BytesIO(data), formats=formats.FORMATS) as image:
            formats.check(image, data)
            formats.frames(image, told)
            formats.upright(image, told)
            flat = formats.opaque(image, mode, told)
        if resize:
            flat = ImageOps.fit(flat, (resize, resize), Image.Resampling.BILINEAR)
        pixels = np.asarray(flat)
    except Exception as problem:  # a damaged file may raise nearly anything inside a decoder
        raise unreadable(f"{name} cannot be read as an image", problem) from None
    return pixels if pixels.ndim == 3 else pixels[..., None]
