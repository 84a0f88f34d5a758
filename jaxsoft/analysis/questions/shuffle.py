"""Is it the softness of labels that helps, or what they say?

`SOURCE|shuffle` keeps the largest probability and permutes the others: the same entropy, no structure.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxsoft import spec
from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import grid
from jaxsoft.analysis.page import Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.questions._bars import interval_bars
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 11
_MOST_PANELS = 6


class Effect(NamedTuple):
    """One source at one IPC: paired differences of its labels, shuffled or not, and of hard labels (n = 0 without them)."""

    source: str
    ipc: int
    soft: Estimate
    shuffled: Estimate
    structure: Estimate


class Effects(NamedTuple):
    """All effects of a group, the source chosen for each IPC, and the split it was chosen on."""

    all: list[Effect]
    chosen: dict[int, Effect]
    on: str


def understands(row: Row) -> bool:
    """Shuffled labels are a probe, no rival of hard labels."""
    return _shuffled(row["labels"])


@functools.cache
def _shuffled(labels: str) -> bool:
    return any(call.name == "shuffle" for call in spec.parse(labels)[1:])


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section: hard, structured and shuffled labels against one another."""
    return parts.by_group(rows, effects, _sections)


def effects(rows: Sequence[Row]) -> Effects | None:
    """Soft minus hard, shuffled minus hard and soft minus shuffled, by source and IPC; None if nothing was shuffled."""
    shuffled = {}
    for row in rows:
        source, call = parts.split(row["labels"])
        if call and call.name == "shuffle":
            shuffled[source] = row["labels"]
    table = grid(rows) if shuffled else None
    if table is None:
        return None
    nothing, found = estimate(np.empty(0)), []
    for source in (labels for labels in table.labels if labels in shuffled):
        for ipc in table.ipcs:
            other = shuffled[source]
            soft, changed = (
                parts.paired(table, ipc, labels, "hard") if "hard" in table.labels else nothing
                for labels in (source, other)
            )
            effect = Effect(source, ipc, soft, changed, parts.paired(table, ipc, source, other))
            found += [effect] if effect.structure.n else []
    picks = {ipc: parts.chosen(table, ipc, [e.source for e in found if e.ipc == ipc]) for ipc in table.ipcs}
    chosen = {e.ipc: e for e in found if picks[e.ipc] == e.source}
    return Effects(found, chosen, parts.chosen_on(rows)) if found else None


def draw(found: Effects) -> Figure:
    """Soft and shuffled minus hard against IPC, one panel for each source; without hard labels, soft minus shuffled."""
    sources = list(dict.fromkeys(e.source for e in found.all))
    if len(sources) > _MOST_PANELS:
        kept = {e.source for e in found.chosen.values()}
        sources = [source for source in sources if source in kept][:_MOST_PANELS]
    figure, panels = parts.panels(len(sources), 2.6 if len(sources) < 3 else 2.1, sharex=True, sharey=True)
    hard = any(e.soft.n for e in found.all)
    series = (("soft", plots.BLUE, "o", "soft labels"), ("shuffled", plots.ORANGE, "s", "the same, shuffled"))
    for axes, source in zip(panels, sources):
        axes.axhline(0, color=plots.INK, lw=1)
        own = [e for e in found.all if e.source == source]
        for name, colour, marker, label in series if hard else (("structure", plots.BLUE, "o", "soft labels"),):
            values = [getattr(e, name) for e in own]
            interval_bars(axes, [e.ipc for e in own], values, fmt=f"{marker}-", color=colour, label=label)
        parts.measured_axis(
            axes, sorted({e.ipc for e in found.all}), "IPC, images per class", part=1 / min(len(sources), 2)
        )
        if len(sources) > 1:
            axes.set_title(plots.cut(source), loc="left", fontsize=8.5)
    parts.name_outer(panels)
    figure.supylabel("minus hard labels, test points" if hard else "minus shuffled labels, test points", fontsize=9.5)
    if hard:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    parts.say_n(figure, [e.structure.n for e in found.all], "bars: 95 % intervals of paired differences")
    return figure


