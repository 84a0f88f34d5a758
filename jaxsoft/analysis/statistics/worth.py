"""What a soft label is worth: the hard-labelled images that it replaces, and the bits that it takes."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float

from jaxsoft import spec
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, curves, interval, means
from jaxsoft.labels import codecs

_VALUE_BITS = 16
"""Bits v of one entry of a soft label, in half precision."""
INDEX_BITS = 32  # of a place in the published train set, whose size is not in the results
_MAP_BITS = 32  # of one entry of a feature map, in single precision
_CUTS, _WHOLE = ("topk", "drop_class"), ("renormalize", "temperature", "power", "softmax", "hard")
"""Operations after which rows do not sum to 1, and after which they do again."""


class Worth(NamedTuple):
    """How many hard-labelled images one soft-labelled image replaces, with its 95 % interval over n units.

    `smallest` and `largest` bound what the measured IPC values can show; 0 means below, infinity above that range. `over`
    has the budgets behind one number for several.
    """

    ipc: int
    ratio: float
    low: float
    high: float
    smallest: float
    largest: float
    n: int
    over: tuple[int, ...] = ()

    @property
    def bound(self) -> str | None:
        """The sign of a ratio that is a bound, else empty; None where both ends are open, and it says nothing."""
        if self.smallest == 0:
            return None if math.isinf(self.largest) else "≤ "
        return "≥ " if math.isinf(self.largest) else ""


class Purchase(NamedTuple):
    """One IPC with one label spec: bits of all its images, of all its labels and of one, and the test accuracy they give.

    `pareto`: nothing cheaper is as accurate, by means on the selection column; `share` is the part of bootstrap draws of
    units in which that holds.
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


def worths(group: Group, soft: Arms) -> tuple[list[Worth], Worth | None]:
    """What one soft label is worth in hard-labelled images at each IPC, and the geometric mean over these.

    worth(n) = m / n, where hard labels reach with m images per class the accuracy that the best of the `soft` arms reach
    with n. The curve of hard labels is made monotone and interpolated linearly in log m; choices are made anew in every draw.
    """
    if not (group.budgets(group.hard) and group.budgets(soft)):
        return [], None
    budgets, _, hard = group.curve(group.hard)
    ipcs, values, reached = group.curve(soft)
    ratios = _matching(np.array(budgets, float), hard, reached[: len(hard)]) / ipcs
    found = []
    for ipc, (ratio, *drawn), n in zip(ipcs, ratios.T, np.isfinite(values).sum(0)):
        ends = budgets[0] / ipc, budgets[-1] / ipc
        found.append(Worth(ipc, float(ratio), *interval(np.array(drawn), int(n)), *ends, int(n)))
    return found, _whole(found, ratios)


def _whole(worths: Sequence[Worth], ratios: Float[np.ndarray, "R T"]) -> Worth | None:
    """One number for several IPC: the geometric mean, what lies outside the range counted at its end.

    A budget with no more images above it can show no worth over 1, whatever its labels are worth, and is left out. The ipc
    is 0. `largest` is infinite when some IPC was above the range (the ratio is then a lower bound), `smallest` is 0 when
    some IPC was below it (an upper bound). So is an end of the interval that such draws decide.
    """
    kept = [i for i, w in enumerate(worths) if w.largest > 1]
    if not kept or worths[0].smallest == worths[0].largest:  # one budget of hard labels spans no range
        return None
    worths, ratios = [worths[i] for i in kept], ratios[:, kept]
    smallest, largest = np.array([[w.smallest, w.largest] for w in worths]).T
    mean = np.exp(np.log(np.clip(ratios, smallest, largest)).mean(-1))
    n = min(w.n for w in worths)
    low = interval(np.where((ratios[1:] == 0).any(-1), 0.0, mean[1:]), n)[0]
    high = interval(np.where(np.isinf(ratios[1:]).any(-1), np.inf, mean[1:]), n)[1]
    below = 0.0 if (ratios[0] == 0).any() else float(smallest.min())
    above = math.inf if np.isinf(ratios[0]).any() else float(largest.max())
    return Worth(0, float(mean[0]), low, high, below, above, n, tuple(w.ipc for w in worths))


