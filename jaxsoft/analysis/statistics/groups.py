"""One tidy table of members, and the groups of it that may share a curve.

An arm is what a unit is given at a budget: a label spec with the settings that were tried with it. Choosing labels and tuning
rates are one thing, the choice among arms, so hard and soft labels are tuned alike.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from jaxsoft.analysis.statistics import inference
from jaxsoft.analysis.statistics.factors import FACTORS, factors, shortened
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, Side
from jaxsoft.types import Row

IDENTITY = ("dataset", "fingerprint", "model", "protocol", "select", "without", "loss", "optimizer", "augment", "run")
"""What members of one curve share; older tables and single runs lack the last columns, which then count as equal."""
LOSS = "soft_cross_entropy"
"""What students minimise where a table does not say it."""
CROSS_ENTROPIES = (LOSS, "cross_entropy")
"""Losses under which a true class is a hard label, wherever losses are compared; the second knows nothing else."""
TUNABLE = ("learning_rate", "weight_decay", "steps")
PROBES = ("swap", "shuffle", "drop_class")
"""Operations of labels that are made to be worse."""
_AS_LOGITS = {"as_logits", "log"}
_CELL = ["seed", "subset_seed", "ipc", "labels"]
_BOOKKEEPING = ("member", "wave", "device", "status", "first_bad_step", "teacher_epoch", "accuracy_by_class")
_MEASURED = ("accuracy", "loss", "entropy", "seconds")

Arms = Sequence[int]
"""Positions of arms in a group."""


@dataclass(frozen=True)
class Group:
    """Members that may share a curve, as arrays over unit U, budget I and arm A; NaN where a member was not run.

    Attributes:
      name: what tells the group from others, such as "model `mlp`"; empty for one alone.
      members: a line each, with the factors of its labels, its `unit` and its `arm`.
      arms: a line each: labels and their factors, the settings that were tried, and what the question compares.
      units: names of the units: seeds, or subsets where several seeds share them.
      ipcs: images per class, ascending.
      test, selection: accuracies on test, and on what choices are made on (`values`).
      on: what choices are made on, "validation" or "test".
      classes: K, 0 if the table does not tell.
    """

    name: str
    members: pd.DataFrame
    arms: pd.DataFrame
    units: tuple[int, ...]
    ipcs: tuple[int, ...]
    test: Float[np.ndarray, "U I A"]
    selection: Float[np.ndarray, "U I A"]
    on: str
    classes: int

    def values(self, column: str) -> Float[np.ndarray, "U I A"]:
        """Means of a column of accuracies by cell, NaN where no member was run; a member that failed counts as guessing."""
        return _cells(self.members, column, (self.units, self.ipcs, range(len(self.arms))), self.classes)

    def find(self, *masks: "pd.Series[bool] | Bool[np.ndarray, 'A']", **wanted: Any) -> list[int]:
        """The arms whose columns have the `wanted` values, and for which all masks hold."""
        there = np.ones(len(self.arms), bool)
        for column, value in wanted.items():
            there &= (self.arms[column] == value).to_numpy(bool)
        return np.flatnonzero(np.logical_and.reduce([there, *masks])).tolist()

    def of(self, labels: str) -> list[int]:
        """The arms of one label spec: several where it was tried with several settings."""
        return self.find(labels=labels)

    @functools.cached_property
    def losses(self) -> tuple[str, ...]:
        """What the students of each arm minimised."""
        several = "loss" in self.arms
        return tuple(self.arms["loss"] if several else [self.members["loss"].iat[0]] * len(self.arms))

    @property
    def hard(self) -> list[int]:
        """The arms that learn true classes; where losses stand side by side, those of a cross-entropy alone."""
        found = zip(self._of_classes, self.losses)
        one = "loss" not in self.arms
        return [arm for arm, (own, loss) in enumerate(found) if own and (one or loss in CROSS_ENTROPIES)]

    @property
    def soft(self) -> list[int]:
        """The arms that learn anything else."""
        return [arm for arm, own in enumerate(self._of_classes) if not own]

    @functools.cached_property
    def _of_classes(self) -> list[bool]:
        """Whether each arm learns true classes: as they stand, as logits, or because its loss knows nothing else."""
        known = zip(self.losses, self.arms["source"], self.arms["operations"])
        return [
            loss == CROSS_ENTROPIES[1] or (source == "hard" and _AS_LOGITS >= {*own}) for loss, source, own in known
        ]

    def labels(self, arm: int) -> str:
        """The label spec of an arm."""
        return str(self.arms["labels"].iat[arm])

    def ran(self, ipc: int, arms: Arms) -> list[int]:
        """Those of some arms of which some unit was run at a budget."""
        at = np.isfinite(inference.means(self.test[:, self.ipcs.index(ipc)]))
        return [arm for arm in arms if at[arm]]

    def budgets(self, *sides: Arms) -> list[int]:
        """The budgets at which every side has a member."""
        return [ipc for ipc in self.ipcs if all(self.ran(ipc, arms) for arms in sides)]

    def choose(self, ipc: int, arms: Arms) -> int | None:
        """The arm with the best mean on the selection column at a budget, by all units; ties go to the first."""
        if not len(arms):
            return None
        pick = int(inference.best(inference.means(self.selection[:, self.ipcs.index(ipc), list(arms)])))
        return arms[pick] if pick >= 0 else None

    def chosen(self, ipc: int, arms: Arms) -> str | None:
        """The label spec that `choose` takes, between backticks."""
        arm = self.choose(ipc, arms)
        return None if arm is None else f"`{self.labels(arm)}`"

    def side(self, ipc: int | Sequence[int], arms: Arms, weight: float = 1.0) -> Side:
        """Some arms at one budget or several, as one side of a contrast."""
        at = np.ix_(range(len(self.units)), [self.ipcs.index(n) for n in np.atleast_1d(ipc)], list(arms))
        return Side(self.test[at], self.selection[at], weight)

    def accuracy(self, ipc: int | Sequence[int], arms: Arms) -> Estimate:
        """Test accuracy of the best of some arms, chosen by the other units; the mean of several budgets."""
        return inference.contrast(self.side(ipc, arms)) if len(arms) else NOTHING

    def contrast(self, ipc: int | Sequence[int], arms: Arms, others: Arms) -> Estimate:
        """`accuracy` of some arms minus that of others, each unit against itself; a fraction."""
        if not (len(arms) and len(others)):
            return NOTHING
        return inference.contrast(self.side(ipc, arms), self.side(ipc, others, -1.0))

    def contrasts(self, arms: Arms, others: Arms) -> dict[int, Estimate]:
        """`contrast` at every budget at which some unit has both sides."""
        return {ipc: value for ipc in self.budgets(arms, others) if (value := self.contrast(ipc, arms, others)).n}

    def curve(self, arms: Arms) -> tuple[list[int], Float[np.ndarray, "U T"], Float[np.ndarray, "R T"]]:
        """The best of some arms over T budgets: these, accuracies by unit, and their means, then every bootstrap draw's."""
        if not (ipcs := self.budgets(arms)):
            return [], np.empty((len(self.units), 0)), np.empty((1, 0))
        side = self.side(ipcs, arms)
        return ipcs, inference.by_unit(side), inference.redrawn(side)

    def choices(self, ipcs: Sequence[int], arms: Arms) -> Int[np.ndarray, "R T"]:
        """The arm chosen at each budget by all units, then in every bootstrap draw of units; -1 where nothing was run."""
        if not ipcs:
            return np.empty((1, 0), int)
        picks = inference.chosen(self.side(ipcs, arms).selection)
        return np.where(picks >= 0, np.array(arms)[picks], -1)


