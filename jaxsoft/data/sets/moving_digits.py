"""Clips that are rendered from the digits of scikit-learn: each turns to the left or to the right, one pixel a frame.

A class is a digit and its direction. What leaves on one side comes back on the other, and clips start at any column, so
that one frame says nothing of the direction: who names the class must see motion.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxsoft.data import classes, raw
from jaxsoft.data.sets import Published, digits

FRAMES = 8

_WAYS = ("left", "right")


def read(found: Path, resize: int | None) -> raw.Raw:
    """1,297 train and 500 test clips of 8 frames of 8x8: those of the digits, every other one of a digit to the left."""
    still = digits.read(found, resize)
    names = tuple(f"{name} to the {way}" for name in still.class_names for way in _WAYS)
    return raw.Raw(names, _moving(still.train), _moving(still.test), digits.SOURCE, digits.LICENCE)


def _moving(still: raw.Part) -> raw.Part:
    way = classes.rank(still.labels) % 2
    labels = (2 * still.labels + way).astype(np.int32)
    starts = np.random.default_rng(0).integers(digits.SIDE, size=len(labels))

    def clip(row: int) -> UInt8[np.ndarray, "T H W C"]:
        image, step = still.read(still.items[row]), 2 * way[row] - 1
        return np.stack([np.roll(image, starts[row] + step * t, axis=1) for t in range(FRAMES)])

    return raw.Part(labels, range(len(labels)), clip)


TITLE = "1,797 handwritten digits that turn, clips of 8 frames of 8x8 grey, 20 classes"
SETS = {"moving_digits": Published(TITLE, digits.SOURCE, "", digits.SIDE, digits.find, read)}
