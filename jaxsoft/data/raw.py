"""Images as their owners publish them, before they are prepared: what a dataset file hands over."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Int32, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxsoft import errors
from jaxsoft.data import classes

_MAX_PIXELS = 1 << 26


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
    """A published dataset: its classes, its two splits, where it comes from and under which terms."""

    class_names: tuple[str, ...]
    train: Part
    test: Part
    source: str
    licence: str


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


def unreadable(what: str, problem: Exception) -> errors.DataError:
    """The error that says what cannot be read and why, in one line."""
    reason = "it is no PNG or JPEG" if isinstance(problem, UnidentifiedImageError) else " ".join(str(problem).split())
    return errors.DataError(f"{what}: {reason or type(problem).__name__}")


def decode(data: bytes, name: str, resize: int | None = None, mode: str = "RGB") -> UInt8[np.ndarray, "H W C"]:
    """Decode one PNG or JPEG image.

    Args:
      data: the file's bytes.
      name: the file, for messages.
      resize: side in pixels; the shorter side is scaled to it and the centre is cut out. None keeps the size.
      mode: Pillow's name of the channels: RGB, or L for grey.

    Returns:
      Pixels, [H, W, C].

    Raises:
      DataError: the bytes are not an 8-bit image, are cut short, or claim more than 67 million pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels are too many")
            if image.mode[0] in "IF":  # converting those would clip the values without a word
                raise ValueError("more than 8 bits per channel")
            image = image.convert(mode)
            if resize:
                image = ImageOps.fit(image, (resize, resize), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except Exception as problem:  # a damaged file may raise nearly anything inside a decoder
        raise unreadable(f"{name} cannot be read as an image", problem) from None
    return pixels if pixels.ndim == 3 else pixels[..., None]
