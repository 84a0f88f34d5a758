"""One form of law fitted to one curve: members of several seeds, or points that were published."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxsoft import errors
from jaxsoft.analysis import laws
from jaxsoft.analysis.stats import FEWEST, interval, means, resampled_means

_COUNTS = {2: "two", 3: "three"}


class Parameter(NamedTuple):
    """A fitted value and its 95 % interval; `identified` is false when the interval reaches a bound of the fit."""

    value: float
    low: float
    high: float
    identified: bool


class HeldOut(NamedTuple):
    """The accuracy of the largest IPC as a law fitted to the others predicts it, and as it was measured."""

    ipc: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Predicted minus measured accuracy, a fraction."""
        return self.predicted - self.measured


@dataclass(frozen=True)
class Fit:
    """One form of law, fitted to the mean test errors of one curve.

    `parameters` has those of the form: floor c, scale a, and exponent b or knee m. `aicc` is NaN, and `held_out` None,
    where the points are too few for them. What the data cannot tell is said in `note`.
    """

    labels: str
    form: str
    parameters: dict[str, Parameter]
    points: int
    n: int
    aicc: float
    held_out: HeldOut | None
    note: str

    def accuracy(self, ipc: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
        """Test accuracy (a fraction) that the law expects at each IPC."""
        form = laws.form_named(self.form)
        floor = self.parameters["floor"].value if form.floor else 0.0
        values = floor, self.parameters["scale"].value, self.parameters[form.shape].value
        return 1 - laws.error_at(form, np.array(values)[:, None], ipc)[0]


class Curve(NamedTuple):
    """Test accuracies of units U (seeds) at T ascending IPC values, NaN where a member is missing, and how sure they are.

    `weight` is 1 / variance of each mean where `known`, else in proportion to it.
    """

    labels: str
    ipc: np.ndarray
    values: np.ndarray
    weight: np.ndarray
    known: bool

    @property
    def n(self) -> int:
        """The least number of units behind a mean."""
        return int(min(np.isfinite(self.values).sum(0), default=0))


def best_form(fits: Sequence[Fit]) -> Fit | None:
    """The form with the lowest AICc; None where the points are too few to compare all forms."""
    if not fits or any(math.isnan(fit.aicc) for fit in fits):
        return None
    return min(fits, key=lambda fit: fit.aicc)


def fit_points(
    ipc: Sequence[int],
    accuracy: Sequence[float],
    form: str = laws.FLOOR.name,
    spread: Sequence[float] | None = None,
    labels: str = "published",
) -> Fit:
    """Fit one form of law to a published curve, of which no seeds are known; there are no intervals.

    Args:
      ipc: images per class, in any order, each once.
      accuracy: fractions.
      form: one of `laws.FORMS`.
      spread: standard deviations of the accuracies (fractions, above 0), to weigh them; by default all weigh alike.
      labels: what the points are, for tables.

    Raises:
      ConfigError: lengths differ, an IPC is not positive or comes twice, an accuracy is no fraction, a spread is not
        above 0, or there is no such form.

    >>> fit = fit_points([1, 10, 100], [0.2, 0.6, 0.8], form="power")
    >>> {name: round(p.value, 2) for name, p in fit.parameters.items()}
    {'scale': 0.8, 'exponent': 0.3}
    """
    wanted = laws.form_named(form)
    given = np.array(ipc, float), np.array(accuracy, float), np.array(spread or np.ones(len(ipc)), float)
    if len({len(values) for values in given}) > 1 or len(set(ipc)) < len(ipc):
        raise errors.ConfigError(f"ipc {list(ipc)}: give one accuracy (and spread) for each IPC, each IPC once")
    if not (np.all(given[0] > 0) and np.all((given[1] >= 0) & (given[1] <= 1)) and np.all(given[2] > 0)):
        raise errors.ConfigError("ipc and spread must be above 0 and accuracy a fraction in [0, 1], not percent")
    order = np.argsort(given[0])
    return fit_curve(wanted, Curve(labels, given[0][order], given[1][None, order], given[2][order] ** -2.0, False), 0)


def fit_curve(form: laws.Form, curve: Curve, resamples: int) -> Fit:
    """Fit a form to the means of a curve, to their bootstrap draws, and to all means but the last.

    Args:
      form: one of `laws.FORMS`.
      curve: at least one IPC value.
      resamples: bootstrap draws; 0 gives no intervals.
    """
    points, names = len(curve.ipc), form.parameters
    if points < len(names):
        unknown = dict.fromkeys(names, Parameter(math.nan, math.nan, math.nan, False))
        note = f"{points} IPC values cannot fix {_COUNTS[len(names)]} parameters"
        return Fit(curve.labels, form.name, unknown, points, curve.n, math.nan, None, note)
    curves = means(curve.values)[None]
    if resamples:
        draws = resampled_means(curve.values, resamples)
        curves = np.concatenate([curves, draws[np.isfinite(draws).all(1)]])
    fits, loss = laws.solve(form, curve.ipc, 1 - curves, curve.weight)
    bounds = {"floor": (0.0, math.inf), "scale": (0.0, math.inf), form.shape: form.bounds(curve.ipc)}
    free = fits if form.floor else fits[1:]
    found = {name: parameter(fit, bounds[name], curve.n, points > len(names)) for name, fit in zip(names, free)}
    score = laws.aicc(float(loss[0]), points, len(names), curve.known)
    note = _note(found, points, curve.n) if resamples else "no seeds, no interval"
    return Fit(curve.labels, form.name, found, points, curve.n, score, _held_out(form, curve), note)


def _held_out(form: laws.Form, curve: Curve) -> HeldOut | None:
    """What the form, fitted without the largest IPC, says of it; None where the others cannot fix its parameters."""
    if len(curve.ipc) <= len(form.parameters):
        return None
    curves, ipc = means(curve.values)[None], curve.ipc
    fits, _ = laws.solve(form, ipc[:-1], 1 - curves[:, :-1], curve.weight[:-1])
    return HeldOut(int(ipc[-1]), float(1 - laws.error_at(form, fits, ipc[-1:])[0, 0]), float(curves[0, -1]))


def parameter(fits: Float[np.ndarray, "R"], bounds: tuple[float, float], n: int, spare: bool) -> Parameter:
    """The fit to the data, which comes first, with the interval of the fits to the draws.

    Args:
      fits: of the data, then of each draw.
      bounds: of the search; an interval that reaches one identifies nothing.
      n: units that were resampled.
      spare: whether there are more points than parameters.
    """
    low, high = interval(fits[1:], n)
    inside = bounds[0] * 1.01 + 1e-6 < low and high < bounds[1] * 0.99
    return Parameter(float(fits[0]), low, high, spare and inside)


def _note(found: dict[str, Parameter], points: int, n: int) -> str:
    """What the fit cannot tell, in words."""
    if n < FEWEST:
        return f"fewer than {FEWEST} seeds, no interval"
    if points == len(found):
        return f"{points} IPC values for {_COUNTS[points]} parameters, an exact fit"
    said = {
        "scale": "no growth with images can be told from none",
        "exponent": "the exponent is not identified, its interval reaches a bound of the fit",
        "knee": "the knee is not identified, its interval reaches an end of the measured IPC",
        "floor": "the floor cannot be told from zero, so no ceiling below 100 % is seen",
    }
    return "; ".join(text for name, text in said.items() if name in found and not found[name].identified)


def weights(values: np.ndarray, ipc: np.ndarray) -> tuple[np.ndarray, bool]:
    """1 / variance of each mean, the standard errors smoothed to a power of IPC; ones where no spread is seen.

    A spread of few seeds is itself noise: weighting by the raw ones, intervals for 5 seeds covered 84 % instead of 94 %.
    """
    count = np.isfinite(values).sum(0)
    squares = np.where(np.isfinite(values), values - means(values), 0.0) ** 2
    sem = np.sqrt(squares.sum(0) / np.maximum(count - 1, 1) / count)
    if not len(ipc) or sem.max() == 0:
        return np.ones(len(ipc)), False
    x = np.log(ipc)
    smooth = np.polyval(np.polyfit(x, np.log(np.maximum(sem, 0.1 * sem.max())), min(1, len(ipc) - 1)), x)
    return np.exp(-2 * smooth), bool(count.min() >= FEWEST)
