"""What the label rows of a set are: classes, probabilities, or logits."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxsoft import errors

KINDS = ("hard", "probabilities", "logits")
_SUM = 2e-3  # how far from 1 probabilities that were kept in float16 may sum
_FEW = 0.5  # share of rows whose largest entry has to be that of the class


def infer_kind(rows: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> tuple[str, tuple[str, ...]]:
    """The kind of label rows that do not say it, and what a user should know of them, a line each.

    Args:
      rows: finite, as stored, N >= 1.
      labels: the classes of the images.

    Raises:
      ConfigError: rows that can be meant in several ways; names the flag that decides.
    """
    kind, why = _kind(rows)
    if not kind:
        raise errors.ConfigError(
            f"what label rows are cannot be told: {why}; wanted --kind={' or --kind='.join(KINDS[1:])}"
        )
    return kind, (why, *_disagreement(rows, labels))


def sum_to_one(rows: Float[np.ndarray, "N K"]) -> Bool[np.ndarray, "N"]:
    """Which rows sum to 1, as exactly as float16 keeps them."""
    return np.abs(rows.sum(axis=1) - 1) <= _SUM


def _kind(rows: Float[np.ndarray, "N K"]) -> tuple[str, str]:
    """The kind, or nothing, and the reason."""
    low, high, sums = rows.min(), rows.max(), rows.sum(axis=1)
    is_one = sum_to_one(rows)
    ends = f"entries from {low:.4g} to {high:.4g}"
    if ((rows == 0) | (rows == 1)).all() and is_one.all():
        return "hard", "every row is one 1 among zeros"
    if low >= -1e-6 and is_one.all():
        return "probabilities", f"no entry is negative, and every row sums to 1; {ends}"
    if is_one.all():
        return "", f"rows sum to 1, but {ends}"
    if low >= 0 and np.ptp(sums) <= 1e-3 * sums.max():
        return "", f"rows sum to {sums.mean():.4g} each, {ends}"
    if low >= 0 and high <= 1:
        return "", f"{ends}, but rows sum to {sums.min():.4g} to {sums.max():.4g}"
    if high <= 0 and sum_to_one(np.exp(rows.astype(np.float64))).all():
        return "logits", "rows are logarithms of probabilities, which are logits too"
    return "logits", f"rows sum to {sums.min():.4g} to {sums.max():.4g}, {ends}"


def _disagreement(rows: np.ndarray, labels: np.ndarray) -> tuple[str, ...]:
    """A line if the largest entry of some rows is of another class."""
    same = rows.argmax(axis=1) == labels
    if same.all():
        return ()
    told = f"{(~same).sum()} of {len(rows)} rows are largest for another class than the labels say"
    told += f", the first is row {int(np.argmin(same))}"
    return (told + "; is it another order of classes?" * bool(same.mean() < _FEW),)
