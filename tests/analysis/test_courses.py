"""Curves in a report: the arms that are drawn, their means and intervals, and what the last look still changed."""

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis import courses, report
from jaxsoft.analysis.reading.curves import read_curves
from jaxsoft.analysis.reading.read import read_run
from jaxsoft.analysis.showing.chart import Chart
from jaxsoft.analysis.statistics import groups
from jaxsoft.analysis.statistics.inference import estimate

STEP = np.array([100, 200, 300, 400])


def write_curves(folder, members, **changes):
    """Curves that rise by a tenth a look, to what the table says; those of IPC 50 still rise at the end."""
    rise = {m["member"]: np.array([-0.2, -0.1, -0.05 if m["ipc"] == 50 else 0.0, 0.0]) for m in members}
    accuracy = np.array([m["val_accuracy"] + rise[m["member"]] for m in members], np.float32)
    keys, step = np.array([m["member"] for m in members]), np.tile(STEP, (len(members), 1)).astype(np.int32)
    arrays = {"member": keys, "step": step, "train_loss": 3 - accuracy, "val_accuracy": accuracy}
    np.savez(folder / "curves.npz", **(arrays | changes))


@pytest.fixture
def run(tmp_path):
    members = synthetic.rows(seeds=4, ipcs=(1, 10, 50), epochs=(5, 40))
    synthetic.write_run(tmp_path, members)
    write_curves(tmp_path, members)
    return tmp_path, members


def sections(run):
    folder, members = run
    (group,) = groups.groups(groups.tidy(members))
    return group, courses.sections(group, [read_run(folder)])


def test_hard_and_the_chosen_soft_labels_are_drawn_at_both_ends(run):
    group, (section,) = sections(run)
    (chart,) = section.blocks
    assert isinstance(chart, Chart) and chart.across == 2
    assert [(panel.title, panel.y) for panel in chart.panels] == [
        ("1 image per class", "validation accuracy, %"), ("50 images per class", "validation accuracy, %"),
        ("1 image per class", "training loss, nats"), ("50 images per class", "training loss, nats"),
    ]  # fmt: skip
    for panel, ipc in zip(chart.panels, (1, 50)):
        hard, soft = panel.marks
        assert (hard.name, soft.name, list(hard.x)) == ("hard labels", "soft labels", STEP.tolist())
        chosen = group.labels(group.choose(ipc, group.soft))
        for line, labels in ((hard, "hard"), (soft, chosen)):
            last = [m["val_accuracy"] for m in run[1] if (m["ipc"], m["labels"]) == (ipc, labels)]
            assert line.y[-1].n == 4 and np.allclose(line.y[-1], estimate(np.array(last)), atol=1e-6)
        assert f"`{chosen}` at IPC {ipc}" in chart.caption
    assert section.title.startswith("Students still gain accuracy at the last look: +5.0 points [+5.0, +5.0] (")


def test_failed_and_absent_members_and_looks_after_the_end_are_left_out(run):
    folder, members = run
    members = [m | ({"status": "failed"} if m["seed"] == 0 else {}) for m in members]
    late = np.array([[m["labels"] == "hard" and i == 3 for i in range(4)] for m in members])
    write_curves(folder, members, step=np.where(late, -1, STEP).astype(np.int32))
    _, (section,) = sections((folder, members))
    hard, soft = section.blocks[0].panels[0].marks
    assert list(hard.x) == [100, 200, 300] and list(soft.x) == STEP.tolist() and soft.y[0].n == 3
    (folder / "curves.npz").unlink()
    assert sections(run)[1] == []


def test_where_nothing_is_validated_the_test_set_is_shown(run):
    folder, members = run
    unknown, known = np.full((len(members), 4), np.nan), np.full((len(members), 4), 0.5)
    write_curves(folder, members, val_accuracy=unknown, test_accuracy=known)
    _, (section,) = sections(run)
    assert [panel.y for panel in section.blocks[0].panels][:2] == ["test accuracy, %"] * 2
    assert section.title.startswith("No clear change of accuracy at the last look: 0.0 points")


def test_only_the_members_that_are_asked_for_are_given(run):
    folder, members = run
    found = read_curves(folder, [members[3]["member"], "nobody"])
    assert found.members.tolist() == [members[3]["member"]]
    assert found.step.shape == found.numbers["train_loss"].shape == (1, 4)
    assert read_curves(folder, ["nobody"]) is None and read_curves(folder / "elsewhere", []) is None


@pytest.mark.parametrize("changes", [{"step": STEP}, {"train_loss": np.zeros(3)}, {"member": np.array([object()])}])
@pytest.mark.loses
def test_a_damaged_file_is_told_and_the_report_goes_on(run, no_drawing, changes):
    folder, members = run
    write_curves(folder, members, **changes)
    with pytest.raises(errors.DataError, match="curves.npz"):
        read_curves(folder, [members[0]["member"]])
    report.write_report([folder])
    assert "The report goes on without the curves of students" in (folder / "summary.md").read_text()


def test_the_report_has_the_section(run, no_drawing):
    report.write_report([run[0]])
    assert "](plots/courses.png)" in (run[0] / "summary.md").read_text()


def test_of_many_settings_the_one_where_labels_differ_most_is_drawn(tmp_path, no_drawing):
    members = []
    for i in range(6):
        for row in synthetic.rows(seeds=3, ipcs=(1, 10), epochs=(5,)):
            share = 0.3 if i == 3 and row["labels"] != "hard" else 1.0
            accuracies = {name: row[name] * share for name in ("test_accuracy", "val_accuracy")}
            members.append(row | accuracies | {"member": f"{i}-{row['member']}", "model": f"mlp(hidden={i + 1})"})
    synthetic.write_run(tmp_path, members)
    report.write_report([tmp_path])
    assert "courses" not in (tmp_path / "summary.md").read_text()
    write_curves(tmp_path, members)
    report.write_report([tmp_path])
    told = (tmp_path / "summary.md").read_text()
    assert told.count("](plots/courses.png)") == 1 and "In 6 settings" in told
    assert "## Model `mlp(hidden=4)`: No clear change of accuracy at the last look" in told
