"""What a reader of a layout found in published files: arrays as they are stored, but channels last."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8


class Found(NamedTuple):
    """A distilled set as its files have it.

    Attributes:
      system: whose layout it is, such as "MTT".
      images: in the space of the files; none where `fields` have them.
      labels: classes; None where only `rows` say them, or their order is class by class.
      rows: one for each image, as stored.
      kind: what rows are, `hard`, `probabilities` or `logits`; empty where the layout does not say.
      space: what the layout says of the space of images, such as `pixels`; empty where it does not.
      classes: how many there are; 0 where the layout does not say.
      learning_rate: of the student that the set was made for, if the files have one.
      files: all that were read.
      fields: arrays of functions that images are decoded from, stacked, by their names.
      label_bytes: what rows take in the files, where that is neither their size as arrays nor that of files; 0: it is.
      notes: what a user should know, a line each.
    """

    system: str
    images: UInt8[np.ndarray, "N *S C"] | Float32[np.ndarray, "N *S C"] | None
    labels: Int[np.ndarray, "N"] | None = None
    rows: Float32[np.ndarray, "N K"] | None = None
    kind: str = ""
    space: str = ""
    classes: int = 0
    learning_rate: float | None = None
    files: tuple[Path, ...] = ()
    fields: dict[str, Any] | None = None
    label_bytes: int = 0
    notes: tuple[str, ...] = ()
