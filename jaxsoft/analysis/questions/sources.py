"""Where should soft labels come from: from smoothing, a teacher, views of an image, several teachers, elsewhere?

Smoothed hard labels are soft without structure; labels of views (`teacher(views=4)`) hold what the teacher says of mixed
images, online ones (`teacher(online=true)`) what it says of all that the student sees. Of each kind the spec (epoch, amount) is chosen on validation, budget by budget.
"""

from collections.abc import Mapping, Sequence

from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import PALETTE, Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group

ORDER = 9
KINDS = {
    "hard": "hard labels",
    "smoothed": "smoothed hard labels",
    "teacher": "one teacher",
    "views": "a teacher, by views",
    "online": "a teacher, online",
    "pooled": "pooled teachers",
    "given": "rows of one's own",
}
_GAIN = "gain over hard labels, points"
_VERBS = {
    "smoothed": ("Smoothing", ("beats", "loses to")),
    "views": ("View labels", ("beat", "lose to")),
    "online": ("Online labels", ("beat", "lose to")),
    "given": ("Rows of one's own", ("beat", "lose to")),
}


def kinds_of(group: Group) -> dict[str, Arms]:
    """The arms of each kind of source, those of specs that are treated further left out."""
    bare, views, online = group.arms["operations"].str.len() == 0, group.arms["views"] > 0, group.arms["online"]
    once = bare & ~views & ~online
    found = {
        "hard": group.hard,
        "smoothed": group.find(group.arms["operations"] == ("smooth",), source="hard"),
        "teacher": group.find(once, source="teacher"),
        "views": group.find(bare, views),
        "online": group.find(bare, online),
        "pooled": group.find(once, source="teachers"),
        "given": group.find(bare, source="array"),
    }
    return {kind: own for kind, own in found.items() if own}


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """What every source of labels gains over hard labels, by IPC; asked where one of `_VERBS` is among several."""
    kinds = kinds_of(group)
    if len(kinds) < 2 or not _VERBS.keys() & kinds:
        return None
    gains = {kind: group.contrasts(arms, kinds.get("hard", [])) for kind, arms in kinds.items() if kind != "hard"}
    accuracies = {kind: {ipc: group.accuracy(ipc, arms) for ipc in group.budgets(arms)} for kind, arms in kinds.items()}
    means = []  # of the budgets that both have
    for kind, base in [*((kind, "hard") for kind in gains), ("views", "teacher"), ("online", "teacher")]:
        sides = kinds.get(kind, []), kinds.get(base, [])
        if ipcs := group.budgets(*sides):
            means.append(f"{KINDS[kind]} minus {KINDS[base]} {words.signed(group.contrast(ipcs, *sides))}")
    said = [Text(f"Mean of the budgets that both have: {'; '.join(means)}.")] if means else []
    lines = []
    for ipc in group.ipcs:
        for kind, values in accuracies.items():
            if value := values.get(ipc):
                line = {"IPC": ipc, "source": KINDS[kind], "chosen label spec": group.chosen(ipc, kinds[kind])}
                lines.append({**line, "test, %": value, _GAIN: gains.get(kind, {}).get(ipc), "n": value.n})
    caption = f"Of each source the spec best on {group.on}; means over n seeds and paired gains, 95 % intervals."
    drawn = zip(PALETTE, (gains if "hard" in kinds else accuracies).items())
    marks = [Series.of(KINDS[kind], values, colour=colour) for colour, (kind, values) in drawn]
    panel, shown = Panel(marks, height=2.9), "Test accuracy by source."
    if "hard" in kinds:
        panel = panel._replace(marks=[Level(0.0), *marks], y="gain over hard labels, test points")
        shown = "Test accuracy of each source of labels minus hard labels, by images per class."
    told = table(lines, caption, folded=len(lines) > 24)
    return Section(_title(group, kinds), [*said, Chart("sources", [panel], shown), told])


def _title(group: Group, kinds: Mapping[str, Arms]) -> str:
    """Smoothing, else views, else an online teacher, against hard labels, else against a teacher's."""
    for kind, (name, verbs) in _VERBS.items():
        for base in ("hard", "teacher"):
            if values := group.contrasts(kinds.get(kind, []), kinds.get(base, [])):
                return words.compare(name, KINDS[base], values, verbs)
    return "Sources of labels side by side"
