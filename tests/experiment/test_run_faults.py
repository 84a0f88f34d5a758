"""Whole runs that are killed, stopped, starved or fed with rates that cannot work."""

import json
import os
import re
import signal
import subprocess
import sys

import jax
import pytest
import tiny

from jaxsoft import errors
from jaxsoft.experiment import folder, results
from jaxsoft.experiment import run as story
from jaxsoft.experiment.console import Console

pytestmark = pytest.mark.usefixtures("kept_programs")

CHANGES = {"compute.checkpoint_seconds": 0.0}  # a checkpoint after every chunk


def rows_of(path):
    log = results.ResultsLog(path / "results.jsonl")
    log.close()
    return log.read()


# Processes: what is killed or stopped goes on where it was, and ends with the bytes of a run that never was.

TWO_WAVES = CHANGES | {"sweep.ipc": (1,), "compute.memory_gb": 3e-5}
UNDISTURBED = ("", 0, "")

# One process loads the libraries and forks for every try, before JAX has started: loading is most of a tiny run.
TRIES = """
import functools, json, os, signal, sys, time
from jaxsoft import main
from jaxsoft.analysis import report
from jaxsoft.experiment import console, results, run, store
from jaxsoft.training import ensemble

PLACES = {
    "save": (store.Checkpoints, "save"), "chunk": (ensemble.Program, "chunk"), "decide": (run, "decide"),
    "append": (results.ResultsLog, "append"), "csv": (results, "write_csv"), "report": (report, "write_report"),
    "manifest": (run, "close"), "progress": (console.Console, "progress"),
}

def harm(place, turn, when):
    owner, name = PLACES[place]
    whole, turns = getattr(owner, name), iter(range(1, 1000))

    @functools.wraps(whole)
    def patched(*args, **kwargs):
        now = next(turns) == turn
        if now and when == "kill before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*args, **kwargs)
        if now and when == "kill after":
            os.kill(os.getpid(), signal.SIGKILL)
        if now and when == "stop":
            print(json.dumps({"signal": time.monotonic()}), file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            while not args[0].stop:  # until the console has heard of it
                time.sleep(0.01)
        return result

    setattr(owner, name, patched)

config, workdir, *_ = sys.argv[1:]
for place, turn, when in json.loads(sys.argv[3]):
    child = os.fork()
    if not child:
        if place:
            harm(place, turn, when)
        try:
            code = main.main(["run", f"--config={config}", f"--workdir={workdir}"])
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps({"exit": code, "end": time.monotonic()}), file=sys.stderr, flush=True)
"""


