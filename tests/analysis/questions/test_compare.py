"""Sets against random images: six cells each, and what follows from them, by hand."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import report
from jaxsoft.analysis.questions import compare, coresets, selection
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing.page import Text
from jaxsoft.analysis.statistics import groups, scores

pytestmark = pytest.mark.usefixtures("no_drawing")
MTT, EDF = "distilled(mtt, digest=x0123456789ab)", "distilled(edf, digest=xba9876543210)"
# Accuracy by images and labels: what images add, what labels add, and what they add together.
IMAGES = {"random": 0.0, MTT: 0.10, EDF: 0.04}
LABELS = {
    "hard": 0.0,
    "teacher(epoch=5)": 0.08,
    "distilled(mtt, weights=x0123456789ab)": 0.05,
    "distilled(edf, weights=xba9876543210)": 0.02,
}
TOGETHER = {(MTT, "distilled(mtt, weights=x0123456789ab)"): 0.03, (EDF, "teacher(epoch=5)"): -0.09}


def accuracy(images, labels, seed=0):
    return round(0.4 + 0.01 * seed + IMAGES[images] + LABELS[labels] + TOGETHER.get((images, labels), 0.0), 6)


def rows(seeds=4, ipc=10, images=IMAGES, models=("mlp",), paper=None, **other):
    """Every cell of each set; of another set's labels random images have both, as each set is compared with them."""
    found = []
    for s, way, labels, model in itertools.product(range(seeds), images, LABELS, models):
        if "distilled" in labels and way != "random" and labels[10:13] != way[10:13]:
            continue
        gone = 0.06 if way == MTT and model != models[0] else 0.0  # MTT's images fit the first architecture alone
        told = {"epoch": 5 if "epoch" in labels else None, "select": way, "model": model, **other}
        value = accuracy(way, labels, s) - gone
        told |= {"protocol": "both", "paper_accuracy": value + paper[way]} if paper else {}
        found.append(synthetic.row(ipc, labels, s, value, **told))
    return found


def tell(members, runs=()):
    (section,) = synthetic.ask(compare, members, runs)
    tables = [block for block in section.blocks if hasattr(block, "rows")]
    return section, tables


def lines(table, key="set"):
    return {line[table.header.index(key)].strip("`"): dict(zip(table.header, line)) for line in table.rows}


def test_six_cells_of_each_set_each_at_its_best_rate():
    slow = [row | {"learning_rate": 0.5, "val_accuracy": 0.1, "test_accuracy": 0.99} for row in rows()]
    found = lines(tell(rows() + slow)[1][0])
    assert set(found) == {"mtt", "edf"}
    mean = lambda way, labels: f"{100 * (accuracy(way, labels) + 0.015):.1f}"  # noqa: E731
    own = LABELS.keys() - {"distilled(edf, weights=xba9876543210)"}
    wanted = {
        f"{of}: {kind}, %": mean(way, labels)
        for of, way in (("its images", MTT), ("random images", "random"))
        for kind, labels in zip(("its labels", "hard", "soft"), sorted(own))
    }
    assert {name: found["mtt"][name].partition(" ")[0] for name in wanted} == wanted
    assert found["mtt"]["n"] == "4"


def test_what_images_and_labels_are_worth_and_what_they_are_worth_together():
    of_images, of_labels = map(lines, tell(rows())[1][1:3])
    found = {name: own | of_labels[name] for name, own in of_images.items()}
    assert found["mtt"]["images, its labels, points"] == "+13.0 [+13.0, +13.0]"
    assert found["mtt"]["images, hard, points"] == found["mtt"]["images, soft, points"] == "+10.0 [+10.0, +10.0]"
    assert found["mtt"]["its labels on its images, points"] == "+8.0 [+8.0, +8.0]"
    assert found["mtt"]["its labels on random images, points"] == "+5.0 [+5.0, +5.0]"
    assert found["mtt"]["its labels more on its images, points"] == "+3.0 [+3.0, +3.0]"
    assert found["mtt"]["draws as good, hard"] == "0 of 4" and found["edf"]["draws as good, soft"] == "4 of 4"
    assert found["edf"]["images, soft, points"] == "−5.0 [−5.0, −5.0]"
    assert found["edf"]["soft more on its images, points"] == "−9.0 [−9.0, −9.0]"


def test_the_title_counts_the_sets_whose_images_beat_random_ones():
    title = tell(rows())[0].title
    assert (
        title
        == "Images beat random ones in 1 of 2 sets with soft labels, with hard labels 2 of 2, with their labels 2 of 2"
    )


def test_two_seeds_tell_nothing():
    few = [row for row in rows() if row["seed"] < 2]
    assert tell(few)[0].title == "Images of sets and random ones: too few seeds to tell (n = 2)"


