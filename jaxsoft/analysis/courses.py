"""How students learned: validation accuracy and training loss by step, of hard labels and of the chosen soft ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from jaxsoft.analysis.findings import Findings
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
_TITLES = {1: "Students still gain accuracy at the last look", -1: "Students lose accuracy at the last look"}

Cell = tuple[int, str]
"""A budget, and a kind of labels: hard or soft."""
Cells = dict[Cell, pd.DataFrame]
"""A line for each step, and a column for each number and unit; NaN where it is not known."""


def sections(group: Group, runs: Sequence[Run]) -> list[Section]:
    """The section of a group at its smallest and its largest budget; none where no run folder has curves of it."""
    ends, kinds = sorted({group.ipcs[0], group.ipcs[-1]}), {"hard": group.hard, "soft": group.soft}
    chosen = {(ipc, kind): group.choose(ipc, arms) for ipc in ends for kind, arms in kinds.items()}
    arms = {cell: arm for cell, arm in chosen.items() if arm is not None}
    cells = _cells(group, arms, runs)
    if not cells:
        return []
    seen = "val_accuracy" if any("val_accuracy" in table for table in cells.values()) else "test_accuracy"
    panels = [
        Panel(_lines(cells, ipc, name), _AXES[name], "training step", words.budgets([ipc]), log=False, height=2.0)
        for name in (seen, "train_loss")
        for ipc in ends
    ]
    soft = {ipc: group.labels(arm) for (ipc, kind), arm in arms.items() if kind == "soft"}
    chart = Chart("courses", panels, _caption(seen, soft), "bands: 95 % intervals", across=len(ends))
    return [Section(_title(cells, seen), [chart])]


def of_many(found: Sequence[Findings], runs: Sequence[Run]) -> list[Section]:
    """Of many groups that section, under its name, where soft and hard labels differ most, of those that have curves."""

    def most(one: Findings) -> float:
        return max((abs(difference.mean) for difference in one.differences.values()), default=0.0)

    groups = [one.group for one in sorted(found, key=most, reverse=True)]
    told = ((group.name[:1].upper() + group.name[1:], own) for group in groups if (own := sections(group, runs)))
    return next(([own[0]._replace(title=f"{name}: {own[0].title}")] for name, own in told), [])


def _cells(group: Group, arms: Mapping[Cell, int], runs: Sequence[Run]) -> Cells:
    """The mean curves of the units of some arms, each at its budget, as far as run folders know any."""
    done = group.members[group.members["status"] == "done"].set_index("member")
    who = {(ipc, kind): done["unit"][(done["ipc"] == ipc) & (done["arm"] == a)] for (ipc, kind), a in arms.items()}
    members, lines = pd.concat(list(who.values())).index, dict[Any, pd.DataFrame]()
    for curves in filter(None, (read_curves(run.folder, members) for run in runs)):
        for i, key in enumerate(curves.members.tolist()):
            numbers = {name: array[i] for name, array in curves.numbers.items()}
            lines[key] = pd.DataFrame({"step": curves.step[i], **numbers})
    known = {cell: units[units.index.isin([*lines])] for cell, units in who.items()}
    return {
        cell: _table(pd.concat([lines[key].assign(unit=unit) for key, unit in units.items()]))
        for cell, units in known.items()
        if len(units)
    }


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


def _caption(seen: str, soft: Mapping[int, str]) -> str:
    """What is drawn; `soft` are the chosen label specs by budget."""
    several = len({*soft.values()}) > 1
    told = dict.fromkeys(f"`{labels}`" + f" at IPC {ipc}" * several for ipc, labels in soft.items())
    return (
        f"{_AXES[seen].partition(',')[0].capitalize()} at each look, and training loss, a mean since the look before; "
        f"{f'soft: {words.listed([*told])}; ' if told else ''}students that failed are left out. Losses of hard and of "
        "soft labels do not compare: the entropy of a label is a part of its own."
    )


def _title(cells: Cells, name: str) -> str:
    """What the last of the looks still changed, where it changed most."""
    last = {cell: table[name].to_numpy(float)[-2:] for cell, table in cells.items() if name in table}
    pairs = [(cell, looks) for cell, looks in last.items() if len(looks) == 2]
    if not pairs:
        return "How students learned"
    moves = {i: estimate(looks[1] - looks[0]) for i, (_, looks) in enumerate(pairs)}
    pick, sign = words.most(moves)
    (ipc, kind), _ = pairs[pick]
    said = _TITLES.get(sign, "No clear change of accuracy at the last look")
    return f"{said}: {words.signed(moves[pick])} ({kind}, IPC {ipc})"
