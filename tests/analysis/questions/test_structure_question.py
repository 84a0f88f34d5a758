"""Samples of labels whose structure is known, as numbers, words and figures."""

import numpy as np
import pytest
import synthetic
from matplotlib.colors import to_hex

from jaxsoft.analysis import plots, read, structure
from jaxsoft.analysis.page import Picture, Table
from jaxsoft.analysis.questions import structure as question

EPOCHS = (0, 5, 20, 150)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, [synthetic.row(1, "hard", 0, 0.5)])
    synthetic.write_samples(folder / "examples.npz", 1000, 1000)
    return read.read_run(folder)


@pytest.fixture(scope="module")
def labels(run):
    return question.kept(run.examples)


@pytest.fixture(scope="module")
def found(labels):
    return question.stages(labels)


def test_stages_are_the_numbers_of_their_samples(labels, found):
    assert tuple(s.epoch for s in found) == labels.epochs == EPOCHS
    for p, stage in enumerate(found):
        train, validation = labels.train.probabilities[p], labels.validation.probabilities[p]
        assert stage.entropy.mean == pytest.approx(structure.entropies(train).mean())
        assert stage.top1.mean == pytest.approx(train.max(-1).astype(float).mean())
        assert stage.rank.mean == structure.effective_rank(train)
        assert stage.calibration.mean == structure.calibration_error(validation, labels.validation.labels)
        assert stage.brier.mean == pytest.approx(structure.brier(validation, labels.validation.labels).mean())
        assert stage.alignment.low > 0.5 and stage.alignment.high <= 1  # neighbours on the ring, here as there
    assert [s.entropy.mean for s in found] == sorted((s.entropy.mean for s in found), reverse=True)


def test_labels_without_likeness_are_not_aligned(labels):
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(10), (4, 1000)).astype(np.float16)
    stage = question.stages(labels._replace(train=read.LabelSample(rows, labels.train.labels)))[1]
    assert not stage.alignment.low > 0


def test_the_answer_tells_the_fall_of_entropy_and_what_the_labels_follow(run, found, no_drawing):
    (section,) = question.answer([], [run, run])  # one teacher, told once
    lost = 1 - found[-1].entropy.mean / found[0].entropy.mean
    r = found[-1].alignment
    assert section.title == (
        f"From teacher epoch 0 to 150 labels lose {100 * lost:.0f} % of their entropy (2.30 to "
        f"{found[-1].entropy.mean:.2f} nats); at epoch 150 they are correlated with the teacher's confusions, "
        f"r = {r.mean:.2f} [{r.low:.2f}, {r.high:.2f}]"
    )
    assert [block.name for block in section.blocks if isinstance(block, Picture)] == ["entropy", "classes"]
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert [line[0] for line in table.rows] == ["0", "5", "20", "150"]
    assert table.rows[1][1].startswith(f"{found[1].entropy.mean:.2f} [")
    assert table.rows[1][2].startswith(f"{100 * found[1].top1.mean:.1f} [")


def test_runs_without_samples_do_not_ask(run, tmp_path):
    synthetic.write_run(tmp_path, [synthetic.row(1, "hard", 0, 0.5)])
    assert question.answer([], [read.read_run(tmp_path)]) == []


def test_a_teacher_that_errs_too_little_has_no_alignment(labels, no_drawing):
    right = labels.validation
    sure = np.broadcast_to(np.eye(10, dtype=np.float16)[right.labels], right.probabilities.shape)
    stages = question.stages(labels._replace(validation=read.LabelSample(sure, right.labels)))
    assert all(np.isnan(s.alignment.mean) for s in stages)
    assert "follow" not in question._title(stages)
    assert question._table(stages).rows[0][5] == "–"


def test_histograms_hold_all_images_of_every_epoch(labels, found):
    figure = question.draw_entropies(labels, found)
    assert len(figure.axes) == 4
    for axes, stage in zip(figure.axes, found):
        heights = [patch.get_height() for patch in axes.containers[0]]
        assert sum(heights) == pytest.approx(100)
        assert to_hex(axes.containers[0][0].get_facecolor()) == plots.BLUE
        assert axes.get_title(loc="left").startswith(f"epoch {stage.epoch}: mean {stage.entropy.mean:.2f} [")
    assert figure.axes[-1].get_xlabel() == "entropy of a label, nats (uniform: 2.30)"
    assert plots.png(question.draw_entropies, labels, found)[:4] == b"\x89PNG"


def test_matrices_are_early_and_late_without_their_diagonals(labels, found):
    figure = question.draw_matrices(labels, found)
    images = [axes.get_images()[0] for axes in figure.axes if axes.get_images()]
    early, confusion, late, _ = (np.ma.filled(image.get_array(), np.nan) for image in images)
    off = structure.off_diagonal(10)
    for p, shown in ((1, early), (3, late)):  # not the untrained teacher
        wanted = 100 * structure.class_means(labels.train.probabilities[p], labels.train.labels)
        np.testing.assert_allclose(shown[off], wanted[off])
        assert np.isnan(np.diag(shown)).all()
    hits = labels.validation.probabilities[1].argmax(-1)
    third = hits[labels.validation.labels == 3]
    assert confusion[3, 4] == pytest.approx(100 * (third == 4).mean())
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list("0123456789")
    many = question.draw_matrices(labels._replace(names=("x",) * 31), found)
    assert not many.axes[0].get_yticklabels()
    assert plots.png(question.draw_matrices, labels, found)[:4] == b"\x89PNG"
