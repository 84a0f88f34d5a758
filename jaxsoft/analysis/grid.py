"""Rows arranged for comparison: which may share a curve, which settings win on validation, and all of it as one array."""

import math
import operator
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxsoft import errors
from jaxsoft.types import Row

IDENTITY = ("dataset", "fingerprint", "model", "protocol", "select", "without", "run")
"""What members of one curve share; older tables and single runs lack the last columns, which then count as equal."""
TUNABLE = ("learning_rate", "weight_decay", "steps")
ALL_SEEDS = -1
_CELL = ("seed", "subset_seed", "ipc", "labels")
_BOOKKEEPING = ("member", "wave", "device", "status", "first_bad_step", "teacher_epoch", "accuracy_by_class")
_MEASURED = ("accuracy", "loss", "entropy", "seconds")


@dataclass(frozen=True)
class Grid:
    """Accuracies of one group of rows by unit U, IPC I and label spec A; NaN where no member finished.

    A unit is a (seed, subset_seed), or (`ALL_SEEDS`, subset_seed) where several seeds share a subset; see `units`.
    """

    units: tuple[tuple[int, int], ...]
    ipcs: tuple[int, ...]
    labels: tuple[str, ...]
    epochs: tuple[int | None, ...]
    test: Float[np.ndarray, "U I A"]
    selection: Float[np.ndarray, "U I A"]


@dataclass(frozen=True)
class Stack:
    """Grids of several values of one column side by side: unit U, value W, IPC I, label spec A."""

    units: tuple[tuple[int, int], ...]
    values: tuple[str, ...]
    ipcs: tuple[int, ...]
    labels: tuple[str, ...]
    epochs: tuple[int | None, ...]
    test: Float[np.ndarray, "U W I A"]
    selection: Float[np.ndarray, "U W I A"]


def finished(rows: Sequence[Row]) -> list[Row]:
    """The members that did not fail."""
    return [row for row in rows if row["status"] == "done"]


def varying(rows: Sequence[Row]) -> tuple[str, ...]:
    """The columns in which members of one seed, IPC and label spec differ, beside what is measured of them."""
    known = [c for c in _known(rows) if c not in _CELL and _differs(rows, c)]
    if not known:
        return ()
    keys = [tuple(row[c] for c in _CELL) for row in rows]
    values = {c: set(zip(keys, [row.get(c) for row in rows])) for c in known}
    return tuple(sorted(c for c in known if len(values[c]) > len(set(keys))))


def _differs(rows: Sequence[Row], name: str) -> bool:
    """Whether a column has several values."""
    try:
        return len(set(map(operator.itemgetter(name), rows))) > 1
    except KeyError:  # an older table lacks it, here or there
        return len({row.get(name) for row in rows}) > 1


def _known(rows: Sequence[Row]) -> list[str]:
    """The columns that say what a member is, not what became of it."""
    names = dict.fromkeys(name for columns in {tuple(row): None for row in rows} for name in columns)
    return [name for name in names if name not in _BOOKKEEPING and not name.endswith(_MEASURED)]


def groups(rows: Sequence[Row], together: Sequence[str] = ()) -> list[list[Row]]:
    """Split rows into those that may share one curve: equal dataset, model, protocol and whatever is not tuned.

    Groups come in the order in which their first members do.

    Args:
      rows: members.
      together: columns that may differ inside a group all the same, because they are what is compared.
    """
    columns = sorted({*IDENTITY, *varying(rows)} - {*TUNABLE, *together})
    columns = [c for c in columns if _differs(rows, c)]
    found: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(str(row.get(c)) for c in columns)].append(row)
    return list(found.values())


def group_names(found: Sequence[Sequence[Row]]) -> list[str]:
    """What tells each group from the others, such as "model `mlp`"; empty for one alone."""
    if len(found) < 2:
        return ["" for _ in found]
    known = _known(found[0][:1])
    inside = [c for c in known if all(len({row.get(c) for row in rows}) == 1 for rows in found)]
    differ = [c for c in inside if len({str(rows[0].get(c)) for rows in found}) > 1]
    told = [c for c in differ if c != "fingerprint"] or differ
    return [", ".join(f"{c.replace('_', ' ')} `{str(rows[0].get(c))[:60]}`" for c in told) for rows in found]


def collide(rows: Sequence[Row]) -> bool:
    """Whether two finished members are alike in every column but what became of them, and so cannot be told apart."""
    known = sorted(_known(rows))
    return len({tuple(row.get(c) for c in known) for row in rows}) < len({row["member"] for row in rows})


def selection_column(rows: Sequence[Row]) -> str:
    """What choices are made on: validation, but test under the paper protocol, as the authors did."""
    sealed = all(row["protocol"] != "paper" and row["val_accuracy"] is not None for row in finished(rows))
    return "val_accuracy" if sealed else "test_accuracy"


def label_order(rows: Sequence[Row]) -> dict[str, int | None]:
    """Label specs and their teacher epochs in axis order: hard, then by epoch, then by text."""
    epochs = {row["labels"]: row["teacher_epoch"] for row in rows}
    return dict(
        sorted(epochs.items(), key=lambda item: (item[0] != "hard", -1 if item[1] is None else item[1], item[0]))
    )


