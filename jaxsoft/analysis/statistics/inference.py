"""The one rule by which every number of a report gets its interval, and every choice is judged; see docs/protocol.md.

A unit is a seed, or a subset of images where several seeds share subsets (`units` of a group). NaN: a member was not
run.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

LEVEL = 0.05
FEWEST, FEWEST_DRAWN = 3, 5
"""Below so many units there is no interval, and none of bootstrap draws."""
RESAMPLES, CHOICES = 4000, 1000
"""Bootstrap draws, and those in which each unit has a choice of its own: their spread is needed, not their ends."""


class Estimate(NamedTuple):
    """A value over n units, its standard error and its 95 % interval; NaN where n does not allow one."""

    mean: float
    sem: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    @property
    def p(self) -> float:
        """Two-sided p value of zero by Student's t; 1 where there is no interval."""
        if math.isnan(self.low) or not self.sem:
            return float(math.isnan(self.low) or self.mean == 0)
        return float(2 * scipy.stats.t.sf(abs(self.mean / self.sem), self.n - 1))


NOTHING = Estimate(math.nan, math.nan, math.nan, math.nan, 0)


def estimate(values: Float[np.ndarray, "U"]) -> Estimate:
    """Mean, standard error and t interval of one value a unit; units without a value are left out.

    >>> [round(end, 2) for end in estimate(np.array([1.0, 2.0, 3.0]))[:4]]
    [2.0, 0.58, -0.48, 4.48]
    """
    values = values[np.isfinite(values)]
    if not (n := len(values)):
        return NOTHING
    return with_error(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan, n)


def with_error(mean: float, sem: float, n: int) -> Estimate:
    """A value with the t interval of its standard error over n units."""
    half = sem * float(scipy.stats.t.ppf(1 - LEVEL / 2, n - 1)) if n >= FEWEST else math.nan
    return Estimate(mean, sem, mean - half, mean + half, n)


def told(values: Mapping[Any, Estimate]) -> dict[Any, int]:
    """The sign of each of several differences, 0 where it cannot be told from zero beside the others.

    Reference: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    >>> sure, unsure = estimate(np.array([1.0, 1.1, 0.9])), estimate(np.array([1.0, 2.0, 0.3]))
    >>> told({1: sure, 10: unsure}), told({1: unsure})
    ({1: 1, 10: 0}, {1: 0})
    """
    asked = sorted((key for key in values if values[key].n), key=lambda key: values[key].p)
    found = dict.fromkeys(values, 0)
    for i, key in enumerate(asked):
        if values[key].p * (len(asked) - i) > LEVEL:
            break
        found[key] = values[key].sign or int(np.sign(values[key].mean))
    return found


def means(values: Float[np.ndarray, "U *cell"]) -> Float[np.ndarray, "*cell"]:
    """Means over the units that were run; NaN, without a warning, where none was."""
    known, there = _known(values)
    return _ratio(known.sum(0), there.sum(0))


