"""What a run folder keeps of learned labels: `learned.npz`, the finished rows, and `learned.json`, their story."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxsoft import config, errors
from jaxsoft.experiment.store.folder import RunFolder, read_arrays, write_arrays
from jaxsoft.labels.bank import digest

ROWS, STORY = "learned.npz", "learned.json"


class Kept(NamedTuple):
    """Finished labels of one subset, in the order of its images, and their story as JSON can hold it."""

    rows: Float[np.ndarray, "S K"]
    story: dict[str, Any]


def write(folder: Path, settings: config.Settings, kept: Mapping[str, Kept]) -> None:
    """Replace what the folder has by all that is finished.

    Raises:
      CheckpointError: the folder cannot be written.
    """
    write_arrays(folder / ROWS, {key: one.rows for key, one in kept.items()})
    told = {"model": settings.student.model, "settings": config.as_dict(settings.learned)}
    RunFolder(folder).write_json(STORY, {**told, "subsets": [one.story for one in kept.values()]})


def read(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Kept]:
    """What is finished: its labels and its story are there. Others' shapes than of these subsets are not known.

    Raises:
      CheckpointError: it is damaged; says how to go on.
    """
    if not ((folder / ROWS).exists() and (folder / STORY).exists()):
        return {}
    told = RunFolder(folder).read_json(STORY)
    try:
        stories = {story["key"]: story for story in told["subsets"]}
        arrays = read_arrays(folder / ROWS)
        kept = {key: Kept(rows, stories[key]) for key, rows in arrays.items() if key in stories}
        for key, one in kept.items():
            _check(one, shapes.get(key))
        return kept
    except Exception as problem:  # damage can surface anywhere in the zip and array readers
        reason = errors.shown(f"{type(problem).__name__}: {problem}".splitlines()[0])
        raise errors.CheckpointError(
            f"cannot read the learned labels {folder / ROWS} ({reason}); "
            f"delete it and {STORY} and run the same command again"
        ) from None


def _check(kept: Kept, shape: tuple[int, int] | None) -> None:
    """Rows are those that their story speaks of; an earlier version's stories have no digest of them."""
    rows = kept.rows
    if rows.dtype != np.float32 or rows.ndim != 2 or (shape and rows.shape != shape):
        raise ValueError(f"labels of {rows.dtype} and shape {rows.shape}, expected float32 and {shape}")
    if not (rows >= 0).all() or not np.allclose(rows.sum(1), 1, atol=1e-3):
        raise ValueError("rows that are no distributions")
    if kept.story.get("sha256") not in (None, digest({"labels": rows})):
        raise ValueError("the labels are not what was saved")
