"""A whole run from the command line: what it leaves behind, and what a second one does."""

import csv
import json
import shutil
from unittest import mock

import pytest
import tiny_run as tiny

from jaxsoft import errors, main
from jaxsoft.experiment import run
from jaxsoft.experiment.store import folder, manifest, results

MEMBERS = 8  # two IPC values, two label specs, two seeds


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kept_programs):
    """A config file and the folder of its run."""
    return tiny.finished(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run, to be spoilt."""
    return finished[0], shutil.copytree(finished[1], tmp_path / "run")


def table(path):
    with open(path / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_all_that_a_reader_needs(finished):
    names = {p.name for p in finished[1].iterdir()}
    assert names == {
        "config.json", "curves.npz", "env.json", "examples.npz", "lock", "manifest.json", "plan.json", "plots", "report.html",
        "results.csv", "results.jsonl", "summary.md", "teachers", "teachers.json", "timing.json",
    }  # fmt: skip
    assert list((finished[1] / "plots").glob("*.png"))


def test_the_table_has_one_row_for_each_member(finished):
    rows = table(finished[1])
    assert tuple(rows[0]) == results.COLUMNS
    cells = [(row["ipc"], row["labels"], row["seed"]) for row in rows]
    assert cells == [(i, s, n) for i in "12" for s in ("hard", "teacher(epoch=3)") for n in "01"]
    assert {row["status"] for row in rows} == {"done"}
    assert [row["teacher_epoch"] for row in rows] == ["", "", "3", "3"] * 2
    for row in rows:  # fractions of 259 validation and 500 test images
        assert float(row["val_accuracy"]) * 259 == pytest.approx(round(float(row["val_accuracy"]) * 259), abs=1e-3)
        assert float(row["test_accuracy"]) * 500 == pytest.approx(round(float(row["test_accuracy"]) * 500), abs=1e-9)
    assert len({row["member"] for row in rows}) == MEMBERS


def test_the_story_of_plan_and_teachers_is_stored(finished):
    plan, teachers = (json.loads((finished[1] / name).read_text()) for name in ("plan.json", "teachers.json"))
    assert [m["member"] for m in plan["members"]] == [row["member"] for row in table(finished[1])]
    assert [record["epoch"] for record in teachers["experts"][0]["history"]] == [0, 1, 2, 3]
    assert len(list((finished[1] / "teachers").glob("*/3"))) == 1  # one architecture, its third epoch


def test_verify_passes_and_then_notices_one_changed_byte(copy, capsys):
    path = copy[1]
    assert main.main(["verify", str(path)]) == 0
    content = bytearray((path / "results.csv").read_bytes())
    content[-2] ^= 1
    (path / "results.csv").write_bytes(content)
    assert main.main(["verify", str(path)]) == errors.CheckpointError.exit_code
    assert "results.csv: changed since the run finished" in capsys.readouterr().err
    (path / "plan.json").unlink()
    assert [problem.partition(":")[0] for problem in manifest.verify(path)] == ["plan.json", "results.csv"]


def test_a_second_run_trains_nothing(copy, capsys):
    file, path = copy
    before = {name: (path / name).read_bytes() for name in ("results.csv", "results.jsonl", "plan.json")}
    with tiny.before_chunk(tiny.never), mock.patch.object(run, "prepare", tiny.never):
        assert tiny.command(file, path) == 0
    told = capsys.readouterr().out
    assert f"students: 0 of {MEMBERS} left" in told and "compiling" not in told
    assert {name: (path / name).read_bytes() for name in before} == before
    assert manifest.verify(path) == []


def test_a_second_run_makes_no_damage_good_and_reports_without_it(copy, capsys):
    file, path = copy
    expert = next(leaf for leaf in (path / "teachers").glob("*/2/**/*") if leaf.is_file() and leaf.stat().st_size > 100)
    for damaged in (expert, path / "env.json"):
        content = bytearray(damaged.read_bytes())
        content[50] ^= 1
        damaged.write_bytes(content)
    before = manifest.verify(path)
    assert len(before) == 2 and not (path / ".resumed").exists()
    (path / "report.html").unlink()
    with tiny.before_chunk(tiny.never):
        assert tiny.command(file, path) == 0
    assert manifest.verify(path) == before
    assert "next: open the report" in capsys.readouterr().out and (path / "report.html").exists()
    assert "damaged in the run folder: `env.json`" in (path / "summary.md").read_text()


def test_a_lost_row_is_trained_again_alone_with_its_wave(copy, capsys):
    file, path = copy
    before, lines = table(path), (path / "results.jsonl").read_bytes().splitlines(keepends=True)
    (path / "results.jsonl").write_bytes(b"".join(lines[:-1]))
    assert tiny.command(file, path) == 0
    told = capsys.readouterr().out
    assert told.index(f"students: 1 of {MEMBERS} left") < told.index("  compiling, before the first chunk\n")
    assert told.index("compiling") < told.index("wave 1 of") and told.count("compiling") == 1
    assert table(path) == before
    assert len((path / "results.jsonl").read_bytes().splitlines()) == MEMBERS


def test_the_report_can_be_written_again(copy, capsys):
    path = copy[1]
    (path / "report.html").unlink()
    assert main.main(["report", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert "<html" in (path / "report.html").read_text()


def test_a_dry_run_of_a_finished_folder_changes_nothing(copy, capsys):
    file, path = copy
    with tiny.before_chunk(tiny.never):
        assert tiny.command(file, path, "--dry_run") == 0
    told = capsys.readouterr().out
    assert f"plan: {MEMBERS} students" in told and "config.student.steps = 12" in told
    assert manifest.verify(path) == []


def test_another_config_is_refused(copy, capsys):
    file, path = copy
    assert tiny.command(file, path, "--config.student.steps=13") == errors.CheckpointError.exit_code
    told = capsys.readouterr().err
    assert "belongs to another config: config.student.steps is 12 there, 13 now" in told
    assert manifest.verify(path) == []


def test_a_folder_in_use_is_refused(copy, capsys):
    file, path = copy
    with folder.RunFolder(path).open(folder.RunFolder(path).read_json("config.json")):
        assert tiny.command(file, path) == errors.CheckpointError.exit_code
    assert "is in use by process" in capsys.readouterr().err
    assert tiny.command(file, path) == 0