def _sections(found: Effects, suffix: str) -> list[Section]:
    hard = any(e.soft.n for e in found.all)
    title = _title(found)
    alt = f"{'Soft and shuffled minus hard' if hard else 'Soft minus shuffled'} labels by images per class. {title}."
    caption = (
        "`shuffle` permutes all probabilities of a label but the largest: its entropy and its first guess stay, what "
        "it says of the other classes is lost. Each seed against itself."
    )
    picture = Picture(f"shuffle{suffix}", plots.png(draw, found), alt, caption)
    return [Section(title, [Text(_structure(found)), picture, _table(found, hard)])]


def _title(found: Effects) -> str:
    """The budget at which structure matters most, told in full."""
    compared = [e for e in found.chosen.values() if e.soft.n and e.shuffled.n]
    if not compared:
        return _costs(found)
    most, among = _most(compared)
    where = f"at {words.budgets([most.ipc])}"
    told = parts.sign(most.soft), parts.sign(most.shuffled)
    verb = {1: "gain", -1: "lose"}
    if told == (0, 0):
        numbers = f"shuffled {parts.signed(most.shuffled)}, structured {parts.signed(most.soft)}"
        return f"Neither structured nor shuffled labels can be told from hard ones {where}: {numbers}{among}"
    if told[1] == 0:
        said = f"Shuffled labels of equal entropy cannot be told from hard ones {where}, {parts.signed(most.shuffled)}"
        return f"{said}; structured ones {verb[told[0]]} {parts.size(most.soft)}{among}"
    said = f"Shuffled labels of equal entropy {verb[told[1]]} {parts.size(most.shuffled)} against hard labels {where}"
    if told[0] == 0:
        return f"{said}; structured ones cannot be told from them, {parts.signed(most.soft)}{among}"
    return f"{said} where structured ones {verb[told[0]]} {parts.size(most.soft)}{among}"


def _costs(found: Effects) -> str:
    """What shuffling does at the budget at which it matters most."""
    most, among = _most(list(found.chosen.values()))
    where, value = f"at {words.budgets([most.ipc])}", most.structure
    if told := parts.sign(value):
        return (
            f"Shuffling labels at equal entropy {'costs' if told > 0 else 'gains'} {parts.size(value)} {where}{among}"
        )
    return f"No difference between structured and shuffled labels can be told {where}: {parts.signed(value)}{among}"


def _most(of: Sequence[Effect]) -> tuple[Effect, str]:
    """The budget at which structure matters most, and what must be said of it."""
    ipc, among = parts.largest({e.ipc: e.structure for e in of}, "effect of structure")
    return next(e for e in of if e.ipc == ipc), among


def _structure(found: Effects) -> str:
    """At how many budgets structure itself is worth something."""
    told = [e.ipc for e in found.chosen.values() if parts.sign(e.structure) > 0]
    where = parts.where(told, list(found.chosen))
    several = len({e.source for e in found.all}) > 1
    picked = f", with the source that is best on {found.on} at each" if several else ""
    return (
        f"Structure, soft minus shuffled, is worth more than nothing {where} "
        f"({len(told)} of {len(found.chosen)} budgets{picked}); what shuffled labels keep is softness alone."
    )


def _table(found: Effects, hard: bool) -> Table:
    several = len({e.source for e in found.all}) > 1
    lines = []
    for e in sorted(found.all, key=lambda e: e.ipc):
        source = f"`{e.source}`" + (" (chosen)" if several and found.chosen.get(e.ipc) is e else "")
        cells = [words.difference(value) for value in ((e.soft, e.shuffled, e.structure) if hard else (e.structure,))]
        lines.append((str(e.ipc), source, *cells, str(e.structure.n)))
    differences = ("soft − hard", "shuffled − hard", "soft − shuffled") if hard else ("soft − shuffled",)
    caption = "Differences in test points, each seed against itself, with 95 % intervals."
    if several:
        caption += f" Chosen: the best source of each IPC on {found.on}."
    return Table(("IPC", "source", *differences, "n"), lines, caption)
