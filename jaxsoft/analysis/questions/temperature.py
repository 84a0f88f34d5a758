"""Does temperature replace early stopping?

`SOURCE|temperature(t)`, or `SOURCE|power(1/t)`, over teacher epochs: a late teacher can be softened, but is it then an early one?
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsoft.analysis.questions._choice import best_of
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Heat, Panel, cut
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Group, factors

ORDER = 12
_MOST_POINTS = 0.2
_MOST_TEXTS = 10


class Cell(NamedTuple):
    """Where a label spec stands: teacher epoch and temperature."""

    epoch: int
    t: float

    def __str__(self) -> str:
        return f"epoch {self.epoch}, t = {self.t:.3g}"


Field = dict[Cell, list[int]]
"""The arms of one source by epoch and temperature."""


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each source whose epoch and temperature were both varied, the largest first."""
    varied = [(s, f) for s, f in fields(group).items() if all(len({cell[side] for cell in f}) > 1 for side in (0, 1))]
    varied.sort(key=lambda pair: -len(pair[1]))
    sections = [_section(group, *pair, f"-{i}" * (len(varied) > 1)) for i, pair in enumerate(varied, 1)]
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


def _section(group: Group, source: str, field: Field, suffix: str) -> Section | None:
    """The best temperature of the last epoch against the best epoch at temperature 1, and the best of all cells."""
    lines, late_minus_early, gains, chosen = [], {}, {}, {}
    for ipc in group.ipcs:
        every = {cell: ran for cell, arms in field.items() if (ran := group.ran(ipc, arms))}
        last = max((cell.epoch for cell in every), default=0)
        sides = [
            {c: a for c, a in every.items() if c.epoch == last},
            {c: a for c, a in every.items() if c.t == 1},
            every,
        ]
        late, early, both = (sum(side.values(), []) for side in sides)
        gain = group.contrast(ipc, both, early)
        if not gain.n:
            continue
        chosen[ipc] = cells = [best_of(group, ipc, side) for side in sides]
        late_minus_early[ipc], gains[ipc] = group.contrast(ipc, late, early), gain
        named = dict(zip(("last epoch, best t", "best epoch, t = 1", "best of both"), map(str, cells)))
        values = {"difference, points": late_minus_early[ipc], "gain, points": gain, "n": gain.n}
        lines.append({"IPC": ipc, **named, **values})
    if not lines:
        return None
    caption = (
        f"Chosen on {group.on}, compared on test, each seed against itself with what the other seeds choose, 95 % intervals. "
        "Difference: the last epoch with its best temperature minus the best epoch at temperature 1. Gain: best of both minus "
        "the best epoch at temperature 1."
    )
    title = words.compare(
        f"Softened {f'`{cut(source, 12)}`' if suffix else 'last teachers'}", "early ones", late_minus_early
    )
    if all(late == early for late, early, _ in chosen.values()):
        title = f"{f'`{cut(source)}`: the' if suffix else 'The'} last teacher at temperature 1 is best at every budget"
    both = Text(f"{words.compare('Epoch and temperature together', 'the epoch alone', gains)}.")
    chart = _chart(group, source, field, {ipc: cells[-1] for ipc, cells in chosen.items()}, suffix)
    return Section(title, [both, chart, table(lines, caption)])


def _chart(group: Group, source: str, field: Field, chosen: dict[int, Cell], suffix: str) -> Chart:
    """For each IPC a heat map of test accuracy below its best cell, by epoch and temperature; the chosen cell framed."""
    epochs, temperatures = (sorted({cell[side] for cell in field}) for side in (0, 1))
    values = {ipc: np.full((len(epochs), len(temperatures)), np.nan) for ipc in chosen}
    for ipc, (cell, arms) in itertools.product(chosen, field.items()):
        mean = group.accuracy(ipc, group.ran(ipc, arms)).mean
        values[ipc][epochs.index(cell.epoch), temperatures.index(cell.t)] = mean
    lowest = max(float(np.nanmax(shown) - np.nanmin(shown)) for shown in values.values())
    limits = -max(0.01, min(_MOST_POINTS, lowest)), 0.0
    across = 1 if len(temperatures) > 12 else 2
    with_texts = len(temperatures) * min(across, len(chosen)) <= _MOST_TEXTS
    panels = []
    for ipc, best in chosen.items():
        shown, top = values[ipc], float(np.nanmax(values[ipc]))
        texts = [["" if np.isnan(v) else words.percent(v) for v in line] for line in shown] if with_texts else []
        heat = Heat(shown - top, [*map(str, epochs)], [f"{t:.3g}" for t in temperatures], "below best, points", limits,
                    texts=texts, frames=[(epochs.index(best.epoch), temperatures.index(best.t))])  # fmt: skip
        title, height = f"IPC {ipc}: best {words.percent(top)} %", 0.55 + min(0.26 * len(epochs), 2.6)
        panels.append(Panel([heat], "teacher epoch", "temperature t", title, height=height))
    caption = (
        f"Test accuracy of `{source}` labels by teacher epoch and temperature, in points below the best cell of each "
        f"budget; colours end at {100 * _MOST_POINTS:.0f}. Temperatures above 1 soften. Framed: chosen on {group.on}."
    )
    alt = f"Heat maps by epoch and temperature. Chosen: {'; '.join(f'IPC {i}: {cell}' for i, cell in chosen.items())}."
    return Chart(f"temperature{suffix}", panels, caption, f"framed: chosen on {group.on}", alt, across)
