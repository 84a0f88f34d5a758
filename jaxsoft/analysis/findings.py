"""What one group says of soft against hard labels: the best labels of each budget, what they are worth, and the laws."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float

from jaxsoft.analysis.statistics import fits, worth
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, drawn


class Choice(NamedTuple):
    """The soft arm chosen for one IPC by all units, and what such a choice is worth against hard labels on test.

    `test`, `hard` and `difference` (soft minus hard) judge each unit by what the others choose; n = 0 without hard labels.
    `shares` is the part of bootstrap draws of units in which each label spec would have been chosen, largest first.
    """

    ipc: int
    arm: int
    labels: str
    epoch: int | None
    test: Estimate
    hard: Estimate
    difference: Estimate
    shares: dict[str, float]


@dataclass(frozen=True)
class Findings:
    """All of it for one group; empty, None or n = 0 where there is nothing to compare."""

    group: Group
    choices: list[Choice]
    trend: Estimate
    worths: list[worth.Worth]
    worth: worth.Worth | None
    laws: list[fits.Law]

    @property
    def differences(self) -> dict[int, Estimate]:
        """Soft minus hard at every budget that has both."""
        return {c.ipc: c.difference for c in self.choices if c.difference.n}


class Frontier(NamedTuple):
    """Soft minus hard (a fraction) by teacher epoch and IPC for one family of labels, and the best epoch of each IPC."""

    family: str
    difference: pd.DataFrame
    best: dict[int, int]


def findings(group: Group) -> Findings:
    """Analyse one group: choices, exchange rates and laws."""
    if not (group.members["status"] == "done").any():
        return Findings(group, [], NOTHING, [], None, [])
    choices = choose(group)
    specs = dict.fromkeys(c.labels for c in choices)
    curves = [fits.curve(group, group.hard, "hard")] if group.hard else []
    curves += [fits.curve(group, group.of(labels), labels) for labels in specs]
    curves += [fits.curve(group, group.soft, fits.BEST)] if len(specs) > 1 else []
    worths, whole = worth.worths(group, group.soft)
    return Findings(group, choices, epoch_trend(group), worths, whole, [fits.law(curve) for curve in curves])


def choose(group: Group) -> list[Choice]:
    """One choice of soft labels for each IPC at which some were run."""
    soft, hard, ipcs, found = group.soft, group.hard, group.budgets(group.soft), []
    for ipc, picks in zip(ipcs, group.choices(ipcs, soft).T):
        arm = int(picks[0])
        shares = group.arms["labels"].iloc[picks[1:][picks[1:] >= 0]].value_counts(normalize=True).to_dict()
        epoch = group.arms["epoch"].to_numpy(float)[arm]
        values = group.accuracy(ipc, soft), group.accuracy(ipc, hard), group.contrast(ipc, soft, hard)
        found.append(Choice(ipc, arm, group.labels(arm), None if math.isnan(epoch) else int(epoch), *values, shares))
    return found


def epoch_trend(group: Group) -> Estimate:
    """Rank correlation of the best teacher epoch with IPC; n = 0 with fewer than 3 budgets or epochs to tell one from."""
    dated = group.find(group.arms["epoch"].notna().to_numpy(), group.arms["labels"] != "hard")
    epochs, ipcs = group.arms["epoch"].to_numpy(float), group.budgets(dated)
    if len(ipcs) < 3 or len(dated) < 3 or len(set(epochs[dated])) < 2:
        return NOTHING
    picks = group.choices(ipcs, dated)
    return drawn(rank_correlation(np.where(picks >= 0, epochs[picks], np.nan)), len(group.units))


def rank_correlation(values: Float[np.ndarray, "R n"]) -> Float[np.ndarray, "R"]:
    """Spearman's correlation of each row with its positions; 0 for a row of equals."""
    ranks = scipy.stats.rankdata(values, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    places = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    return ranks @ places / np.sqrt(np.maximum((ranks**2).sum(1), 1e-12) * (places**2).sum())


def frontiers(group: Group) -> list[Frontier]:
    """One map per family of label specs that differ in nothing but the teacher epoch; the largest family first.

    Empty without hard labels, or when no two specs differ in the epoch alone.
    """
    found = []
    for family, arms in group.arms[group.arms["epoch"].notna()].groupby("family", sort=True):
        epochs = arms["epoch"].to_numpy(float)
        by_epoch = {int(epoch): arms.index[epochs == epoch].tolist() for epoch in np.unique(epochs)}
        if len(by_epoch) < 2 or not group.hard:
            continue
        every = arms.index.tolist()
        ipcs = group.budgets(every, group.hard)
        values = {ipc: [group.contrast(ipc, own, group.hard).mean for own in by_epoch.values()] for ipc in ipcs}
        picks = {ipc: arm for ipc in ipcs if (arm := group.choose(ipc, every)) is not None}
        best = {ipc: int(group.arms["epoch"].to_numpy(float)[arm]) for ipc, arm in picks.items()}
        found.append(Frontier(str(family), pd.DataFrame(values, [*by_epoch]), best))
    return sorted(found, key=lambda one: -len(one.difference))
