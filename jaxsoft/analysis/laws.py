"""Forms of the law that ties test error to images per class, and their fits to arrays.

Every form is error(n) = c + a g(n; t): a floor c >= 0, a scale a >= 0 and one shape t. For a given t the best (c, a) have
a closed form, so t alone is searched (variable projection), and one search serves every form and every bootstrap draw.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxsoft import errors

EXPONENTS = (0.02, 5.0)
"""Where exponents are searched; an interval that reaches an end does not identify one."""


@dataclass(frozen=True)
class Form:
    """A form of law: what it is called, its formula, the name of its shape, and whether its floor is free."""

    name: str
    formula: str
    shape: str
    floor: bool
    basis: Callable[[np.ndarray, np.ndarray], np.ndarray]
    bounds: Callable[[np.ndarray], tuple[float, float]]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the free parameters, in the order of `solve`."""
        return (*(["floor"] if self.floor else []), "scale", self.shape)


def _power(exponent: np.ndarray, ipc: np.ndarray) -> np.ndarray:
    return ipc**-exponent


def _doublings(knee: np.ndarray, ipc: np.ndarray) -> np.ndarray:
    """How many doublings of the images are left before the knee."""
    return np.log2(np.maximum(knee / ipc, 1.0))


POWER = Form("power", "a · n^−b", "exponent", False, _power, lambda ipc: EXPONENTS)
FLOOR = Form("power with floor", "c + a · n^−b", "exponent", True, _power, lambda ipc: EXPONENTS)
# A knee before the second IPC cannot be told from a steeper slope, so the search starts there.
SATURATING = Form(
    "log-saturating", "c + a · log2(max(m / n, 1))", "knee", True, _doublings, lambda ipc: (ipc[1], ipc[-1])
)
FORMS = {form.name: form for form in (POWER, FLOOR, SATURATING)}
"""Legal names of forms. The log-saturating law: accuracy gains `a` with every doubling of n until n = m, then stays."""


def form_named(name: str) -> Form:
    """The form of that name.

    Raises:
      ConfigError: there is none.
    """
    if name not in FORMS:
        raise errors.ConfigError(errors.unknown("form of law", name, FORMS, "jaxsoft/analysis/laws.py"))
    return FORMS[name]


def solve(
    form: Form, ipc: Float[np.ndarray, "T"], error: Float[np.ndarray, "R T"], weight: Float[np.ndarray, "T"]
) -> tuple[Float[np.ndarray, "3 R"], Float[np.ndarray, "R"]]:
    """Weighted least squares fit of a form, for many curves at once.

      min_{c >= 0, a >= 0, t} sum_i w_i (error_i - c - a g(n_i; t))^2

    The shape is searched on a logarithmic grid that is refined four times. It needs no first guess, cannot fail to
    converge, and fits thousands of bootstrap draws in one go. A log-saturating law whose data do not bend has c = 0, and
    the knee where its line would reach no error.

    Args:
      form: one of `FORMS`.
      ipc: images per class, ascending, at least as many as the form has parameters.
      error: mean errors as fractions, one curve per row.
      weight: 1 / variance of each mean.

    Returns:
      (c, a, t), stacked on the first axis, c = 0 where the form has no floor; and the weighted sum of squares.

    Reference: Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
    variables separate" (1973).
    """
    first, last = (math.log(end) for end in form.bounds(ipc))
    low, high = (np.full(len(error), end) for end in (first, last))
    share = weight / weight.sum()
    mean = error @ share
    rest = error - mean[:, None]
    moments = mean, (rest * rest) @ share, rest * share
    for points in (33, 9, 9, 9, 9):
        shapes = low + np.linspace(0, 1, points)[:, None] * (high - low)  # one row for each point of the grid
        tried = np.stack([*_linear(form.basis(np.exp(shapes)[..., None], ipc), share, moments, form.floor), shapes])
        best = tried[0].argmin(0)
        loss, c, a, shape = tried[:, best, np.arange(len(error))]
        width = (high - low) / (points - 1)
        low, high = (np.clip(shape + side * width, first, last) for side in (-1, 1))
    if form.shape == "knee":
        c, shape = _unbent(c, a, shape, last)
    return np.stack([c, a, np.exp(shape)]), loss * weight.sum()


def error_at(form: Form, parameters: Float[np.ndarray, "3 R"], ipc: Float[np.ndarray, "T"]) -> Float[np.ndarray, "R T"]:
    """The errors of fitted laws at each IPC.

    Args:
      form: what was fitted.
      parameters: (c, a, t) of each law, as `solve` returns them.
      ipc: images per class.
    """
    floor, scale, shape = parameters[..., None]
    return floor + scale * form.basis(shape, ipc)


def aicc(chi2: float, points: int, parameters: int, known: bool = True) -> float:
    r"""Akaike's criterion with its correction for few points: lower is better, differences below 2 tell nothing.

    $\chi^2 + 2 k + 2 k (k + 1) / (T - k - 1)$ where the weights are known variances, and
    $T \ln(\chi^2 / T)$ in place of $\chi^2$, with the variance as one more parameter, where they are relative.

    Args:
      chi2: weighted sum of squares.
      points: T, IPC values.
      parameters: k, free parameters of the form.
      known: whether each weight is 1 / variance, not only in proportion to it.

    Returns:
      NaN with fewer than k + 2 points (k + 3 with an unknown variance), where it does not exist.

    Reference: Hurvich and Tsai, "Regression and time series model selection in small samples" (1989).

    >>> aicc(4.0, points=6, parameters=2), aicc(4.0, points=4, parameters=3)
    (12.0, nan)
    """
    count = parameters + (not known)
    if points < count + 2:
        return math.nan
    badness = chi2 if known else points * math.log(max(chi2 / points, 1e-300))
    return badness + 2 * count + 2 * count * (count + 1) / (points - count - 1)


def _unbent(c: np.ndarray, a: np.ndarray, shape: np.ndarray, last: float) -> tuple[np.ndarray, np.ndarray]:
    """A knee at the last IPC is a line without one: it goes on until there is no error, within what a float can hold."""
    line = (shape > last - 1e-9) & (a > 0)
    further = shape + np.minimum(c / np.where(line, a, 1.0), 512.0) * math.log(2)
    return np.where(line, 0.0, c), np.where(line, further, shape)


def _linear(
    x: np.ndarray, share: np.ndarray, moments: tuple[np.ndarray, np.ndarray, np.ndarray], floor: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best c >= 0 and a >= 0 in y = c + a x, after their weighted loss: the free optimum or one of two edges.

    `moments` of y: mean, variance, and what is left of it times the shares.
    """
    my, yy, rest = moments
    mx, x2 = x @ share, (x * x) @ share
    xy = (x * rest).sum(-1)
    through = np.maximum(xy + mx * my, 0.0) / np.maximum(x2, 1e-300)
    through_loss = yy + my**2 - through * (xy + mx * my)
    if not floor:
        return through_loss, np.zeros_like(through), through
    slope = xy / np.maximum(x2 - mx**2, 1e-300)
    free = (slope >= 0) & (my >= slope * mx)
    flat = ~free & (yy <= through_loss)
    a = np.where(free, slope, np.where(flat, 0.0, through))
    c = np.where(free, my - slope * mx, np.where(flat, my, 0.0))
    return np.where(free, yy - slope * xy, np.where(flat, yy, through_loss)), c, a
