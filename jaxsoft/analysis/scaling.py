"""Laws of accuracy in images per class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxsoft.analysis.frontier import choose
from jaxsoft.analysis.grid import Grid, column, grid
from jaxsoft.analysis.stats import FEWEST, interval, means, resampled_means
from jaxsoft.types import Row

BEST = "best soft labels"
_EXPONENTS = (0.02, 5.0)
_BOUNDS = ((0.0, math.inf), (0.0, math.inf), _EXPONENTS)


class Parameter(NamedTuple):
    """A fitted value and its 95 % interval; `identified` is false when the interval reaches a bound of the fit."""

    value: float
    low: float
    high: float
    identified: bool


@dataclass(frozen=True)
class Law:
    """error(n) = floor + scale * n^-exponent for one label spec, fitted to the mean test errors of its IPC values."""

    labels: str
    floor: Parameter
    scale: Parameter
    exponent: Parameter
    points: int
    n: int
    note: str

    def accuracy(self, ipc: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
        """Test accuracy (a fraction) that the law expects at each IPC."""
        return 1 - self.floor.value - self.scale.value * ipc**-self.exponent.value


def power_law(
    ipc: Float[np.ndarray, "T"], error: Float[np.ndarray, "R T"], weight: Float[np.ndarray, "T"]
) -> Float[np.ndarray, "3 R"]:
    """Weighted least squares fit of error = c + a n^-b with c >= 0, a >= 0 and b in [0.02, 5], for many curves at once.

    For a given b the best (c, a) have a closed form, so b alone is searched: on a logarithmic grid that is refined
    four times. It needs no first guess, cannot fail to converge, and fits thousands of bootstrap draws in one go.

    Args:
      ipc: images per class.
      error: mean errors as fractions, one curve per row.
      weight: 1 / variance of each mean.

    Returns:
      (c, a, b), stacked on the first axis.
    """
    low, high = (np.full(len(error), math.log(b)) for b in _EXPONENTS)
    floor = scale = exponent = np.zeros(len(error))
    for points in (33, 9, 9, 9, 9):
        best = np.full(len(error), np.inf)
        centre = low
        for step in np.linspace(0, 1, points):
            b = np.exp(low + step * (high - low))
            c, a, loss = _linear(ipc ** -b[:, None], error, weight)
            better = loss < best
            best = np.where(better, loss, best)
            centre = np.where(better, np.log(b), centre)
            floor, scale, exponent = (
                np.where(better, new, old) for new, old in ((c, floor), (a, scale), (b, exponent))
            )
        width = (high - low) / (points - 1)
        low, high = (np.clip(centre + side * width, *np.log(_EXPONENTS)) for side in (-1, 1))
    return np.stack([floor, scale, exponent])


def fit_law(rows: Sequence[Row] | Grid, labels: str) -> Law:
    """Fit the power law with a floor to one label spec; 95 % intervals by bootstrap over seeds.

    Cell means are weighted by their standard errors, smoothed over IPC. What the data cannot tell is said in `note`, not hidden.

    Raises:
      ConfigError: no row has such a label spec.
    """
    table = grid(rows)
    return _fit(table, labels, np.repeat([column(table, labels)], len(table.ipcs)))


def fit_frontier_law(rows: Sequence[Row] | Grid) -> Law:
    """`fit_law` of the frontier: at each IPC the soft label spec that was chosen there."""
    table = grid(rows)
    chosen = {choice.ipc: column(table, choice.labels) for choice in choose(table)}
    return _fit(table, BEST, np.array([chosen.get(ipc, -1) for ipc in table.ipcs]))


def _fit(table: Grid, labels: str, columns: np.ndarray) -> Law:
    """Fit the cells of one column per IPC; -1 leaves an IPC out."""
    values = np.stack([table.test[:, i, a] for i, a in enumerate(columns)], 1)[:, columns >= 0]
    ipc, there = np.array(table.ipcs, float)[columns >= 0], np.isfinite(values)
    values, ipc = values[:, there.any(0)], ipc[there.any(0)]
    n = int(min(there.sum(0)[there.any(0)], default=0))
    if len(ipc) < 3:
        unknown = Parameter(math.nan, math.nan, math.nan, False)
        return Law(labels, unknown, unknown, unknown, len(ipc), n, f"{len(ipc)} IPC values cannot fix three parameters")
    draws = resampled_means(values)
    curves = np.concatenate([means(values)[None], draws[np.isfinite(draws).all(1)]])
    fits = power_law(ipc, 1 - curves, _weights(values, ipc))
    floor, scale, exponent = (_parameter(fit, ends, n, len(ipc)) for fit, ends in zip(fits, _BOUNDS))
    return Law(labels, floor, scale, exponent, len(ipc), n, _note(floor, scale, exponent, len(ipc), n))


def _parameter(fits: np.ndarray, bounds: tuple[float, float], n: int, points: int) -> Parameter:
    """The fit to the data, which comes first, with the interval of the fits to the draws."""
    low, high = interval(fits[1:], n)
    inside = bounds[0] * 1.01 + 1e-6 < low and high < bounds[1] * 0.99
    return Parameter(float(fits[0]), low, high, points > 3 and inside)


def _note(floor: Parameter, scale: Parameter, exponent: Parameter, points: int, n: int) -> str:
    """What the fit cannot tell, in words."""
    if n < FEWEST:
        return f"fewer than {FEWEST} seeds, no interval"
    if points < 4:
        return f"{points} IPC values for three parameters, an exact fit"
    said = []
    if not scale.identified:
        said.append("no growth with images can be told from none")
    if not exponent.identified:
        said.append("the exponent is not identified, its interval reaches a bound of the fit")
    if not floor.identified:
        said.append("the floor cannot be told from zero, so no ceiling below 100 % is seen")
    return "; ".join(said)


def _weights(values: np.ndarray, ipc: np.ndarray) -> np.ndarray:
    """1 / variance of each mean, the standard errors smoothed to a power of IPC.

    A spread of few seeds is itself noise: weighting by the raw ones, intervals for 5 seeds covered 84 % instead of 94 %.
    """
    count = np.isfinite(values).sum(0)
    squares = np.where(np.isfinite(values), values - means(values), 0.0) ** 2
    sem = np.sqrt(squares.sum(0) / np.maximum(count - 1, 1) / count)
    if sem.max() == 0:
        return np.ones(len(ipc))
    x = np.log(ipc)
    return np.exp(-2 * np.polyval(np.polyfit(x, np.log(np.maximum(sem, 0.1 * sem.max())), 1), x))


def _linear(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best c >= 0 and a >= 0 in y = c + a x, and their weighted loss: the free optimum or one of two edges."""
    weight = weight / weight.sum()
    mx, my = x @ weight, y @ weight
    dx, dy = x - mx[:, None], y - my[:, None]
    slope = (dx * dy) @ weight / np.maximum((dx * dx) @ weight, 1e-300)
    through = (x * y) @ weight / ((x * x) @ weight)
    free = (slope >= 0) & (my >= slope * mx)
    flat_loss = (dy * dy) @ weight
    through_loss = (y - through[:, None] * x) ** 2 @ weight
    flat = ~free & (flat_loss <= through_loss)
    a = np.where(free, slope, np.where(flat, 0.0, through))
    c = np.where(free, my - slope * mx, np.where(flat, my, 0.0))
    return c, a, (y - c[:, None] - a[:, None] * x) ** 2 @ weight
