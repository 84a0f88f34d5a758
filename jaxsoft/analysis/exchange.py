"""What a soft label is worth: the hard-labelled images that it replaces."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Float

from jaxsoft.analysis.budget import label_bits
from jaxsoft.analysis.grid import Grid, column, grid
from jaxsoft.analysis.stats import RESAMPLES, interval, means, resampled_means
from jaxsoft.types import Row


class Worth(NamedTuple):
    """How many hard-labelled images one soft-labelled image replaces, with its 95 % interval over n seeds.

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


class Saving(NamedTuple):
    """Images that one soft label saves, with the 95 % interval over n seeds, and the bits that the label takes.

    -1 means below, infinity above what the measured IPC values can show.
    """

    ipc: int
    labels: str
    bits: int
    per_label: float
    low: float
    high: float
    n: int

    @property
    def per_bit(self) -> float:
        """Images saved by one bit of a label."""
        return self.per_label / self.bits


class Iso(NamedTuple):
    """Images per class that G accuracies take under A label specs, with 95 % intervals.

    NaN where the smallest measured IPC already reaches more, or nothing is known; infinity where the largest does not
    reach it.
    """

    targets: tuple[float, ...]
    labels: tuple[str, ...]
    ipc: Float[np.ndarray, "G A"]
    low: Float[np.ndarray, "G A"]
    high: Float[np.ndarray, "G A"]


def exchange_rate(rows: Sequence[Row] | Grid, labels: str | Mapping[int, str]) -> list[Worth]:
    """For each IPC, what one soft label is worth in hard-labelled images.

    worth(n) = m / n, where hard labels reach with m images per class the accuracy that soft labels reach with n. The
    curve of hard labels is made monotone and interpolated linearly in log m.

    Args:
      rows: one group of members, hard labels among them.
      labels: a soft label spec, or one for each IPC.

    Raises:
      ConfigError: a label spec, or "hard", has no rows.
    """
    return _worths(rows, labels)[0]


def label_worth(rows: Sequence[Row] | Grid, labels: str | Mapping[int, str]) -> Worth | None:
    """One number for several IPC: the geometric mean of `exchange_rate`, what lies outside the range counted at its end.

    A budget with no more images above it can show no worth over 1, whatever its labels are worth, and is left out.

    Returns:
      A worth whose ipc is 0, or None when there is nothing to compare. `largest` is infinite when some IPC was above
      the range (the ratio is then a lower bound), `smallest` is 0 when some IPC was below it (an upper bound). So is an
      end of the interval that such draws decide.
    """
    worths, draws = _worths(rows, labels)
    kept = [i for i, w in enumerate(worths) if w.largest > 1]
    if not kept or worths[0].smallest == worths[0].largest:  # one budget of hard labels spans no range
        return None
    worths, draws = [worths[i] for i in kept], draws[:, kept]
    ratios = np.array([w.ratio for w in worths])
    smallest, largest = np.array([[w.smallest, w.largest] for w in worths]).T
    mean, drawn = (np.exp(np.log(np.clip(r, smallest, largest)).mean(-1)) for r in (ratios, draws))
    n = min(w.n for w in worths)
    low = interval(np.where((draws == 0).any(-1), 0.0, drawn), n)[0]
    high = interval(np.where(np.isinf(draws).any(-1), np.inf, drawn), n)[1]
    below = 0.0 if (ratios == 0).any() else float(smallest.min())
    above = math.inf if np.isinf(ratios).any() else float(largest.max())
    return Worth(0, float(mean), low, high, below, above, n, tuple(w.ipc for w in worths))


def savings(
    rows: Sequence[Row] | Grid, labels: str | Mapping[int, str], classes: int, value: str = "fp16"
) -> list[Saving]:
    """For each IPC, the hard-labelled images that one soft label saves: its worth less the image that it sits on.

    Args:
      rows: one group of members, hard labels among them.
      labels: a soft label spec, or one for each IPC.
      classes: K.
      value: the format of an entry of a label, one of `budget.VALUE_BITS`.

    Raises:
      ConfigError: a label spec, or "hard", has no rows, or there is no such format.
    """
    found = []
    for w in exchange_rate(rows, labels):
        own = labels if isinstance(labels, str) else labels[w.ipc]
        bits = label_bits(own, classes, value)
        found.append(Saving(w.ipc, own, bits, w.ratio - 1, w.low - 1, w.high - 1, w.n))
    return found


def iso_accuracy(
    rows: Sequence[Row] | Grid,
    targets: Sequence[float],
    labels: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> Iso:
    """The images per class that each accuracy takes under each label spec: level sets in the plane of labels and IPC.

    Every curve is made monotone and interpolated linearly in log IPC.

    Args:
      rows: one group of members.
      targets: accuracies (fractions).
      labels: label specs, such as one for each k; by default all.
      resamples: bootstrap draws of seeds.

    Raises:
      ConfigError: a label spec has no rows.
    """
    table = grid(rows)
    labels = tuple(table.labels if labels is None else labels)
    wanted, found = np.array(targets, float), np.full((3, len(targets), len(labels)), np.nan)
    for a, own in enumerate(labels):
        values = table.test[:, :, column(table, own)]
        measured = np.isfinite(values).any(axis=0)
        if not np.any(measured):
            continue
        values, ipc = values[:, measured], np.array(table.ipcs, float)[measured]
        curves = np.concatenate([means(values)[None], resampled_means(values, resamples)])
        reached = _matching(ipc, curves, np.tile(wanted, (len(curves), 1)))
        ends = [interval(draws, int(np.isfinite(values).sum(0).min())) for draws in reached[1:].T]
        found[:, :, a] = reached[0], *np.array(ends).T
    found[found == 0] = np.nan
    return Iso(tuple(targets), labels, *found)


def _worths(rows: Sequence[Row] | Grid, labels: str | Mapping[int, str]) -> tuple[list[Worth], np.ndarray]:
    """The worth at each IPC, and its bootstrap draws [R, IPC]."""
    table = grid(rows)
    wanted = dict.fromkeys(table.ipcs, labels) if isinstance(labels, str) else labels
    hard = table.test[:, :, column(table, "hard")]
    soft = np.stack([table.test[:, i, column(table, wanted.get(n, "hard"))] for i, n in enumerate(table.ipcs)], 1)
    measured = np.isfinite(hard).any(0)
    asked = np.isfinite(soft).any(0) & np.isin(table.ipcs, list(wanted))
    budgets, ipcs = (np.array(table.ipcs, float)[kept] for kept in (measured, asked))
    if not len(ipcs) or not len(budgets):
        return [], np.empty((0, 0))
    both = np.concatenate([hard[:, measured], soft[:, asked]], 1)
    point, draws = (
        _matching(budgets, curves[:, : len(budgets)], curves[:, len(budgets) :]) / ipcs
        for curves in (means(both)[None], resampled_means(both))
    )
    found = []
    for i, ipc in enumerate(ipcs):
        n = int(np.isfinite(both[:, len(budgets) + i]).sum())
        low, high = interval(draws[:, i], n)
        found.append(Worth(int(ipc), float(point[0, i]), low, high, budgets[0] / ipc, budgets[-1] / ipc, n))
    return found, draws


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
