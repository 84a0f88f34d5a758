"""Forms of the laws that tie test error to images per class, and to what a label keeps, and their least-squares fits.

Every form is error = c + sum_b a_b g_b(x_b; t_b): a floor c >= 0, and for each of one or two bases a scale a >= 0 and one
shape t. For given shapes the best c and a are linear, so shapes alone are searched (variable projection), and one search
serves every form and every bootstrap draw.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

EXPONENTS = (0.02, 5.0)
"""Where exponents are searched; an interval that reaches an end does not identify one."""


class Basis(NamedTuple):
    """One term of a law: the names of its scale and its shape, its curve g(t, x), and where the shape is searched."""

    scale: str
    shape: str
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray]
    bounds: Callable[[np.ndarray], tuple[float, float]]


@dataclass(frozen=True)
class Form:
    """A form of law: what it is called, its formula, whether its floor is free, and its terms."""

    name: str
    formula: str
    floor: bool
    bases: tuple[Basis, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the free parameters: floor, then scale and shape of each basis."""
        return (*(["floor"] if self.floor else []), *(name for basis in self.bases for name in basis[:2]))


_IMAGES = Basis("scale", "exponent", lambda b, ipc: ipc**-b, lambda ipc: EXPONENTS)
_ENTRIES = Basis("label_scale", "label_exponent", lambda e, k: k**-e, lambda k: EXPONENTS)
# Doublings left before the knee. One before the second IPC cannot be told from a steeper slope: the search starts
# there.
_KNEE = Basis(
    "scale", "knee", lambda m, ipc: np.log2(np.maximum(m / ipc, 1.0)), lambda ipc: (float(ipc[1]), float(ipc[-1]))
)

POWER = Form("power", "a · n^−b", False, (_IMAGES,))
FLOOR = Form("power with floor", "c + a · n^−b", True, (_IMAGES,))
SATURATING = Form("log-saturating", "c + a · log2(max(m / n, 1))", True, (_KNEE,))
JOINT = Form("joint", "c + a · n^−b + d · k^−e", True, (_IMAGES, _ENTRIES))
"""Additive in images n and label entries k: Hoffmann et al., "Training Compute-Optimal Large Language Models" (2022), 3.3."""
FORMS = (POWER, FLOOR, SATURATING)
"""Laws of images alone. The log-saturating law: accuracy gains `a` with every doubling of n until n = m, then stays."""


def solve(
    form: Form, x: Float[np.ndarray, "B T"], error: Float[np.ndarray, "R T"], weight: Float[np.ndarray, "T"]
) -> tuple[Float[np.ndarray, "P R"], Float[np.ndarray, "R"]]:
    """Weighted least squares fit of a form, for many curves at once.

      min_{c >= 0, a >= 0, t} sum_i w_i (error_i - c - sum_b a_b g_b(x_bi; t_b))^2

    Shapes are searched on a logarithmic grid that is refined around the best point of each curve. It needs no first guess,
    cannot fail to converge, and fits thousands of bootstrap draws in one go. A log-saturating law whose data do not bend has
    c = 0, and the knee where its line would reach no error.

    Args:
      form: what is fitted.
      x: of each basis, at T points; images per class ascending where they are all there is.
      error: mean errors as fractions, one curve per row.
      weight: 1 / variance of each mean.

    Returns:
      (c, a, t) or (c, a, t, a, t) on the first axis, c = 0 where the form has no floor; and the weighted sum of squares.

    Reference: Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
    variables separate" (1973).
    """
    share, count = weight / weight.sum(), len(error)
    ends = np.log([basis.bounds(np.unique(line)) for basis, line in zip(form.bases, x)])[..., None]
    centre, reach = np.repeat(ends.mean(1), count, 1), (ends[:, 1] - ends[:, 0]) / 2
    best = np.full((2 + 2 * len(x), count), np.inf)  # loss, c, scales, logarithms of shapes
    grids = [(33, 1 / 16), *[(9, 0.25)] * 4] if len(x) == 1 else [(9, 0.15), *[(3, 0.6)] * 13]
    for points, finer in grids:
        steps = np.array([*itertools.product(np.linspace(-1, 1, points), repeat=len(x))]).T[..., None]
        logs = np.clip(centre[:, None] + reach[:, None] * steps, ends[:, :1], ends[:, 1:])  # [B, grid, R]
        seen = logs[..., :1] if points == grids[0][0] else logs  # at first all curves have one grid
        columns = [b.curve(np.exp(t)[..., None], line) for b, t, line in zip(form.bases, seen, x)]
        tried = np.concatenate([best[:, None], np.concatenate([_linear(columns, error, share, form.floor), logs])], 1)
        best = np.take_along_axis(tried, tried[0].argmin(0)[None, None], 1)[:, 0]
        centre, reach = best[2 + len(x) :], reach * finer
    loss, c, scales, shapes = best[0], best[1], best[2 : 2 + len(x)], best[2 + len(x) :]
    if form is SATURATING:  # a knee at the last IPC is a line, on to where no error is, within what a float can hold
        line = (shapes[0] > ends[0, 1] - 1e-9) & (scales[0] > 0)
        further = shapes[0] + np.minimum(c / np.where(line, scales[0], 1.0), 512.0) * math.log(2)
        c, shapes = np.where(line, 0.0, c), np.where(line, further, shapes[0])[None]
    terms = [part for pair in zip(scales, np.exp(shapes)) for part in pair]
    return np.stack([c, *terms]), loss * weight.sum()


