"""Bits of a set of images, by what is kept of them: pixels, PNG, places in a public set, or fields.

Labels are beside them: `worth.label_bits`.
"""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxsoft.analysis.statistics.worth import pixel_bits

INDEX_BITS = 32
"""Of a place in a public set whose size is not known."""


def of_pixels(images: int, shape: tuple[int, ...]) -> int:
    """Bits of so many images of that shape (H, W, C) in uint8, not compressed."""
    return images * pixel_bits(shape)


def of_places(images: int, public: int = 0) -> int:
    """Bits that say which images of a public set are meant, ceil(log2 N) each of N; 32 each where N is not known.

    >>> of_places(10, 50_000), of_places(10)
    (160, 320)
    """
    return images * ((public - 1).bit_length() if public else INDEX_BITS)


def of_fields(fields: int, parameters: int) -> int:
    """Bits of so many networks that stand for an image each, float32 parameters."""
    return 32 * fields * parameters


def of_png(images: UInt8[np.ndarray, "N H W C"]) -> int:
    """Bits of the images as PNG files; channels that are not 1 or 3 are grey pictures side by side."""
    return 8 * sum(map(_png_bytes, images))


def _png_bytes(image: UInt8[np.ndarray, "H W C"]) -> int:
    file, height = io.BytesIO(), len(image)
    grey = np.moveaxis(image, -1, 1).reshape(height, -1)
    Image.fromarray(image if image.shape[-1] == 3 else grey).save(file, "PNG", optimize=True)
    return file.tell()
