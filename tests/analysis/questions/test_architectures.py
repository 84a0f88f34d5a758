"""Teachers of several architectures, students of several."""

from pathlib import Path

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import architectures
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.statistics import groups

MODELS = ["convnet(depth=3)", "resnet18"]
HARD = {"convnet(depth=2)": 0.30, "resnet18": 0.20}
# Gain over hard labels by (student, expert).
GAIN = {
    ("convnet(depth=2)", 0): 0.10,
    ("convnet(depth=2)", 1): 0.06,
    ("resnet18", 0): 0.03,
    ("resnet18", 1): 0.09,
}
pytestmark = pytest.mark.usefixtures("no_drawing")


def run(models):
    return Run(Path("run"), [], {}, {}, {}, {}, {"teacher": {"models": models}}, None)


def matrix(seeds=4):
    rows = []
    for s in range(seeds):
        for student, hard in HARD.items():
            rows.append(synthetic.row(10, "hard", s, hard + 0.02 * s, model=student))
        for (student, expert), gain in GAIN.items():
            labels = f"teacher(expert={expert}, epoch=5)" if expert else "teacher(epoch=5)"
            rows.append(synthetic.row(10, labels, s, HARD[student] + 0.02 * s + gain, epoch=5, model=student))
            # A later epoch that validation likes less and test likes more.
            late = labels.replace("5", "9")
            rows.append(synthetic.row(10, late, s, 0.9, epoch=9, model=student, val_accuracy=0.1))
    return rows


def tell(rows, models=MODELS):
    """The one section, its texts, and its table as records by student and teacher."""
    (section,) = synthetic.ask(architectures, rows, [run(models)])
    lines = [dict(zip(section.blocks[-1].header, line)) for line in section.blocks[-1].rows]
    said = " ".join(block.text for block in section.blocks if hasattr(block, "text"))
    return section, said, {(line["student"].strip("`"), line["teacher"].strip("`")): line for line in lines}


def test_every_pair_has_its_own_epoch_and_is_paired_with_its_own_hard_labels():
    section, _, lines = tell(matrix())
    gains = {pair: line["gain over hard labels, points"] for pair, line in lines.items()}
    wanted = {(student, MODELS[i]): f"+{100 * gain:.1f}" for (student, i), gain in GAIN.items()}
    assert gains == {pair: f"{gain} [{gain}, {gain}]" for pair, gain in wanted.items()}
    assert all("epoch=5" in line["chosen label spec"] and line["n"] == "4" for line in lines.values())
    assert [block.name for block in section.blocks if hasattr(block, "png")] == ["architectures"]


def test_own_kind_is_told_by_the_function_not_by_its_arguments():
    section, said, _ = tell(matrix())
    assert section.title == "Every student learns best from its own kind at IPC 10"
    # ((0.10 - 0.06) + (0.09 - 0.03)) / 2
    assert said == "Teachers of the student's own kind minus others: +5.0 points [+5.0, +5.0] on average."


def test_a_student_that_no_teacher_resembles_has_no_part_in_what_one_s_own_kind_is_worth():
    twisted = [{**row, "model": {"resnet18": "mlp"}.get(row["model"], row["model"])} for row in matrix()]
    section, said, _ = tell(twisted)
    assert section.title == "1 of 2 students learn best from their own kind at IPC 10" and "+4.0 points" in said


def test_two_seeds_are_too_few_to_be_clear():
    section, said, _ = tell(matrix(seeds=2))
    assert section.title.endswith("own kind at IPC 10, not clearly for any") and "+5.0 points (n = 2)" in said


def test_a_best_teacher_that_is_best_by_luck_is_said_to_be():
    rows = matrix()
    for row in rows:  # what either expert gives the residual student now swings with the seed
        if row["model"] == "resnet18" and "epoch=5" in row["labels"]:
            row["test_accuracy"] += 0.08 * (-1) ** row["seed"] * (1 if "expert" in row["labels"] else -1)
    assert tell(rows)[0].title == "Every student learns best from its own kind at IPC 10, clearly for 1 of 2"


