"""Whole runs with rates that cannot work, and on a device that is full."""

import json
import re

import jax
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.console import Console
from jaxsoft.experiment import run as story
from jaxsoft.experiment.store import manifest, results
from jaxsoft.experiment.students import kept

CHANGES = {"compute.checkpoint_seconds": 0.0}  # a checkpoint after every chunk


def rows_of(path):
    return results.read(path / "results.jsonl")


def settings(store, changes=()):
    return tiny.settings(CHANGES | {"teacher.store": str(store)} | dict(changes))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Experts that all runs below share."""
    return tmp_path_factory.mktemp("experts")


def test_members_that_diverge_fail_alone(tmp_path, store, capsys):
    bad, good = ({"sweep.seed": (0,), "sweep.learning_rate": rates} for rates in ((0.1, 1e30), (0.1, 0.2)))
    file = tiny.config_file(tmp_path, bad | {"teacher.store": str(store)})
    assert tiny.command(file, tmp_path / "bad") == errors.FINISHED_WITH_FAILED_MEMBERS
    assert "4 students done, 4 failed (loss or update not finite)" in capsys.readouterr().out
    rows = rows_of(tmp_path / "bad")
    failed = [row for row in rows if row["learning_rate"] == 1e30]
    assert len(failed) == 4
    for row in rows:
        row.pop("curve")
    for row in failed:
        assert row["status"] == "failed" and row["val_accuracy"] is None and row["test_accuracy"] is None
        assert 0 <= row["first_bad_step"] < 12
    assert (tmp_path / "bad" / "results.csv").read_text().count(",,,failed,") == 4
    with tiny.plain_flags():
        clean = story.run(settings(store, good), tmp_path / "good", Console(quiet=True))
    healthy = [[row for row in each if row["learning_rate"] == 0.1] for each in (rows, clean)]
    assert healthy[0] == healthy[1] and len(healthy[0]) == 4


def test_a_run_in_which_all_fail_ends_with_its_report(tmp_path, store):
    axes = {"sweep.seed": (0,), "sweep.learning_rate": (1e30, 2e30), "teacher.store": str(store)}
    file = tiny.config_file(tmp_path, axes)
    assert tiny.command(file, tmp_path / "run") == errors.FINISHED_WITH_FAILED_MEMBERS
    assert {row["status"] for row in rows_of(tmp_path / "run")} == {"failed"}
    assert (tmp_path / "run" / "report.html").exists()
    assert manifest.verify(tmp_path / "run") == []


FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte.")


def problem_at(problem, *calls):
    """Raise it before the numbered chunks of students, counted from 1."""
    count = iter(range(1, 1000))

    def do(program, index):
        if program.select and next(count) in calls:
            raise problem

    return tiny.before_chunk(do)


@pytest.fixture(scope="module")
def one_wave(tmp_path_factory, store, kept_programs):
    """What the tiny experiment gives when all of it fits."""
    return story.run(settings(store), tmp_path_factory.mktemp("one") / "run", Console(quiet=True))


def same(rows, others):
    """Equal members in equal order, with accuracies to an image: waves of another shape may differ in last bits."""
    assert [row["member"] for row in rows] == [row["member"] for row in others]
    for column, images in (("val_accuracy", 259), ("test_accuracy", 500)):
        apart = [abs(row[column] - other[column]) for row, other in zip(rows, others)]
        assert max(apart) < 1.5 / images


@pytest.mark.parametrize("calls, waves", [((1,), 2), ((1, 2), 4)])
def test_waves_halve_until_they_fit(tmp_path, store, one_wave, capsys, calls, waves):
    with problem_at(FULL, *calls):
        rows = story.run(settings(store), tmp_path / "run", Console())
    same(rows, one_wave)
    told = re.findall(
        r"out of memory: predicted (\S+) GB of (\S+) GB; waves halved to (\d) in all "
        r"\(set config.compute.memory_gb below (\S+) to plan for it",
        capsys.readouterr().out,
    )
    assert [int(line[2]) for line in told] == [2, 4][: len(calls)]
    assert all(float(line[0]) == float(line[3]) > 0 and float(line[0]) < float(line[1]) for line in told)
    assert len(json.loads((tmp_path / "run" / "plan.json").read_text())["waves"]) == waves
    assert sorted({row["wave"] for row in rows}) == list(range(waves))


def test_what_is_finished_when_the_device_fills_up_is_kept(tmp_path, store, one_wave):
    with problem_at(FULL, 5):  # the second chunk of the second wave
        asked = settings(store, {"compute.memory_gb": tiny.room_for(2), "keep.students": "all"})
        rows = story.run(asked, tmp_path / "run", Console(quiet=True))
    same(rows, one_wave)
    for look in (0, 1, 3):
        assert kept.members(tmp_path / "run", look) == {row["member"] for row in rows}
    assert len(list((tmp_path / "run" / "students").iterdir())) == 3 * 4  # none of the wider wave
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["since"] == 1 and len(plan["waves"]) == 3
    assert [row["wave"] for row in rows_of(tmp_path / "run")] == [0] * 4 + [1] * 2 + [2] * 2


def test_what_was_lost_of_a_wave_before_the_halving_is_trained_again(tmp_path, store, one_wave):
    two_waves, log = settings(store, {"compute.memory_gb": tiny.room_for(2)}), tmp_path / "run" / "results.jsonl"
    with problem_at(FULL, 4):  # the first chunk of the second wave
        story.run(two_waves, tmp_path / "run", Console(quiet=True))
    log.write_bytes(log.read_bytes().partition(b"\n")[2])  # the first record, of the wider wave
    rows = story.run(two_waves, tmp_path / "run", Console(quiet=True))
    same(rows, one_wave)
    assert [row["wave"] for row in rows_of(tmp_path / "run")] == [0] * 3 + [1] * 2 + [2] * 2 + [0]


def test_a_device_without_room_for_one_student_is_told_in_one_line(tmp_path, store):
    axes = {"sweep.seed": (0,), "sweep.ipc": (1,), "sweep.labels": ("hard",)}
    with problem_at(FULL, 1), pytest.raises(errors.ConfigError, match="lower config.student.batch"):
        story.run(settings(store, axes), tmp_path / "run", Console(quiet=True))


def test_other_errors_of_the_device_are_not_swallowed(tmp_path, store):
    other = jax.errors.JaxRuntimeError("INTERNAL: something else")
    with problem_at(other, 1), pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        story.run(settings(store), tmp_path / "run", Console(quiet=True))


def test_a_finished_wave_is_never_trained_again(tmp_path, store, one_wave):
    two_waves, trained = settings(store, {"compute.memory_gb": tiny.room_for(2)}), []
    with problem_at(errors.Interrupted("stop"), 5), pytest.raises(errors.Interrupted):
        story.run(two_waves, tmp_path / "run", Console(quiet=True))
    assert len(rows_of(tmp_path / "run")) == 4
    with tiny.before_chunk(lambda program, index: trained.append(index)):
        rows = story.run(two_waves, tmp_path / "run", Console(quiet=True))
    assert trained == [1, 2]  # of the second wave, whose first chunk was saved
    same(rows, one_wave)  # a budget for a part of the students changes no accuracy
    assert [row["wave"] for row in rows_of(tmp_path / "run")] == [0] * 4 + [1] * 4
