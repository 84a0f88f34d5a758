"""Does it matter which images are chosen, once their labels are soft?

Members that differ in `select`. What choosing is worth is the spread: the best way of choosing minus the worst one, where a
unit is judged under the ways that the other units rank first and last on validation.
"""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from jaxsoft.analysis.questions._verbs import by_ipc, regimes
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, INK, ORANGE, Chart, Panel, Series, spread
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics.comparison import is_of_set
from jaxsoft.analysis.statistics.groups import TUNABLE, Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, Side, best, contrast, means

ORDER = 21
TOGETHER = ("select",)
DECILE = re.compile(r"decile\((?:i=)?(\d)\)")
_MOST_PANELS = 3
_LESS = "hard minus soft, points"
COLOURS = {"hard": INK, "soft": BLUE, "per-view": ORANGE}


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members whose images were not drawn at random; a table from before the column does not say."""
    return members["select"].notna() & (members["select"] != "random")


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy by way of selection, with hard labels, soft ones and those of views, where the sweep has several ways."""
    if "select" not in group.arms or is_of_set(group.members).any():
        return None
    ways = {(ipc, kind): shared(group, ipc, arms) for ipc in group.ipcs for kind, arms in regimes(group).items()}
    tops = {(ipc, kind): group.side(ipc, arms) for (ipc, kind), arms in ways.items() if len(arms) > 1}
    # The best way minus the worst one, each chosen by the other units.
    spreads = {key: (top, Side(top.test, -top.selection, -1.0)) for key, top in tops.items()}
    worth = {key: value for key, sides in spreads.items() if (value := contrast(*sides)).n}
    lines, select = [], group.arms["select"].fillna(words.NONE).astype(str).tolist()  # an older table does not say
    for (ipc, kind), value in worth.items():
        picks = [ways[ipc, kind][int(best(means(side.selection[:, 0])))] for side in spreads[ipc, kind]]
        named = {f"{name} way": f"`{select[arm]}`" for name, arm in zip(("best", "worst"), picks)}
        line = {
            "IPC": ipc,
            "labels": f"`{group.labels(picks[0])}`",
            **named,
            "best minus worst, points": value,
            _LESS: None,
        }
        if kind != "hard" and (ipc, "hard") in worth:
            line[_LESS] = contrast(
                *spreads[ipc, "hard"], *(side._replace(weight=-side.weight) for side in spreads[ipc, kind])
            )
        lines.append({**line, "n": value.n})
    if not lines:
        return None
    caption = (
        "The ways that are best and worst on validation, judged on test; intervals were measured to cover 95 to 100 %. Hard "
        "minus soft: how much less choosing is worth with soft labels."
    )
    title = _title(worth, by_ipc((line for (_, kind), line in zip(worth, lines) if kind == "soft"), _LESS))
    return Section(title, [_chart(group, select, {key: ways[key] for key in worth}), table(lines, caption)])


def shared(group: Group, ipc: int, arms: Arms) -> Arms:
    """The setting that most ways share, of these the best on average: a way is not to win by its learning rate."""
    columns = ["labels", *(c for c in TUNABLE if c in group.arms)]
    settings = group.arms.loc[group.ran(ipc, arms)].groupby(columns, sort=False, dropna=False)
    scores = means(group.selection[:, group.ipcs.index(ipc)])
    ways = [part.index.tolist() for _, part in settings]
    return max(ways, key=lambda own: (len(own), round(float(scores[own].mean()), 12)), default=[])


def _title(worth: Mapping[tuple[int, str], Estimate], lessened: Mapping[int, Estimate]) -> str:
    if not lessened:
        (ipc, kind), value = next(iter(worth.items()))
        return f"The choice of images moves accuracy by {words.signed(value)} with {kind} labels at IPC {ipc}"
    ipc, sign = words.most(lessened)
    size = words.signed(lessened[ipc])
    # Where the way that validation likes best loses on test, a difference of such numbers says nothing of what matters.
    if not sign or worth[ipc, "hard" if sign > 0 else "soft"].sign <= 0:
        return f"Choice of images, soft against hard labels: no clear change, {size} at IPC {ipc}"
    of = f" (of {len(lessened)})" if len(lessened) > 1 else ""
    return f"The choice of images matters {'less' if sign > 0 else 'more'} with soft labels: {size} at IPC {ipc}{of}"


def _chart(group: Group, select: Sequence[str], ways: Mapping[tuple[int, str], Arms]) -> Chart:
    """Accuracy by way of choosing, one panel for each of a few budgets; the tenths of difficulty stand in their order."""
    ipcs = sorted({ipc for ipc, _ in ways})
    names = sorted({select[arm] for arms in ways.values() for arm in arms}, key=lambda n: (not DECILE.fullmatch(n), n))
    tenths = [DECILE.sub(r"\1", name) for name in names]
    x = "images from this tenth of difficulty, 0: easiest" if len(tenths[0]) == 1 else "which images"
    panels = []
    for ipc in (ipcs[i] for i in spread(len(ipcs), _MOST_PANELS)):
        marks = []
        for kind, colour in COLOURS.items():
            values = {names.index(select[arm]): group.accuracy(ipc, [arm]) for arm in ways.get((ipc, kind), [])}
            marks += [Series.of(f"{kind} labels", values, line=False, colour=colour)] if values else []
        panels.append(Panel(marks, x=x, title=words.budgets([ipc]), names=tenths, height=2.2))
    caption = "Test accuracy by the way in which images were chosen, with the label spec that is best over all ways."
    return Chart("selection", panels, caption, across=1)
