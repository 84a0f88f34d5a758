"""Curves of members: what each look at the evaluation sets told of them, through kills and on to the results."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from jaxsoft.training.ensemble import Bucket, Report

Looks = Float32[np.ndarray, "_ M columns"]
"""Of a wave, look by look: mean training loss since the look before, nats, and accuracy on each evaluation set."""

_DIGITS = 6  # of a number, as in the rows
_COLUMNS = {
    "sealed": {"train_loss": 0, "val_accuracy": 1},
    "paper": {"train_loss": 0, "val_accuracy": 2, "test_accuracy": 1},
    "both": {"train_loss": 0, "val_accuracy": 1, "test_accuracy": 2},
}


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
      steps, chunk_steps: length of their training, and between two looks. A look after the end tells nothing new, and is left out.
      protocol: says which evaluation set is which.
    """
    ends = np.minimum(np.arange(1, len(looks) + 1) * chunk_steps, steps)
    at = list(dict.fromkeys(ends.tolist()))
    own = looks[: len(at), first : first + members].astype(np.float64).round(_DIGITS).transpose(1, 2, 0)
    values = (own if np.isfinite(own).all() else np.where(np.isfinite(own), own, None)).tolist()
    return [{"step": at, **{name: member[i] for name, i in _COLUMNS[protocol].items()}} for member in values]