def test_one_teacher_may_be_the_best_of_all_and_have_a_long_name():
    models = [f"convnet(depth=3, width={'1' * 60})", "resnet18"]
    rows = [row for row in matrix() if row["model"] != "resnet18"]
    rows += [{**row, "model": "mlp"} for row in rows]
    section, _, _ = tell(rows, models)
    assert section.title.startswith("`convnet(depth=3, width=") and len(section.title) <= 100
    assert section.title.endswith("…` teaches every student best at IPC 10")
    assert "teaches students best" in tell([row for row in rows if row["model"] == "mlp"], models)[0].title


@pytest.mark.parametrize(
    "level, title",
    [
        (("convnet(depth=2)",), "`resnet18` teaches 1 of 2 students best at IPC 10"),
        (tuple(HARD), "No teacher that validation prefers leads on test, for any student, at IPC 10"),
    ],
)
def test_a_tie_on_test_is_no_lead(level, title):
    rows = matrix()
    for row in rows:  # validation prefers the second expert for both
        if "epoch=5" in row["labels"]:
            row["val_accuracy"] = 0.9 if "expert" in row["labels"] else 0.8
            row["test_accuracy"] = 0.5 if row["model"] in level or "expert" in row["labels"] else 0.4
    assert tell(rows)[0].title == title


def test_one_s_own_kind_is_compared_with_the_mean_of_the_others():
    rows, third = matrix(), 0.04
    for row in matrix():
        if row["labels"] == "teacher(epoch=5)":
            test = HARD[row["model"]] + 0.02 * row["seed"] + third
            rows.append({**row, "labels": "teacher(expert=2, epoch=5)", "test_accuracy": test, "val_accuracy": test})
    worth = (0.10 - (0.06 + third) / 2 + 0.09 - (0.03 + third) / 2) / 2
    assert f"others: +{100 * worth:.1f} points" in tell(rows, [*MODELS, "mlp"])[1]


def test_the_figure_has_gains_in_colour_accuracies_in_words_and_the_best_framed():
    (group,) = groups.groups(groups.tidy(matrix()), architectures.TOGETHER)
    section = architectures.answer(group, [run(MODELS)])
    ((heat,),) = (panel.marks for panel in section.blocks[1].panels)
    np.testing.assert_allclose(heat.values, [[0.10, 0.03], [0.06, 0.09]])
    assert heat.texts[0][0] == "43.0 %\n+10.0\n[+10.0, +10.0]" and list(heat.frames) == [(0, 0), (1, 1)]
    assert list(heat.rows) == ["convnet\n(depth=3)", "resnet18"] and heat.label == "gain over hard labels, points"


def test_names_in_the_figure_leave_out_what_all_share_and_have_room():
    wide = [row | {"model": row["model"].partition("(")[0] + "(stem=imagenet, width=8)"} for row in matrix()]
    (group,) = groups.groups(groups.tidy(wide), architectures.TOGETHER)
    models = ["convnet(stem=imagenet, width=8)", "resnet18(a=1, b=2, stem=imagenet, c=3, d=4, width=8)"]
    chart = architectures.answer(group, [run(models)]).blocks[1]
    ((heat,),) = (panel.marks for panel in chart.panels)
    assert list(heat.columns) == ["convnet", "resnet18"]
    assert list(heat.rows) == ["convnet", "resnet18\n(a=1,\nb=2,\nc=3,\nd=4)"]
    assert chart.caption.endswith(" All networks have `stem=imagenet, width=8`.")
    assert chart.panels[0].height == pytest.approx(0.6 + 2 * 5 * 0.2)


def test_a_student_without_hard_labels_still_has_its_accuracy():
    section, _, lines = tell([row for row in matrix() if row["labels"] != "hard"])
    assert "gain over hard labels, points" not in section.blocks[-1].header
    assert lines["resnet18", "resnet18"]["test, %"].startswith("32.0 [")


@pytest.mark.parametrize("told", [[[]], [], [["resnet18", "resnet18"]], [MODELS, MODELS[::-1]]])
def test_experts_that_are_all_alike_or_that_runs_disagree_about_ask_nothing(told):
    assert synthetic.ask(architectures, matrix(), [run(models) for models in told]) == []
