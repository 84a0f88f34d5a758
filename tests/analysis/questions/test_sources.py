"""Sources of labels against hard labels."""

import pytest
import synthetic

from jaxsoft.analysis.questions import sources
from jaxsoft.analysis.statistics import groups

GIVEN = "array(svm, rows=x1f)"
# Gain over hard labels at IPC 1 and 10.
GAIN = {
    "hard": (0.0, 0.0),
    "hard|smooth(0.1)": (0.01, -0.03),
    "teacher(epoch=5)": (0.10, 0.20),
    "teacher(epoch=5, views=4)": (0.04, 0.24),
    "teacher(epoch=5, online=True)": (0.05, 0.25),
    "teachers(3, epoch=5)": (0.11, 0.22),
    GIVEN: (0.05, 0.05),
}
pytestmark = pytest.mark.usefixtures("no_drawing")


def table(seeds=4, leave_out=()):
    rows = []
    for s in range(seeds):
        for i, ipc in enumerate((1, 10)):
            for labels, gain in GAIN.items():
                if labels not in leave_out:
                    rows.append(synthetic.row(ipc, labels, s, 0.3 + 0.1 * i + 0.02 * s + gain[i]))
    return rows


def tell(rows):
    """The one section, and its table as records by IPC and source."""
    (section,) = synthetic.ask(sources, rows)
    lines = [dict(zip(section.blocks[-1].header, line)) for line in section.blocks[-1].rows]
    return section, {(line["IPC"], line["source"]): line for line in lines}


def test_gains_are_paired_and_their_mean_over_budgets_is_by_hand():
    section, lines = tell(table())
    assert [kind for ipc, kind in lines if ipc == "1"] == list(sources.KINDS.values())
    assert lines["10", "smoothed hard labels"]["gain over hard labels, points"] == "−3.0 [−3.0, −3.0]"
    assert lines["10", "hard labels"]["gain over hard labels, points"] == "–"
    assert section.blocks[0].text == (
        "Mean of the budgets that both have: smoothed hard labels minus hard labels −1.0 points [−1.0, −1.0]; one teacher "
        "minus hard labels +15.0 points [+15.0, +15.0]; a teacher, by views minus hard labels +14.0 points [+14.0, +14.0]; "
        "a teacher, online minus hard labels +15.0 points [+15.0, +15.0]; pooled teachers minus hard labels +16.5 points [+16.5, +16.5]; rows of one's own minus hard labels +5.0 points "
        "[+5.0, +5.0]; a teacher, by views minus one teacher −1.0 points "
        "[−1.0, −1.0]; a teacher, online minus one teacher 0.0 points [0.0, 0.0]."
    )
    assert section.blocks[1].name == "sources"


def test_each_kind_is_chosen_on_validation_budget_by_budget():
    rows = table() + [synthetic.row(1, "hard|smooth(0.5)", s, 0.1, val_accuracy=0.99) for s in range(4)]
    chosen = {ipc: line["chosen label spec"] for (ipc, kind), line in tell(rows)[1].items() if "smoothed" in kind}
    assert chosen == {"1": "`hard|smooth(0.5)`", "10": "`hard|smooth(0.1)`"}


def test_no_seed_judges_the_spec_that_its_own_luck_chose():
    rows = [row for row in table() if row["ipc"] == 1 and row["labels"] in ("hard", "hard|smooth(0.1)")]
    for row in rows:
        luck = {"hard": 0.0, "hard|smooth(0.1)": 0.2 * (row["seed"] == 0)}[row["labels"]]
        row["test_accuracy"], row["val_accuracy"] = row["test_accuracy"] + luck, row["val_accuracy"] + luck
    rows += [
        {**row, "labels": "hard|smooth(0.2)", "test_accuracy": 0.41, "val_accuracy": 0.36}
        for row in rows
        if row["labels"] == "hard"
    ]
    line = tell(rows)[1]["1", "smoothed hard labels"]
    assert line["chosen label spec"] == "`hard|smooth(0.1)`"
    # Without its own luck the first seed finds 0.2 better, as do none of the others: 0.41, 0.33, 0.35 and 0.37.
    assert line["test, %"].startswith("36.5 [")


