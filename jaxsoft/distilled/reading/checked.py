"""Parts of published files as arrays that can be trusted: images, classes, label rows, a learning rate.

Whatever is no such part is a ValueError, in words that follow the name of the file.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8

from jaxsoft.data import refusals
from jaxsoft.distilled.reading.found import Found

_MAX_SIDE = 1 << 13
_MAX_VALUE = 1e4  # of a pixel in any space; whitened ones of a badly conditioned set come to hundreds
_MAX_CLASS = 1 << 20
_UNIT = 1e-3  # by how much pixels in [0, 1] may leave it

Images = UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"]


def images(value: Any, channels_last: bool = False) -> Images:
    """Square images of 1 or 3 channels, channels last; stored channels first, or either way or none where that is allowed."""
    found, wanted = np.asarray(value), "[N, C, H, W] or [N, H, W, C]" if channels_last else "[N, C, H, W]"
    found = found[..., None] if channels_last and found.ndim == 3 else found
    if found.ndim != 4 or not found.size:
        raise ValueError(f"its images are {_told(found)}; wanted {wanted}, and at least one")
    first, last = found.shape[1] in (1, 3), channels_last and found.shape[3] in (1, 3)
    if first and last:
        raise ValueError(f"its images are {_told(found)}, which does not say which axis has the channels")
    if not first and not last:
        raise ValueError(f"its images are {_told(found)}; wanted {wanted} of 1 or 3 channels")
    found = found.transpose(0, 2, 3, 1) if first else found
    if found.shape[1] != found.shape[2] or found.shape[1] > _MAX_SIDE:
        raise ValueError(f"its images are {refusals.size(found.shape[1:3])}; wanted squares")
    return _pixels(found)


def flat_images(value: Any) -> Images:
    """Images as rows of numbers, channel by channel, of 3 square channels or of one."""
    found = np.asarray(value)
    count = found.shape[1] if found.ndim == 2 else 0
    for channels in (3, 1):
        if channels * (side := math.isqrt(count // channels)) ** 2 == count > 0:
            return images(found.reshape(-1, channels, side, side))
    raise ValueError(f"its images are {_told(found)}; wanted rows of 3 x side x side numbers")


def _pixels(found: np.ndarray) -> Images:
    if found.dtype == np.uint8:
        return np.ascontiguousarray(found)
    if found.dtype.kind != "f":
        raise ValueError(f"its images are {found.dtype}; wanted uint8 or floating point")
    largest = max(abs(float(found.min())), abs(float(found.max())))
    if not largest <= _MAX_VALUE:  # a NaN is not
        told = f"of {largest:g}, which no space of images has" if math.isfinite(largest) else "that is no finite number"
        raise ValueError(f"it holds a pixel {told}")
    return np.ascontiguousarray(found, np.float32)


def in_unit_range(found: Images) -> Images:
    """The same, refused unless they are pixels in [0, 1]."""
    if found.dtype == np.uint8 or -_UNIT <= found.min() <= found.max() <= 1 + _UNIT:
        return found
    told = f"from {found.min():.3g} to {found.max():.3g}"
    raise ValueError(f"its images have pixels {told}; in this layout they are in [0, 1]")


def labels(value: Any) -> tuple[Int[np.ndarray, "N"] | None, Float32[np.ndarray, "N K"] | None]:
    """Classes of images, or label rows: whole numbers [N] or [N, 1], or floating point [N, K]."""
    found = np.asarray(value)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 1 and found.size and found.dtype.kind in "iu":
        return _classes(found), None
    if found.ndim == 2 and found.size and found.dtype.kind == "f":
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(found, np.float32)
        if not np.isfinite(rows).all():
            raise ValueError("it holds a label row that is not finite")
        return None, rows
    raise ValueError(f"its labels are {_told(found)}; wanted whole numbers [N], or rows [N, K] of floating point")


def _classes(found: np.ndarray) -> Int[np.ndarray, "N"]:
    """Whole numbers from 0 on, none left out."""
    if found.min() < 0 or found.max() > _MAX_CLASS:
        raise ValueError(f"it holds the class {found.min() if found.min() < 0 else found.max()}")
    counts = np.bincount(found.astype(np.int64))
    if not counts.all():
        raise ValueError(f"it holds the class {len(counts) - 1}, and no image of class {int(np.argmin(counts))}")
    return found.astype(np.int32)


def learning_rate(value: Any) -> float:
    """One positive number."""
    found = np.asarray(value)
    if found.size != 1 or found.dtype.kind != "f" or not 0 < float(found.reshape(())) < math.inf:
        raise ValueError(f"its learning rate is {_told(found)}: {str(value)[:40]}; wanted one positive number")
    return float(found.reshape(()))


def class_major(count: int, classes: int) -> Int[np.ndarray, "N"] | None:
    """The classes of images that follow each other class by class; None if they are no equal number of each."""
    return None if not classes or count % classes else np.repeat(np.arange(classes, dtype=np.int32), count // classes)


def consistent(found: Found) -> Found:
    """The same, refused where labels are not one for each image, or contradict the number of classes."""
    count = len(found.images if found.images is not None else next(iter((found.fields or {}).values())))
    for name, part in (("labels", found.labels), ("label rows", found.rows)):
        if part is not None and len(part) != count:
            raise ValueError(f"there are {len(part):,} {name} of {count:,} images")
    classes = found.classes or (0 if found.rows is None else found.rows.shape[1])
    if classes and found.labels is not None and found.labels.max() >= classes:
        raise ValueError(f"it holds the class {found.labels.max()}, and there are {classes} classes")
    return found


def _told(found: np.ndarray) -> str:
    return f"{found.dtype} {list(found.shape)}"