def _known(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values with zeros for gaps, and where there are none, as 0 or 1: one for each unit if nothing is missing at all."""
    there = np.isfinite(values)
    if there.all():
        return values, np.ones((len(values), *[1] * (values.ndim - 1)))
    return np.where(there, values, 0.0), there.astype(float)


def _ratio(sums: ArrayLike, count: ArrayLike) -> np.ndarray:
    return np.asarray(np.divide(sums, np.where(np.greater(count, 0), count, np.nan)))


@functools.lru_cache(16)
def counts(n: int, resamples: int = RESAMPLES) -> Float[np.ndarray, "R n"]:
    """How often each of n units is drawn in every bootstrap draw; the same for all who ask, so not to be written to."""
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    drawn.flags.writeable = False
    return drawn


def resampled_means(values: Float[np.ndarray, "U *cell"], resamples: int = RESAMPLES) -> Float[np.ndarray, "R *cell"]:
    """Means over units of every bootstrap draw. One draw of units serves every cell, so that what is paired stays paired."""
    drawn = counts(len(values), resamples)
    return _ratio(*(np.tensordot(drawn, part, 1) for part in _known(values)))


def curves(values: Float[np.ndarray, "U *cell"], resamples: int = RESAMPLES) -> Float[np.ndarray, "R *cell"]:
    """`means` of the units, which come first, then of every bootstrap draw."""
    return np.concatenate([means(values)[None], resampled_means(values, resamples)])


def interval(draws: Float[np.ndarray, "R"], n: int) -> tuple[float, float]:
    r"""The 95 % interval of bootstrap draws over n units; draws may be infinite, NaN draws are left out.

    $\Phi(\sqrt{n/(n-1)}\, t_{0.025, n-1})$ of the draws lie outside on either side: 0.025 is too narrow for few units.
    Below 5 units, where such intervals were measured to cover 73 to 80 %, there is none.

    Reference: Hesterberg, "What Teachers Should Know About the Bootstrap" (2015), section 4.1, expanded percentiles.
    """
    draws = draws[~np.isnan(draws)]
    if n < FEWEST_DRAWN or not len(draws):
        return math.nan, math.nan
    tail = scipy.stats.norm.cdf(math.sqrt(n / (n - 1)) * scipy.stats.t.ppf(LEVEL / 2, n - 1))
    low, high = np.quantile(draws, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)


def drawn(draws: Float[np.ndarray, "R"], n: int) -> Estimate:
    """The estimate of a statistic of the data, which comes first, with the interval of its bootstrap draws."""
    if math.isnan(draws[0]):
        return NOTHING
    return Estimate(float(draws[0]), float(np.nanstd(draws[1:])), *interval(draws[1:], n), n)


def best(mean: Float[np.ndarray, "*cell A"]) -> Int[np.ndarray, "*cell"]:
    """The first best of the last axis, -1 where there is none; rounded, so that equal means tie on every machine."""
    known = np.where(np.isnan(mean), -np.inf, np.round(mean, 12))
    found = known.argmax(-1)
    return np.where(np.take_along_axis(known, found[..., None], -1)[..., 0] > -np.inf, found, -1)


class Side(NamedTuple):
    """Arms of which the best is chosen: their accuracies by unit U and budget T, on test, and on what chooses.

    NaN: not run. A negative `weight` enters with the opposite sign, as the second side of a difference. `together`: all units
    choose at once, as a published table does; only what such a table adds is told so.
    """

    test: Float[np.ndarray, "U T A"]
    selection: Float[np.ndarray, "U T A"]
    weight: float = 1.0
    together: bool = False


def choices(side: Side, drawn: Float[np.ndarray, "R U"]) -> Int[np.ndarray, "R U T"]:
    """For each unit of every draw, which has it so often, the arm with the best mean over the others, no copy of it among them.

    Where no other was run it is the unit's own choice, -1 where nothing was.
    """
    known, there = _known(side.selection)
    sums, found = (np.tensordot(drawn, part, 1) for part in (known, there))
    everyone = best(_ratio(sums, found))
    if side.together:
        return np.repeat(everyone[:, None], len(known), 1)
    copies = drawn.T[:, :, None, None]
    apart = [best(_ratio(sums - n * value, found - n * run)) for n, value, run in zip(copies, known, there)]
    return np.stack([np.where(picks >= 0, picks, everyone) for picks in apart], 1)


def judged(sides: Sequence[Side], drawn: Float[np.ndarray, "R U"]) -> Float[np.ndarray, "R U T"]:
    """The weighted sum of what each unit reaches under the choices of the others of its draw; NaN: it was not run."""
    return np.sum([side.weight * _picked(side.test[None], choices(side, drawn)) for side in sides], axis=0)


def _picked(test: Float[np.ndarray, "*#cell A"], picks: Int[np.ndarray, "*cell"]) -> Float[np.ndarray, "*cell"]:
    test = np.broadcast_to(test, (*picks.shape, test.shape[-1]))
    values = np.take_along_axis(test, np.maximum(picks, 0)[..., None], -1)[..., 0]
    return np.where(picks >= 0, values, np.nan)


def by_unit(*sides: Side) -> Float[np.ndarray, "U T"]:
    """The same of the units themselves, each once."""
    return judged(sides, np.ones((1, len(sides[0].test))))[0]


def contrast(*sides: Side) -> Estimate:
    """The weighted sum of what the best arm of each side is worth, by units that had no part in choosing it.

    One side is an accuracy, two of weights 1 and -1 a paired difference, over the budgets that all sides have. Where
    every draw of units chooses alike this is the t interval of one value a unit. Else its variance weighs two: a third
    of that of the values so judged, which share their choices and vary too little (intervals covered 77 to 97 %), two
    thirds of that of choosing and judging anew in bootstrap draws, which varies too much (95 to 100 %); never less than
    the first.
    """
    values = by_unit(*sides)
    values = values[:, np.isfinite(values).any(0)]
    if not values.size:
        return NOTHING
    found, there = estimate(values.mean(1)), np.isfinite(values).all(1)
    draws = (resampled_means(side.selection, CHOICES) for side in sides if side.selection.shape[-1] > 1)
    if found.n < FEWEST or all(len(np.unique(best(mean), axis=0)) == 1 for mean in draws):
        return found
    kept = [side._replace(test=side.test[there], selection=side.selection[there]) for side in sides]
    spread = float(np.nanstd(_means_of_draws(kept)))
    return with_error(found.mean, max(found.sem, math.sqrt((found.sem**2 + 2 * spread**2) / 3)), found.n)


def redrawn(side: Side) -> Float[np.ndarray, "R T"]:
    """A curve over budgets: what the best arm of each reaches, then the same in every bootstrap draw, chosen anew there.

    The first row is judged as in `contrast`; the draws, in which all units choose together, are moved to be centred on it.
    """
    found, budgets = means(by_unit(side)), zip(side.test.swapaxes(0, 1), chosen(side.selection)[1:].T)
    draws = np.stack([_picked(resampled_means(test), picks) for test, picks in budgets], 1)
    return np.concatenate([found[None], draws - means(draws) + found])


def chosen(selection: Float[np.ndarray, "U T A"]) -> Int[np.ndarray, "R T"]:
    """The best arm of each budget by all units, then in every bootstrap draw; -1 where nothing was run."""
    return np.stack([best(curves(budget)) for budget in selection.swapaxes(0, 1)], 1)


def _means_of_draws(sides: Sequence[Side]) -> Float[np.ndarray, "R"]:
    """The mean over units and budgets of choosing and judging anew in every bootstrap draw."""
    drawn = counts(len(sides[0].test), CHOICES)
    values = judged(sides, drawn)
    weight = np.isfinite(values) * drawn[..., None]
    return means(_ratio((weight * np.nan_to_num(values)).sum(1), weight.sum(1)).T)
