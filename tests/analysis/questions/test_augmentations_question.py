"""Augmentations side by side, and the scores of images with and without."""

import pytest
import synthetic

from jaxsoft.analysis.questions import augmentations
from jaxsoft.analysis.showing.page import Table
from jaxsoft.analysis.statistics import scores

pytestmark = pytest.mark.usefixtures("no_drawing")

# Accuracy by images and augmentation, with hard labels; one soft label of each adds 0.1.
TABLE = {
    ("random", "none"): 0.40,
    ("random", "dsa"): 0.46,
    ("k_centers", "none"): 0.45,
    ("k_centers", "dsa"): 0.47,
}


def rows(table=TABLE, seeds=4):
    labels = (("hard", 0.0, None), ("teacher(epoch=5)", 0.1, 5))
    return [
        synthetic.row(1, text, s, a + more + 0.02 * s, epoch=epoch, select=way, augment=augment)
        for s in range(seeds)
        for (way, augment), a in table.items()
        for text, more, epoch in labels
    ]


def tell(members):
    (section,) = synthetic.ask(augmentations, members)
    lines = [
        [dict(zip(table.header, line)) for line in table.rows] for table in section.blocks if isinstance(table, Table)
    ]
    return section.title, *lines


def test_each_augmentation_against_none_by_labels_and_images():
    title, gains, _ = tell(rows())
    told = {(line["labels"], line["images"]): line["minus none, points"] for line in gains}
    same = {"`random`": "+6.0 [+6.0, +6.0]", "`k_centers`": "+2.0 [+2.0, +2.0]"}
    assert told == {(kind, way): gain for kind in ("hard", "soft") for way, gain in same.items()}
    assert title == "Augmentation changes 4 of 4 accuracies" and {line["n"] for line in gains} == {"4"}


def test_the_robust_score_weighs_the_leads_with_and_without():
    """Leads of 1 and 5 points over random images, in every seed."""
    _, _, scored = tell(rows())
    wanted = f"{100 * float(scores.score((0.01 + 0.05) / 2)):.1f}"
    assert [line["images"] for line in scored] == ["`k_centers`"] * 2
    for line in scored:
        assert line["lead over random with, points"].startswith("+1.0") and line["with none, points"].startswith("+5.0")
        assert line["ARS, %"].startswith(wanted)


def test_without_random_images_there_is_no_score_and_without_none_the_first_is_the_base():
    table = {("k_centers", "dsa"): 0.4, ("k_centers", "crop_flip"): 0.5}
    title, *tables = tell(rows(table))
    assert len(tables) == 1 and {"minus dsa, points"} <= tables[0][0].keys()


def test_of_one_augmentation_nothing_is_asked():
    assert not synthetic.ask(augmentations, rows({key: a for key, a in TABLE.items() if key[1] == "dsa"}))
