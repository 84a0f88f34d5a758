"""Is it the softness of labels that helps, or what they say?

`SOURCE|shuffle` keeps the largest probability and permutes the others: the same entropy, no structure.
"""

from collections.abc import Sequence

from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 11
_MOST_PANELS = 6


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Soft, shuffled and hard labels at equal entropy, where a source and its shuffled rows were trained on."""
    shuffled = {group.arms["base"].iat[arm]: group.of(group.labels(arm)) for arm in group.find(op="shuffle")}
    pairs = {
        labels: (group.of(labels), shuffled[labels]) for labels in map(str, group.arms["labels"]) if labels in shuffled
    }
    structure = {labels: values for labels, pair in pairs.items() if (values := group.contrasts(*pair))}
    if not structure:
        return None
    minus_hard = {labels: [group.contrasts(arms, group.hard) for arms in pairs[labels]] for labels in structure}
    lines, chosen = [], {}
    for ipc in group.ipcs:
        there = [labels for labels in structure if ipc in structure[labels]]
        best = group.choose(ipc, group.find(group.arms["labels"].isin(there)))
        for labels in there:
            own = best in pairs[labels][0]
            chosen |= {ipc: labels} if own else {}
            mark = " (chosen)" if own and len(structure) > 1 else ""
            soft, other, value = (values.get(ipc) for values in (*minus_hard[labels], structure[labels]))
            numbers = {"soft − hard, points": soft, "shuffled − hard, points": other, "soft − shuffled, points": value}
            lines.append({"IPC": ipc, "source": f"`{labels}`{mark}", **numbers, "n": structure[labels][ipc].n})
    worth = {ipc: structure[labels][ipc] for ipc, labels in chosen.items()}
    left = {ipc: value for ipc, labels in chosen.items() if (value := minus_hard[labels][1].get(ipc))}
    sure = [ipc for ipc, sign in told(worth).items() if sign > 0]
    said = (
        f"Structure, soft minus shuffled, is worth more than nothing {words.where(sure, list(worth))} "
        f"({len(sure)} of {len(worth)} budgets, Holm's correction); what shuffled labels keep is softness alone."
    ) + (f" {words.compare('Shuffled labels', 'hard ones', left)}." if left else "")
    drawn = [labels for labels in structure if len(structure) <= _MOST_PANELS or labels in chosen.values()]
    panels = [_panel(labels, minus_hard[labels], structure[labels]) for labels in drawn[:_MOST_PANELS]]
    caption = "`shuffle` permutes all probabilities of a label but the largest: its entropy and its first guess stay."
    shown = f"Paired differences on test with 95 % intervals. Chosen: the best source of each IPC on {group.on}."
    title = words.compare("Structure", "shuffling", worth, ("beats", "loses to"))
    return Section(title, [Text(said), Chart("shuffle", panels, caption, same_y=True), table(lines, shown)])


def _panel(labels: str, minus_hard: Sequence[dict[int, Estimate]], structure: dict[int, Estimate]) -> Panel:
    """Soft and shuffled minus hard labels; without hard labels, soft minus shuffled."""
    soft, other = minus_hard
    named = {"soft labels": (soft or structure, BLUE), "the same, shuffled": (other, ORANGE)}
    marks = [Series.of(name, line, colour=colour) for name, (line, colour) in named.items() if line]
    return Panel([Level(0.0), *marks], f"minus {'hard' if soft else 'shuffled'} labels, points", title=labels)
