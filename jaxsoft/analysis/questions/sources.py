"""Where should soft labels come from: from smoothing, from a teacher, from views of an image, from several teachers?

Smoothed hard labels are soft without structure; labels of CutMix views (`teacher(views=4)`) hold what the teacher says
of mixed images. Of each kind the spec (epoch, amount) is chosen on validation, budget by budget.
"""

from collections.abc import Sequence

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import PALETTE, Chart, Level, Panel, Series
from jaxsoft.analysis.groups import Arms, Group
from jaxsoft.analysis.page import Section, Text, table
from jaxsoft.analysis.read import Run

ORDER = 9
KINDS = {
    "hard": "hard labels",
    "smoothed": "smoothed hard labels",
    "teacher": "one teacher",
    "views": "a teacher, by views",
    "pooled": "pooled teachers",
}
_PLURAL = {"smoothed": "Smoothed hard labels", "views": "Labels of views"}


def kinds_of(group: Group) -> dict[str, Arms]:
    """The arms of each kind of source, those of specs that are treated further left out."""
    arms, bare = group.arms, (group.arms["operations"].map(len) == 0).to_numpy()
    views = (arms["views"] > 0).to_numpy()
    found = {
        "hard": group.hard,
        "smoothed": group.find((arms["operations"] == ("smooth",)).to_numpy(bool), source="hard"),
        "teacher": group.find(bare, ~views, source="teacher"),
        "views": group.find(bare, views),
        "pooled": group.find(bare, ~views, source="teachers"),
    }
    return {kind: own for kind, own in found.items() if own}


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """What every source of labels gains over hard labels, by IPC; asked where smoothing or views are among several."""
    kinds = kinds_of(group)
    if len(kinds) < 2 or not {"smoothed", "views"} & set(kinds):
        return None
    lines, marks, hard = [], [], kinds.get("hard", [])
    for kind, arms in kinds.items():
        values = {}
        for ipc in group.budgets(arms):
            gain = group.contrast(ipc, arms, hard) if kind != "hard" and group.ran(ipc, hard) else None
            value = group.accuracy(ipc, arms)
            values[ipc] = gain if hard else value
            chosen = group.chosen(ipc, arms)
            line = {"IPC": ipc, "source": KINDS[kind], "chosen label spec": chosen, "test, %": value}
            lines.append({**line, "gain over hard labels, points": gain, "n": value.n})
        if not (kind == "hard" and hard):
            told = {ipc: value for ipc, value in values.items() if value}
            marks.append(Series(KINDS[kind], list(told), list(told.values()), colour=PALETTE[len(marks)]))
    caption = (
        f"Of each source the spec that is best on {group.on}, each seed judging what the others choose; means over n seeds "
        "with 95 % intervals, gains seed by seed."
    )
    shown = (
        "Test accuracy of each source of labels minus hard labels, by images per class."
        if hard
        else "Test accuracy by source."
    )
    axis = "gain over hard labels, test points" if hard else "test accuracy, %"
    lines.sort(key=lambda line: line["IPC"])
    chart = Chart("sources", [Panel([*([Level(0.0)] if hard else []), *marks], axis, height=2.9)], shown)
    said = [Text(text) for text in [_mean(group, kinds)] if text]
    return Section(_title(group, kinds), [*said, chart, table(lines, caption, folded=len(lines) > 24)])


def _title(group: Group, kinds: dict[str, Arms]) -> str:
    """Smoothing, else views, against hard labels, else against a teacher's."""
    for kind in ("smoothed", "views"):
        for base, name in (("hard", "hard labels"), ("teacher", "one teacher's")):
            if kind in kinds and base in kinds and (values := group.contrasts(kinds[kind], kinds[base])):
                return words.compare(_PLURAL[kind], name, values)
    return "Sources of labels side by side"


def _mean(group: Group, kinds: dict[str, Arms]) -> str:
    """Each kind against hard labels, and views against a teacher, as means over the budgets that both have."""
    said = []
    for kind, base in [*((kind, "hard") for kind in kinds if kind != "hard"), ("views", "teacher")]:
        if kind in kinds and base in kinds and (ipcs := group.budgets(kinds[kind], kinds[base])):
            value = group.contrast(ipcs, kinds[kind], kinds[base])
            said.append(f"{KINDS[kind]} minus {KINDS[base]} {words.signed(value)}")
    return f"Mean of the budgets that both have: {'; '.join(said)}." if said else ""
