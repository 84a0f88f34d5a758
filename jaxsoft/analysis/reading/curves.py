"""The curves of a run's members read back from `curves.npz`, those that are asked for."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxsoft import errors, files
from jaxsoft.analysis.reading.results import plain

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
    path = folder / "curves.npz"
    try:
        with files.opened(path) as file:
            with zipfile.ZipFile(file) as archive:
                if (size := sum(entry.file_size for entry in archive.infolist())) > _MOST_BYTES:
                    raise ValueError(f"it unpacks to {size:,} bytes, the limit is {_MOST_BYTES:,}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as z:
                rows = np.flatnonzero(np.isin(z["member"], list(members)))
                found = Curves(z["member"][rows], z["step"][rows], {n: z[n][rows] for n in NAMES if n in z})
    except FileNotFoundError:
        return None
    except Exception as problem:  # archives, compression and array headers each have errors of their own
        said = getattr(problem, "strerror", None) or str(problem)
        raise errors.DataError(f"cannot read {path}: {plain(said)}") from None
    kinds = {(array.dtype.kind, array.shape) for array in found.numbers.values()}
    if found.step.ndim != 2 or found.step.dtype.kind != "i" or kinds != {("f", found.step.shape)}:
        raise errors.DataError(f"{path} does not hold the curves of a run; delete it and run the same command again")
    return found if len(rows) else None
