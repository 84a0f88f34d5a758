"""How students learned: validation accuracy and training loss by step, of hard labels and of the chosen soft ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from jaxsoft.analysis.reading.curves import NAMES, read_curves
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, Chart, Panel, Series
from jaxsoft.analysis.showing.page import Section
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import estimate

_STYLES = {"hard": {"colour": "black", "marker": "o"}, "soft": {"colour": BLUE, "marker": "s"}}
_AXES = {
    "train_loss": "training loss, nats",
    "val_accuracy": "validation accuracy, %",
    "test_accuracy": "test accuracy, %",
}

Cell = tuple[int, str]
"""A budget, and a kind of labels: hard or soft."""
Cells = dict[Cell, pd.DataFrame]
"""A line for each step, and a column for each number and unit; NaN where it is not known."""


def sections(group: Group, runs: Sequence[Run]) -> list[Section]:
    """The section of a group at its smallest and its largest budget; none where no run folder has curves of it."""
    ends = sorted({group.ipcs[0], group.ipcs[-1]})
    arms = {
        (ipc, kind): arm
        for ipc in ends
        for kind, own in (("hard", group.hard), ("soft", group.soft))
        if (arm := group.choose(ipc, own)) is not None
    }
    cells = _cells(group, arms, runs)
    if not cells:
        return []
    seen = "val_accuracy" if any("val_accuracy" in table for table in cells.values()) else "test_accuracy"
    panels = [
        Panel(_lines(cells, ipc, name), _AXES[name], "training step", words.budgets([ipc]), log=False, height=2.0)
        for name in (seen, "train_loss")
        for ipc in ends
    ]
    soft = {ipc: f"`{group.labels(arm)}`" for (ipc, kind), arm in arms.items() if kind == "soft"}
    told = (
        [f"{label} at IPC {ipc}" for ipc, label in soft.items()] if len({*soft.values()}) > 1 else [*soft.values()][:1]
    )
    caption = (
        f"{_AXES[seen].partition(',')[0].capitalize()} at each look, and training loss, a mean since the look before; "
        f"{f'soft: {words.listed(told)}; ' if told else ''}students that failed are left out. Losses of hard and of "
        "soft labels do not compare: the entropy of a label is a part of its own."
    )
    return [
        Section(_title(cells, seen), [Chart("courses", panels, caption, "bands: 95 % intervals", across=len(ends))])
    ]


def _cells(group: Group, arms: Mapping[Cell, int], runs: Sequence[Run]) -> Cells:
    """The mean curves of the units of some arms, each at its budget, as far as run folders know any."""
    done = group.members[group.members["status"] == "done"].set_index("member")
    who = {(ipc, kind): done["unit"][(done["ipc"] == ipc) & (done["arm"] == a)] for (ipc, kind), a in arms.items()}
    members = pd.concat(list(who.values())).index
    lines: dict[Any, pd.DataFrame] = {}
    for curves in (found for run in runs if (found := read_curves(run.folder, members))):
        for i, key in enumerate(curves.members.tolist()):
            lines[key] = pd.DataFrame(
                {name: array[i] for name, array in {"step": curves.step, **curves.numbers}.items()}
            )
    found = {
        cell: [lines[key].assign(unit=unit) for key, unit in own.to_dict().items() if key in lines]
        for cell, own in who.items()
    }
    return {cell: _table(pd.concat(own)) for cell, own in found.items() if own}


def _table(lines: pd.DataFrame) -> pd.DataFrame:
    """A line a look and member as `Cells` has it."""
    names = [name for name in NAMES if name in lines]
    known = lines[lines["step"] >= 0].melt(["step", "unit"], names, "name").dropna()
    return known.pivot_table("value", "step", ["name", "unit"])


def _lines(cells: Cells, ipc: int, name: str) -> list[Series]:
    """Hard and soft labels at a budget: a number by step."""
    found = []
    for kind, style in _STYLES.items():
        if name in (table := cells.get((ipc, kind), pd.DataFrame())):
            values = {int(step): estimate(line) for step, line in zip(table.index, table[name].to_numpy(float))}
            found.append(Series.of(f"{kind} labels", values, "band", size=3.5, **style))
    return found


def _title(cells: Cells, name: str) -> str:
    """What the last of the looks still changed, where it changed most."""
    pairs = [(cell, table[name].to_numpy(float)[-2:]) for cell, table in cells.items() if name in table]
    moves = {i: estimate(last[1] - last[0]) for i, (_, last) in enumerate(pairs) if len(last) == 2}
    if not moves:
        return "How students learned"
    pick, sign = words.most(moves)
    (ipc, kind), what = (
        pairs[pick][0],
        {1: "Students still gain accuracy at the last look", -1: "Students lose accuracy at the last look"},
    )
    return f"{what.get(sign, 'No clear change of accuracy at the last look')}: {words.signed(moves[pick])} ({kind}, IPC {ipc})"