def error_at(form: Form, parameters: Float[np.ndarray, "P R"], x: Float[np.ndarray, "B T"]) -> Float[np.ndarray, "R T"]:
    """The errors of fitted laws at T points; `parameters` are as `solve` returns them."""
    floor, *rest = parameters[..., None]
    terms = [a * basis.curve(t, line) for basis, a, t, line in zip(form.bases, rest[::2], rest[1::2], x)]
    return floor + np.sum(terms, axis=0)


def aicc(chi2: float, points: int, parameters: int, known: bool = True) -> float:
    r"""Akaike's criterion with its correction for few points: lower is better, differences below 2 tell nothing.

    $\chi^2 + 2 k + 2 k (k + 1) / (T - k - 1)$ where the weights are known variances, and $T \ln(\chi^2 / T)$ in place
    of $\chi^2$, with the variance as one more parameter, where they are not `known`. NaN with fewer than k + 2 points T
    (k + 3 with an unknown variance), where it does not exist.

    Reference: Hurvich and Tsai, "Regression and time series model selection in small samples" (1989).

    >>> aicc(4.0, points=6, parameters=2), aicc(4.0, points=4, parameters=3)
    (12.0, nan)
    """
    count = parameters + (not known)
    if points < count + 2:
        return math.nan
    badness = chi2 if known else points * math.log(max(chi2 / points, 1e-300))
    return badness + 2 * count + 2 * count * (count + 1) / (points - count - 1)


def _linear(
    columns: list[np.ndarray], error: Float[np.ndarray, "R T"], share: Float[np.ndarray, "T"], floor: bool
) -> Float[np.ndarray, "Q G R"]:
    """The loss, c and scales, none negative, of the best y = c + sum_b a_b x_b: the best of all sets that may be free."""
    design = np.stack([np.ones_like(columns[0]), *columns], -1)  # [G, R or 1, T, 1 + B]
    weighted = design * share[:, None]
    gram, cross = design.swapaxes(-1, -2) @ weighted, np.einsum("rt,grtq->grq", error, weighted)
    total = np.broadcast_to((error * error) @ share, cross.shape[:2])
    best = np.stack([total, *np.zeros((design.shape[-1], *total.shape))])
    names = range(0 if floor else 1, design.shape[-1])
    for free in itertools.chain(*(itertools.combinations(names, size) for size in range(1, design.shape[-1] + 1))):
        inner, own = gram[..., free, :][..., free] + 1e-15 * np.eye(len(free)), cross[..., free]
        found = np.linalg.solve(inner, own[..., None])[..., 0]
        tried = np.zeros_like(best)
        tried[0] = np.where((found >= 0).all(-1), total - (found * own).sum(-1), np.inf)
        tried[[1 + name for name in free]] = np.moveaxis(found, -1, 0)
        best = np.where(tried[0] < best[0], tried, best)
    return best
