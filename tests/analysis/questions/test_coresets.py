"""Chosen images against random ones, by kind of labels."""

import pytest
import synthetic

from jaxsoft.analysis.questions import coresets, selection
from jaxsoft.analysis.statistics import groups

KINDS = {"hard": "hard", "soft": "teacher(epoch=5)", "per-view": "teacher(epoch=5, views=4)"}
# Minus random, by way and kind of labels.
GAINS = {"herding": (0.10, -0.02, -0.05), "k_centers": (0.04, 0.0, 0.0), "decile(i=0)": (0.06, 0.0, -0.04)}
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(gains=GAINS, seeds=4, ipc=1, kinds=KINDS):
    found = []
    for s in range(seeds):
        for i, (kind, labels) in enumerate(KINDS.items()):
            if kind in kinds:
                ways = {"random": 0.0, **{way: own[i] for way, own in gains.items()}}
                own = {"epoch": None if kind == "hard" else 5}
                found += [
                    synthetic.row(ipc, labels, s, 0.5 + 0.1 * i + 0.01 * s + a, select=w, **own)
                    for w, a in ways.items()
                ]
    return found


def tell(members):
    (section,) = synthetic.ask(coresets, members)
    table = section.blocks[-1]
    return section, {(line[1], line[3].strip("`")): dict(zip(table.header, line)) for line in table.rows}


def test_every_way_minus_random_in_every_regime():
    section, lines = tell(rows())
    told = {key: line["minus random, points"].partition(" ")[0] for key, line in lines.items()}
    signed = {0.1: "+10.0", -0.02: "−2.0", -0.05: "−5.0", 0.04: "+4.0", 0.0: "0.0", 0.06: "+6.0", -0.04: "−4.0"}
    assert told == {(kind, way): signed[own[i]] for way, own in GAINS.items() for i, kind in enumerate(KINDS)}
    line = lines["per-view", "herding"]
    assert line["test, %"].startswith("66.5 [") and line["random, %"].startswith("71.5 [") and line["n"] == "4"
    assert line["label spec"] == f"`{KINDS['per-view']}`"
    assert (
        section.title
        == "Chosen images beat random ones with hard labels at 1 of 1 budgets, soft 0 of 1, per-view 0 of 1"
    )


def test_titles_count_budgets_of_each_regime():
    section, _ = tell(rows() + rows({way: (0, 0, 0) for way in GAINS}, ipc=5))
    assert "1 of 2" in section.title and len(section.title) <= 100


def test_regimes_that_were_not_run_are_left_out():
    section, lines = tell(rows(kinds=("hard", "soft")))
    assert {kind for kind, _ in lines} == {"hard", "soft"} and "view" not in section.title


def test_an_online_teacher_labels_views():
    online = [row | {"labels": row["labels"].replace("views=4", "online=true")} for row in rows()]
    assert tell(online)[1]["per-view", "herding"]["label spec"] == "`teacher(epoch=5, online=true)`"


def test_the_spread_of_selections_is_told_of_views_too():
    (section,) = synthetic.ask(selection, rows())
    table = section.blocks[-1]
    spreads = [line[table.header.index("best minus worst, points")] for line in table.rows]
    assert spreads == ["+10.0 [+10.0, +10.0]", "+2.0 [+2.0, +2.0]", "+5.0 [+5.0, +5.0]"]
    assert section.title == "The choice of images matters less with soft labels: +8.0 points [+8.0, +8.0] at IPC 1"


def test_the_figure_has_a_series_for_each_regime():
    (group,) = groups.groups(groups.tidy(rows()), coresets.TOGETHER)
    (panel,) = coresets.answer(group, []).blocks[0].panels
    assert [mark.name for mark in panel.marks[1:]] == list(KINDS) and set(panel.names) == set(GAINS)


def test_tenths_of_difficulty_or_ways_without_random_ask_nothing():
    assert synthetic.ask(coresets, rows({"decile(i=0)": GAINS["decile(i=0)"], "decile(9)": GAINS["herding"]})) == []
    assert synthetic.ask(coresets, [row for row in rows() if row["select"] != "random"]) == []
    assert synthetic.ask(coresets, [row | {"select": "random"} for row in rows(gains={})]) == []
