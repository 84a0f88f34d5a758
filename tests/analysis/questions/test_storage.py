"""Bytes by hand, and when the question is asked."""

import dataclasses

import pytest
import synthetic

from jaxsoft.analysis.questions import storage
from jaxsoft.analysis.reading import read
from jaxsoft.analysis.showing.chart import Series
from jaxsoft.analysis.showing.page import Table

WHOLE, CUT = "teacher(epoch=5)", "teacher(epoch=5)|topk(2)"
ACCURACY = {(1, "hard"): 0.2, (1, CUT): 0.3, (1, WHOLE): 0.29, (5, "hard"): 0.4, (5, CUT): 0.5, (5, WHOLE): 0.6}


def members(accuracy, seeds=5):
    return [
        synthetic.row(ipc, labels, s, a, epoch=None if labels == "hard" else 5)
        for (ipc, labels), a in accuracy.items()
        for s in range(seeds)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, members(ACCURACY))
    return read.read_run(folder)


def answer(members, *runs):
    return storage.answer(synthetic.one_group(members), runs)


def test_bytes_of_ten_digits_of_eight_by_eight(run):
    _, _, pixels, indices, _ = answer(run.rows, run).blocks
    # Ten images of 64 bytes; two entries of 16 + 4 bits each are 5 bytes, ten of 16 bits are 20 bytes.
    assert [line[:4] for line in pixels.rows] == [
        ("1", "`hard`", "640 B", "5 B"),
        ("1", f"`{CUT}`", "640 B", "50 B"),
        ("5", "`hard`", "3.2 kB", "25 B"),
        ("5", f"`{CUT}`", "3.2 kB", "250 B"),
        ("5", f"`{WHOLE}`", "3.2 kB", "1.0 kB"),
    ]
    # Ten indices of four bytes: at IPC 1 the cut label takes 90 bytes, at IPC 5 a hard one 225.
    assert [line[2:4] for line in indices.rows] == [
        ("40 B", "5 B"), ("40 B", "50 B"), ("200 B", "25 B"), ("200 B", "250 B"), ("200 B", "1.0 kB"),
    ]  # fmt: skip


def test_the_answer_and_its_tables(run):
    section = answer(run.rows, run)
    assert section.title == "Byte for byte, 3 of the 5 most accurate data sets carry soft labels"
    said, _, table, folded, saved = section.blocks
    assert said.text.startswith(
        f"With pixels counted the most accurate data sets for their bytes carry `hard`, `{CUT}` and `{WHOLE}`; with images as"
    )
    assert isinstance(table, Table) and isinstance(folded, Table) and folded.folded
    assert table.rows[1] == ("1", f"`{CUT}`", "640 B", "50 B", "30.0 [30.0, 30.0]", "5", "100")
    # With hard labels 0.3 is half way from 1 to 5 images in accuracy, and so in log IPC; 0.6 lies above all of them.
    assert [line[:3] for line in saved.rows] == [("1", f"`{CUT}`", "40"), ("5", f"`{WHOLE}`", "160")]
    assert [line[3] for line in saved.rows] == ["1.24 [1.24, 1.24]", "more than measured (whole interval)"]
    assert [line[4] for line in saved.rows] == ["31", "–"]


def test_two_seeds_are_not_certain_of_anything(run):
    *_, table, _, saved = answer(members(ACCURACY, seeds=2), run).blocks
    assert "certain" not in table.header and saved.rows[0][3] == "1.24"


def test_equal_labels_are_not_clearly_better(run, monkeypatch):
    monkeypatch.setattr(storage, "_LIKELY", 1.1)  # none is
    section = answer(run.rows, run)
    assert section.title == "Byte for byte, no labels are clearly better than others"
    assert "carry labels that are not clearly better than others; with" in section.blocks[0].text


def test_four_labels_are_named_and_of_more_three(run):
    assert storage._carried(["a", "b", "a", "c", "d"]) == "`a`, `b`, `c` and `d`"
    assert storage._carried(["a", "b", "c", "d", "e"]) == "`a`, `b`, `c` and 2 others"


def test_the_frontier_is_drawn(run):
    chart = answer(run.rows, run).blocks[1]
    panel, other = chart.panels
    assert not panel.log  # a panel's own ticks would be every data set's
    assert (panel.x, other.x) == ("bytes of labels and pixels", "bytes of labels and indices")
    steps, *marks = (mark for mark in panel.marks if isinstance(mark, Series))
    assert steps.look == "steps" and steps.y == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert steps.x == pytest.approx([645, 690, 3225, 3450, 4200])
    assert [len(mark.x) for mark in marks] == [2, 2, 2] and marks[0].colour == "black"  # hard, cut and whole labels


def test_it_is_asked_where_soft_labels_differ_in_bits(run):
    assert answer([row for row in run.rows if row["labels"] != CUT], run) is None
    assert answer(run.rows) is None  # nobody knows the images
    assert len(synthetic.ask(storage, [row for row in run.rows if row["labels"] != "hard"], [run])[0].blocks) == 4


def test_of_hard_and_soft_labels_of_equal_bits_soft_ones_are_counted(run):
    smooth = {(ipc, f"hard|smooth({amount})"): 0.7 for ipc in (1, 5) for amount in (0.1, 0.2)}
    section = answer(members(ACCURACY | smooth), run)
    assert section.title.endswith(" carry soft labels") and "hard|smooth(0.1)" in section.blocks[0].text


def test_an_online_teacher_takes_nothing_of_an_image_and_is_worth_nothing_by_bits(run):
    rows = members(ACCURACY | {(ipc, "teacher(epoch=5, online=true)"): 0.95 for ipc in (1, 5)})
    assert len(answer(rows, run).blocks) == 4  # of an expert whose size no run tells, nothing is saved
    sized = dataclasses.replace(run, rows=rows, teachers={**run.teachers, "experts": [{"history": [], "bytes": 9}]})
    *_, saved = answer(rows, sized).blocks
    assert [line[2] for line in saved.rows] == ["0", "0"] and "by 1,000 bits" not in saved.header
