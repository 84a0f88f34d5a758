"""Does temperature replace early stopping?

`SOURCE|temperature(t)`, or `SOURCE|power(1/t)`, over teacher epochs: a late teacher can be softened, but is it then an early one?
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import Chart, Heat, Panel
from jaxsoft.analysis.groups import Arms, Group, factors
from jaxsoft.analysis.page import Section, Text, table
from jaxsoft.analysis.read import Run

ORDER = 12
_MOST_POINTS = 0.2
_MOST_TEXTS = 10


class Cell(NamedTuple):
    """Where a label spec stands: teacher epoch and temperature."""

    epoch: int
    t: float

    def __str__(self) -> str:
        return f"epoch {self.epoch}, t = {self.t:.3g}"


Field = dict[Cell, Arms]
"""The arms of one source by epoch and temperature."""


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each source whose epoch and temperature were both varied, the largest first."""
    found = fields(group)
    kept = [name for name, field in found.items() if all(len({cell[side] for cell in field}) > 1 for side in (0, 1))]
    kept.sort(key=lambda name: -len(found[name]))
    sections = [_section(group, name, found[name], f"-{i}" if len(kept) > 1 else "") for i, name in enumerate(kept, 1)]
    return [section for section in sections if section]


def fields(group: Group) -> dict[str, Field]:
    """Arms by source and cell; those whose last operation is another are sources of their own, at temperature 1."""
    found: dict[str, Field] = {}
    for arm, line in zip(range(len(group.arms)), group.arms.itertuples()):
        if not np.isnan(line.epoch):
            softened = line.op in ("temperature", "power")
            source = factors(line.base)["family"] if softened else line.family
            t = 1.0 if not softened else line.value if line.op == "temperature" else 1 / line.value
            found.setdefault(source, {}).setdefault(Cell(int(line.epoch), float(f"{t:.6g}")), []).append(arm)
    return {source: dict(sorted(field.items())) for source, field in found.items()}


def _section(group: Group, source: str, field: Field, suffix: str) -> Section | None:
    """The best temperature of the last epoch against the best epoch at temperature 1, and the best of all cells."""
    lines, late_minus_early, gains, chosen = [], {}, {}, {}
    for ipc in group.ipcs:
        there = {cell: own for cell, arms in field.items() if (own := group.ran(ipc, arms))}
        last = max((cell.epoch for cell in there), default=0)
        late = [arm for cell, arms in there.items() if cell.epoch == last for arm in arms]
        early = [arm for cell, arms in there.items() if cell.t == 1 for arm in arms]
        if not early:
            continue
        every = [arm for arms in there.values() for arm in arms]
        cells = [
            next(cell for cell, arms in there.items() if group.choose(ipc, own) in arms) for own in (late, early, every)
        ]
        late_minus_early[ipc], gains[ipc] = group.contrast(ipc, late, early), group.contrast(ipc, every, early)
        chosen[ipc] = cells[2]
        named = dict(zip(("last epoch, best t", "best epoch, t = 1", "best of both"), map(str, cells)))
        values = {"difference, points": late_minus_early[ipc], "gain, points": gains[ipc], "n": gains[ipc].n}
        lines.append({"IPC": ipc, **named, **values})
    if not lines:
        return None
    caption = (
        f"Chosen on {group.on}, compared on test, each seed against itself with what the other seeds choose, 95 % intervals. "
        "Difference: the last epoch with its best temperature minus the best epoch at temperature 1. Gain: best of both minus "
        "the best epoch at temperature 1."
    )
    title = words.compare("Softened last teachers", "early ones", late_minus_early)
    both = words.compare("Epoch and temperature together", "the epoch alone", gains)
    name = f"`{source}`: " if suffix else ""
    return Section(
        name + title, [Text(f"{both}."), _chart(group, source, field, chosen, suffix), table(lines, caption)]
    )


def _chart(group: Group, source: str, field: Field, chosen: dict[int, Cell], suffix: str) -> Chart:
    """For each IPC a heat map of test accuracy below its best cell, by epoch and temperature; the chosen cell framed."""
    epochs, temperatures = (sorted({cell[side] for cell in field}) for side in (0, 1))
    values = {ipc: np.full((len(epochs), len(temperatures)), np.nan) for ipc in chosen}
    for ipc, cells_ in values.items():
        for (epoch, t), arms in field.items():
            cells_[epochs.index(epoch), temperatures.index(t)] = group.accuracy(ipc, group.ran(ipc, arms)).mean
    below = {ipc: cells_ - np.nanmax(cells_) for ipc, cells_ in values.items()}
    lowest = -max(0.01, min(_MOST_POINTS, max(float(-np.nanmin(cells_)) for cells_ in below.values())))
    across = 1 if len(temperatures) > 12 else 2
    texts_fit = len(temperatures) * min(across, len(chosen)) <= _MOST_TEXTS
    panels = []
    for ipc, best in chosen.items():
        texts = [["" if np.isnan(v) else words.percent(v) for v in line] for line in values[ipc]] if texts_fit else []
        frame = epochs.index(best.epoch), temperatures.index(best.t)
        heat = Heat(below[ipc], [*map(str, epochs)], [f"{t:.3g}" for t in temperatures], "below best, points", (lowest, 0.0),
                    texts=texts, frames=[frame])  # fmt: skip
        title = f"IPC {ipc}: best {words.percent(float(np.nanmax(values[ipc])))} %"
        panels.append(
            Panel([heat], "teacher epoch", "temperature t", title, height=0.55 + min(0.26 * len(epochs), 2.6))
        )
    caption = (
        f"Test accuracy of `{source}` labels by teacher epoch and temperature, in points below the best cell of each "
        f"budget; colours end at {100 * _MOST_POINTS:.0f}. Temperatures above 1 soften. Framed: chosen on {group.on}."
    )
    alt = "; ".join(f"IPC {ipc}: {cell}" for ipc, cell in chosen.items())
    said = f"framed: chosen on {group.on}"
    return Chart(
        f"temperature{suffix}", panels, caption, said, f"Heat maps by epoch and temperature. Chosen: {alt}.", across
    )
