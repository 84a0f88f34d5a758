"""Rows and their classes: counting, ranking, and the fixed shuffle that every split is cut from."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Int32

from jaxsoft import errors


def rank(labels: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """How many earlier rows have the same label: 0 for the first row of a class, 1 for its second, ..., [N].

    >>> rank(np.array([7, 2, 7, 7, 2])).tolist()
    [0, 0, 1, 2, 1]
    """
    counts = np.bincount(labels)
    ranks = np.empty(len(labels), np.int64)
    ranks[np.argsort(labels, kind="stable")] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def spread(labels: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """The fixed shuffle in which every prefix holds, as nearly as can be, the same share of every class: row numbers, [N].

    A row that comes r-th of the n rows of its class is placed by (r + 1/2) / n. With classes of one size, the first m
    images of each class are then simply the first m K rows.
    """
    # RandomState: NumPy promises that its numbers never change, which it does not for the newer generators.
    shuffle = np.random.RandomState(0).permutation(len(labels))
    shuffled = labels[shuffle]
    share = (rank(shuffled) + 0.5) / np.bincount(labels)[shuffled]
    return shuffle[np.lexsort((shuffled, share))]


def portion(labels: Int[np.ndarray, "N"], share: float) -> Int[np.ndarray, "K"]:
    """How many images of each class make up a share of it: rounded, and at least 1 of every class.

    >>> portion(np.array([0] * 50 + [1] * 3), 0.1).tolist()
    [5, 1]
    """
    return np.maximum(1, np.round(share * np.bincount(labels))).astype(np.int64)


def held_out(labels: Int[np.ndarray, "N"], counts: Int[np.ndarray, "K"]) -> Bool[np.ndarray, "N"]:
    """Which rows are split off: `counts[k]` of class k, the last of it in the fixed shuffle."""
    order, out = spread(labels), np.zeros(len(labels), bool)
    shuffled = labels[order]
    out[order] = rank(shuffled) >= (np.bincount(labels, minlength=len(counts)) - counts)[shuffled]
    return out


def check_ipc(ipc: int, labels: Int32[np.ndarray, "N"], class_names: Sequence[str] = ()) -> None:
    """Refuse an IPC that the smallest class cannot serve, with ConfigError; a class without a name is named by its number."""
    if ipc < 1:
        raise errors.ConfigError(f"ipc expects int >= 1, got {ipc}")
    counts = np.bincount(labels, minlength=len(class_names))
    smallest = int(np.argmin(counts))
    if ipc > counts[smallest]:
        name = f" ({class_names[smallest]})" if class_names else ""
        raise errors.ConfigError(
            f"ipc={ipc} but class {smallest}{name} has {counts[smallest]} train images; "
            f"the largest possible is {counts[smallest]}"
        )