def test_sets_are_ranked_on_validation_and_what_cannot_be_told_is_said():
    near = [row | {"test_accuracy": row["test_accuracy"] + 0.02 * (-1) ** row["seed"]} for row in rows()]
    table = tell(near)[1][3]
    found = lines(table)
    assert [line[table.header.index("set")] for line in table.rows] == ["`mtt`", "`random`", "`edf`"]
    assert (
        found["mtt"]["chosen label spec"].startswith("`distilled(mtt")
        and found["mtt"]["behind the first, points"] == "–"
    )
    assert found["edf"]["told from the first"] == "yes"
    noisy = [row | {"test_accuracy": 0.5 + 0.1 * np.sin(7 * i)} for i, row in enumerate(near)]
    assert lines(tell(noisy)[1][3])["edf"]["told from the first"] == "no"


def test_a_set_of_random_images_ties_with_random_images():
    rng = np.random.default_rng(0)
    jittered = [
        row | {"test_accuracy": row["test_accuracy"] + rng.normal(0, 0.01)}
        for row in rows(8, images={"random": 0, MTT: 0})
    ]
    alike = [row | ({"test_accuracy": row["test_accuracy"] - 0.1} if row["select"] == MTT else {}) for row in jittered]
    section, tables = tell([row for row in alike if "distilled" not in row["labels"]])
    assert "0 of 1" in section.title and "more" not in section.title
    low, high = (
        float(end.replace("−", "-"))
        for end in lines(tables[1])["mtt"]["images, soft, points"].split("[")[1][:-1].split(", ")
    )
    assert low < 0 < high


def test_images_may_be_worth_less_on_another_architecture():
    table = tell(rows(models=("mlp", "convnet")))[1][4]
    found = [dict(zip(table.header, line)) for line in table.rows]
    mtt = next(line for line in found if line["set"] == "`mtt`" and line["labels"] == "soft")
    assert mtt["mlp, points"].startswith("+10.0") and mtt["convnet, points"].startswith("+4.0")
    assert mtt["others minus first, points"] == "−6.0 [−6.0, −6.0]"


def test_images_may_lead_with_augmentation_and_not_without():
    """A crop adds 2 points to random images and none to MTT's, whose lead over them so shrinks."""
    added = {"none": 0.0, "crop_flip(1)": 0.02}
    members = [
        row
        | {key: row[key] + more * (row["select"] == "random") for key in ("val_accuracy", "test_accuracy")}
        | {"augment": name}
        for row in rows()
        for name, more in added.items()
    ]
    section, tables = tell(members)
    table = tables[4]
    found = [dict(zip(table.header, line)) for line in table.rows]
    assert [line["labels"] for line in found if line["set"] == "`mtt`"] == ["its labels", "hard", "soft"]
    assert {line["augmentation"] for line in found} == {"`crop_flip(1)`"} and len(tables[0].rows) == 4
    (hard,) = (line for line in found if line["set"] == "`mtt`" and line["labels"] == "hard")
    assert hard["lead over random with, points"].startswith("+8.0") and hard["with none, points"].startswith("+10.0")
    assert hard["random images minus none, points"].startswith("+2.0") and hard[
        "its images minus none, points"
    ].startswith("0.0")
    assert hard["ARS, %"].startswith(f"{100 * float(scores.score(0.09)):.1f}")
    assert "of 4 cases" in section.title


def test_what_this_question_answers_is_asked_of_no_other():
    members = [row | {"augment": name} for row in rows(paper=dict.fromkeys(IMAGES, 0.01)) for name in ("none", "dsa")]
    page = report.make_page([Run(Path("here"), members, {}, {}, {}, {}, {}, None)])
    titles = [section.title for section in page.sections]
    assert page.title.startswith("Images beat random ones")
    assert not [title for title in titles if "Selecting on test" in title or "Augmentation changes" in title]


def test_selection_on_test_flatters_cell_by_cell():
    table = tell(rows(paper={"random": 0.01, MTT: 0.03, EDF: 0.0}))[1][4]
    found = lines(table)["mtt"]
    assert found["its images: soft, points"].startswith("+3.0") and found["random images: soft, points"].startswith(
        "+1.0"
    )


def run(history=(0.5, 0.9), model="mlp"):
    experts = [{"history": [{"epoch": e, "val_accuracy": v} for e, v in enumerate(history)]}]
    config = {"student": {"batch": 50, "augment": "dsa"}}
    return Run(Path("here"), [], config, {}, {}, {}, {"teacher": {"model": model}, "experts": experts}, None)


