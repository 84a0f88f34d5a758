"""What the label rows of a set are: classes, probabilities, or logits."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxsoft import errors

KINDS = ("hard", "probabilities", "logits")
_SUM = 2e-3  # how far from 1 probabilities that were kept in float16 may sum
_FEW = 0.5  # share of rows whose largest entry has to be that of the class


class Verdict(NamedTuple):
    """What rows are, and what a user should know of them."""

    kind: str
    lines: tuple[str, ...]


def infer_kind(rows: Float[np.ndarray, "N K"] | None, labels: Int[np.ndarray, "N"] | None, classes: int) -> Verdict:
    """The kind of label rows that do not say it.

    Args:
      rows: as stored, N >= 1; None where there are classes alone.
      labels: the classes of the images; None if images are thought to lie class by class.
      classes: of the data set.

    Raises:
      DataError: they are not one number for each class, or not all are finite.
      ConfigError: rows that can be meant in several ways; names the flag that decides.
    """
    if rows is None:
        return Verdict("hard", ("there are classes alone",))
    if rows.shape[1] != classes:
        shape = " x ".join(map(str, rows.shape))
        raise errors.DataError(f"label rows are {shape}; wanted {classes} numbers for each image")
    if not (finite := np.isfinite(rows).all(axis=1)).all():
        raise errors.DataError(f"label row {int(np.argmin(finite))} has an entry that is no finite number")
    kind, why = _kind(rows)
    if not kind:
        raise errors.ConfigError(
            f"what label rows are cannot be told: {why}; wanted --kind={' or --kind='.join(KINDS[1:])}"
        )
    return Verdict(kind, (why, *_disagreement(rows, labels, classes)))


def _kind(rows: Float[np.ndarray, "N K"]) -> tuple[str, str]:
    """The kind, or nothing, and the reason."""
    low, high, sums = rows.min(), rows.max(), rows.sum(axis=1)
    is_one = np.abs(sums - 1) <= _SUM
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
    if high <= 0 and (np.abs(np.exp(rows.astype(np.float64)).sum(axis=1) - 1) <= _SUM).all():
        return "logits", "rows are logarithms of probabilities, which are logits too"
    return "logits", f"rows sum to {sums.min():.4g} to {sums.max():.4g}, {ends}"


def _disagreement(rows: np.ndarray, labels: np.ndarray | None, classes: int) -> tuple[str, ...]:
    """A line if the largest entry of some rows is of another class."""
    count = len(rows)
    if labels is None and count % classes:
        return (
            f"{count} images are no whole number for each of {classes} classes: each is of the largest entry of its row",
        )
    meant = np.repeat(np.arange(classes), count // classes) if labels is None else labels
    same = rows.argmax(axis=1) == meant
    if same.all():
        return ()
    order = "the order class by class says" if labels is None else "the labels say"
    first = int(np.argmin(same))
    told = f"{(~same).sum()} of {count} rows are largest for another class than {order}, the first is row {first}"
    return (told + "; is it another order of classes?" * bool(same.mean() < _FEW),)
