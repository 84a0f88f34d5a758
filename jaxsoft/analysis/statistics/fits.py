"""Laws fitted to curves: of the members of a group, or of points that were published."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxsoft import errors
from jaxsoft.analysis.statistics import laws
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import FEWEST, FEWEST_DRAWN, interval, means

BEST = "best soft labels"
_COUNTS = {2: "two", 3: "three", 5: "five"}
_UNTOLD = {
    "scale": "no growth with images can be told from none",
    "exponent": "the exponent is not identified, its interval reaches a bound of the fit",
    "knee": "the knee is not identified, its interval reaches an end of the measured IPC",
    "label_scale": "no growth with label entries can be told from none",
    "label_exponent": "the exponent of label entries is not identified",
    "floor": "the floor cannot be told from zero, so no ceiling below 100 % is seen",
}


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


class Curve(NamedTuple):
    """Mean test accuracies at T points, and those of every bootstrap draw after them.

    `x` has the images per class of each point, and for a joint law the label entries; `weight` is 1 / variance of each mean
    where `known`, else in proportion to it; n is the least number of units behind a mean.
    """

    name: str
    x: Float[np.ndarray, "B T"]
    draws: Float[np.ndarray, "R T"]
    weight: Float[np.ndarray, "T"]
    known: bool
    n: int

    def without(self, t: int) -> "Curve":
        """The curve without one of its points."""
        x, draws, weight = (np.delete(part, t, axis=-1) for part in (self.x, self.draws, self.weight))
        return self._replace(x=x, draws=draws, weight=weight)


@dataclass(frozen=True)
class Fit:
    """One form of law, fitted to one curve; its parameters are named as in the form.

    `aicc` is NaN, and `held_out` None, where the points are too few for them. `misfit` is the weighted root mean square by
    which means miss the law (a fraction), `excess` the same in their standard errors, about 1 when the law holds. What the
    data cannot tell is said in `note`.
    """

    name: str
    form: laws.Form
    parameters: dict[str, Parameter]
    x: Float[np.ndarray, "B T"]
    n: int
    aicc: float
    held_out: HeldOut | None
    misfit: float
    excess: float
    note: str

    def accuracy(self, *x: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
        """Test accuracy (a fraction) that the law expects at images per class, and entries kept."""
        values = [part.value for part in self.parameters.values()]
        found = np.array(values if self.form.floor else [0.0, *values])
        return 1 - laws.error_at(self.form, found[:, None], np.array(x, float))[0]


class Law(NamedTuple):
    """What the errors of one curve follow: the power law with a floor, with intervals, beside all forms without, best first.

    One form for every curve, so that exponents compare. A power law without a floor is a special case of it; intervals of
    the form that AICc chooses were measured to cover 20 % at 5 seeds where it missed a floor of 2 %, those of this one 90 %.
    """

    fit: Fit
    rivals: tuple[Fit, ...]


def curve(group: Group, arms: Arms, name: str) -> Curve:
    """The curve of the best of some arms in images per class, chosen anew in every draw."""
    ipcs, values, draws = group.curve(arms)
    x = np.array([ipcs], float)
    return Curve(name, x, draws, *weights(values, x[0]), int(min(np.isfinite(values).sum(0), default=0)))


def surface(group: Group, cut: dict[int, Arms], name: str) -> Curve:
    """The points of a joint law: every budget with every number of label entries, each the best of some arms."""
    lines = {k: curve(group, arms, name) for k, arms in sorted(cut.items())}
    x = np.concatenate([[line.x[0], np.full_like(line.x[0], k)] for k, line in lines.items()], 1)
    draws = np.concatenate([line.draws[:1001] for line in lines.values()], 1)
    known = all(line.known for line in lines.values())
    # Spreads that are seen in part only would not compare.
    weight = np.concatenate([line.weight for line in lines.values()]) if known else np.ones(x.shape[1])
    return Curve(name, x, draws, weight, known, min(line.n for line in lines.values()))


def law(of: Curve) -> Law:
    """The law of one curve in images per class."""
    rivals = [fit(form, of._replace(draws=of.draws[:1])) for form in laws.FORMS.values()]
    rivals.sort(key=lambda one: np.nan_to_num(one.aicc, nan=math.inf))
    return Law(fit(laws.FLOOR, of), tuple(rivals))


def best_form(fits: Sequence[Fit]) -> Fit | None:
    """The form with the lowest AICc; None where the points are too few to compare all forms."""
    if not fits or any(math.isnan(one.aicc) for one in fits):
        return None
    return min(fits, key=lambda one: one.aicc)


def fit_points(
    ipc: Sequence[int], accuracy: Sequence[float], form: str = laws.FLOOR.name, spread: Sequence[float] | None = None
) -> Fit:
    """Fit one form of law to a published curve, of which no seeds are known; there are no intervals.

    Args:
      ipc: images per class, in any order, each once.
      accuracy: fractions.
      form: one of `laws.FORMS`.
      spread: standard deviations of the accuracies (fractions, above 0), to weigh them; by default all weigh alike.

    Raises:
      ConfigError: lengths differ, an IPC is not positive or comes twice, an accuracy is no fraction, a spread is not
        above 0, or there is no such form.

    >>> found = fit_points([1, 10, 100], [0.2, 0.6, 0.8], form="power")
    >>> {name: round(p.value, 2) for name, p in found.parameters.items()}
    {'scale': 0.8, 'exponent': 0.3}
    """
    given = np.array(ipc, float), np.array(accuracy, float), np.array(spread or np.ones(len(ipc)), float)
    if len({len(values) for values in given}) > 1 or len(set(ipc)) < len(ipc):
        raise errors.ConfigError(f"ipc {list(ipc)}: give one accuracy (and spread) for each IPC, each IPC once")
    if not (np.all(given[0] > 0) and np.all((given[1] >= 0) & (given[1] <= 1)) and np.all(given[2] > 0)):
        raise errors.ConfigError("ipc and spread must be above 0 and accuracy a fraction in [0, 1], not percent")
    x, values, sd = (part[np.argsort(given[0])][None] for part in given)
    return fit(laws.form_named(form), Curve("published", x, values, sd[0] ** -2.0, False, 0))


def fit(form: laws.Form, of: Curve) -> Fit:
    """Fit a form to the means of a curve, to their bootstrap draws, and, in images alone, to all means but the last."""
    points, names = of.x.shape[1], form.parameters
    freedom = points - len(names)
    if freedom < 0 or min(len(np.unique(line)) for line in of.x) < 2:
        unknown = dict.fromkeys(names, Parameter(math.nan, math.nan, math.nan, False))
        note = f"{points} points cannot fix {_COUNTS[len(names)]} parameters"
        return Fit(of.name, form, unknown, of.x, of.n, math.nan, None, math.nan, math.nan, note)
    draws = np.concatenate([of.draws[:1], of.draws[1:][np.isfinite(of.draws[1:]).all(1)]])
    found, loss = laws.solve(form, of.x, 1 - draws, of.weight)
    parameters = dict(zip(names, map(_parameter, found if form.floor else found[1:], _bounds(form, of), [of.n] * 5)))
    for scale, shape, *_ in form.bases:  # nothing has any shape
        known = parameters[scale].identified and parameters[shape].identified
        parameters[shape] = parameters[shape]._replace(identified=known)
    chi2 = max(float(loss[0]), 0.0)
    excess = math.sqrt(chi2 / freedom) if of.known and freedom else math.nan
    score = laws.aicc(float(loss[0]), points, len(names), of.known)
    note = _note(parameters, freedom, of.n, excess if len(of.x) > 1 else 0.0)
    misfit = math.sqrt(chi2 / of.weight.sum())
    return Fit(of.name, form, parameters, of.x, of.n, score, _held_out(form, of), misfit, excess, note)


def _bounds(form: laws.Form, of: Curve) -> list[tuple[float, float] | None]:
    """Of each parameter, ends that its interval must not reach; None where points are too few to identify it at all."""
    spare = of.x.shape[1] > len(form.parameters)
    positive = (0.0, math.inf) if spare else None
    shapes = [(basis.bounds, np.unique(line)) for basis, line in zip(form.bases, of.x)]
    pairs = [(positive, bounds(values) if spare and len(values) > 2 else None) for bounds, values in shapes]
    return [*([positive] * form.floor), *(bound for pair in pairs for bound in pair)]


def _parameter(fits: Float[np.ndarray, "R"], bounds: tuple[float, float] | None, n: int) -> Parameter:
    """The fit to the data, which comes first, with the interval of the fits to the draws."""
    low, high = interval(fits[1:], n)
    inside = bounds is not None and bounds[0] * 1.01 + 1e-6 < low and high < bounds[1] * 0.99
    return Parameter(float(fits[0]), low, high, inside)


def _held_out(form: laws.Form, of: Curve) -> HeldOut | None:
    """What the form, fitted without the largest IPC, says of it; None where the others cannot fix its parameters."""
    if len(of.x) > 1 or of.x.shape[1] <= len(form.parameters):
        return None
    rest = of.without(-1)
    found, _ = laws.solve(form, rest.x, 1 - rest.draws[:1], rest.weight)
    told = 1 - laws.error_at(form, found, of.x[:, -1:])[0, 0]
    return HeldOut(int(of.x[0, -1]), float(told), float(of.draws[0, -1]))


def _note(found: dict[str, Parameter], freedom: int, n: int, excess: float) -> str:
    """What the fit cannot tell, in words."""
    if n < FEWEST_DRAWN:
        return f"fewer than {FEWEST_DRAWN} seeds, no interval" if n else "no seeds are known, no interval"
    if not freedom:
        return f"as many points as parameters, {len(found)}, an exact fit"
    parts = [text for name, text in _UNTOLD.items() if name in found and not found[name].identified]
    if excess > 2:
        parts.append(f"cells miss the law by {excess:.1f} of their standard errors, so it is not the whole truth")
    return "; ".join(parts)


def weights(values: Float[np.ndarray, "U T"], ipc: Float[np.ndarray, "T"]) -> tuple[np.ndarray, bool]:
    """1 / variance of each mean, the standard errors smoothed to a power of IPC; ones where no spread is seen.

    A spread of few seeds is itself noise: weighting by the raw ones, intervals for 5 seeds covered 84 % instead of 94 %.
    """
    count = np.isfinite(values).sum(0)
    squares = np.where(np.isfinite(values), values - means(values), 0.0) ** 2
    sem = np.sqrt(squares.sum(0) / np.maximum(count - 1, 1) / np.maximum(count, 1))
    if not len(ipc) or sem.max() == 0:
        return np.ones(len(ipc)), False
    x = np.log(ipc)
    smooth = np.polyval(np.polyfit(x, np.log(np.maximum(sem, 0.1 * sem.max())), min(1, len(ipc) - 1)), x)
    return np.exp(-2 * smooth), bool(count.min() >= FEWEST)
