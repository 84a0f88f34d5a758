"""Accuracy on a class whose images or labels were left out."""

from pathlib import Path

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import zero_shot
from jaxsoft.analysis.reading.read import Examples, Run
from jaxsoft.analysis.statistics import groups

SOURCE = "teacher(epoch=5)"
pytestmark = pytest.mark.usefixtures("no_drawing")


def member(labels, seed, by_class, ipc=1, without=None, **other):
    text = " ".join(map(str, by_class))
    accuracy = float(np.nanmean(by_class))
    return synthetic.row(ipc, labels, seed, accuracy, without=without, accuracy_by_class=text, select="random", **other)


def study(seeds=4):
    """Three classes; of 0 and 2 the images or the labels are left out. The last class moves with the seed."""
    rows = []
    for s in range(seeds):
        rows += [
            member(SOURCE, s, [0.9, 0.8, 0.7 + 0.1 * s]),
            member(SOURCE, s, [0.4, 0.9, 0.9], without=0),
            member(SOURCE, s, [0.9, 0.9, 0.2 + 0.1 * s], without=2),
            member(f"{SOURCE}|drop_class(0)", s, [0.1, 0.9, 0.9]),
            member(f"{SOURCE}|drop_class(2)", s, [0.9, 0.9, 0.0]),
        ]
    return rows


def tell(rows):
    """The one section, and its table as records."""
    (section,) = synthetic.ask(zero_shot, rows)
    return section, [dict(zip(section.blocks[1].header, line)) for line in section.blocks[1].rows]


def mean(cell):
    return cell.split(" ")[0]


def chart(rows, runs=()):
    (group,) = groups.groups(groups.tidy(rows), zero_shot.TOGETHER)
    section = zero_shot.answer(group, list(runs))
    return section.blocks[0]


def test_means_over_subjects_then_seeds_by_hand():
    _, (line,) = tell(study(seeds=3))
    control, images, labels = "nothing left out, %", "without its images, %", "without its labels elsewhere, %"
    assert [mean(line[name]) for name in (control, images, labels)] == ["85.0", "35.0", "5.0"]
    # Control and treatment move alike, so the difference does not move at all.
    assert line["images minus control, points"] == "−50.0 [−50.0, −50.0]"
    assert (line["labels"], line["subjects"], line["n"]) == (f"`{SOURCE}`", "2", "3")


def test_a_subject_that_one_treatment_lacks_counts_in_none():
    _, (line,) = tell([row for row in study() if not (row["without"] == 0 and row["seed"] == 1)])
    # Of the second seed the class 2 alone: 0.8 without treatment, 0.3 without images.
    assert mean(line["nothing left out, %"]) == f"{100 * np.mean([0.8, 0.8, 0.9, 0.95]):.1f}"
    assert mean(line["without its images, %"]) == f"{100 * np.mean([0.3, 0.3, 0.4, 0.45]):.1f}" and line["n"] == "4"


def test_a_class_without_test_images_is_no_subject():
    rows = [{**row, "accuracy_by_class": " ".join([*row["accuracy_by_class"].split()[:2], "nan"])} for row in study()]
    section, (line,) = tell(rows)
    assert mean(line["without its images, %"]) == "40.0" and mean(line["without its labels elsewhere, %"]) == "10.0"
    assert section.title == "Without its images a class reaches 40.0 [40.0, 40.0] % at IPC 1 (chance 33.3 %)"


def test_without_images_the_title_tells_of_labels():
    section, _ = tell([row for row in study() if row["without"] is None])
    assert section.title == "Without its labels elsewhere a class reaches 5.0 [5.0, 5.0] % at IPC 1 (chance 33.3 %)"


def test_a_member_that_failed_counts_as_guessing_its_class():
    rows = study()
    rows[1] |= {"status": "failed", "accuracy_by_class": None, "test_accuracy": None, "val_accuracy": None}
    _, (line,) = tell(rows)
    assert mean(line["without its images, %"]) == f"{100 * (37.5 / 100 * 8 - 0.4 + 1 / 3) / 8:.1f}" and line["n"] == "4"


