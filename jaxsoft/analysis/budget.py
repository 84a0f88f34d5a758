"""What a data set costs in bits, image by image and label by label, and which accuracy that buys."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxsoft import errors, spec
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.stats import RESAMPLES, Estimate, estimate, means, resampled_means
from jaxsoft.types import Row

VALUE_BITS = {"fp32": 32, "fp16": 16, "int8": 8}
"""Bits of one entry of a soft label, by the name of its number format."""


class Purchase(NamedTuple):
    """One IPC with one label spec: bits of all its images, of all its labels and of one, and the test accuracy they give.

    `pareto`: nothing cheaper is as accurate, by means on the column of choice (`grid.selection_column`); `share` is the
    part of resampled sets of seeds in which that holds.
    """

    ipc: int
    labels: str
    images: int
    label_bits: int
    bits: int
    accuracy: Estimate
    share: float
    pareto: bool

    @property
    def total(self) -> int:
        """Bits of images and labels together."""
        return self.images + self.label_bits


def entries_kept(labels: str, classes: int) -> int | None:
    """How many entries of a soft label its spec keeps; None for hard labels.

    >>> entries_kept("teacher(epoch=11)|topk(10)|topk(4)", 100), entries_kept("teacher", 100), entries_kept("hard", 100)
    (4, 100, None)
    """
    source, *operations = spec.parse(labels)
    if source.name == "hard":
        return None
    cuts = [int((*call.args, *call.kwargs.values())[0]) for call in operations if call.name == "topk"]
    return min([*cuts, classes])


def label_bits(labels: str, classes: int, value: str = "fp16") -> int:
    """Bits that the labels of one image take.

      hard: ceil(log2 K)    dense: K v    topk(k): min(k (v + ceil(log2 K)), K v)    views=V: V times that

    Hard labels stay hard labels whatever is done to them: `hard|smooth(0.1)` follows from the class. The views themselves
    follow from a seed and take no bits.

    Args:
      labels: a label spec.
      classes: K.
      value: the format of an entry, one of `VALUE_BITS`; v are its bits.

    Raises:
      ConfigError: unreadable spec, or no such format.

    >>> label_bits("hard", 100), label_bits("teacher(epoch=5)|topk(3)", 100), label_bits("teacher(views=4)", 100, "int8")
    (7, 69, 3200)
    """
    if value not in VALUE_BITS:
        raise errors.ConfigError(errors.unknown("number format", value, VALUE_BITS, "jaxsoft/analysis/budget.py"))
    index, kept = index_bits(classes), entries_kept(labels, classes)
    if kept is None:
        return index
    once = min(kept * (VALUE_BITS[value] + index), classes * VALUE_BITS[value])
    return once * max(int(spec.parse(labels)[0].kwargs.get("views", 0)), 1)


def index_bits(count: int) -> int:
    """Bits of an index into `count` things: ceil(log2 count). An image of a public train set is one such index.

    >>> index_bits(50_000), index_bits(10), index_bits(1)
    (16, 4, 0)
    """
    return (count - 1).bit_length()


def pixel_bits(shape: Sequence[int]) -> int:
    """Bits of an image of that shape (H, W, C) in uint8, not compressed.

    >>> pixel_bits((32, 32, 3))
    24576
    """
    return 8 * int(np.prod(shape))


def purchases(
    rows: Sequence[Row] | Grid, classes: int, image_bits: int, value: str = "fp16", resamples: int = RESAMPLES
) -> list[Purchase]:
    """Every IPC and label spec with its cost and its accuracy, the cheapest first.

    Args:
      rows: one group of members.
      classes: K; a data set holds K times IPC images.
      image_bits: bits of one image, from `pixel_bits` or `index_bits`.
      value: the format of an entry of a soft label, one of `VALUE_BITS`.
      resamples: bootstrap draws of seeds.

    Raises:
      ConfigError: no such format.
    """
    table = grid(rows)
    bits = [label_bits(labels, classes, value) for labels in table.labels]
    cells = [(i, a) for i, a in np.ndindex(table.test.shape[1:]) if np.isfinite(table.test[:, i, a]).any()]
    if not cells:
        return []
    images = np.array([classes * table.ipcs[i] for i, _ in cells])
    costs = images * [image_bits + bits[a] for _, a in cells]
    values, chosen = (np.stack([part[:, i, a] for i, a in cells], 1) for part in (table.test, table.selection))
    best = pareto(costs.astype(float), means(chosen)[None])[0]
    drawn = pareto(costs.astype(float), resampled_means(chosen, resamples))
    found = []
    for at in np.lexsort((-means(values), costs)):
        (i, a), kept = cells[at], np.isfinite(values[:, at])
        own = int(images[at]) * image_bits, int(images[at]) * bits[a], bits[a]
        score = estimate(values[kept, at])
        found.append(Purchase(table.ipcs[i], table.labels[a], *own, score, float(drawn[:, at].mean()), bool(best[at])))
    return found


def pareto(cost: Float[np.ndarray, "N"], value: Float[np.ndarray, "R N"]) -> Bool[np.ndarray, "R N"]:
    """Whether each thing is worth more than everything that costs no more, for many valuations at once.

    Of equal costs the most valuable counts, of equal costs and values the first. NaN is worth nothing.

    Args:
      cost: of each thing.
      value: of each thing, one valuation per row.
    """
    known = np.where(np.isfinite(value), value, -np.inf)
    found = np.zeros(known.shape, bool)
    for r, line in enumerate(known):
        order = np.lexsort((-line, cost))
        before = np.maximum.accumulate(np.concatenate([[-np.inf], line[order][:-1]]))
        found[r, order] = line[order] > before
    return found
