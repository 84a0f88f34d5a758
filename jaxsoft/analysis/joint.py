"""One law in two directions: images per class n, and k, the label entries that are kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxsoft import errors, spec
from jaxsoft.analysis.budget import entries_kept
from jaxsoft.analysis.fits import Parameter, parameter, weights
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.laws import EXPONENTS
from jaxsoft.analysis.stats import FEWEST, RESAMPLES, means, resampled_means
from jaxsoft.types import Row

NAMES = ("floor", "scale", "exponent", "label_scale", "label_exponent")
_NAN = Parameter(math.nan, math.nan, math.nan, False)


@dataclass(frozen=True)
class JointLaw:
    """error(n, k) = c + a n^-b + d k^-e, fitted to label specs that differ in k alone; `parameters` are in that order.

    `misfit` is the weighted root mean square by which cells miss the law (a fraction), `excess` the same in standard
    errors of the cells, about 1 when the law holds; more tells that images and label entries interact. `note` says what
    the data cannot tell.
    """

    family: str
    ipcs: tuple[int, ...]
    ks: tuple[int, ...]
    parameters: dict[str, Parameter]
    misfit: float
    excess: float
    n: int
    note: str

    def accuracy(self, ipc: Float[np.ndarray, "I"], k: Float[np.ndarray, "J"]) -> Float[np.ndarray, "I J"]:
        """Test accuracy (a fraction) that the law expects at each IPC and number of entries."""
        c, a, b, d, e = (self.parameters[name].value for name in NAMES)
        return 1 - c - a * ipc[:, None] ** -b - d * k[None] ** -e


def cut_families(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Soft label specs that differ in nothing but `topk`, by what they share; the largest family first."""
    found: dict[str, list[str]] = {}
    for text in labels:
        calls = spec.parse(text)
        if calls[0].name != "hard":
            found.setdefault(spec.render(tuple(c for c in calls if c.name != "topk")), []).append(text)
    return {name: tuple(found[name]) for name in sorted(found, key=lambda name: -len(found[name]))}


def solve_joint(
    ipc: Float[np.ndarray, "I"], k: Float[np.ndarray, "J"], error: Float[np.ndarray, "R I J"],
    weight: Float[np.ndarray, "I J"],
) -> tuple[Float[np.ndarray, "5 R"], Float[np.ndarray, "R"]]:  # fmt: skip
    """Weighted least squares fit of error = c + a n^-b + d k^-e with c, a, d >= 0, for many tables at once.

    For given (b, e) the rest is linear, so (b, e) alone are searched: on a logarithmic grid, then on finer ones around
    the best point of each table.

    Args:
      ipc: images per class.
      k: label entries kept.
      error: mean errors as fractions; where the weight is 0 anything.
      weight: 1 / variance of each mean, 0 where a cell is missing.

    Returns:
      (c, a, b, d, e), stacked on the first axis, and the weighted sum of squares.

    Reference: the additive form of Hoffmann et al., "Training Compute-Optimal Large Language Models" (2022), section 3.3.
    """
    share = weight / weight.sum()
    y = np.where(share > 0, error, 0.0)
    moments = (y * share).sum(2), (y * share).sum(1), (y * y * share).sum((1, 2))
    first, last = np.log(EXPONENTS)
    best = np.full((6, len(y)), np.inf)  # loss, c, a, d, log b, log e
    centre, reach, points = np.full((2, len(y)), (first + last) / 2), (last - first) / 2, 9
    for _ in range(14):
        steps = np.linspace(-reach, reach, points)
        for step in steps:  # a row of the grid at a time: the whole of it would be large
            logs = np.stack(np.broadcast_arrays(centre[0] + step, centre[1] + steps[:, None])).clip(first, last)
            b, e = np.exp(logs)
            tried = np.concatenate([_linear(ipc ** -b[..., None], k ** -e[..., None], share, moments), logs])
            tried = np.concatenate([tried, best[:, None]], 1)
            best = np.take_along_axis(tried, tried[0].argmin(0)[None, None], 1)[:, 0]
        centre, reach, points = best[4:], reach * (0.15 if points == 9 else 0.6), 3
    loss, c, a, d, b, e = best
    return np.stack([c, a, np.exp(b), d, np.exp(e)]), loss * weight.sum()


def fit_joint(
    rows: Sequence[Row] | Grid, classes: int, family: str | None = None, resamples: int = RESAMPLES
) -> JointLaw:
    """Fit the joint law to the label specs of one family, with 95 % intervals by bootstrap over seeds.

    Args:
      rows: one group of members.
      classes: K; a spec without `topk` keeps so many entries.
      family: what the specs share beside `topk`, such as "teacher(epoch=11)"; by default the largest one.
      resamples: bootstrap draws.

    Raises:
      ConfigError: there is no such family.
    """
    table = grid(rows)
    families = cut_families(table.labels)
    family = next(iter(families), "") if family is None else family
    if family not in families:
        raise errors.ConfigError(errors.unknown("family of label specs", family, families, "column labels"))
    at = {entries_kept(labels, classes): table.labels.index(labels) for labels in families[family]}
    ks = sorted(k for k in at if k is not None)
    values = table.test[:, :, [at[k] for k in ks]]
    there = np.isfinite(values).any(axis=0)
    i, j = (np.any(there, axis=axis) for axis in (1, 0))
    return fit_cells(family, np.array(table.ipcs, float)[i], np.array(ks, float)[j], values[:, i][:, :, j], resamples)