def run_tries(file, workdir, tries, **environment):
    """The exit code of every try, each in a process of its own; all that was said; seconds from a signal to its end."""
    environment = {"PATH": os.environ["PATH"], "JAX_PLATFORMS": "cpu", **environment}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRIES, str(file), str(workdir), json.dumps(tries)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"')]
    seconds = [after["end"] - before["signal"] for before, after in zip(told, told[1:]) if "signal" in before]
    return [t["exit"] for t in told if "exit" in t], done.stdout + done.stderr, seconds


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, kept_programs):
    """A config file, the table of a run in two waves, and the environment that shares its programs."""
    base = tmp_path_factory.mktemp("processes")
    file = tiny.config_file(base, TWO_WAVES)
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(kept_programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    codes, told, _ = run_tries(file, base / "run", [UNDISTURBED], PYTHONHASHSEED="0", **environment)
    assert codes == [0], told
    assert len(json.loads((base / "run" / "plan.json").read_text())["waves"]) == 2
    return file, (base / "run" / "results.csv").read_bytes(), environment


def test_killed_anywhere_and_resumed_a_run_ends_with_the_same_table(undisturbed, tmp_path):
    file, table, environment = undisturbed
    kills = [
        ("save", 2, "kill after"),  # the first epoch of the teachers is saved
        ("chunk", 2, "kill before"),  # in their third epoch
        ("chunk", 3, "kill before"),  # in the second chunk of the first wave
        ("append", 1, "kill before"),  # a whole wave is trained, no row of it written
        ("append", 1, "kill after"),  # its rows are written, its checkpoints still there
        ("save", 2, "kill after"),  # in the second wave
        ("csv", 1, "kill before"),  # all rows are there, no table
        ("report", 1, "kill after"),  # the report is written, no manifest
    ]
    codes, told, _ = run_tries(file, tmp_path / "run", [*kills, UNDISTURBED], **environment)
    assert codes == [-signal.SIGKILL] * len(kills) + [0], told
    assert (tmp_path / "run" / "results.csv").read_bytes() == table
    members = [row["member"] for row in rows_of(tmp_path / "run")]
    assert len(members) == len(set(members)) == table.count(b"\n") - 1
    assert folder.verify(tmp_path / "run") == []
    assert not (tmp_path / "run" / "checkpoints").exists() and not list(tmp_path.rglob("*tmp*"))


def test_a_signal_stops_at_the_next_boundary_and_nothing_is_trained_twice(undisturbed, tmp_path):
    file, table, environment = undisturbed
    tries = [
        ("progress", 2, "stop"),  # after the second epoch of the teachers
        ("progress", 2, "stop"),  # after the third, and the students' first chunk
        ("chunk", 6, "kill before"),  # of two waves with three chunks each, five are left: there is no sixth
    ]
    codes, told, seconds = run_tries(file, tmp_path / "run", tries, **environment)
    assert codes == [errors.Interrupted.exit_code] * 2 + [0], told
    assert "stopped after teacher epoch 2; the same command goes on from there" in told
    assert "stopped after chunk 1 of 3; the same command goes on from there" in told
    assert len(seconds) == 2 and max(seconds) < 10
    assert (tmp_path / "run" / "results.csv").read_bytes() == table


def test_neither_hashes_nor_a_bare_environment_change_a_byte(undisturbed, tmp_path):
    file, table, environment = undisturbed
    workdir = tmp_path / "läuft überall 数字"
    assert "HOME" not in environment
    codes, told, _ = run_tries(file, workdir, [UNDISTURBED], PYTHONHASHSEED="12345", **environment)
    assert codes == [0], told
    assert (workdir / "results.csv").read_bytes() == table
    assert "\x1b" not in told and str(workdir) in told  # plain lines where there is no terminal


# In this process: rates that cannot work, and a device that is full.


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
    for row in failed:
        assert row["status"] == "failed" and row["val_accuracy"] is None and row["test_accuracy"] is None
        assert 0 <= row["first_bad_step"] < 12
    assert (tmp_path / "bad" / "results.csv").read_text().count(",,,failed,") == 4
    clean = story.run(settings(store, good), tmp_path / "good", Console(quiet=True))
    healthy = [[row for row in each if row["learning_rate"] == 0.1] for each in (rows, clean)]
    assert healthy[0] == healthy[1] and len(healthy[0]) == 4


def test_a_run_in_which_all_fail_ends_with_its_report(tmp_path, store):
    axes = {"sweep.seed": (0,), "sweep.learning_rate": (1e30, 2e30), "teacher.store": str(store)}
    file = tiny.config_file(tmp_path, axes)
    assert tiny.command(file, tmp_path / "run") == errors.FINISHED_WITH_FAILED_MEMBERS
    assert {row["status"] for row in rows_of(tmp_path / "run")} == {"failed"}
    assert (tmp_path / "run" / "report.html").exists()
    assert folder.verify(tmp_path / "run") == []


def full_device(*calls):
    """Fail the numbered calls of a students' chunk as a device does that has no memory left."""
    count = iter(range(1, 1000))

    def do(program, index):
        if program.select and next(count) in calls:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte.")

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
    with full_device(*calls):
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
    with full_device(4):  # the first chunk of the second wave
        rows = story.run(settings(store, {"compute.memory_gb": 5e-5}), tmp_path / "run", Console(quiet=True))
    same(rows, one_wave)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["since"] == 1 and len(plan["waves"]) == 3
    assert [row["wave"] for row in rows_of(tmp_path / "run")] == [0] * 4 + [1] * 2 + [2] * 2


def test_a_device_without_room_for_one_student_is_told_in_one_line(tmp_path, store):
    axes = {"sweep.seed": (0,), "sweep.ipc": (1,), "sweep.labels": ("hard",)}
    with full_device(1), pytest.raises(errors.ConfigError, match="lower config.student.batch"):
        story.run(settings(store, axes), tmp_path / "run", Console(quiet=True))


def test_other_errors_of_the_device_are_not_swallowed(tmp_path, store):
    def do(program, index):
        if program.select:
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with tiny.before_chunk(do), pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        story.run(settings(store), tmp_path / "run", Console(quiet=True))


def test_a_budget_for_a_part_of_the_students_changes_no_accuracy(tmp_path, store, one_wave):
    rows = story.run(settings(store, {"compute.memory_gb": 5e-5}), tmp_path / "run", Console(quiet=True))
    same(rows, one_wave)
    assert {row["wave"] for row in rows} == {0, 1}