def units(rows: Sequence[Row]) -> dict[tuple[int, int], tuple[int, int]]:
    """The unit of each (seed, subset_seed): itself, but one for all seeds of a subset where subsets repeat.

    Seeds that share their images vary together, so that they are averaged; where there is one subset alone, its seeds are
    all the units there are.
    """
    pairs = sorted({(row["seed"], row["subset_seed"]) for row in rows})
    repeat = 1 < len({subset for _, subset in pairs}) < len(pairs)
    return {(seed, subset): (ALL_SEEDS if repeat else seed, subset) for seed, subset in pairs}


def tuned(rows: Sequence[Row], on: str | None = None) -> list[Row]:
    """Keep of every (IPC, label spec) the learning rate, weight decay and steps with the best mean of column `on`.

    Hard and soft labels are tuned alike, each from the values it was given, so that neither gets an easier contest.
    """
    return _tuned(rows, on or selection_column(rows), varying(rows))


def _tuned(rows: Sequence[Row], on: str, differ: Sequence[str]) -> list[Row]:
    """`tuned`, where the columns that `differ` are known."""
    if not (columns := [c for c in TUNABLE if c in differ]):
        return list(rows)
    tried: dict[tuple, dict[tuple, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tried[row["ipc"], row["labels"]][tuple(row[c] for c in columns)].append(row)
    kept = []
    for settings in tried.values():
        means = {key: np.mean([r[on] for r in finished(found)] or [-1.0]) for key, found in sorted(settings.items())}
        kept += settings[max(means, key=lambda key: round(float(means[key]), 12))]
    return kept


def grid(rows: Sequence[Row] | Grid, on: str | None = None) -> Grid:
    """Arrange one group of rows by unit, IPC and label spec, tuned on column `on` (default: `selection_column`).

    Every analysis starts with this; a grid is returned as it is, so that several can share one.

    Raises:
      ConfigError: the rows mix datasets, models, protocols or other settings; take one of `groups(rows)`.
    """
    if isinstance(rows, Grid):
        return rows
    on = on or selection_column(rows)
    differ = varying(rows)
    if {*TUNABLE} & {*differ}:
        rows = _tuned(rows, on, differ)
        differ = varying(rows)
    if mixed := [c for c in {*IDENTITY, *differ} if _differs(rows, c)]:
        raise errors.ConfigError(f"rows differ in {', '.join(sorted(mixed))}; analyse one of groups(rows) at a time")
    unit = units(rows)
    own, ipcs, labels = sorted(set(unit.values())), sorted({row["ipc"] for row in rows}), label_order(rows)
    at = [{value: i for i, value in enumerate(axis)} for axis in (own, ipcs, labels)]
    done, shape = finished(rows), (len(own), len(ipcs), len(labels))
    where = [(at[0][unit[r["seed"], r["subset_seed"]]], at[1][r["ipc"]], at[2][r["labels"]]) for r in done]
    cell = np.asarray(np.ravel_multi_index(np.array(where, int).reshape(-1, 3).T, shape))
    test, selection = (_cell_means(cell, [row[name] for row in done], shape) for name in ("test_accuracy", on))
    return Grid(tuple(own), tuple(ipcs), tuple(labels), tuple(labels.values()), test, selection)


def _cell_means(cell: np.ndarray, values: Sequence[float | None], shape: tuple[int, int, int]) -> np.ndarray:
    """The mean of the members of each cell, NaN where there are none."""
    count = np.bincount(cell, minlength=math.prod(shape))
    sums = np.bincount(cell, np.array(values, float), minlength=math.prod(shape))
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan).reshape(shape)


def stack(rows: Sequence[Row], by: str) -> Stack:
    """Arrange rows that differ in the column `by`, one grid for each of its values, on common axes.

    Every value is tuned for itself; its units, budgets or label specs that another value lacks are NaN there.

    Args:
      rows: members that differ in `by` and otherwise may share a curve.
      by: a column of text, such as `model`; rows without a value are left out.

    Raises:
      ConfigError: the rows differ in something else, too.
    """
    rows = [row for row in rows if row.get(by)]
    names = tuple(dict.fromkeys(row[by] for row in rows))
    grids = [grid([row for row in rows if row[by] == name], selection_column(rows)) for name in names]
    own, ipcs = sorted({u for g in grids for u in g.units}), sorted({ipc for g in grids for ipc in g.ipcs})
    labels = label_order(rows)
    test = np.full((len(own), len(names), len(ipcs), len(labels)), np.nan)
    selection = test.copy()
    for w, g in enumerate(grids):
        where = np.ix_(_places(own, g.units), _places(ipcs, g.ipcs), _places(list(labels), g.labels))
        test[:, w][where], selection[:, w][where] = g.test, g.selection
    return Stack(tuple(own), names, tuple(ipcs), tuple(labels), tuple(labels.values()), test, selection)


def _places(axis: list, values: Sequence) -> list[int]:
    return [axis.index(value) for value in values]


def column(table: Grid, labels: str) -> int:
    """Position of a label spec in a grid.

    Raises:
      ConfigError: the grid does not hold it.
    """
    if labels not in table.labels:
        raise errors.ConfigError(errors.unknown("label spec", labels, table.labels, "column labels of results.csv"))
    return table.labels.index(labels)
