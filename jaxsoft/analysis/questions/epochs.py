"""How old should the teacher be?

Curves of test accuracy over the teacher's epoch, with what the teacher itself knew then, for a few budgets; of many
budgets the frontier of the whole group tells. Asked where the epochs of one source are all that labels differ in, and
are more than the two or three stages that other questions let validation choose from.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsoft import spec
from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, ORANGE, PALETTE, Chart, Level, Mark, Panel, Range, Series
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import Estimate, drawn
from jaxsoft.analysis.page import Section, table
from jaxsoft.analysis.predict import chosen_epochs
from jaxsoft.analysis.read import Run

ORDER = 3
_MOST_IPCS, _FEWEST_EPOCHS = 4, 4
_AXIS = "teacher epoch (0 is the initialisation)"

History = Mapping[int, tuple[float, float]]
"""Validation accuracy (fraction) and label entropy (nats) of a teacher by epoch."""


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The best teacher epoch of each budget, with its interval, the teacher's accuracy and the entropy of its labels."""
    soft = group.arms.iloc[group.soft]
    epochs, sources = sorted(set(soft["epoch"].dropna())), set(soft["family"])
    bare = soft["epoch"].notna().all() and not any(soft["operations"])
    few = len(group.ipcs) <= _MOST_IPCS and len(epochs) >= _FEWEST_EPOCHS and len(sources) == 1
    if not (few and bare) or (group.members["protocol"] == "both").any():  # which asks of optimism
        return None
    source, n = sources.pop(), len(group.units)
    ipcs, draws = chosen_epochs(group, group.soft)
    best = {ipc: drawn(line, n) for ipc, line in zip(ipcs, draws.T)}
    moves = drawn(draws[:, -1] - draws[:, 0], n)
    history = teacher_history(source, runs)
    lines = []
    for ipc, told in best.items():
        knew, value = history.get(int(told.mean)), group.accuracy(ipc, group.soft)
        whose = _whose(source)
        teacher = {
            f"{whose} validation, %": knew[0] if knew else None,
            f"{whose} label entropy, nats": knew[1] if knew else None,
        }
        lines.append({"IPC": ipc, "best epoch": _epoch(told), "test, %": value, **teacher, "n": value.n})
    caption = (
        f"Best epoch of `{source}` on {group.on}, of the epochs tried and for this one set of experts; its 95 % interval is that "
        "of the best epoch in resampled sets of seeds. Accuracy: each seed judges the epoch that the others choose."
    )
    return Section(_title(best, moves, history), [_chart(group, best, history, source), table(lines, caption)])


def teacher_history(source: str, runs: Sequence[Run]) -> History:
    """What single experts of a source knew at each epoch, on average; empty where no run says. Pooled, they know more."""
    call = spec.parse(source)[0]
    asked = range(call.args[0] if call.args else 3) if call.name == "teachers" else [call.kwargs.get("expert", 0)]
    for run in runs:
        experts = run.teachers.get("experts", [])
        if experts and max(asked) < len(experts):
            records = [_known(experts[e]["history"]) for e in asked]
            shared = sorted(set.intersection(*map(set, records)))
            pooled = {epoch: np.mean([record[epoch] for record in records], axis=0) for epoch in shared}
            return {epoch: (float(accuracy), float(entropy)) for epoch, (accuracy, entropy) in pooled.items()}
    return {}


def _known(history: Sequence[Mapping]) -> dict[int, tuple[Any, Any]]:
    """The epochs of one expert that hold both numbers."""
    pairs = {record["epoch"]: (record.get("val_accuracy"), record.get("label_entropy")) for record in history}
    return {epoch: pair for epoch, pair in pairs.items() if None not in pair}


def _epoch(value: Estimate) -> str:
    return words.interval(value, lambda epoch: f"{epoch:.0f}")


def _whose(source: str) -> str:
    """Of pooled experts single ones alone are known."""
    return "single experts'" if spec.parse(source)[0].name == "teachers" else "teacher's"


def _title(best: dict[int, Estimate], moves: Estimate, history: History) -> str:
    (first, start), (last, end) = list(best.items())[0], list(best.items())[-1]
    if first == last:
        return f"At IPC {first} the best teacher is that of epoch {_epoch(start)}"
    path = f"epoch {_epoch(start)} at IPC {first}, {_epoch(end)} at {last}"
    if not moves.sign:
        return f"Best teacher by budget, no clear trend: {path}"
    return f"More images want {'sharper' if moves.sign > 0 else 'softer'} labels: {path}"


def _chart(group: Group, best: dict[int, Estimate], history: History, source: str) -> Chart:
    """Test accuracy by teacher epoch, one panel for each IPC with its best epoch; below, what the teacher knew."""
    panels, epochs = [], sorted(set(group.arms["epoch"].iloc[group.soft]))
    for (ipc, told), colour in zip(best.items(), PALETTE):
        arms = {epoch: group.ran(ipc, group.find(epoch=epoch)) for epoch in epochs}
        values = {epoch: group.accuracy(ipc, own) for epoch, own in arms.items() if own}
        marks: list[Mark] = [
            Series("", list(values), list(values.values()), "band", colour=colour, marker="o", size=3.5)
        ]
        top = Series("", [told.mean], [values[told.mean].mean], colour=colour, marker="*", size=13)
        marks += [top] + ([Range(told.low, told.high, colour)] if not math.isnan(told.low) else [])
        hard = group.accuracy(ipc, group.ran(ipc, group.hard))
        marks += [Level(hard.mean)] if hard.n else []
        # Epochs so bad that they would flatten the curve leave the panel below.
        means = sorted([v.mean for v in values.values()])
        level, most = min([means[int(0.3 * len(means))], *([hard.mean] if hard.n else [])]), means[-1]
        marks.append(
            lambda axes, foot=level - 0.6 * (most - level): axes.set_ylim(max(axes.get_ylim()[0], 100 * foot), None)
        )
        panels.append(Panel(marks, x=_AXIS, title=words.budgets([ipc]), height=1.8))
    if history:
        for i, (name, colour) in enumerate((("validation, %", BLUE), ("label entropy, nats", ORANGE))):
            line = Series("", list(history), [pair[i] for pair in history.values()], "band", colour=colour, marker=",")
            panels.append(Panel([line], name, _AXIS, f"{_whose(source)} own", height=1.4, from_zero=True))
    below = f", above the {_whose(source)} own validation accuracy and label entropy" if history else ""
    caption = f"Test accuracy by teacher epoch for each number of images per class{below}."
    return Chart("epochs", panels, caption, "bands: 95 %; star, bar: best epoch; dashed: hard labels", across=1)
