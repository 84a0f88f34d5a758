"""Under which losses is an early teacher more than a late one that was softened?

As `temperature` asks it of one loss, `SOURCE|temperature(t)` over teacher epochs, here of several losses side by side. A loss that
knows no scale, such as a cosine of logits, cannot see a temperature: there the late teacher stands as it is.
"""

from collections.abc import Mapping, Sequence

from jaxsoft.analysis.questions import temperature
from jaxsoft.analysis.questions._verbs import best_of, by_loss, ran, side_by_side, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, Chart
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 0
TOGETHER = ("loss",)
_DIFFERENCE = "softened last − early, points"


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The softened last teacher minus the best early one, loss by loss, where several losses had teachers of several epochs."""
    fields = {loss: field for loss, arms in by_loss(group).items() if (field := _field(group, arms))}
    if len(fields) < 2 or all(len({cell.t for cell in field}) < 2 for field in fields.values()):
        return None
    lines, values = [], {}
    for ipc in group.ipcs:
        for loss, field in fields.items():
            every = ran(group, ipc, field)
            last = max((cell.epoch for cell in every), default=0)
            late = {cell: arms for cell, arms in every.items() if cell.epoch == last}
            early = {cell: arms for cell, arms in every.items() if cell.epoch < last and cell.t == 1}
            if not (value := group.contrast(ipc, union(late), union(early))).n:
                continue
            values[ipc, loss] = value
            names = zip(("last epoch, best t", "early epoch, t = 1"), (best_of(group, ipc, of) for of in (late, early)))
            line = {"IPC": ipc, "loss": words.code(loss), **{name: str(cell) for name, cell in names}}
            line["early: test, %"] = group.accuracy(ipc, union(early))
            lines.append({**line, _DIFFERENCE: value, "n": value.n})
    if not lines:
        return None
    caption = f"Epochs, temperatures and rates chosen on {group.on}, compared on test, paired; 95 % intervals."
    shown = "Test accuracy of the last teacher at its best temperature minus that of the best early teacher as it is, by loss."
    chart = Chart("teachers-apart", side_by_side({"": values}, _DIFFERENCE, {"": BLUE}), shown)
    return Section(_title(values), [chart, table(lines, caption)])


def _field(group: Group, arms: Arms) -> temperature.Field:
    """Some arms by teacher epoch and temperature, of the source that has most; empty where it has one epoch alone."""
    own = {*arms}
    parts = [
        {cell: kept for cell, all_of in field.items() if (kept := [arm for arm in all_of if arm in own])}
        for field in temperature.fields(group).values()
    ]
    field = max(parts, key=len, default={})
    return field if len({cell.epoch for cell in field}) > 1 else {}


def _title(values: Mapping[tuple[int, str], Estimate]) -> str:
    """Under how many losses which teacher is better, at some budget, by what can be told beside all others."""
    signs = told(values)
    losses = dict.fromkeys(loss for _, loss in values)
    early, late = (
        sum(sign in [signs[cell] for cell in signs if cell[1] == loss] for loss in losses) for sign in (-1, 1)
    )
    if not early + late:
        return f"Early teachers and softened last ones: no clear difference under any of {len(losses)} losses"
    return f"Early teachers beat softened last ones under {early} of {len(losses)} losses, lose under {late}"
