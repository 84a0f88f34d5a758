"""Laws of accuracy in images per class, fitted to members."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxsoft.analysis import choice, laws
from jaxsoft.analysis.fits import Curve, Fit, Parameter, best_form, fit_curve, weights
from jaxsoft.analysis.grid import Grid, column, grid
from jaxsoft.analysis.stats import RESAMPLES, means
from jaxsoft.types import Row

BEST = "best soft labels"


@dataclass(frozen=True)
class Law:
    """error(n) = floor + scale * n^-exponent for one label spec.

    `rivals` has every form of law without intervals, the best first; `best` is the form that AICc chooses, with intervals,
    None where points are too few to choose.
    """

    labels: str
    floor: Parameter
    scale: Parameter
    exponent: Parameter
    points: int
    n: int
    note: str
    rivals: tuple[Fit, ...] = ()
    best: Fit | None = None

    def accuracy(self, ipc: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
        """Test accuracy (a fraction) that the law expects at each IPC."""
        return 1 - self.floor.value - self.scale.value * ipc**-self.exponent.value


def fit_law(rows: Sequence[Row] | Grid, labels: str) -> Law:
    """Fit the power law with a floor to one label spec, beside its rivals; 95 % intervals by bootstrap over seeds.

    Cell means are weighted by their standard errors, smoothed over IPC. What the data cannot tell is said in `note`, not hidden.

    Raises:
      ConfigError: no row has such a label spec.
    """
    return _law(label_curve(rows, labels))


def fit_frontier_law(rows: Sequence[Row] | Grid) -> Law:
    """`fit_law` of the frontier: at each IPC the soft label spec that was chosen there."""
    return _law(frontier_curve(rows))


def label_curve(rows: Sequence[Row] | Grid, labels: str) -> Curve:
    """The curve of one label spec in IPC.

    Raises:
      ConfigError: no row has such a label spec.
    """
    table = grid(rows)
    return _curve(table, labels, np.repeat([column(table, labels)], len(table.ipcs)))


def frontier_curve(rows: Sequence[Row] | Grid) -> Curve:
    """The curve of the soft label specs that were chosen, each at its IPC."""
    table = grid(rows)
    soft = np.array([a for a, labels in enumerate(table.labels) if labels != "hard"], int)
    picks = choice.best(means(table.selection[:, :, soft])) if len(soft) else np.full(len(table.ipcs), -1)
    return _curve(table, BEST, np.where(picks >= 0, soft[picks] if len(soft) else -1, -1))


def rivals(curve: Curve) -> list[Fit]:
    """Every form of law fitted to one curve, without intervals, the best by AICc first."""
    fits = [fit_curve(form, curve, 0) for form in laws.FORMS.values()]
    return sorted(fits, key=lambda fit: math.inf if math.isnan(fit.aicc) else fit.aicc)


def _curve(table: Grid, labels: str, columns: np.ndarray) -> Curve:
    """The cells of one column per IPC; -1 leaves an IPC out."""
    values = np.stack([table.test[:, i, a] for i, a in enumerate(columns)], 1)
    kept = (columns >= 0) & np.isfinite(values).any(0)
    values, ipc = values[:, kept], np.array(table.ipcs, float)[kept]
    return Curve(labels, ipc, values, *weights(values, ipc))


def _law(curve: Curve) -> Law:
    fit, others = fit_curve(laws.FLOOR, curve, RESAMPLES), rivals(curve)
    floor, scale, exponent = (fit.parameters[name] for name in laws.FLOOR.parameters)
    best = best_form(others)
    if best is not None:
        best = fit if best.form == fit.form else fit_curve(laws.form_named(best.form), curve, RESAMPLES)
    return Law(fit.labels, floor, scale, exponent, fit.points, fit.n, fit.note, tuple(others), best)
