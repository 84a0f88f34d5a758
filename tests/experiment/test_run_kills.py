"""Whole runs in processes of their own: killed, stopped, and in bare surroundings, they end with the same table."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.experiment.store import manifest, results

TRIES = Path(__file__).with_name("tries.py")
FLAGS = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1"
CHANGES = {"sweep.ipc": (1,), "compute.checkpoint_seconds": 0.0, "keep.students": "all"}
UNDISTURBED = ("manifest", 0, "")  # no call has this number


def left(workdir):
    """What a run leaves of students: the curve of each, all curves, and kept networks by file."""
    log = {row["member"]: row["curve"] for row in results.read(workdir / "results.jsonl")}
    return (
        log,
        (workdir / "curves.npz").read_bytes(),
        {p.name: p.read_bytes() for p in (workdir / "students").iterdir()},
    )


def run_tries(file, workdir, tries, **environment):
    """The exit code of every try, each in a process of its own; all that was said; seconds of work from a signal to its end."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", TRIES, file, workdir, json.dumps(tries)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500,
        env={"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS, **kept, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"')]
    seconds = [after["end"] - before["signal"] for before, after in zip(told, told[1:]) if "signal" in before]
    return [t["exit"] for t in told if "exit" in t], done.stdout + done.stderr, seconds


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, kept_programs):
    """A config file, the table of a run in two waves, and the environment that shares its programs.

    The environment has no HOME, and no terminal is there.
    """
    base = tmp_path_factory.mktemp("processes")
    file = tiny.config_file(base, CHANGES | {"compute.memory_gb": tiny.room_for(2, CHANGES)})
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(kept_programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    codes, told, _ = run_tries(file, base / "run", [UNDISTURBED], PYTHONHASHSEED="0", **environment)
    assert codes == [0], told
    assert "\x1b" not in told and str(base / "run" / "report.html") in told  # plain lines
    assert len(json.loads((base / "run" / "plan.json").read_text())["waves"]) == 2
    return file, (base / "run" / "results.csv").read_bytes(), environment


def test_killed_anywhere_and_resumed_a_run_ends_with_the_same_table(undisturbed, tmp_path):
    """Byte for byte, also with other hashes, and in a folder that nobody would choose."""
    file, table, environment = undisturbed
    workdir = tmp_path / "läuft überall 数字"
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
    codes, told, _ = run_tries(file, workdir, [*kills, UNDISTURBED], PYTHONHASHSEED="12345", **environment)
    assert codes == [-signal.SIGKILL] * len(kills) + [0], told
    assert (workdir / "results.csv").read_bytes() == table
    log = (workdir / "results.jsonl").read_bytes()
    assert log.count(b"\n") == table.count(b"\n") - 1 == 4  # none lost, none twice
    assert (
        left(workdir) == left(file.parent / "run") and len(left(workdir)[2]) == 2 * 4
    )  # of two waves, three looks each
    assert manifest.verify(workdir) == []
    assert not (workdir / "checkpoints").exists() and not list(workdir.rglob("*tmp*"))


KILLS = 100
SOON = [(place, turn) for place in ("save", "chunk", "progress") for turn in (1, 2)]  # so a run is killed many times
LATE = [("append", 1), ("append", 1), ("csv", 1), ("manifest", 1)]


@pytest.mark.long
def test_killed_a_hundred_times_runs_end_with_the_same_table(undisturbed, tmp_path):
    """As many runs as it takes, each killed at up to ten moments, most of them drawn, and then left to end."""
    (file, table, environment), draw, kills, rounds = undisturbed, random.Random(0), 0, 0
    while kills < KILLS:
        workdir = tmp_path / str(rounds)
        places = [*draw.choices(SOON, k=6), *LATE]
        tries = [*((*place, draw.choice(["kill before", "kill after"])) for place in places), UNDISTURBED]
        codes, told, _ = run_tries(file, workdir, tries, PYTHONHASHSEED=str(rounds), **environment)
        assert codes[-1] == 0 and set(codes) <= {0, -signal.SIGKILL}, told
        assert (workdir / "results.csv").read_bytes() == table
        assert (workdir / "results.jsonl").read_bytes().count(b"\n") == 4  # none lost, none twice
        assert manifest.verify(workdir) == [] and "Traceback" not in told
        kills, rounds = kills + codes.count(-signal.SIGKILL), rounds + 1
    print(f"{kills} kills in {rounds} runs survived")


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


def test_a_signal_ends_any_other_stage_with_the_same_code(undisturbed, tmp_path):
    """Where there is no boundary: before there is a folder, while labels are made, once all rows are there."""
    environment = undisturbed[2]
    file = tiny.config_file(tmp_path, CHANGES | {"compute.grace_seconds": 0.5})
    tries = [("data", 1, "stop"), ("labels", 1, "stop"), ("report", 1, "stop"), ("progress", 1, "kill before")]
    codes, told, seconds = run_tries(file, tmp_path / "run", tries, **environment)
    assert codes == [errors.Interrupted.exit_code] * 3 + [0], told
    assert told.count("interrupted; the same command goes on from there") == 2 and "Traceback" not in told
    assert "stopped; the same command goes on from the last checkpoint" in told
    assert max(seconds) < 10 and manifest.verify(tmp_path / "run") == []
