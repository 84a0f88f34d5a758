"""The curves of a run's members read back from `curves.npz`, those that are asked for."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxsoft.analysis.reading.read import archived

_MOST_BYTES = 2**33
NAMES = ("train_loss", "val_accuracy", "test_accuracy")
"""What curves hold beside their steps: nats, and fractions; the last under protocols that look at the test set."""


class Curves(NamedTuple):
    """Curves of M members at L looks: steps, -1 after the end; numbers by name, NaN where it is not known."""

    members: Shaped[np.ndarray, "M"]
    step: Int[np.ndarray, "M L"]
    numbers: dict[str, Float[np.ndarray, "M L"]]


def read_curves(folder: Path, members: Iterable[str]) -> Curves | None:
    """The curves of those members that a run folder knows; None where it has no curves of any.

    Raises:
      DataError: the file is damaged, or not what a run writes.
    """
    wanted = list(members)
    return archived(folder / "curves.npz", _MOST_BYTES, lambda arrays: _curves(arrays, wanted))


def _curves(arrays: Any, members: list[str]) -> Curves | None:
    rows = np.flatnonzero(np.isin(arrays["member"], members))
    numbers = {name: arrays[name][rows] for name in NAMES if name in arrays}
    found = Curves(arrays["member"][rows], arrays["step"][rows], numbers)
    kinds = {(array.dtype.kind, array.shape) for array in found.numbers.values()}
    if found.step.ndim != 2 or found.step.dtype.kind != "i" or kinds != {("f", found.step.shape)}:
        raise ValueError("it does not hold the curves of a run; delete it and run the same command again")
    return found if len(rows) else None
