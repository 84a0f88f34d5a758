"""Labels by their bytes: what they cost by hand, what is compared at equal bytes, and when it is asked."""

import dataclasses

import pytest
import synthetic

from jaxsoft.analysis.questions import label_bytes
from jaxsoft.analysis.reading import read
from jaxsoft.analysis.showing.chart import Series

DENSE, CODED = "teacher(epoch=5)", "teacher(epoch=5)|stored(int4)"
VIEWS, FEW, MANY = (f"teacher(epoch=5, views={v})" for v in (4, 5, 100))
FEW, MANY = (f"{views}|stored('top1:int4')" for views in (FEW, MANY))
ONLINE = "teacher(epoch=5, online=true)"
ACCURACY = {"hard": 0.2, DENSE: 0.5, CODED: 0.48, VIEWS: 0.6, FEW: 0.65, MANY: 0.7, ONLINE: 0.75}


def members(accuracy=ACCURACY, seeds=5, ipcs=(1, 5)):
    return [
        synthetic.row(ipc, labels, s, a + 0.02 * ipc, epoch=None if labels == "hard" else 5)
        for ipc in ipcs
        for labels, a in accuracy.items()
        for s in range(seeds)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with one expert of 1,000 bytes."""
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, members())
    found = read.read_run(folder)
    found.teachers["experts"][0]["bytes"] = 1000
    return found


def answer(members, *runs):
    return label_bytes.answer(synthetic.one_group(members), runs)


def without(*labels):
    return members({spec: a for spec, a in ACCURACY.items() if spec not in labels})


def test_what_labels_cost_by_hand(run):
    *_, every = answer(run.rows, run).blocks
    # Of ten classes: hard 4 bits; int4 5 + 2 bytes; fp16 20 bytes; top1:int4 1 + 1 + 2 bytes. Ten images at IPC 1.
    assert [line[:4] for line in every.rows[:7]] == [
        ("1", "`hard`", "4", "5 B"),
        ("1", f"`{CODED}`", "56", "70 B"),
        ("1", f"`{FEW}`", "160", "200 B"),
        ("1", f"`{DENSE}`", "160", "200 B"),
        ("1", f"`{VIEWS}`", "640", "800 B"),
        ("1", f"`{ONLINE}`", "0", "1.0 kB"),
        ("1", f"`{MANY}`", "3,200", "4.0 kB"),
    ]
    assert [line[3] for line in every.rows[7:]] == ["25 B", "350 B", "1.0 kB", "1.0 kB", "1.0 kB", "4.0 kB", "20.0 kB"]
    assert every.folded and every.rows[1][4:] == ("50.0 [50.0, 50.0]", "+28.0 [+28.0, +28.0]", "5", "100")


def test_the_frontier_of_each_budget_and_what_lies_on_it(run):
    _, chart, best, _, _ = answer(run.rows, run).blocks
    assert [line[1] for line in best.rows] == [
        "`hard`", f"`{CODED}`", f"`{FEW}`", f"`{ONLINE}`", "`hard`", f"`{CODED}`", f"`{ONLINE}`",
    ]  # fmt: skip
    first, second = chart.panels
    assert (first.x, first.title, second.title) == ("bytes of all labels", "IPC 1", "IPC 5")
    steps, *kinds = (mark for mark in first.marks if isinstance(mark, Series))
    assert steps.look == "steps" and steps.x == pytest.approx([5, 70, 200, 1000])
    assert [mark.name for mark in kinds] == list(label_bytes._LOOKS)
    assert [list(mark.x) for mark in kinds] == [[5], [200], [70], [800], [200, 4000], [1000]]


def test_labels_of_views_in_a_codec_against_dense_ones_of_no_fewer_bytes(run):
    section = answer(run.rows, run)
    assert section.title == "Coded views beat dense labels at every budget, at IPC 1 by +15.0 points [+15.0, +15.0]"
    said, _, _, equal, _ = section.blocks
    assert [line[1::2][:2] for line in equal.rows] == [
        (f"`{DENSE}`", f"`{FEW}`"), (f"`{VIEWS}`", f"`{FEW}`"),
    ] * 2  # fmt: skip
    assert [line[5] for line in equal.rows] == ["+15.0 [+15.0, +15.0]", "+5.0 [+5.0, +5.0]"] * 2
    assert "Coded labels lose to dense ones at every budget" in said.text
    assert "Online labels beat dense ones" in said.text and said.text.endswith("that take no more bytes.")
    assert len(section.title) <= 100


def test_where_no_views_take_so_few_bytes_labels_of_one_image_are_compared(run):
    section = answer(without(FEW, VIEWS), run)
    assert section.title.startswith("Coded labels lose to dense ones at every budget")
    assert len(section.blocks) == 4 and "Coded views" not in section.blocks[0].text
    alone = answer(without(DENSE, VIEWS, FEW, MANY, ONLINE), run)
    assert alone.title.startswith("Coded labels beat hard ones at every budget")
    assert answer(without(DENSE, "hard"), run) is None  # nothing to compare with


def test_experts_of_unknown_size_have_no_place_by_bytes(run):
    for teachers in ({}, {"experts": [{"history": []}]}):
        unknown = dataclasses.replace(run, teachers=teachers)
        *_, every = answer(run.rows, unknown).blocks
        assert ONLINE not in {line[1].strip("`") for line in every.rows} and len(every.rows) == 12
    asked = {labels: bits for labels, bits in ACCURACY.items() if labels in ("hard", ONLINE)}
    assert answer(members(asked), run).title.startswith("Online labels beat hard ones at every budget")


def test_two_seeds_have_no_intervals_and_gaps_are_left_out(run):
    section = answer(members(seeds=2), run)
    assert "few" in section.title and section.blocks[-1].rows[1][4] == "50.0"
    rows = [row for row in run.rows if not (row["labels"] == FEW and row["ipc"] == 5)]
    _, _, _, equal, every = answer(rows, run).blocks
    assert [line[0] for line in equal.rows] == ["1", "1"] and len(every.rows) == 13


def test_it_is_asked_where_labels_are_coded_or_online(run):
    assert answer(without(CODED, FEW, MANY, ONLINE), run) is None
    (section,) = synthetic.ask(label_bytes, run.rows, [run])
    assert section.blocks[1].name == "label-bytes"
