"""The three labelling regimes of clips, asked of clips alone."""

from pathlib import Path

import pytest
import synthetic

from jaxsoft.analysis.questions import clips
from jaxsoft.analysis.reading.read import Run

GAIN = {"hard": 0.0, "teacher(epoch=5)": 0.10, "teacher(epoch=9)": 0.02, "teacher(epoch=5, views=4)": 0.13}
pytestmark = pytest.mark.usefixtures("no_drawing")


def table(labels=GAIN, seeds=4):
    return [synthetic.row(1, text, s, 0.3 + 0.02 * s + GAIN[text]) for s in range(seeds) for text in labels]


def run(rows, shape=(8, 8, 8, 1)):
    return Run(Path(), rows, {}, {"image_shape": [*shape]}, {}, {}, {}, None)


def test_each_regime_is_compared_at_its_best_label_spec():
    (section,) = synthetic.ask(clips, table(), [run(table())])
    assert section.title == (
        "One soft label a clip beats true classes at IPC 1: +10.0 points [+10.0, +10.0]; "
        "Soft labels of views beat one soft label a clip at IPC 1: +3.0 points [+3.0, +3.0]"
    )
    said, chart, told = section.blocks
    assert said.text == (
        "Mean of the budgets that both have: one soft label a clip minus true classes +10.0 points [+10.0, +10.0]; soft labels "
        "of views minus true classes +13.0 points [+13.0, +13.0]; soft labels of views minus one soft label a clip +3.0 points "
        "[+3.0, +3.0]."
    )
    assert chart.name == "clips"
    lines = {line["labels"]: line for line in (dict(zip(told.header, row)) for row in told.rows)}
    assert list(lines) == ["true classes", "one soft label a clip", "soft labels of views"]
    assert lines["one soft label a clip"]["chosen label spec"] == "`teacher(epoch=5)`"
    assert lines["soft labels of views"]["minus one soft label a clip, points"] == "+3.0 [+3.0, +3.0]"
    assert lines["true classes"]["minus true classes, points"] == "–"


def test_without_true_classes_views_are_measured_against_one_label():
    rows = table([*GAIN][1:])
    (section,) = synthetic.ask(clips, rows, [run(rows)])
    assert section.title.startswith("Soft labels of views beat one soft label a clip") and len(section.blocks) == 2


@pytest.mark.parametrize("labels", [[*GAIN], ["hard"]])
def test_it_is_asked_neither_of_images_nor_of_one_regime(labels):
    rows = table(labels)
    shape = (8, 8, 1) if len(labels) > 1 else (8, 8, 8, 1)
    assert not synthetic.ask(clips, rows, [run(rows, shape)])