def images_for(group: Group, arms: Arms, targets: Sequence[float]) -> Float[np.ndarray, "3 G"]:
    """The images per class that accuracies take with the best of some arms, then the low and high ends of intervals.

    The curve is made monotone and interpolated linearly in log IPC. NaN where the smallest measured IPC already reaches
    more, or nothing is known; infinity where the largest does not reach it.
    """
    ipcs, values, draws = group.curve(arms)
    if not ipcs:
        return np.full((3, len(targets)), np.nan)
    reached = _matching(np.array(ipcs, float), draws, np.tile(np.array(targets, float), (len(draws), 1)))
    n = int(np.isfinite(values).sum(0).min())
    found = np.array([(line[0], *interval(line[1:], n)) for line in reached.T]).T
    return np.where(found == 0, np.nan, found)


def _matching(budgets: np.ndarray, hard: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The images per class at which each draw of hard labels reaches each soft accuracy; 0 or infinity outside."""
    hard = np.where(np.isfinite(hard).all(1, keepdims=True), hard, np.nan)
    for r in np.flatnonzero((np.diff(hard, axis=1) < 0).any(1)):
        hard[r] = scipy.optimize.isotonic_regression(hard[r]).x
    above = (hard[:, None, :] < soft[:, :, None]).sum(-1)
    # One budget has no segment to interpolate in: a second copy makes an empty one.
    hard, log = np.concatenate([hard, hard[:, -1:]], 1), np.log(np.append(budgets, budgets[-1]))
    right = np.clip(above, 1, max(len(budgets) - 1, 1))
    start, end = (np.take_along_axis(hard, index, 1) for index in (right - 1, right))
    part = np.clip((soft - start) / np.where(end > start, end - start, 1.0), 0, 1)
    inside = np.exp(log[right - 1] + part * (log[right] - log[right - 1]))
    found = np.where(above >= len(budgets), np.inf, np.where(soft < hard[:, :1], 0.0, inside))
    return np.where(np.isnan(soft) | np.isnan(hard[:, :1]), np.nan, found)


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


def label_bits(labels: str, classes: int, entries: int = 0) -> int:
    """Bits that the labels of one image take, of K classes, and where they hold a feature map of its `entries` h w c.

      hard: ceil(log2 K)    dense: K v    topk(k): min(k (v + ceil(log2 K)), K v)    stored(codec): 8 bytes of its rows
      views=V: V times that    online: 0, for experts are asked at every step; see `online_bits`
      features: 32 h w c beside that of their rows

    Hard labels stay hard labels whatever is done to them: `hard|smooth(0.1)` follows from the class. So does all that is
    done after `stored`. The views themselves follow from a seed and take no bits.

    >>> label_bits("hard", 100), label_bits("teacher(epoch=5)|topk(3)", 100), label_bits("teacher(views=4)", 100)
    (7, 69, 6400)
    >>> label_bits("teacher(epoch=5, features=-1)|hard", 100, entries=4 * 4 * 128)
    65543
    >>> label_bits("teacher(epoch=5, views=4)|stored('top3:int4')", 100) == 4 * 8 * (3 + 2 + 2)
    True
    """
    source, *operations = spec.parse(labels)
    index, kept = (classes - 1).bit_length(), entries_kept(labels, classes)
    if "features" in source.kwargs:
        is_hard = bool(operations) and operations[0].name == "hard"
        bare = source._replace(kwargs={})
        return label_bits("hard" if is_hard else spec.render((bare, *operations)), classes) + _MAP_BITS * entries
    if kept is None or source.kwargs.get("online"):
        return index if kept is None else 0
    once = _stored_bits(operations, classes) or min(kept * (_VALUE_BITS + index), classes * _VALUE_BITS)
    return once * max(int(source.kwargs.get("views", 0)), 1)


def _stored_bits(operations: Sequence[spec.Call], classes: int) -> int:
    """Bits of a row as the last of its codecs has it; 0 without any."""
    whole, bits = True, 0
    for call in operations:
        if call.name == "stored":
            (codec,) = (*call.args, *call.kwargs.values())
            bits = 8 * codecs.row_bytes(codec, classes, whole)
        whole = (whole or call.name in _WHOLE) and call.name not in _CUTS
    return bits


def online_bits(labels: str, experts: Sequence[int]) -> int | None:
    """Bits that labels take once for all images: of the experts whom online labels ask; None if their size is not known.

    Args:
      labels: a label spec.
      experts: bytes of each expert's network.

    >>> online_bits("teachers(2, epoch=5, online=true)", (100, 200, 300)), online_bits("teacher(epoch=5)", ())
    (2400, 0)
    """
    source = spec.parse(labels)[0]
    if not source.kwargs.get("online"):
        return 0
    first = source.args[0] if source.args else source.kwargs.get("n", source.kwargs.get("expert"))
    asked = [first or 0] if source.name == "teacher" else range(3 if first is None else first)
    return 8 * sum(experts[e] for e in asked) if max(asked) < len(experts) else None


def pixel_bits(shape: Sequence[int]) -> int:
    """Bits of an image of that shape (H, W, C) in uint8, not compressed."""
    return 8 * math.prod(map(int, shape))


def purchases(
    group: Group,
    classes: int,
    image_bits: int,
    specs: Mapping[str, int],
    once: Mapping[str, int] = MappingProxyType({}),
    ipcs: Sequence[int] = (),
) -> list[Purchase]:
    """Every IPC and label spec with its cost and its accuracy, the cheapest first.

    Args:
      group: members that may share a curve.
      classes: K; a data set holds K times IPC images.
      image_bits: bits of one image: of its pixels, or of its place in a public set.
      specs: label specs, and the bits of the labels of one image.
      once: bits that some of them take beside, once for all images.
      ipcs: budgets, all if none is given.
    """
    there = {labels: group.budgets(group.of(labels)) for labels in specs}
    cells = [(ipc, labels) for labels, own in there.items() for ipc in own if not ipcs or ipc in ipcs]
    if not cells:
        return []
    paid = [classes * ipc * specs[labels] + once.get(labels, 0) for ipc, labels in cells]
    costs = np.array([classes * ipc * image_bits + bits for (ipc, _), bits in zip(cells, paid)], float)
    at = [(group.ipcs.index(ipc), group.choose(ipc, group.of(labels))) for ipc, labels in cells]
    test, selection = (values[:, *np.array(at, int).T] for values in (group.test, group.selection))
    kept, found = pareto(costs, curves(selection)), []
    for i in np.lexsort((-means(test), costs)):
        ipc, labels = cells[i]
        bits = classes * ipc * image_bits, paid[i], specs[labels]
        score = group.accuracy(ipc, group.of(labels))
        found.append(Purchase(ipc, labels, *bits, score, float(kept[1:, i].mean()), bool(kept[0, i])))
    return found


def pareto(cost: Float[np.ndarray, "N"], value: Float[np.ndarray, "R N"]) -> Bool[np.ndarray, "R N"]:
    """Whether each thing is worth more than everything that costs no more, for many valuations at once.

    Of equal costs the most valuable counts, of equal costs and values the first. NaN is worth nothing.
    """
    known = np.where(np.isfinite(value), value, -np.inf)
    found = np.zeros(known.shape, bool)
    for r, line in enumerate(known):
        order = np.lexsort((-line, cost))
        before = np.maximum.accumulate(np.concatenate([[-np.inf], line[order][:-1]]))
        found[r, order] = line[order] > before
    return found
