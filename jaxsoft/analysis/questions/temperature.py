"""Does temperature replace early stopping?

`SOURCE|temperature(t)`, or `SOURCE|power(1/t)`, over teacher epochs: a late teacher can be softened, but is it then an early one?
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxsoft.analysis.questions._verbs import best_of, ran, reached, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Heat, Panel, cut
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.factors import factors
from jaxsoft.analysis.statistics.groups import Group

ORDER = 12
_MOST_POINTS = 0.2
_MOST_TEXTS = 10


class Cell(NamedTuple):
    """Where a label spec stands: teacher epoch and temperature."""

    epoch: int
    t: float

    def __str__(self) -> str:
        return f"epoch {self.epoch}, t = {self.t:.3g}"


Field = dict[Cell, list[int]]  # the arms of one source


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each source whose epoch and temperature were both varied, the largest first."""
    varied = [(s, f) for s, f in fields(group).items() if all(len({cell[side] for cell in f}) > 1 for side in (0, 1))]
    varied.sort(key=lambda pair: -len(pair[1]))
    sections = [_section(group, source, field, len(varied) > 1) for source, field in varied]
    return [section for section in sections if section]


def fields(group: Group) -> dict[str, Field]:
    """Arms by source and cell; those whose last operation is another are sources of their own, at temperature 1."""
    found: dict[str, Field] = {}
    for arm, line in enumerate(group.arms.to_dict("records")):
        if not np.isnan(line["epoch"]):
            softened, power = line["op"] in ("temperature", "power"), -1 if line["op"] == "power" else 1
            source = factors(line["base"])["family"] if softened else line["family"]
            t = float(f"{line['value'] ** power:.6g}") if softened else 1.0
            found.setdefault(source, {}).setdefault(Cell(int(line["epoch"]), t), []).append(arm)
    return {source: dict(sorted(field.items())) for source, field in found.items()}


def _section(group: Group, source: str, field: Field, named: bool) -> Section | None:
    """The best temperature of the last epoch against the best epoch at temperature 1, and the best of all cells."""
    lines, chosen = [], {}
    for ipc in group.ipcs:
        every = ran(group, ipc, field)
        last = max((cell.epoch for cell in every), default=0)
        late = {cell: arms for cell, arms in every.items() if cell.epoch == last}
        early = {cell: arms for cell, arms in every.items() if cell.t == 1}
        if not (gain := group.contrast(ipc, union(every), union(early))).n:
            continue
        chosen[ipc] = [best_of(group, ipc, side) for side in (late, early, every)]
        cells = zip(("last epoch, best t", "best epoch, t = 1", "best of both"), map(str, chosen[ipc]))
        line = {"IPC": ipc, **dict(cells), "difference, points": group.contrast(ipc, union(late), union(early))}
        lines.append({**line, "gain, points": gain, "n": gain.n})
    if not lines:
        return None
    caption = (
        f"Chosen on {group.on}, compared on test, 95 % intervals. Minus the best epoch at temperature 1: the last epoch with its "
        "best temperature (difference), the best of both (gain)."
    )
    names = "difference, points", "gain, points"
    late_minus_early, gains = ({line["IPC"]: line[name] for line in lines} for name in names)
    softened = f"Softened {f'`{cut(source, 12)}`' if named else 'last teachers'}"
    title = words.compare(softened, "early ones", late_minus_early)
    if all(late == early for late, early, _ in chosen.values()):
        title = f"{f'`{cut(source)}`: the' if named else 'The'} last teacher at temperature 1 is best at every budget"
    gained = words.compare("Epoch and temperature together", "the epoch alone", gains)
    chart = _chart(group, source, field, {ipc: cells[-1] for ipc, cells in chosen.items()})
    return Section(title, [Text(f"{gained}."), chart, table(lines, caption)])


def _chart(group: Group, source: str, field: Field, chosen: Mapping[int, Cell]) -> Chart:
    """For each IPC a heat map of test accuracy below its best cell, by epoch and temperature; the chosen cell framed."""
    epochs, temperatures = (sorted({cell[side] for cell in field}) for side in (0, 1))
    means = {ipc: {cell: value.mean for cell, value in reached(group, ipc, field).items()} for ipc in chosen}
    lowest = max(float(np.nanmax(own) - np.nanmin(own)) for own in (list(of.values()) for of in means.values()))
    limits = -max(0.01, min(_MOST_POINTS, lowest)), 0.0
    across = 1 if len(temperatures) > 12 else 2
    with_texts = len(temperatures) * min(across, len(chosen)) <= _MOST_TEXTS
    panels = []
    for ipc, best in chosen.items():
        shown = np.array([[means[ipc].get(Cell(int(epoch), t), np.nan) for t in temperatures] for epoch in epochs])
        top = float(np.nanmax(shown))
        texts = [["" if np.isnan(v) else words.percent(v) for v in line] for line in shown] if with_texts else []
        heat = Heat(shown - top, [*map(str, epochs)], [f"{t:.3g}" for t in temperatures], "below best, points", limits,
                    texts=texts, frames=[(epochs.index(best.epoch), temperatures.index(best.t))])  # fmt: skip
        title, height = f"IPC {ipc}: best {words.percent(top)} %", 0.55 + min(0.26 * len(epochs), 2.6)
        panels.append(Panel([heat], "teacher epoch", "temperature t", title, height=height))
    caption = (
        f"Test accuracy of `{source}` labels by teacher epoch and temperature, in points below the best cell of each "
        f"budget; colours end at {100 * _MOST_POINTS:.0f}. Temperatures above 1 soften. Framed: chosen on {group.on}. {words.FIXED}"
    )
    alt = f"Heat maps by epoch and temperature. Chosen: {'; '.join(f'IPC {i}: {cell}' for i, cell in chosen.items())}."
    return Chart("temperature", panels, caption, f"framed: chosen on {group.on}", alt, across)
