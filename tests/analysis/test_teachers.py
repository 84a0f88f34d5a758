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


def course(run, count, models=()):
    """The course of experts whose entropies go from 2, 3, ... to 1 nat."""
    ends = [[(0, 2.0 + e), (1, 1.0)] for e in range(count)]
    histories = [[{"epoch": t, "val_accuracy": 0.5, "label_entropy": h} for t, h in own] for own in ends]
    experts = [{"expert": e, "history": history} for e, history in enumerate(histories)]
    told = {"teacher": {"models": list(models)}, "experts": experts}
    return teachers.sections(dataclasses.replace(run, teachers=told, examples=None), [])[0]


def lines(section, panel=1):
    """Name and colour of every line of a panel, by default that of entropies."""
    return [(mark.name, mark.colour) for mark in section.blocks[0].panels[panel].marks]


def test_each_expert_has_its_name_and_colour_in_both_panels(run):
    told = course(run, 2)
    assert lines(told) == lines(told, 0) == [("expert 0", chart.BLUE), ("expert 1", chart.ORANGE)]
    kinds = course(run, 3, ["resnet18(width=8)", "resnet18(width=9)", "convnet"])
    assert [name for name, _ in lines(kinds)] == ["expert 0, resnet18", "expert 1, resnet18", "expert 2, convnet"]


def test_more_experts_than_colours_are_told_apart_by_architecture_alone(run):
    found = lines(course(run, 10, ["convnet", "resnet18"] * 5))
    assert found == [("convnet", chart.BLUE), ("resnet18", chart.ORANGE)] * 5
    assert {*lines(course(run, 10))} == {("", chart.ORANGE)} and lines(course(run, 1)) == [("", chart.ORANGE)]


def test_the_entropy_told_is_that_of_all_experts(run):
    assert course(run, 2).title.endswith("; label entropy goes from 2.50 to 1.00 nats on average")
    assert course(run, 1).title.endswith("; label entropy goes from 2.00 to 1.00 nats")
