"""Laws fitted to the curves of a group, and what they, and lines through chosen epochs, say of a budget not run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxsoft.analysis.statistics import laws
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import FEWEST, FEWEST_DRAWN, NOTHING, Estimate, drawn, interval, means

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
    """One form of law, fitted to one curve; its parameters are named as in the form. NaN: the points are too few.

    What the data cannot tell is said in `note`. `unseen`: the accuracy of the largest IPC as the law fitted to the
    others predicts it, minus the measured one. `misfit` is the weighted root mean square by which means miss the law (a
    fraction), `excess` the same in their standard errors, about 1 when the law holds.
    """

    name: str
    form: laws.Form
    parameters: dict[str, Parameter]
    x: Float[np.ndarray, "B T"]
    n: int
    note: str
    aicc: float = math.nan
    unseen: float = math.nan
    misfit: float = math.nan
    excess: float = math.nan


class Law(NamedTuple):
    """What the errors of one curve follow: the power law with a floor, with intervals, beside all forms without, best first.

    One form for every curve, so that exponents compare. A power law without a floor is a special case of it; intervals of
    the form that AICc chooses were measured to cover 20 % at 5 seeds where it missed a floor of 2 %, those of this one 90 %.
    """

    fit: Fit
    rivals: tuple[Fit, ...]

    @property
    def best(self) -> Fit | None:
        """The form with the lowest AICc; None where the points are too few to compare all forms."""
        return None if any(math.isnan(one.aicc) for one in self.rivals) else self.rivals[0]


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
    rivals = [fit(form, of._replace(draws=of.draws[:1])) for form in laws.FORMS]
    rivals.sort(key=lambda one: np.nan_to_num(one.aicc, nan=math.inf))
    return Law(fit(laws.FLOOR, of), tuple(rivals))


def fit(form: laws.Form, of: Curve) -> Fit:
    """Fit a form to the means of a curve, to their bootstrap draws, and, in images alone, to all means but the last."""
    points, names = of.x.shape[1], form.parameters
    freedom = points - len(names)
    if freedom < 0 or min(len(np.unique(line)) for line in of.x) < 2:
        unknown = dict.fromkeys(names, Parameter(math.nan, math.nan, math.nan, False))
        few = f"{points} {'point' if points == 1 else 'points'} cannot fix {_COUNTS[len(names)]} parameters"
        return Fit(of.name, form, unknown, of.x, of.n, few)
    found, loss = laws.solve(form, of.x, 1 - _whole(of.draws), of.weight)
    parameters = {}
    for name, values, ends in zip(names, found if form.floor else found[1:], _bounds(form, of)):
        low, high = interval(values[1:], of.n)
        inside = ends is not None and ends[0] * 1.01 + 1e-6 < low and high < ends[1] * 0.99
        parameters[name] = Parameter(float(values[0]), low, high, inside)
    for scale, shape, *_ in form.bases:  # nothing has any shape
        known = parameters[scale].identified and parameters[shape].identified
        parameters[shape] = parameters[shape]._replace(identified=known)
    chi2, unseen = max(float(loss[0]), 0.0), math.nan
    if len(of.x) == 1 and freedom:
        others = of.without(-1)._replace(draws=of.draws[:1, :-1])
        unseen = float(predicted(form, others, of.x[:, -1:])[0] - of.draws[0, -1])
    excess = math.sqrt(chi2 / freedom) if of.known and freedom else math.nan
    note = _note(parameters, freedom, of.n, excess if len(of.x) > 1 else 0.0)
    score = laws.aicc(float(loss[0]), points, len(names), of.known)
    return Fit(of.name, form, parameters, of.x, of.n, note, score, unseen, math.sqrt(chi2 / of.weight.sum()), excess)


def predicted(form: laws.Form, of: Curve, x: Float[np.ndarray, "B 1"]) -> Float[np.ndarray, "R"]:
    """The test accuracy at a point by a form fitted to the means of a curve, then to every whole draw of them."""
    found, _ = laws.solve(form, of.x, 1 - _whole(of.draws), of.weight)
    return 1 - laws.error_at(form, found, x)[:, 0]


def _whole(draws: Float[np.ndarray, "R T"]) -> Float[np.ndarray, "Q T"]:
    """The data, which come first, and the draws in which every budget was run."""
    return draws[np.isfinite(draws).all(1) | (np.arange(len(draws)) == 0)]


def _bounds(form: laws.Form, of: Curve) -> list[tuple[float, float] | None]:
    """Of each parameter, ends that its interval must not reach; None where points are too few to identify it at all."""
    spare = of.x.shape[1] > len(form.parameters)
    positive = (0.0, math.inf) if spare else None
    shapes = [(basis.bounds, np.unique(line)) for basis, line in zip(form.bases, of.x)]
    pairs = [(positive, bounds(values) if spare and len(values) > 2 else None) for bounds, values in shapes]
    return [*([positive] * form.floor), *(bound for pair in pairs for bound in pair)]


def _note(found: dict[str, Parameter], freedom: int, n: int, excess: float) -> str:
    """What the fit cannot tell, in words."""
    if n < FEWEST_DRAWN:
        return f"fewer than {FEWEST_DRAWN} seeds, no interval"
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


def predicted_accuracy(of: Curve, ipc: int) -> Estimate:
    """The test accuracy at an IPC by the power law with a floor of a curve.

    In every bootstrap draw the labels are chosen anew and the law is fitted anew. The interval knows of seeds and of
    the choice of labels, not of the choice of the law.
    """
    few = of.x.shape[1] < len(laws.FLOOR.parameters)
    return NOTHING if few else drawn(predicted(laws.FLOOR, of, np.array([[ipc]], float)), of.n)


def chosen_epochs(group: Group, arms: Arms) -> tuple[list[int], Float[np.ndarray, "R T"]]:
    """The budgets at which dated labels were run, and the teacher epoch chosen in the data and in every bootstrap draw.

    NaN in draws of units of which none was run at a budget.
    """
    ipcs = group.budgets(arms)
    picks = group.choices(ipcs, arms)
    return ipcs, np.where(picks >= 0, group.arms["epoch"].to_numpy(float)[picks], np.nan)


def predicted_epoch(ipcs: Sequence[int], epochs: Float[np.ndarray, "R T"], n: int, ipc: int) -> Estimate:
    r"""The teacher epoch that an IPC would choose: $\ln(1 + epoch) = \alpha + \beta \ln n$, fitted in every draw.

    The line is fitted to epochs that were chosen, not in between those that were tried; the interval says how far draws
    agree.
    """
    if len(ipcs) < 2:
        return NOTHING
    whole = epochs[np.isfinite(epochs).all(1)]
    slope, start = np.polyfit(np.log(ipcs), np.log1p(whole).T, 1)
    return drawn(np.expm1(start + slope * math.log(ipc)), n)
