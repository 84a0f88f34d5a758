"""Samples of labels whose structure is known, as numbers, words and figures."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import synthetic
from matplotlib.colors import to_hex

from jaxsoft.analysis.questions import structure as question
from jaxsoft.analysis.reading import read
from jaxsoft.analysis.showing import chart, drawing
from jaxsoft.analysis.showing.page import Picture, Table
from jaxsoft.analysis.statistics import structure

EPOCHS = [0, 5, 20, 150]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, [synthetic.row(1, "hard", 0, 0.5)])
    synthetic.write_samples(folder / "examples.npz", 1000, 1000)
    return read.read_run(folder)


@pytest.fixture(scope="module")
def samples(run):
    return run.examples.train, run.examples.validation


@pytest.fixture(scope="module")
def found(samples):
    return question.stages(EPOCHS, *samples)


def test_stages_are_the_numbers_of_their_samples(run, samples, found):
    assert [s["epoch"] for s in found] == run.examples.epochs.tolist() == EPOCHS
    for p, stage in enumerate(found):
        (train, _), (validation, labels) = ((sample.probabilities[p], sample.labels) for sample in samples)
        assert stage["entropy, nats"].mean == pytest.approx(structure.entropies(train).mean())
        assert stage["top-1 mass, %"].mean == pytest.approx(train.max(-1).astype(float).mean())
        assert stage["effective rank"].mean == structure.effective_rank(train)
        assert stage["calibration error, %"].mean == structure.calibration_error(validation, labels)
        assert stage["Brier score"].mean == pytest.approx(structure.brier(validation, labels).mean())
        low, high = stage["alignment r"][2:4]
        assert low > 0.5 and high <= 1  # neighbours on the ring, here as there
    assert [s["entropy, nats"].mean for s in found] == sorted((s["entropy, nats"].mean for s in found), reverse=True)


def test_labels_without_likeness_are_not_aligned(samples):
    rng, (train, validation) = np.random.default_rng(0), samples
    rows = rng.dirichlet(np.ones(10), (4, 1000)).astype(np.float16)
    stage = question.stages(EPOCHS, read.LabelSample(rows, train.labels), validation)[1]
    assert not stage["alignment r"].low > 0


def test_many_classes_have_a_rank_without_an_interval(samples, monkeypatch):
    monkeypatch.setattr(question, "_RANKED", 9)
    (stage,) = question.stages([0], *samples)
    assert stage["effective rank"].mean > 1 and np.isnan(stage["effective rank"].low)


def test_the_answer_tells_the_fall_of_entropy_and_what_the_labels_follow(run, found):
    (section,) = question.of_runs([run, run])  # one teacher, told once
    lost = 100 * (1 - found[-1]["entropy, nats"].mean / found[0]["entropy, nats"].mean)
    r = found[-1]["alignment r"].mean
    assert section.title == (
        f"From teacher epoch 0 to 150 labels lose {lost:.0f} % of entropy; at 150 they mirror confusions, r = {r:.2f}"
    )
    assert len(section.title) <= 100
    first, second, table = section.blocks
    assert (first.name, second.name) == ("entropy", "classes") and isinstance(table, Table)
    assert [line[0] for line in table.rows] == ["0", "5", "20", "150"]
    assert table.rows[1][1].startswith(f"{found[1]['entropy, nats'].mean:.2f} [")
    assert table.rows[1][2].startswith(f"{100 * found[1]['top-1 mass, %'].mean:.1f} [")
    assert table.rows[1][4].startswith(f"{found[1]['effective rank'].mean:.1f} [")


def test_other_titles(found, samples):
    own = samples[1]
    assert (
        question._title(found[:1], own) == f"Labels of teacher epoch 0 hold {found[0]['entropy, nats'].mean:.2f} nats"
    )
    assert question._title(found[::-1], dataclasses.replace(own, probabilities=own.probabilities[::-1])).startswith(
        "From teacher epoch 150 to 0 labels do not lose entropy; at 5 they"
    )
    assert question._title(found, own, "`one`").startswith("In `one` labels lose ")


def test_several_teachers_have_a_section_each(run, no_drawing):
    other = dataclasses.replace(run, folder=run.folder / ("long" * 20), teachers={"teacher": {"key": "another"}})
    first, second = synthetic.ask(question, run.rows, [run, other])
    assert first.title.startswith(f"In `{run.folder.name}` labels lose") and second.title.startswith("In `longlong")
    assert [block.name for block in second.blocks if isinstance(block, Picture)] == ["entropy-2", "classes-2"]
    assert max(len(first.title), len(second.title)) <= 100


def test_runs_without_samples_do_not_ask(tmp_path):
    synthetic.write_run(tmp_path, [synthetic.row(1, "hard", 0, 0.5)])
    assert question.of_runs([read.read_run(tmp_path)]) == []


def test_a_teacher_that_errs_too_little_has_no_alignment(samples):
    train, right = samples
    sure = np.broadcast_to(np.eye(10, dtype=np.float16)[right.labels], right.probabilities.shape)
    own = read.LabelSample(sure, right.labels)
    stages = question.stages(EPOCHS, train, own)
    assert all(np.isnan(s["alignment r"].mean) for s in stages)
    assert "mirror" not in question._title(stages, own)


def test_a_teacher_at_chance_is_not_told_to_mirror_confusions(samples, found):
    validation = samples[1]
    wrong = read.LabelSample(validation.probabilities, np.roll(validation.labels, 1))  # right as often as anyone
    assert "mirror" in question._title(found, validation) and "mirror" not in question._title(found, wrong)


@pytest.mark.parametrize("right, at_chance", [(2, True), (5, True), (6, False)])  # up to 48.9 % is chance
def test_chance_reaches_far_where_images_are_few(right, at_chance):
    labels = np.repeat(np.arange(6), 2)
    said = np.where(np.arange(12) < right, labels, (labels + 1) % 6)
    assert structure.is_at_chance(np.eye(6)[said], labels) == at_chance


def drawn(panel):
    figure, axes = plt.subplots()
    panel.marks[0](axes)
    plt.close(figure)
    return axes


def test_histograms_hold_all_images_of_every_epoch(samples, found):
    shown = question._entropies(found, *samples)
    assert len(shown.panels) == 4
    for panel, stage in zip(shown.panels, found):
        bars = drawn(panel).containers[0]
        assert sum(patch.get_height() for patch in bars) == pytest.approx(100)
        assert to_hex(bars[0].get_facecolor()) == chart.BLUE
        assert panel.title.startswith(f"epoch {stage['epoch']}: mean {stage['entropy, nats'].mean:.2f} [")
    assert shown.panels[-1].x == "entropy of a label, nats (uniform: 2.30)"
    assert drawing.png(shown)[:4] == b"\x89PNG"


def test_matrices_are_early_and_late_without_their_diagonals(samples, found):
    (train, validation), names = samples, tuple("0123456789")
    shown = question._matrices(found, names, *samples)
    axes = [drawn(panel) for panel in shown.panels]
    early, confusion, late, _ = (np.ma.filled(a.get_images()[0].get_array(), np.nan) for a in axes)
    off = structure.off_diagonal(10)
    for p, matrix in ((1, early), (3, late)):  # not the untrained teacher
        wanted = 100 * structure.class_means(train.probabilities[p], train.labels)
        np.testing.assert_allclose(matrix[off], wanted[off])
        assert np.isnan(np.diag(matrix)).all()
    hits = validation.probabilities[1].argmax(-1)
    third = hits[validation.labels == 3]
    assert confusion[3, 4] == pytest.approx(100 * (third == 4).mean())
    assert [t.get_text() for t in axes[0].get_yticklabels()] == list(names)
    assert [panel.title for panel in shown.panels[::2]] == [
        f"epoch {epoch}\nlabels of training images" for epoch in (5, 150)
    ]
    many = question._matrices(found, ("x",) * 31, *samples)
    assert not drawn(many.panels[0]).get_yticklabels()
    assert drawing.png(shown)[:4] == b"\x89PNG"