def fit_cells(
    family: str, ipc: Float[np.ndarray, "I"], k: Float[np.ndarray, "J"], values: Float[np.ndarray, "U I J"],
    resamples: int = RESAMPLES,
) -> JointLaw:  # fmt: skip
    """Fit the joint law to test accuracies of U units (seeds), NaN where a member is missing.

    Args:
      family: what the label specs share, for tables.
      ipc: images per class, ascending.
      k: label entries kept.
      values: fractions; every IPC and every k has some.
      resamples: bootstrap draws of units.
    """
    there = np.atleast_2d(np.isfinite(values).any(axis=0))
    n = int(np.isfinite(values).sum(0)[there].min(initial=len(values)))
    names = tuple(map(int, ipc)), tuple(map(int, k))
    if min(len(ipc), len(k)) < 2 or there.sum() < len(NAMES):
        note = f"{len(ipc)} IPC values and {len(k)} numbers of entries cannot fix five parameters"
        return JointLaw(family, *names, dict.fromkeys(NAMES, _NAN), math.nan, math.nan, n, note)
    weight, known = np.zeros(there.shape), True
    for j in range(len(k)):
        weight[there[:, j], j], sure = weights(values[:, there[:, j], j], ipc[there[:, j]])
        known &= sure
    if not known:  # spreads that are seen in part only would not compare
        weight = there.astype(float)
    curves = means(values)[None]
    if resamples:
        draws = resampled_means(values, resamples)
        curves = np.concatenate([curves, draws[np.isfinite(draws[:, there]).all(1)]])
    fits, loss = solve_joint(ipc, k, 1 - curves, weight)
    bounds = dict(zip(NAMES, [(0.0, math.inf), (0.0, math.inf), EXPONENTS] + [(0.0, math.inf), EXPONENTS]))
    spare = {name: there.sum() > len(NAMES) for name in NAMES}
    spare["exponent"], spare["label_exponent"] = len(ipc) > 2, len(k) > 2
    found = {name: parameter(fit, bounds[name], n, bool(spare[name])) for name, fit in zip(NAMES, fits)}
    freedom = int(there.sum()) - len(NAMES)
    excess = math.sqrt(max(loss[0], 0.0) / freedom) if known and freedom > 0 else math.nan
    misfit = math.sqrt(max(loss[0], 0.0) / weight.sum())
    return JointLaw(family, *names, found, misfit, excess, n, _note(found, n, excess))


def _note(found: dict[str, Parameter], n: int, excess: float) -> str:
    """What the fit cannot tell, in words."""
    if n < FEWEST:
        return f"fewer than {FEWEST} seeds, no interval"
    said = {
        "scale": "no growth with images can be told from none",
        "exponent": "the exponent of images is not identified",
        "label_scale": "no growth with label entries can be told from none",
        "label_exponent": "the exponent of label entries is not identified",
        "floor": "the floor cannot be told from zero",
    }
    parts = [text for name, text in said.items() if not found[name].identified]
    if excess > 2:
        parts.append(f"cells miss the law by {excess:.1f} of their standard errors, so it is not the whole truth")
    return "; ".join(parts)


def _linear(
    u: np.ndarray, v: np.ndarray, share: np.ndarray, moments: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """The best (loss, c, a, d) in y = c + a u + d v that are not negative: the best of the seven sets that may be free."""
    yi, yj, yy = moments
    my, uy, vy = yi.sum(-1), (u * yi).sum(-1), (v * yj).sum(-1)
    mu, mv = u @ share.sum(1), v @ share.sum(0)
    uu, vv, uv = (u * u) @ share.sum(1), (v * v) @ share.sum(0), ((u @ share) * v).sum(-1)
    nothing, my, rest, yy = np.broadcast_arrays(np.zeros_like(mu), my, yy - my**2, yy)
    inner = uu - mu**2, uv - mu * mv, vv - mv**2, uy - mu * my, vy - mv * my
    tried = []
    for a, d, gain in (_pair(*inner), _pair(*inner, d=False), _pair(*inner, a=False)):
        tried.append((rest - gain, my - a * mu - d * mv, a, d))
    for a, d, gain in (
        _pair(uu, uv, vv, uy, vy),
        _pair(uu, uv, vv, uy, vy, d=False),
        _pair(uu, uv, vv, uy, vy, a=False),
    ):
        tried.append((yy - gain, nothing, a, d))
    tried.append((rest, my, nothing, nothing))
    stack = np.array(tried)
    loss = np.where((stack[:, 1:] >= 0).all(1), stack[:, 0], np.inf)
    return np.take_along_axis(stack, loss.argmin(0)[None, None], 0)[0]


def _pair(
    uu: np.ndarray, uv: np.ndarray, vv: np.ndarray, uy: np.ndarray, vy: np.ndarray, a: bool = True, d: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least squares for the weights of u and v, one of them held at 0 if it is not asked for, and what they explain."""
    tiny = 1e-300
    if not d:
        return uy / np.maximum(uu, tiny), np.zeros_like(uy), uy**2 / np.maximum(uu, tiny)
    if not a:
        return np.zeros_like(vy), vy / np.maximum(vv, tiny), vy**2 / np.maximum(vv, tiny)
    det = np.maximum(uu * vv - uv**2, tiny)
    first, second = (uy * vv - vy * uv) / det, (vy * uu - uy * uv) / det
    return first, second, first * uy + second * vy
