"""Several images in the place of one, as IDC and NCFM store them: cut out and enlarged.

Reference: Kim et al. (2022), "Dataset Condensation via Efficient Synthetic-Data Parameterization", section 4.1
("multi-formation"); Wang et al. (2025), "Dataset Distillation with Neural Characteristic Function".
"""

import re
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int

from jaxsoft import errors

WAYS = 'choices: single, multi, "bound(N)" with N images to fill'
_MOST_FACTOR, _MOST_BYTES = 16, 1 << 33
_BOUND = re.compile(r"bound\((\d{1,9})\)")
_SEEN = 4, 3, 2
_SEAM, _NO_SEAM = 1.5, 1.2  # pixels differ by so much more across a seam than elsewhere; by less, where there is none
_SMOOTH = 0.6  # neighbours of a picture differ by less than that, in its deviation; of noise by more


def decode(
    images: Float32[np.ndarray, "N H W C"], factor: int, way: str = "single"
) -> tuple[Float32[np.ndarray, "M H W C"], Int[np.ndarray, "M"]]:
    """Every cell of every image, enlarged to the size of the image.

    An image that its sides do not divide is padded with 0.5, at the bottom and on the right.

    Args:
      factor: cells along a side.
      way: single cuts all images by the factor; multi by every factor up to it, one after another; bound(N) cuts as
        many of the first images by the largest factor as leaves no more than N images, then by the next.

    Returns:
      The decoded images, cell by cell and in a cell image by image; which stored image each is of.

    Raises:
      ConfigError: the factor or the way is none that there is.
      DataError: they would take more than 8 GiB.
    """
    if not 1 <= factor <= _MOST_FACTOR:
        raise errors.ConfigError(f"factor={factor}: wanted 1 to {_MOST_FACTOR}")
    parts = [(start, count, f) for start, count, f in _parts(len(images), factor, way) if count]
    if images[:1].nbytes * sum(count * f * f for _, count, f in parts) > _MOST_BYTES:
        raise errors.DataError(f"decoded by factor {factor} they would take more than {_MOST_BYTES >> 30} GiB")
    found = [_zoomed(images[start : start + count], f) for start, count, f in parts]
    which = [np.tile(np.arange(start, start + count), f * f) for start, count, f in parts]
    return np.concatenate(found), np.concatenate(which)


def seen_factor(images: Float32[np.ndarray, "N S S C"]) -> int:
    """How many images meet along a side, as the seams between them tell: 1 if it is one, 0 if that is unclear."""
    side = images.shape[1]
    jumps = np.mean([np.abs(np.diff(images, axis=axis)).mean((0, 3 - axis, 3)) for axis in (1, 2)], axis=0)
    found = []
    for factor in _SEEN:
        cell = -(-side // factor)
        seams = np.arange(cell, side, cell) - 1
        rest = np.delete(jumps, seams).mean()
        found.append(jumps[seams].min() / rest if len(seams) == factor - 1 and cell > 1 and rest else 0)
    if clear := [factor for factor, stands_out in zip(_SEEN, found) if stands_out > _SEAM]:
        return clear[0]
    is_smooth = jumps.mean() < _SMOOTH * images.std()
    return int(is_smooth and max(found) < _NO_SEAM)


def _parts(count: int, factor: int, way: str) -> Iterator[tuple[int, int, int]]:
    """First image, how many, and the factor that they are cut by."""
    if way == "single":
        yield 0, count, factor
    elif way == "multi":
        yield from ((0, count, f) for f in range(1, factor + 1))
    elif bound := _BOUND.fullmatch(way):
        start, left = 0, int(bound[1])
        for f in range(factor, 1, -1):  # the rest of the images take one place each at least
            fitting = max(0, min((left - (count - start)) // (f * f), count - start))
            yield start, fitting, f
            start, left = start + fitting, left - fitting * f * f
        yield start, count - start, 1
    else:
        raise errors.ConfigError(f"decode={errors.quoted(way)}: {WAYS}")


def _zoomed(images: Float32[np.ndarray, "N H W C"], factor: int) -> Float32[np.ndarray, "M H W C"]:
    height, width = images.shape[1:3]
    down, along = -(-height // factor), -(-width // factor)
    more = ((0, 0), (0, down * factor - height), (0, along * factor - width), (0, 0))
    padded = np.pad(images, more, constant_values=0.5)
    places = [(i * down, j * along) for i in range(factor) for j in range(factor)]
    cells = np.concatenate([padded[:, i : i + down, j : j + along] for i, j in places])
    return np.einsum("ph,qw,nhwc->npqc", _bilinear(height, down), _bilinear(width, along), cells, optimize=True)


def _bilinear(size: int, cell: int) -> Float32[np.ndarray, "S T"]:
    """Weights that enlarge a line of `cell` pixels; pixels are areas, so that corners are not aligned."""
    at = np.clip((np.arange(size) + 0.5) * cell / size - 0.5, 0, cell - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cell))).astype(np.float32)
