"""Sinks of whole runs: what they are told, and that a run that was stopped doubles nothing."""

import csv
import json

import pytest
import tiny_run as tiny

from jaxsoft import imports
from jaxsoft.experiment import run
from jaxsoft.experiment.machine import processes

OWN = """
class Counts:
    def __init__(self, folder):
        self.folder, self.seen = folder, 0

    def write(self, event):
        self.seen += 1
        if event["event"] == "students":
            raise ValueError("of no use")

    def close(self):
        (self.folder / "seen").write_text(str(self.seen))
"""


@pytest.fixture(autouse=True)
def beside_nothing_afterwards():
    yield
    imports.beside(None)


def table(folder, kind):
    with open(folder / "logs" / f"{kind}.csv", newline="") as file:
        return list(csv.DictReader(file))


def killed(program, index):
    if program.select and index == 2:
        raise KeyboardInterrupt


def test_a_killed_run_goes_on_in_the_same_tables(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(OWN)
    file, folder = tiny.config_file(tmp_path, {"sinks": ("csv", "mine:Counts")}), tmp_path / "run"
    with tiny.before_chunk(killed):
        assert tiny.command(file, folder) == 75
    assert [int(row["step"]) for row in table(folder, "speed")] == [1, 2] and not (folder / "logs/member.csv").exists()
    shown = capsys.readouterr().out
    assert shown.count("warning: the run goes on without a sink: mine:Counts: ") == 1 and "of no use" in shown
    for _ in range(2):
        assert tiny.command(file, folder) == 0
        assert [int(row["step"]) for row in table(folder, "speed")] == [1, 2, 3]
        groups = {(row["ipc"], row["labels"]) for row in table(folder, "students")}
        seen = [(int(r["step"]), r["ipc"], r["labels"]) for r in table(folder, "students")]
        assert len(groups) == 4 and sorted(seen) == sorted({(n, *group) for n in (1, 2, 3) for group in groups})
        assert [int(row["step"]) for row in table(folder, "teacher")] == [1, 2, 3]
    history = json.loads((folder / "teachers.json").read_text())["experts"][0]["history"]
    for row in table(folder, "teacher"):
        assert float(row["val_accuracy"]) == history[int(row["step"])]["val_accuracy"] and row["expert"] == "0"
    with open(folder / "results.csv", newline="") as results:
        wanted = {row["member"]: row["test_accuracy"] for row in csv.DictReader(results)}
    assert [int(row["step"]) for row in table(folder, "member")] == [*range(1, 9)]
    assert {row["member"]: row["test_accuracy"] for row in table(folder, "member")} == wanted
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert not [name for name in listed if name.startswith("logs/")]


def test_the_mean_of_a_group_is_told_as_the_rows_have_it(tmp_path):
    few = {"student.evaluations": 1, "sinks": ("csv",), "sweep.ipc": (1,)}
    _, folder = tiny.finished(tmp_path, few)
    for group in table(folder, "students"):
        own = [float(r["val_accuracy"]) for r in table(folder, "member") if r["labels"] == group["labels"]]
        assert float(group["val_accuracy"]) == pytest.approx(sum(own) / 2, abs=1e-6)
        assert 0 < float(group["train_loss"]) < 5
    assert len(table(folder, "students")) == 2 and float(table(folder, "speed")[0]["student_steps_per_second"]) > 0


def test_sinks_and_the_note_may_change_and_a_finished_run_is_told_too(tmp_path, capsys):
    few = {"sweep.ipc": (1,), "sweep.seed": (0,), "note": "small at first"}
    file, folder = tiny.finished(tmp_path, few)
    assert "\nsmall at first\n" in capsys.readouterr().out
    keys = (folder / "results.csv").read_bytes()
    assert tiny.command(file, folder, "--config.sinks=csv", "--config.note=small on purpose") == 0
    assert "students: 0 of 2 left" in (shown := capsys.readouterr().out)
    assert "**Note.** small at first" in (folder / "summary.md").read_text()
    assert shown.count("\nsmall on purpose\n") == 1 and (folder / "results.csv").read_bytes() == keys
    assert len(table(folder, "teacher")) == 3 and len(table(folder, "member")) == 2


def test_what_is_no_sink_ends_the_run_before_anything_is_written(tmp_path, capsys):
    file = tiny.config_file(tmp_path)
    assert tiny.command(file, tmp_path / "run", "--config.sinks=csv,tensorbord") == 2
    assert capsys.readouterr().err.startswith("jaxsoft: config.sinks: unknown sink 'tensorbord'; closest: tensorboard")
    assert not (tmp_path / "run").exists()


def test_of_several_processes_the_first_writes(tmp_path, monkeypatch):
    settings = tiny.settings({"sinks": ("csv",)})
    for is_first in (True, False):
        monkeypatch.setattr(processes, "is_first", lambda is_first=is_first: is_first)
        with run._opened(settings, tmp_path, run.Console(quiet=True)) as (_, to):
            assert bool(to) == is_first
