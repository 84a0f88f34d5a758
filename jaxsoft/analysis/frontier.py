"""The best label spec for each data budget, and how sure the seeds are of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from jaxsoft import spec
from jaxsoft.analysis.choice import best, choice_of_others, estimate_chosen
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.stats import RESAMPLES, Estimate, estimate, interval, means, resampled_means
from jaxsoft.types import Row

_EPOCH_KEYS = ("epoch", "accuracy", "entropy")


@dataclass(frozen=True)
class Choice:
    """The soft label spec chosen for one IPC, and what such a choice is worth against hard labels on test.

    `selection` is its mean on the column of choice, `shares` the part of resampled sets of seeds in which each spec
    would have been chosen, largest first. `test` and `difference` (soft minus hard) take for every seed the spec that
    the other seeds choose, and choose anew in every draw of their intervals: where all choose alike, they are those of
    `labels`. With hard labels, `test`, `hard` and `difference` hold the seeds that finished under both; without, `hard`
    and `difference` have n = 0.
    """

    ipc: int
    labels: str
    teacher_epoch: int | None
    selection: float
    test: Estimate
    hard: Estimate
    difference: Estimate
    shares: dict[str, float]


@dataclass(frozen=True)
class Frontier:
    """Mean paired soft-minus-hard test accuracy (a fraction) by teacher epoch P and IPC I, and the best epoch per IPC.

    `best` indexes P, chosen on the selection column, -1 where nothing finished; `specs` are the label specs, n is the
    least number of pairs behind a difference.
    """

    family: str
    epochs: tuple[int, ...]
    ipcs: tuple[int, ...]
    specs: tuple[str, ...]
    difference: Float[np.ndarray, "P I"]
    best: tuple[int, ...]
    n: int


@dataclass(frozen=True)
class Draws:
    """The best soft label spec of I budgets in the data, which come first, and in R - 1 bootstrap draws of seeds.

    `picks` indexes the label specs of the grid; `test` is the mean test accuracy of the same draw (a fraction).
    """

    ipcs: tuple[int, ...]
    picks: Int[np.ndarray, "R I"]
    test: Float[np.ndarray, "R I"]
    n: int


def choose(rows: Sequence[Row] | Grid, on: str | None = None) -> list[Choice]:
    """For each IPC the label spec, hard aside, with the highest mean of column `on`; ties go to the earlier in axis order.

    Args:
      rows: one group of members.
      on: column to choose on; by default validation, or test when the protocol is the paper's.

    Returns:
      One choice per IPC at which a soft member finished; empty when all labels are hard.
    """
    table = grid(rows, on)
    soft = [a for a, labels in enumerate(table.labels) if labels != "hard"]
    if not soft:
        return []
    selection = table.selection[:, :, soft]
    picks, draws = best(means(selection)), best(resampled_means(selection))
    return [_choice(table, i, soft, int(pick), draws[:, i]) for i, pick in enumerate(picks) if pick >= 0]


def _choice(table: Grid, i: int, soft: list[int], pick: int, draws: np.ndarray) -> Choice:
    """What is chosen at one IPC: `pick` of the `soft` columns by all units, `draws` by each set of units."""
    values, selection, a = table.test[:, i, soft], table.selection[:, i, soft], soft[pick]
    hard = table.labels.index("hard") if "hard" in table.labels else None
    base = table.test[:, i, hard] if hard is not None else np.full(len(values), np.nan)
    shares = {table.labels[soft[p]]: float(np.mean(draws == p)) for p in range(len(soft))}
    shares = dict(sorted(((k, v) for k, v in shares.items() if v), key=lambda item: -item[1]))
    difference = estimate_chosen(values - base[:, None], selection)
    paired = np.isfinite(values[np.arange(len(values)), choice_of_others(selection)] - base)
    test = estimate_chosen(np.where(np.isfinite(base)[:, None], values, np.nan) if paired.any() else values, selection)
    mean = float(means(selection[:, pick]))
    return Choice(
        table.ipcs[i], table.labels[a], table.epochs[a], mean, test, estimate(base[paired]), difference, shares
    )


def chosen_draws(rows: Sequence[Row] | Grid, dated: bool = False, resamples: int = RESAMPLES) -> Draws:
    """`choose` done anew in every bootstrap draw, so that what follows knows how unsure the choice is.

    Args:
      rows: one group of members.
      dated: take only label specs that name a teacher epoch.
      resamples: bootstrap draws; those in which some budget has no member are left out.

    Returns:
      Draws over the IPC at which a soft member finished.
    """
    table = grid(rows)
    soft = [a for a, own in enumerate(table.labels) if own != "hard" and (table.epochs[a] is not None or not dated)]
    if not soft:
        return Draws((), np.empty((1, 0), int), np.empty((1, 0)), len(table.units))
    there = np.isfinite(table.selection[:, :, soft]).any(axis=(0, 2))
    values = np.stack([table.selection, table.test])[:, :, there][..., soft].transpose(1, 0, 2, 3)
    curves = np.concatenate([means(values)[None], resampled_means(values, resamples)])
    picks = best(curves[:, 0])
    curves, picks = (part[(picks >= 0).all(1)] for part in (curves, picks))
    test = np.take_along_axis(curves[:, 1], picks[..., None], 2)[..., 0]
    ipcs = tuple(ipc for ipc, known in zip(table.ipcs, np.atleast_1d(there)) if known)
    return Draws(ipcs, np.array(soft, int)[picks], test, len(values))


def frontier_band(rows: Sequence[Row] | Grid, resamples: int = RESAMPLES) -> dict[int, Estimate]:
    """The Pareto frontier of knowledge and data: for each IPC the test accuracy of the best soft labels, with its band.

    The 95 % band is of bootstrap draws in which the labels are chosen anew, so it knows of the choice.
    """
    draws = chosen_draws(rows, resamples=resamples)
    found = {}
    for i, ipc in enumerate(draws.ipcs):
        low, high = interval(draws.test[1:, i], draws.n)
        found[ipc] = Estimate(float(draws.test[0, i]), float(np.std(draws.test[1:, i])), low, high, draws.n)
    return found


def epoch_trend(rows: Sequence[Row] | Grid) -> Estimate:
    """Rank correlation of the best teacher epoch with IPC, its interval by bootstrap over seeds; 0 where all are equal.

    Returns:
      n = 0 and NaN with fewer than 3 IPC values or label specs that name an epoch, or with one epoch alone.
    """
    table = grid(rows)
    named = [a for a, epoch in enumerate(table.epochs) if epoch is not None]
    there = np.isfinite(table.selection[:, :, named]).any((0, 2))
    if there.sum() < 3 or len(named) < 3 or len({table.epochs[a] for a in named}) < 2:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    epochs, values = np.array([table.epochs[a] for a in named], float), table.selection[:, :, named][:, there]
    drawn = np.concatenate([means(values)[None], resampled_means(values)])
    found = rank_correlation(epochs[best(drawn)])
    low, high = interval(found[1:], len(values))
    return Estimate(float(found[0]), float(np.std(found[1:])), low, high, len(values))


def frontiers(rows: Sequence[Row] | Grid) -> list[Frontier]:
    """One map per family of label specs that differ in nothing but the teacher epoch; the largest family first.

    Empty without hard labels, or when no two specs differ in the epoch alone.
    """
    table = grid(rows)
    families: dict[str, list[int]] = {}
    for a, labels in enumerate(table.labels):
        if table.epochs[a] is not None:
            families.setdefault(family(labels), []).append(a)
    if "hard" not in table.labels:
        return []
    base = table.test[:, :, [table.labels.index("hard")]]
    found = []
    for name, members in families.items():
        if len(members) < 2:
            continue
        paired = table.test[:, :, members] - base
        picks = best(means(table.selection[:, :, members]))
        epochs = tuple(int(table.epochs[a] or 0) for a in members)
        specs = tuple(table.labels[a] for a in members)
        n = int(np.isfinite(paired).sum(0).min())
        found.append(Frontier(name, epochs, table.ipcs, specs, means(paired).T, tuple(int(p) for p in picks), n))
    return sorted(found, key=lambda f: (-len(f.epochs), f.family))


def optimism(sealed: Sequence[Row] | Grid, paper: Sequence[Row] | Grid) -> dict[int, Estimate]:
    """The optimism gap by IPC: test accuracy of the paper protocol's choice minus the sealed one's, seed by seed.

    Args:
      sealed, paper: two groups of members that differ in the protocol alone.
    """
    tables = grid(sealed), grid(paper)
    picks = [{c.ipc: c.labels for c in choose(table)} for table in tables]
    found = {}
    for ipc in sorted(picks[0].keys() & picks[1].keys()):
        values = []
        for table, pick in zip(tables, picks):
            column = table.test[:, table.ipcs.index(ipc), table.labels.index(pick[ipc])]
            values.append({unit: v for unit, v in zip(table.units, column) if np.isfinite(v)})
        shared = sorted(values[0].keys() & values[1].keys())
        found[ipc] = estimate(np.array([values[1][u] - values[0][u] for u in shared], float))
    return found


def family(labels: str) -> str:
    """A label spec without what names its epoch.

    >>> family("teacher(expert=2, epoch=11)|topk(3)"), family("teacher(accuracy=0.35)")
    ('teacher(expert=2)|topk(3)', 'teacher')
    """
    source, *operations = spec.parse(labels)
    kwargs = {name: value for name, value in source.kwargs.items() if name not in _EPOCH_KEYS}
    return spec.render((source._replace(kwargs=kwargs), *operations))


def rank_correlation(values: Float[np.ndarray, "R n"]) -> Float[np.ndarray, "R"]:
    """Spearman's correlation of each row with its positions; 0 for a row of equals."""
    ranks = scipy.stats.rankdata(values, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    places = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    return ranks @ places / np.sqrt(np.maximum((ranks**2).sum(1), 1e-12) * (places**2).sum())
