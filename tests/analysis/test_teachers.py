"""What a report says of the teacher: who speaks, and real images with the labels that they are given."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import synthetic
from matplotlib.colors import to_hex

from jaxsoft.analysis import teachers
from jaxsoft.analysis.reading import read
from jaxsoft.analysis.showing import chart


@pytest.fixture
def run(tmp_path):
    synthetic.write_run(tmp_path, [synthetic.row(1, "hard", 0, 0.5)], experts=3)
    return read.read_run(tmp_path)


def told(run, **examples):
    """The sections of a run, with examples changed."""
    return teachers.sections(dataclasses.replace(run, examples=dataclasses.replace(run.examples, **examples)), [])


def test_every_image_shows_its_true_class_however_unlikely(run):
    labels, probabilities = run.examples.labels, run.examples.probabilities.copy()
    probabilities[:, np.arange(len(labels)), labels] = 0
    ((figure,),) = (section.blocks for section in told(run, probabilities=probabilities)[1:])
    for panel in figure.panels[1:]:
        _, axes = plt.subplots()
        panel.marks[0](axes)
        bars = [to_hex(bar.get_facecolor()) for bar in axes.containers[0]]
        plt.close(axes.figure)
        assert [bars[i : i + 5].count(chart.ORANGE) for i in range(0, 25, 5)] == [1] * 5
    assert figure.caption.endswith("the true class in orange, the 4 likeliest others in blue.")


@pytest.mark.parametrize(
    "experts, who", [((), "the teacher"), ((1,), "expert 1"), ((0, 1, 2), "the mean of 3 experts")]
)
def test_labels_are_those_of_whoever_gave_them(run, experts, who):
    section = told(run, experts=experts)[1]
    assert section.title.startswith(f"What {who} says of single images at epoch 0")
    assert f"labels that {who} gives them" in section.blocks[0].caption