@pytest.mark.parametrize(
    ("seeds", "leave_out", "title"),
    [
        (4, (), "Smoothing loses to hard labels at 1 of 2 budgets, beats at 1, at IPC 10 by −3.0 points [−3.0, −3.0]"),
        (2, (), "Smoothing and hard labels: too few seeds to tell, −3.0 points (n = 2) at IPC 10 (of 2)"),
        (4, ["hard|smooth(0.1)"], "View labels beat hard labels at every budget, at IPC 10 by +24.0 points [+24.0, +24.0]"),
        (
            4, ["hard|smooth(0.1)", "hard"],
            "View labels lose to one teacher at 1 of 2 budgets, beat at 1, at IPC 1 by −6.0 points [−6.0, −6.0]",
        ),
        (4, ["hard", "teacher(epoch=5)"], "Sources of labels side by side"),
    ],
)  # fmt: skip
def test_smoothing_leads_the_title_then_views(seeds, leave_out, title):
    section, _ = tell(table(seeds, leave_out))
    assert section.title == title and len(title) <= 100


def test_without_hard_labels_accuracies_are_drawn():
    (group,) = groups.groups(groups.tidy(table(leave_out=("hard",))))
    chart = next(block for block in sources.answer(group, []).blocks if hasattr(block, "panels"))
    smoothed, *_ = chart.panels[0].marks
    assert [value.mean for value in smoothed.y] == pytest.approx([0.34, 0.40]) and chart.panels[
        0
    ].y == "test accuracy, %"


@pytest.mark.parametrize("labels, kind", [
    ("hard", "hard"), ("hard|smooth(0.1)", "smoothed"), ("teacher(expert=1, epoch=5)", "teacher"),
    ("teachers(3, epoch=5, views=2)", "views"), ("teachers(3, epoch=5, online=True)", "online"), ("teachers(2, epoch=5)", "pooled"), ("teacher(epoch=5)|smooth(0.1)", None),
    ("hard|smooth(0.1)|topk(2)", None),
])  # fmt: skip
def test_kinds_of_sources(labels, kind):
    (group,) = groups.groups(groups.tidy([synthetic.row(1, labels, 0, 0.5)]))
    assert list(sources.kinds_of(group)) == ([kind] if kind else [])


def test_a_sweep_of_teachers_alone_asks_nothing():
    asking = "hard|smooth(0.1)", "teacher(epoch=5, views=4)", "teacher(epoch=5, online=True)"
    assert synthetic.ask(sources, table(leave_out=[*asking, GIVEN])) == []
    assert synthetic.ask(sources, [row for row in table() if row["labels"] == "hard|smooth(0.1)"]) == []


def test_a_budget_that_one_source_lacks_is_left_out_of_its_mean():
    section, lines = tell([row for row in table() if not (row["ipc"] == 10 and "smooth" in row["labels"])])
    assert "smoothed hard labels minus hard labels +1.0 points [+1.0, +1.0];" in section.blocks[0].text
    assert ("10", "smoothed hard labels") not in lines


def test_rows_of_ones_own_ask_too_and_are_known_by_their_name():
    section, lines = tell(table(leave_out=GAIN.keys() - {"hard", GIVEN}))
    assert section.title.startswith("Rows of one's own beat hard labels at every budget, at IPC 1 by +5.0 points")
    assert lines["1", "rows of one's own"]["chosen label spec"] == "`array(svm)`"


def test_two_rows_of_one_name_are_told_apart():
    texts = "array(svm, rows=x1)", "array(svm, rows=x2)|topk(3)", "array('a.b', rows=x1)", "hard"
    assert groups.shortened(texts) == {"array('a.b', rows=x1)": "array('a.b')"}