def tidy(rows: Iterable[Row]) -> pd.DataFrame:
    """All members as one table, a line each, with the factors of their labels; without their curves."""
    table = pd.DataFrame.from_records(list(rows)).drop(columns="curve", errors="ignore")
    if short := shortened(table["labels"].unique()):
        table["labels"] = [short.get(text, text) for text in table["labels"]]
    for column in {*IDENTITY, "val_accuracy", "accuracy_by_class"} - set(table):
        table[column] = None
    table["loss"] = table["loss"].where(table["loss"].notna(), LOSS)
    for column in ("optimizer", "augment"):
        if table[column].nunique() == 1:
            table[column] = table[column].bfill().ffill()
    taken = pd.DataFrame([factors(labels) for labels in table["labels"]], index=table.index)
    return pd.concat([table, taken], axis=1).assign(epoch=pd.to_numeric(table["teacher_epoch"]))


def treated(members: pd.DataFrame, *operations: str) -> "pd.Series[bool]":
    """Whether labels went through one of some operations."""
    return pd.Series([not {*operations}.isdisjoint(own) for own in members["operations"]], members.index, dtype=bool)


def is_probe(members: pd.DataFrame) -> "pd.Series[bool]":
    """Whether labels were damaged, or a class left out, to see what it does: no rival of other labels."""
    return treated(members, *PROBES) | members["without"].notna()


