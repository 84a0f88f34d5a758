"""Is it the softness of labels that helps, or what they say?

`SOURCE|shuffle` keeps the largest probability and permutes the others: the same entropy, no structure.
"""

from collections.abc import Sequence

import pandas as pd

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, ORANGE, Chart, Level, Panel, Series
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import Estimate, told
from jaxsoft.analysis.page import Section, Text, table
from jaxsoft.analysis.read import Run

ORDER = 11
_MOST_PANELS = 6


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Shuffled labels are a probe, no rival of hard labels."""
    return members["operations"].map(lambda names: "shuffle" in names)


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Hard, structured and shuffled labels against one another, by source and budget."""
    shuffled = {group.arms["base"].iat[arm]: group.labels(arm) for arm in group.find(op="shuffle")}
    sources = [labels for labels in dict.fromkeys(group.arms["labels"]) if labels in shuffled]
    pairs = {labels: (group.of(labels), group.of(shuffled[labels])) for labels in sources}
    structure = {labels: group.contrasts(*pair) for labels, pair in pairs.items()}
    if not any(structure.values()):
        return None
    # Of each budget the source that is best on the selection column, shuffled or not, is told.
    best = {
        ipc: group.choose(ipc, sum((pairs[s][0] for s in sources if ipc in structure[s]), [])) for ipc in group.ipcs
    }
    chosen = {ipc: group.labels(arm) for ipc, arm in best.items() if arm is not None}
    worth = {ipc: structure[labels][ipc] for ipc, labels in chosen.items()}
    lines, panels = [], []
    for labels in sources:
        soft, other = (group.contrasts(arms, group.hard) for arms in pairs[labels])
        for ipc, value in structure[labels].items():
            mark = " (chosen)" if len(sources) > 1 and chosen.get(ipc) == labels else ""
            differences = {"soft − hard, points": soft.get(ipc), "shuffled − hard, points": other.get(ipc)}
            lines.append(
                {
                    "IPC": ipc,
                    "source": f"`{labels}`{mark}",
                    **differences,
                    "soft − shuffled, points": value,
                    "n": value.n,
                }
            )
        panels.append(_panel(labels, soft, other, structure[labels]))
    title = words.compare("Structured labels", "shuffled ones", worth)
    caption = (
        "`shuffle` permutes all probabilities of a label but the largest: its entropy and its first guess stay, what "
        "it says of the other classes is lost. Each seed against itself."
    )
    kept = [panel for panel in panels if panel.title in chosen.values()] if len(panels) > _MOST_PANELS else panels
    lines.sort(key=lambda line: line["IPC"])
    differences = (
        f"Differences in test points, each seed against itself. Chosen: the best source of each IPC on {group.on}."
    )
    return Section(
        title,
        [Text(_said(worth)), Chart("shuffle", kept[:_MOST_PANELS], caption, same_y=True), table(lines, differences)],
    )


def _panel(labels: str, soft: dict[int, Estimate], other: dict[int, Estimate], structure: dict[int, Estimate]) -> Panel:
    """Soft and shuffled minus hard labels; without hard labels, soft minus shuffled."""
    series = (
        [("soft labels", soft, BLUE), ("the same, shuffled", other, ORANGE)]
        if soft
        else [("soft labels", structure, BLUE)]
    )
    marks = [Series(name, list(values), list(values.values()), colour=colour) for name, values, colour in series]
    return Panel([Level(0.0), *marks], f"minus {'hard' if soft else 'shuffled'} labels, points", title=labels)


def _said(worth: dict[int, Estimate]) -> str:
    """At how many budgets structure itself is worth something."""
    sure = [ipc for ipc, sign in told(worth).items() if sign > 0]
    return (
        f"Structure, soft minus shuffled, is worth more than nothing {words.where(sure, list(worth))} "
        f"({len(sure)} of {len(worth)} budgets, Holm's correction); what shuffled labels keep is softness alone."
    )
