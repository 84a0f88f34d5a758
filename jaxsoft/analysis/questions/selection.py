"""Does it matter which images are chosen, once their labels are soft?

Members that differ in `select`. What choosing is worth is the spread: the best way of choosing minus the worst one, where a
unit is judged under the ways that the other units rank first and last on validation.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, INK, Chart, Panel, Series, spread
from jaxsoft.analysis.groups import TUNABLE, Arms, Group
from jaxsoft.analysis.inference import Estimate, Side, best, contrast, means
from jaxsoft.analysis.page import Section, table
from jaxsoft.analysis.read import Run

ORDER = 21
TOGETHER = ("select",)
_DECILE = re.compile(r"decile\((?:i=)?(\d)\)")
_MOST_PANELS = 3


class Ways(NamedTuple):
    """The arms of one label spec and setting at one IPC, one for each way of choosing images; the best and the worst one."""

    ipc: int
    kind: str
    arms: Arms
    best: int
    worst: int


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members whose images were not drawn at random; a table from before the column does not say."""
    return members["select"].notna() & (members["select"] != "random")


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """What choosing images is worth by IPC, with hard and with soft labels."""
    if "select" not in group.arms:
        return None
    kinds = {"hard": group.hard, "soft": group.soft}
    ways = [found for ipc in group.ipcs for kind, arms in kinds.items() if (found := _ways(group, ipc, kind, arms))]
    if not ways:
        return None
    lines, lessened, worth = [], dict[int, Estimate](), dict[tuple[int, str], Estimate]()
    for w in ways:
        worth[w.ipc, w.kind] = contrast(*_spread(group, w))
        hard = next((v for v in ways if (v.ipc, v.kind) == (w.ipc, "hard")), None)
        if hard and w.kind == "soft":
            lessened[w.ipc] = contrast(*_spread(group, hard), *_spread(group, w, -1.0))
        named = {
            name: f"`{group.arms['select'].iat[arm]}`" for name, arm in (("best way", w.best), ("worst way", w.worst))
        }
        line = {
            "IPC": w.ipc,
            "labels": f"`{group.labels(w.best)}`",
            **named,
            "best minus worst, points": worth[w.ipc, w.kind],
        }
        less = lessened.get(w.ipc) if w.kind == "soft" else None
        lines.append({**line, "hard minus soft, points": less, "n": worth[w.ipc, w.kind].n})
    caption = (
        "What choosing images is worth: the ways that are best and worst on validation, each seed judging what the others "
        "rank so, on test; 95 % intervals. Hard minus soft: how much less choosing is worth with soft labels."
    )
    return Section(_title(worth, lessened), [_chart(group, ways), table(lines, caption)])


def _ways(group: Group, ipc: int, kind: str, arms: Arms) -> Ways | None:
    """The setting that most ways share, of these the best on average: a way is not to win by its learning rate."""
    columns = ["labels", *(c for c in TUNABLE if c in group.arms)]
    ran = group.arms.loc[group.ran(ipc, arms)]
    scores = means(group.selection[:, group.ipcs.index(ipc)])
    settings = [part.index.tolist() for _, part in ran.groupby(columns, sort=False, dropna=False)]
    if not settings or max(map(len, settings)) < 2:
        return None
    own = max(settings, key=lambda arms: (len(arms), round(float(scores[arms].mean()), 12)))
    return Ways(ipc, kind, own, own[int(best(scores[own]))], own[int(best(-scores[own]))])


def _spread(group: Group, ways: Ways, weight: float = 1.0) -> tuple[Side, Side]:
    """Best minus worst, each chosen by the other units."""
    top = group.side(ways.ipc, ways.arms, weight)
    return top, Side(top.test, -top.selection, -weight)


def _title(worth: dict[tuple[int, str], Estimate], lessened: dict[int, Estimate]) -> str:
    if not lessened:
        (ipc, kind), value = next(iter(worth.items()))
        return f"The choice of images moves accuracy by {words.signed(value)} with {kind} labels at IPC {ipc}"
    ipc, sign = words.most(lessened)
    size = words.signed(lessened[ipc])
    # Where the way that validation likes best loses on test, a difference of such numbers says nothing of what matters.
    if sign and worth[ipc, "hard" if sign > 0 else "soft"].sign > 0:
        of = f" (of {len(lessened)})" if len(lessened) > 1 else ""
        return (
            f"The choice of images matters {'less' if sign > 0 else 'more'} with soft labels: {size} at IPC {ipc}{of}"
        )
    return f"Choice of images, hard against soft labels: no clear difference, {size} at IPC {ipc}"


def _chart(group: Group, ways: Sequence[Ways]) -> Chart:
    """Accuracy by way of choosing, one panel for each of a few budgets; the tenths of difficulty stand in their order."""
    ipcs = sorted({w.ipc for w in ways})
    names = sorted(
        {group.arms["select"].iat[arm] for w in ways for arm in w.arms}, key=lambda n: (not _DECILE.fullmatch(n), n)
    )
    panels = []
    for ipc in (ipcs[i] for i in spread(len(ipcs), _MOST_PANELS)):
        marks = []
        for w in (w for w in ways if w.ipc == ipc):
            places = [names.index(group.arms["select"].iat[arm]) for arm in w.arms]
            values = [group.accuracy(ipc, [arm]) for arm in w.arms]
            colour = INK if w.kind == "hard" else BLUE
            marks.append(Series(f"{w.kind} labels", places, values, line=False, colour=colour))
        tenths = [match[1] if (match := _DECILE.fullmatch(name)) else name for name in names]
        x = "images from this tenth of difficulty, 0: easiest" if len(tenths[0]) == 1 else "which images"
        panels.append(Panel(marks, x=x, title=words.budgets([ipc]), names=tenths, height=2.2))
    caption = "Test accuracy by the way in which images were chosen, with the label spec that is best over all ways."
    return Chart("selection", panels, caption, across=1)