def varying(members: pd.DataFrame) -> list[str]:
    """The columns in which members of one seed, budget and label spec differ, beside what is measured of them."""
    known = [c for c in _known(members) if c not in _CELL and members[c].nunique(dropna=False) > 1]
    cells = members.groupby(_CELL, dropna=False)
    return sorted(c for c in known if cells[c].nunique(dropna=False).max() > 1)


def _known(members: pd.DataFrame) -> list[str]:
    """The columns that say what a member is, not what became of it."""
    measured = (c for c in map(str, members) if c.endswith(_MEASURED) and c not in IDENTITY)
    out = {*_BOOKKEEPING, *FACTORS, *measured}
    return [c for c in map(str, members) if c not in out]


def collide(members: pd.DataFrame) -> bool:
    """Whether two members are alike in every column but what became of them, and so cannot be told apart."""
    return bool(members.duplicated(_known(members)).sum() > members.duplicated("member").sum())


def groups(members: pd.DataFrame, together: Sequence[str] = ()) -> list[Group]:
    """Split a table into those that may share one curve: equal dataset, model, protocol and whatever is not tuned.

    Groups come in the order in which their first members do. Columns `together` may differ inside a group all the same,
    because they are what is compared.
    """
    differ = varying(members)
    apart = [c for c in sorted({*IDENTITY, *differ} - {*TUNABLE, *together}) if members[c].nunique(dropna=False) > 1]
    parts = [part for _, part in members.groupby(apart, sort=False, dropna=False)] if apart else [members]
    return [_group(part, name, together) for part, name in zip(parts, _names(parts))]


def _names(parts: Sequence[pd.DataFrame]) -> list[str]:
    """What tells each of several groups from the others."""
    if len(parts) < 2:
        return [""]
    constant = [c for c in _known(parts[0]) if all(part[c].nunique(dropna=False) == 1 for part in parts)]
    differ = [c for c in constant if len({_shown(part[c].iat[0]) for part in parts}) > 1]
    told = [c for c in differ if c != "fingerprint"] or differ
    return [", ".join(f"{c.replace('_', ' ')} `{_shown(part[c].iat[0])}`" for c in told) for part in parts]


def _shown(value: Any) -> str:
    """A setting as a row has it: a column with gaps holds integers as floats."""
    return "none" if pd.isna(value) else f"{value:.12g}" if isinstance(value, float) else str(value)[:60]


def _group(members: pd.DataFrame, name: str, together: Sequence[str]) -> Group:
    """Members that share a curve as arrays."""
    # Seeds that share their images vary together and are averaged; of one subset alone they are the units.
    members = members.assign(unit=members["seed" if members["subset_seed"].nunique() == 1 else "subset_seed"])
    settings = [c for c in (*TUNABLE, *together) if members[c].nunique(dropna=False) > 1]
    keys = ["labels", *settings]
    arms = members.drop_duplicates(keys)[[*keys, *FACTORS]]
    arms = arms.assign(late=arms["epoch"].fillna(-1), is_soft=arms["labels"] != "hard")
    order = ["is_soft", "late", "labels", *(c for c in settings if c in TUNABLE)]
    arms = arms.sort_values(order, kind="stable").drop(columns=["late", "is_soft"]).reset_index(drop=True)
    place = pd.Series(range(len(arms)), pd.MultiIndex.from_frame(arms[keys].astype(str)))
    members["arm"] = place.loc[pd.MultiIndex.from_frame(members[keys].astype(str))].to_numpy()
    units, ipcs = (tuple(sorted(members[c].unique().tolist())) for c in ("unit", "ipc"))
    done = members["status"] == "done"
    sealed = ((members["protocol"] != "paper") & (members["val_accuracy"].notna() | ~done)).all()
    on = "validation" if sealed and done.any() else "test"
    classes = int(members["accuracy_by_class"].map(lambda text: len(str(text).split()) if text else 0).max())
    axes = units, ipcs, range(len(arms))
    columns = "test_accuracy", "val_accuracy" if on == "validation" else "test_accuracy"
    test, selection = (_cells(members, column, axes, classes) for column in columns)
    return Group(name, members, arms, units, ipcs, test, selection, on, classes)


def _cells(members: pd.DataFrame, column: str, axes: Sequence[Sequence[int]], classes: int) -> np.ndarray:
    """Means of a column by unit, budget and arm."""
    values = pd.to_numeric(members[column]).where(members["status"] == "done", 1 / classes if classes > 1 else 0.0)
    means = values.groupby([members[name] for name in ("unit", "ipc", "arm")]).mean()
    return means.reindex(pd.MultiIndex.from_product(axes)).to_numpy(float).reshape([*map(len, axes)])