def test_seeds_that_share_a_subset_count_once():
    _, (line,) = tell([{**row, "subset_seed": subset} for subset in range(5) for row in study(seeds=3)])
    assert line["n"] == "5"


def test_the_rate_is_that_of_the_best_control():
    rows = study()
    rows += [{**r, "learning_rate": 0.1, "val_accuracy": 0.1, "accuracy_by_class": "1 1 1"} for r in study()]
    assert mean(tell(rows)[1][0]["without its images, %"]) == "37.5"


def test_rows_of_a_treatment_are_probes_and_the_control_is_not():
    control, images, _, labels, _ = study(1)
    assert groups.is_probe(groups.tidy([control, images, labels])).tolist() == [False, True, True]
    assert not groups.is_probe(groups.tidy([synthetic.row(1, "hard", 0, 0.5)])).any()


def test_hard_labels_are_a_source_too_but_do_not_lead():
    rows = study() + [member("hard", s, [0.0, 0.9, 0.9], ipc=9, without=c) for s in range(4) for c in (0, 2)]
    section, lines = tell(rows)
    assert [line["labels"] for line in lines] == [f"`{SOURCE}`", "`hard`"]
    assert "37.5" in section.title and "at IPC 1 " in section.title


def test_the_largest_budget_leads_and_of_its_sources_the_one_with_the_best_control():
    larger = [{**row, "ipc": 9, "val_accuracy": 0.1} for row in study()]
    other = [{**row, "labels": row["labels"].replace("5", "7"), "val_accuracy": 0.2} for row in larger]
    other = [{**row, "accuracy_by_class": "0.2 0.2 0.2"} for row in other]
    section, lines = tell(study() + larger + other)
    assert (
        section.title.startswith("Without its images a class reaches 20.0 [20.0, 20.0] % at IPC 9") and len(lines) == 3
    )


def test_too_few_members_are_said_to_be():
    rows = [row for row in study(1) if row["seed"] == 0 and row["without"] is None][:2]
    rows[1] |= {"accuracy_by_class": "- 1 1"}
    assert tell(rows)[0].title == "Too few members have finished to say what a class is without its images or labels"


def test_names_of_one_dataset_are_not_given_to_the_classes_of_another():
    none = np.zeros(0, np.int32)
    images, probabilities = np.zeros((0, 2, 2, 1), np.uint8), np.zeros((0, 0, 3), np.float32)
    examples = Examples(images, none, none, probabilities, ("cat", "dog", "owl"))
    runs = [Run(Path("run"), [row | {"dataset": "one"} for row in study()], {}, {}, {}, {}, {}, examples)]
    for dataset, shown in {"one": ["cat", "owl"], "two": ["0", "2"]}.items():
        assert list(chart([row | {"dataset": dataset} for row in study()], runs).panels[1].names) == shown


def test_the_figure_has_each_subject_where_there_are_few_classes():
    whole, each = chart(study()).panels
    assert [series.name for series in whole.marks[:3]] == list(zero_shot._TELLS.values())
    assert [round(value.mean, 3) for value in each.marks[1].y] == [0.4, 0.35] and whole.marks[3].y == pytest.approx(
        1 / 3
    )
    many = [{**row, "accuracy_by_class": row["accuracy_by_class"] + " 0.5" * 20} for row in study()]
    assert len(chart(many).panels) == 1


def test_nothing_is_asked_without_treatments_or_without_accuracy_by_class():
    rows = study()
    assert synthetic.ask(zero_shot, [r for r in rows if r["without"] is None and "drop" not in r["labels"]]) == []
    assert synthetic.ask(zero_shot, [{**row, "accuracy_by_class": None} for row in rows]) == []
    assert synthetic.ask(zero_shot, [{**row, "without": 99} for row in rows if "drop" not in row["labels"]]) == []
