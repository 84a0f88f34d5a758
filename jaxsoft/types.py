"""The values that flow from one stage to the next.

Axis letters: B batch, N images, S slots, K classes, H W C image, E experts, P epochs kept, A label specs, M members.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8

Row = dict[str, Any]
"""One line of results: column name -> value. Accuracies are fractions in [0, 1]."""


@dataclass(frozen=True)
class Split:
    """Images and their integer labels; images may be a memory map."""

    images: UInt8[np.ndarray, "N H W C"]
    labels: Int32[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Three splits and where they come from.

    `validation` is carved from the published training images by a fixed rule; `test` is opened once, at the end.
    `fingerprint` is a SHA-256 over pixels, labels and the split, in hex.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    fingerprint: str
    source: str
    licence: str

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels
