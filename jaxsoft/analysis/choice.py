"""The best of several label specs, and what it is worth to units that had no part in the choice."""

import numpy as np
from jaxtyping import Float, Int

from jaxsoft.analysis.stats import FEWEST, Estimate, bootstrap_counts, estimate, interval, means, resampled_means

_ENDS = ((np.min, np.inf), (np.max, -np.inf))
_TIE = 1e-9  # far above rounding


def best(mean: Float[np.ndarray, "*cell A"]) -> Int[np.ndarray, "*cell"]:
    """The first best of the last axis, -1 where there is none; rounded, so that equal means tie on every machine."""
    found = np.argmax(np.nan_to_num(np.round(mean, 12), nan=-np.inf), axis=-1)
    return np.where(np.isfinite(mean).any(axis=-1), found, -1)


def choice_of_others(selection: Float[np.ndarray, "U *cell A"]) -> Int[np.ndarray, "U *cell"]:
    """For each unit the spec with the best mean over all other units, so that no unit judges a choice that it made.

    Where no other unit finished, its own choice is all there is; -1 where nothing finished.
    """
    there = np.isfinite(selection)
    values, count = np.where(there, selection, 0.0), there.sum(0) - there
    picks = best(np.where(count > 0, (values.sum(0) - values) / np.maximum(count, 1), np.nan))
    return np.where(picks >= 0, picks, best(means(selection)))


def estimate_chosen(values: Float[np.ndarray, "U A"], selection: Float[np.ndarray, "U A"]) -> Estimate:
    """What the best of A specs is worth: the mean over units of the spec that the other units choose.

    The mean of all units' common choice is too high where specs are alike: luck that validation and test share made the
    choice. The interval repeats choosing and judging in every bootstrap draw; where all draws choose alike, it is that
    of the spec. Of 6 units and 3 to 40 specs, whose luck on test was that on validation or correlated with it to 0.75, the
    lower end lay above the expectation in 0 to 4 % of 150 trials, that of the common choice in 3 to 39 %.

    Args:
      values: what is told of each spec; NaN leaves a unit out of the mean, not out of the choice.
      selection: what specs are chosen on.
    """
    apart = choice_of_others(selection)
    own = values[np.arange(len(values)), apart]
    found = estimate(own[np.isfinite(own)])
    picks = best(resampled_means(selection))
    if found.n < FEWEST or (picks == picks[0]).all():
        return found
    drawn = _drawn(values, selection)
    low, high = interval(drawn - np.nanmean(drawn) + found.mean, found.n)
    return found._replace(sem=float(np.nanstd(drawn)), low=low, high=high)


def _drawn(values: np.ndarray, selection: np.ndarray) -> np.ndarray:
    """The estimate in every bootstrap draw [R]; all copies of a unit leave its choice to the others."""
    counts, there = bootstrap_counts(len(values)), np.isfinite(selection)
    known = np.where(there, selection, 0.0)
    sums, finished = counts @ known, counts @ there
    picks, open_, rivals = _decided(sums, finished, counts.max(1), selection)
    sums, finished, known, there = (
        sums[open_][:, rivals],
        finished[open_][:, rivals],
        known[:, rivals],
        there[:, rivals],
    )
    total, number = np.zeros(len(counts)), np.zeros(len(counts))
    for u, own in enumerate(counts.T):
        if len(open_):
            part = own[open_, None]
            rest = finished - part * there[u]
            mean = np.where(rest > 0, (sums - part * known[u]) / np.maximum(rest, 1), np.nan)
            picks[open_] = np.where((pick := best(mean)) >= 0, rivals[pick], -1)
        value = np.where(picks >= 0, values[u, picks], np.nan)
        told = np.where(np.isfinite(value), own, 0.0)
        total, number = total + told * np.nan_to_num(value), number + told
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _decided(
    sums: Float[np.ndarray, "R A"],
    finished: Float[np.ndarray, "R A"],
    most: Float[np.ndarray, "R"],
    selection: np.ndarray,
) -> tuple[Int[np.ndarray, "R"], Int[np.ndarray, "r"], Int[np.ndarray, "a"]]:
    """The picks of the draws [R] whose choice no single unit can turn, the other draws, and the specs that may win those.

    Leaving out a unit that was drawn c times moves a mean of n by less than the range of the values times c / (n - c).
    """
    rest = finished - most[:, None]
    low, high = (end(selection, axis=0, initial=start, where=np.isfinite(selection)) for end, start in _ENDS)
    mean = np.where(finished > 0, sums / np.maximum(finished, 1), np.nan)
    moved = np.where(rest > 0, (high - low) * most[:, None] / np.maximum(rest, 1) + _TIE, np.inf)
    picks = best(mean)
    at_least = np.take_along_axis(mean - moved, np.maximum(picks, 0)[:, None], 1)
    near = ~(mean + moved < at_least) & (finished > 0)
    open_ = np.flatnonzero((near.sum(1) > 1) | (near & (rest <= 0)).any(1))  # the second: one unit may be all there is
    return picks, open_, np.flatnonzero(near[open_].any(0))
