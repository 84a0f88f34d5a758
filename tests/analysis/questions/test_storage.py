"""Bytes by hand, and when the question is asked."""

import pytest
import synthetic
from jaxsoft.analysis.table import Table

from jaxsoft.analysis import read
from jaxsoft.analysis.questions import storage

WHOLE, CUT = "teacher(epoch=5)", "teacher(epoch=5)|topk(2)"
ACCURACY = {(1, "hard"): 0.2, (1, CUT): 0.3, (1, WHOLE): 0.29, (5, "hard"): 0.4, (5, CUT): 0.5, (5, WHOLE): 0.6}


def members(accuracy):
    return [
        synthetic.row(ipc, labels, s, a, epoch=None if labels == "hard" else 5)
        for (ipc, labels), a in accuracy.items()
        for s in range(3)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, members(ACCURACY))
    return read.read_run(folder)


def test_bytes_of_ten_digits_of_eight_by_eight(run):
    both = storage.shop(run.rows, [run]).bought
    found = both["pixels"]
    assert [(p.ipc, p.labels) for p in found if p.pareto] == [(1, "hard"), (1, CUT), (5, "hard"), (5, CUT), (5, WHOLE)]
    # Ten images of 64 bytes; two entries of 16 + 4 bits each are 5 bytes, ten of 16 bits are 20 bytes.
    assert [(p.images // 8, p.label_bits // 8) for p in found[:3]] == [(640, 5), (640, 50), (640, 200)]
    # Ten indices of four bytes: at IPC 1 the cut label takes 90 bytes, at IPC 5 a hard one 225.
    assert [p.total // 8 for p in both["indices"] if p.pareto] == [45, 90, 225, 450, 1200]


def test_the_answer_and_its_table(run):
    (section,) = storage.answer(run.rows, [run])
    assert (
        section.title
        == f"Byte for byte, pixels counted, the most accurate data sets carry `hard`, `{CUT}` and `{WHOLE}`"
    )
    _, _, table, folded, saved = section.blocks
    assert isinstance(table, Table) and isinstance(folded, Table) and folded.folded
    assert table.rows[1] == ("1", f"`{CUT}`", "640 B", "50 B", "30.0 [30.0, 30.0]", "3", "100 %")
    assert len(table.rows) == 5
    # With hard labels 0.3 is half way from 1 to 5 images in accuracy, and so in log IPC; 0.6 lies above all of them.
    assert [line[:3] for line in saved.rows] == [("1", f"`{CUT}`", "40"), ("5", f"`{WHOLE}`", "160")]
    assert [line[3] for line in saved.rows] == ["1.24 [1.24, 1.24]", "> measured [> measured, > measured]"]
    assert [line[4] for line in saved.rows] == ["31", "–"]


def test_the_frontier_is_drawn(run):
    found = storage.shop(run.rows, [run]).bought
    axes, other = storage.draw(found).axes
    assert other.get_xlabel() == "bytes of labels and indices"
    assert axes.get_xscale() == "log"
    steps = axes.get_lines()[-1]
    assert list(steps.get_ydata()) == pytest.approx([20, 30, 40, 50, 60])
    assert list(steps.get_xdata()) == [p.total / 8 for p in found["pixels"] if p.pareto]
    assert len(axes.get_lines()) == len(ACCURACY) + 1


def test_it_is_asked_where_soft_labels_differ_in_bits(run):
    whole = [row for row in run.rows if row["labels"] != CUT]
    assert storage.answer(whole, [run]) == []
    assert storage.answer(run.rows, []) == []  # nobody knows the images
