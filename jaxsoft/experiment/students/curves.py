"""Curves of members: what each look at the evaluation sets told of them, through kills and on to the results."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Float64

from jaxsoft.experiment.store.folder import write_arrays
from jaxsoft.training.ensemble import Bucket, Report
from jaxsoft.types import Row

NAME = "curves.npz"

Looks = Float32[np.ndarray, "_ M columns"]
"""Of a wave, look by look: mean training loss since the look before, nats, and accuracy on each evaluation set."""

_DIGITS = 6  # of a number, as in the rows
_COLUMNS = {
    "sealed": {"train_loss": 0, "val_accuracy": 1},
    "paper": {"train_loss": 0, "val_accuracy": 2, "test_accuracy": 1},
    "both": {"train_loss": 0, "val_accuracy": 1, "test_accuracy": 2},
}


class Curve(NamedTuple):
    """A member's curve as the log has it: `step`, `train_loss` in nats, accuracies; a line each, L looks."""

    names: tuple[str, ...]
    values: Float64[np.ndarray, "names L"]

    def as_json(self) -> dict[str, list[Any]]:
        """As the log has it."""
        steps, *numbers = np.where(np.isfinite(self.values), self.values, np.array(None)).tolist()
        return dict(zip(self.names, [[*map(int, steps)], *numbers]))


def stacked(before: Looks, reports: Sequence[tuple[Report, ...]]) -> Looks:
    """The looks before, and those of later reports: all members of a wave, bucket after bucket."""
    told = [[np.column_stack([r.loss, r.accuracy]) for r in jax.device_get(look)] for look in reports]
    return np.concatenate([before, *(np.concatenate(look)[None] for look in told)]).astype(np.float32)


def as_json(looks: Looks) -> dict[str, str]:
    """Looks as a checkpoint keeps them."""
    return {"curves": base64.b64encode(looks.astype("<f4").tobytes()).decode()}


def from_json(kept: Mapping[str, str], done: int, buckets: Sequence[Bucket], columns: int) -> Looks:
    """The first `done` looks as a checkpoint kept them; NaN where it is of a version that kept none."""
    shape = done, sum(bucket.members for bucket in buckets), columns
    found = np.frombuffer(base64.b64decode(kept.get("curves", "")), "<f4")
    return found.reshape(shape) if "curves" in kept else np.full(shape, np.nan, np.float32)


def of_members(looks: Looks, first: int, members: int, steps: int, chunk_steps: int, protocol: str) -> list[Any]:
    """The curve of each of some members, as the log has it: lists with one entry a look, None what is not finite.

    Args:
      looks: of their wave, all of it.
      first, members: their places in it.
      steps, chunk_steps: length of their training, and between two looks. A look after the end is left out.
      protocol: says which evaluation set is which.
    """
    ends = np.minimum(np.arange(1, len(looks) + 1) * chunk_steps, steps)
    at = list(dict.fromkeys(ends.tolist()))
    own = looks[: len(at), first : first + members].astype(np.float64).round(_DIGITS).transpose(1, 2, 0)
    values = (own if np.isfinite(own).all() else np.where(np.isfinite(own), own, np.array(None))).tolist()
    return [{"step": at, **{name: member[i] for name, i in _COLUMNS[protocol].items()}} for member in values]


def split(log: Iterable[Row]) -> tuple[dict[str, Row], dict[str, Curve]]:
    """The rows of a log by member, without their curves, and these as arrays, which take less memory."""
    rows, found = {}, {}
    for row in log:
        rows[row["member"]] = row
        if curve := row.pop("curve", None):
            found[row["member"]] = Curve(tuple(curve), np.array(list(curve.values()), np.float64))
    return rows, found


def write(path: Path, found: Mapping[str, Curve], order: Iterable[str]) -> None:
    """Replace the file of all curves; equal curves give equal bytes, and where there are none, there is no file.

    It holds `member` [M], the keys, `step` [M, L], and `train_loss`, `val_accuracy` and what else curves have, float32
    [M, L]; after a curve's end, or where a member has none, steps are -1 and numbers NaN.

    Args:
      path: of the `.npz` file.
      found: curves by member.
      order: of the members; all of them.
    """
    if not found:
        return
    members, longest = list(order), max(curve.values.shape[1] for curve in found.values())
    names = max((curve.names for curve in found.values()), key=len)
    values = {name: np.full((len(members), longest), np.nan) for name in names}
    for i, curve in ((i, found[key]) for i, key in enumerate(members) if key in found):
        for name, line in zip(curve.names, curve.values):
            values[name][i, : len(line)] = line
    step = np.nan_to_num(values.pop("step"), nan=-1.0).astype(np.int32)
    numbers = {name: array.astype(np.float32) for name, array in values.items()}
    write_arrays(path, {"member": np.array(members), "step": step, **numbers})


def tidy(about: Any, each: Sequence[Curve | None]) -> Any:
    """A line for each look: of a table with a row for each curve, that row, and what the look told."""
    found = about.loc[about.index.repeat([curve.values.shape[1] if curve else 0 for curve in each])]
    found, whole = found.reset_index(drop=True), np.concatenate([curve.values for curve in each if curve], axis=1)
    for name, values in zip(next(curve.names for curve in each if curve), whole, strict=True):
        found[name] = values.astype(int) if name == "step" else values
    return found
