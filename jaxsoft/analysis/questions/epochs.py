"""How old should the teacher be?

Curves of test accuracy over the teacher's epoch, with what the teacher itself knew then, for a few budgets; of many
budgets the frontier of the whole group tells. Asked where the epochs of one source are all that labels differ in, and
are more than the two or three stages that other questions let validation choose from.
"""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from jaxsoft import spec
from jaxsoft.analysis.questions._verbs import reached
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, PALETTE, Chart, Level, Mark, Panel, Range, Series
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics.fits import chosen_epochs
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, drawn

ORDER = 3
_MOST_IPCS, _FEWEST_EPOCHS = 4, 4
_AXIS = "teacher epoch (0 is the initialisation)"


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The best epoch of each budget, where soft labels differ in the teacher's epoch alone."""
    soft = group.arms.iloc[group.soft]
    bare = len(set(soft["family"])) == 1 and not any(soft["operations"]) and not soft["epoch"].isna().any()
    few = len(group.ipcs) <= _MOST_IPCS and len(set(soft["epoch"])) >= _FEWEST_EPOCHS
    if not (bare and few) or "both" in set(group.members["protocol"]):  # which asks of optimism
        return None
    ipcs, draws = chosen_epochs(group, group.soft)
    n, source = len(group.units), str(soft["family"].iat[0])
    best = {ipc: drawn(line, n) for ipc, line in zip(ipcs, draws.T)}
    # Of pooled experts single ones alone are known.
    history, whose = teacher_history(source, runs), "single experts'" if soft["pool"].iat[0] else "teacher's"
    lines = []
    for ipc, epoch in best.items():
        accuracy, entropy = history.get(int(epoch.mean), (None, None))
        knew = {f"{whose} validation, %": accuracy, f"{whose} label entropy, nats": entropy}
        value = group.accuracy(ipc, group.soft)
        lines.append(
            {"IPC": ipc, "best epoch": words.Shown(_epoch(epoch), epoch), "test, %": value, **knew, "n": value.n}
        )
    caption = (
        f"Best epoch of `{source}` on {group.on}, of the epochs tried and for this one set of experts; its 95 % interval is that "
        "of the best epoch in resampled sets of seeds."
    )
    first, last, moves = min(best), max(best), drawn(draws[:, -1] - draws[:, 0], n).sign
    how = "More images want a later teacher" if moves > 0 else "More images want an earlier teacher"
    path = f"epoch {_epoch(best[first])} at IPC {first}, {_epoch(best[last])} at {last}"
    title = f"{how if moves else 'Best teacher by budget, no clear trend'}: {path}"
    if first == last:
        title = f"At IPC {first} the best teacher is that of epoch {_epoch(best[first])}"
    return Section(title, [_chart(group, best, history, whose), table(lines, caption)])


def teacher_history(source: str, runs: Sequence[Run]) -> dict[int, list[float]]:
    """What single experts of a source knew at each epoch, on average: validation accuracy and label entropy, in nats.

    Empty where no run says. Pooled, they know more.
    """
    call = spec.parse(source)[0]
    asked = range(call.args[0] if call.args else 3) if call.name == "teachers" else [call.kwargs.get("expert", 0)]
    for run in runs:
        experts = run.teachers.get("experts", [])
        if experts and max(asked) < len(experts):
            histories = [experts[e]["history"] for e in asked]
            records = [{r["epoch"]: (r.get("val_accuracy"), r.get("label_entropy")) for r in own} for own in histories]
            shared = sorted(set.intersection(*map(set, records)))
            known = [epoch for epoch in shared if all(None not in record[epoch] for record in records)]
            return {epoch: np.mean([record[epoch] for record in records], axis=0).tolist() for epoch in known}
    return {}


def _epoch(value: Estimate) -> str:
    return words.interval(value, "{:.0f}".format)


def _cut(axes: Axes, foot: float) -> None:
    """Epochs so bad that they would flatten the curve leave the panel below."""
    axes.set_ylim(max(axes.get_ylim()[0], foot))


def _chart(group: Group, best: Mapping[int, Estimate], history: Mapping[int, Sequence[float]], whose: str) -> Chart:
    """Test accuracy by teacher epoch, one panel for each IPC with its best epoch; below, what the teacher knew."""
    tried, panels = sorted(set(group.arms["epoch"].iloc[group.soft])), []
    for (ipc, epoch), colour in zip(best.items(), PALETTE):
        values = reached(group, ipc, {e: group.find(epoch=e) for e in tried})
        hard = group.accuracy(ipc, group.ran(ipc, group.hard))
        marks: list[Mark] = [
            Series.of("", values, "band", colour=colour, marker="o", size=3.5),
            Series("", [epoch.mean], [values[epoch.mean].mean], colour=colour, marker="*", size=13),
        ]
        marks += [] if math.isnan(epoch.low) else [Range(epoch.low, epoch.high, colour)]
        marks += [Level(hard.mean)] if hard.n else []
        means = np.array([value.mean for value in values.values()])
        level, top = np.nanmin([np.nanquantile(means, 0.3, method="lower"), hard.mean]), np.nanmax(means)
        marks.append(functools.partial(_cut, foot=100 * (level - 0.6 * (top - level))))
        panels.append(Panel(marks, x=_AXIS, title=words.budgets([ipc]), height=1.8))
    knew = {epoch: history[epoch] for epoch in tried if epoch in history}
    for i, (name, colour) in enumerate((("validation, %", BLUE), ("label entropy, nats", ORANGE)) if knew else ()):
        line = Series("", list(knew), [pair[i] for pair in knew.values()], "band", colour=colour, marker=",")
        panels.append(Panel([line], name, _AXIS, f"{whose} own", height=1.4, from_zero=True))
    below = f", above the {whose} own validation accuracy and label entropy" if knew else ""
    caption = f"Test accuracy by teacher epoch for each number of images per class{below}."
    return Chart("epochs", panels, caption, "bands: 95 %; star, bar: best epoch; dashed: hard labels", across=1)
