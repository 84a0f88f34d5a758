"""The log of results under full disks and kills: the state before or the state after, never a third."""

import json
import resource
import subprocess
import sys

import pytest

from jaxsoft import errors
from jaxsoft.experiment.store.results import ResultsLog, write_csv

ROWS = [
    {"member": f"{i:04x}", "labels": "hard", "note": "ü" * 20, "ipc": i, "test_accuracy": 0.1 * i} for i in range(6)
]


def test_a_disk_that_fills_up_leaves_the_log_as_it_was(tmp_path):
    path = tmp_path / "results.jsonl"
    log = ResultsLog(path)
    log.append(ROWS[:2])
    before = path.read_bytes()
    for room in range(0, 600, 30):  # 20 sizes, cutting the batch of four records within and between records
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, resource.RLIM_INFINITY))
        try:
            with pytest.raises(errors.CheckpointError, match="cannot write .*results.jsonl: (No space|File too large)"):
                log.append(ROWS[2:])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert path.read_bytes() == before
        assert log.finished == {"0000", "0001"}
    log.append(ROWS[2:])
    assert log.read() == ROWS


# A kill at any point leaves the state before or the state after.

KILLED = """
import json, os, signal, sys
from jaxsoft.experiment.store.results import ResultsLog, write_csv
from pathlib import Path

def die(name, when):
    call = getattr(os, name)
    def dying(*args, **options):
        if when == "amid":
            call(args[0], args[1][: len(args[1]) * 2 // 3])
        elif when == "after":
            call(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, name, dying)

for name, (call, when, what) in json.loads(sys.argv[2]).items():
    if not os.fork():
        where = Path(sys.argv[1], name)
        where.mkdir()
        rows = json.loads(sys.argv[3])
        log = ResultsLog(where / "results.jsonl")
        log.append(rows[:2])
        write_csv(rows[:2], where / "results.csv", ["member", "ipc"])
        die(call, when)
        log.append(rows[2:]) if what == "log" else write_csv(rows, where / "results.csv", ["member", "ipc"])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL, name
"""
POINTS = {
    "before the write": ("write", "before", "log"),
    "amid the write": ("write", "amid", "log"),
    "after the write": ("write", "after", "log"),
    "after the sync": ("fsync", "after", "log"),
    "table before the sync": ("fsync", "before", "csv"),
    "table before the replacement": ("replace", "before", "csv"),
    "table after the replacement": ("replace", "after", "csv"),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", KILLED, str(directory), json.dumps(POINTS), json.dumps(ROWS)]
    subprocess.run(command, check=True, timeout=300)
    return directory


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_the_state_before_or_after(killed, point):
    where = killed / point
    log = ResultsLog(where / "results.jsonl")
    whole = {"amid the write": 4, "after the write": 6, "after the sync": 6}.get(point, 2)
    assert log.read() == ROWS[:whole]
    table = (where / "results.csv").read_text().splitlines()
    assert len(table) == 1 + (6 if point == "table after the replacement" else 2)
    log.append(ROWS)
    write_csv(log.read(), where / "results.csv", ["member", "ipc"])
    assert log.read() == ROWS
    assert (where / "results.csv").read_text() == "member,ipc\n" + "".join(f"000{i},{i}\n" for i in range(6))
    # What a killed process was about to put in place is swept when the run folder is opened.
    left = [p.name for p in where.iterdir() if not (p.name.startswith(".") and p.suffix == ".tmp")]
    assert sorted(left) == ["results.csv", "results.jsonl"]