def test_scores_of_the_field_take_the_experts_as_full_data():
    found = lines(tell(rows(), [run()])[1][4])["mtt"]
    assert found["HLR, points"].startswith("+38.5 [") and found["IOR, its labels, points"].startswith("+13.0")
    own = [
        accuracy(way, labels) + 0.015
        for way, labels in ((MTT, "hard"), (MTT, "teacher(epoch=5)"), ("random", "teacher(epoch=5)"))
    ]
    assert found["LRS, soft, %"].startswith(f"{100 * float(scores.label_scores(0.9, *own).lrs):.1f} [")
    assert len(tell(rows(), [run(model="convnet")])[1]) == 4  # no expert of the students' architecture


def test_bytes_of_every_cell_and_who_nothing_cheaper_matches():
    record = {"class_names": list("0123456789"), "image_shape": [4, 4, 1], "images": 100}
    sets = {"x0123456789ab": {**record, "bytes": {"images": 6400, "labels": 4000}}, "xba9876543210": record}
    known = [row | {"accuracy_by_class": " ".join(["0.5"] * 10)} for row in rows()]
    table = tell(known, [dataclasses.replace(run(), sets=sets)])[1][-1]
    found = {tuple(cell.strip("`") for cell in line[1:4]): dict(zip(table.header, line)) for line in table.rows}
    cell = found["mtt", "its images", "its labels"]
    assert (cell["images, bytes"], cell["labels, bytes"], cell["bytes in all"]) == ("6.4 kB", "4.0 kB", "10.4 kB")
    assert (
        found["random", "random images", "hard"]["bytes in all"] == "450 B"
    )  # 100 places of 4 bytes, 100 classes of 4 bits
    assert found["random", "random images", "soft"]["bytes in all"] == "2.4 kB"  # ten entries of two bytes each
    assert ("edf", "its images", "hard") not in found and ("edf", "random images", "its labels") not in found
    best = {where[1:] for where, line in found.items() if line["frontier"] == "yes"}
    # Its labels and an expert's reach the same on its images, and the expert's are cheaper.
    assert best == {(images, kind) for images in ("its images", "random images") for kind in ("hard", "soft")}


def test_the_rules_are_told():
    (said,) = [block.text for block in tell(rows(), [run()])[0].blocks if isinstance(block, Text)]
    assert (
        "augment `dsa`" in said
        and "batch `50`" in said
        and "learning rate `0.002`" in said
        and "protocol `sealed`" in said
    )


def test_labels_stored_for_one_set_are_no_rivals_of_another():
    stored = "teacher(epoch=5)|stored('int4')"
    other = [
        row | {"labels": stored, "test_accuracy": 0.99, "val_accuracy": 0.99}
        for row in rows()
        if row["labels"].startswith("teacher") and row["select"] != MTT
    ]
    found = lines(tell(rows() + other)[1][0])
    assert found["mtt"]["random images: soft, %"].startswith("49.5") and found["edf"][
        "random images: soft, %"
    ].startswith("99.0")


def test_ways_to_select_are_compared_where_they_are_tuned():
    ways = {"random": 0.0, "k_centers": 0.02}
    members = [
        row | {"select": "k_centers" if row["select"] == MTT else row["select"]}
        for row in rows(images={"random": 0, MTT: 0})
        if "distilled" not in row["labels"]
    ]
    assert synthetic.ask(compare, members) == [] and len(ways) == 2
    tuned = members + [row | {"learning_rate": 0.1} for row in members]
    section, tables = tell(tuned)
    assert set(lines(tables[0])) == {"k_centers"} and "its labels" not in section.title


def test_labels_of_a_set_alone_are_compared_on_random_images():
    alone = [row for row in rows() if row["select"] == "random"]
    section, tables = tell([{**row, "select": None} for row in alone])
    assert lines(tables[1])["mtt"]["its labels on random images, points"] == "+5.0 [+5.0, +5.0]"
    assert section.title == "What labels are worth, on the images of sets and on random ones"


def test_other_questions_leave_sets_to_this_one():
    assert synthetic.ask(coresets, rows()) == synthetic.ask(selection, rows()) == []
    table = groups.tidy(rows())
    assert set(table.loc[~compare.private(table), "labels"]) == {"hard", "teacher(epoch=5)"}


def test_the_figure_has_a_panel_for_each_architecture():
    (group,) = groups.groups(groups.tidy(rows(models=("mlp", "convnet"))), compare.TOGETHER)
    chart = next(block for block in compare.answer(group, []).blocks if hasattr(block, "panels"))
    assert [panel.title for panel in chart.panels] == ["10 images per class, mlp", "10 images per class, convnet"]
    assert [mark.hollow for mark in chart.panels[0].marks] == [False] * 3 + [True] * 3
