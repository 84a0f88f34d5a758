"""The log of results: no finished row is lost, doubled or altered without notice; the table is derived from it."""

import errno
import json
import logging
import os
import resource
import subprocess
import sys
import zlib

import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.experiment import results
from jaxsoft.experiment.results import ResultsLog, write_csv

ROWS = [
    {
        "member": f"{i:04x}",
        "labels": "teacher(epoch=3)|topk(2)",
        "note": 'ü, "quoted"}\n',
        "ipc": i,
        "test_accuracy": 0.1 * i,
    }
    for i in range(6)
]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "with space and ü").mkdir()
    return tmp_path / "with space and ü" / "results.jsonl"


@pytest.fixture
def quick_disk(monkeypatch):
    """Hundreds of syncs take seconds and are not what is tested."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def fill(path, rows=ROWS):
    log = ResultsLog(path)
    log.append(rows)
    log.close()
    return path.read_bytes()


def test_a_record_is_json_that_says_its_length_and_checksum(path):
    (line,) = fill(path, [{"member": "a", "x": 0.1}]).splitlines()
    payload = b'{"member":"a","x":0.1}'
    assert json.loads(line) == {"crc": f"{zlib.crc32(payload):08x}", "len": 22, "row": {"member": "a", "x": 0.1}}
    assert payload in line


def test_rows_come_back_as_they_were(path):
    fill(path)
    log = ResultsLog(path)
    assert log.read() == ROWS
    assert log.finished() == {row["member"] for row in ROWS}
    log.append(
        [{"member": "f", "loss": np.float32(0.1), "n": np.int64(3), "bad": float("nan"), "worse": np.float32("inf")}]
    )
    assert log.read()[-1] == {"member": "f", "loss": 0.10000000149011612, "n": 3, "bad": None, "worse": None}


def test_a_batch_is_one_write_then_a_sync(path, monkeypatch):
    log, calls = ResultsLog(path), []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda *a: calls.append("write") or write(*a))
    monkeypatch.setattr(os, "fsync", lambda *a: calls.append("fsync") or fsync(*a))
    log.append(ROWS)
    assert calls == ["write", "fsync"]


def test_a_finished_member_is_never_doubled(path):
    fill(path, ROWS[:3])
    log = ResultsLog(path)
    log.append([{**ROWS[1], "test_accuracy": 0.9}, *ROWS[2:5], ROWS[4]])
    log.append([])
    assert log.read() == ROWS[:5]
    assert ResultsLog(path).read() == ROWS[:5]


def test_a_log_cut_at_every_byte_of_its_last_three_records(path, quick_disk):
    content = fill(path)
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(ends[2], len(content) + 1):
        path.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        log = ResultsLog(path)
        assert log.read() == ROWS[:whole]
        assert log.finished() == {row["member"] for row in ROWS[:whole]}
        log.append(ROWS)  # the wave runs again
        log.close()
        assert path.read_bytes() == content
    assert not path.with_name("results.jsonl.corrupt").exists()


def test_every_altered_byte_is_noticed_and_the_other_records_are_kept(path, quick_disk, caplog):
    content = fill(path, ROWS[:3])
    second = range(content.index(b"\n") + 1, content.index(b"\n", content.index(b"\n") + 1))
    for at in second:
        altered = bytearray(content)
        altered[at] ^= 1 << at % 8
        path.write_bytes(altered)
        caplog.clear()
        log = ResultsLog(path)
        assert log.read() == [ROWS[0], ROWS[2]], at
        assert "set aside in results.jsonl.corrupt" in caplog.text
        aside = path.with_name("results.jsonl.corrupt")
        assert aside.read_bytes() == bytes(altered[second.start : second.stop + 1])
        log.append(ROWS[:3])
        log.close()
        assert ResultsLog(path).read() == [ROWS[0], ROWS[2], ROWS[1]]
        aside.unlink()


def test_two_records_run_together_are_set_aside(path):
    content = fill(path, ROWS[:4])
    path.write_bytes(content.replace(b"\n", b" ", 1))
    assert ResultsLog(path).read() == ROWS[2:4]
    path.write_bytes(content.replace(b"\n", b"\r", 2)[:-5])
    assert ResultsLog(path).read() == []
    assert path.with_name("results.jsonl.corrupt").read_bytes().count(b'"crc"') == 2 + 3


def test_an_altered_record_and_a_torn_one(path, caplog):
    content = fill(path, ROWS[:4])
    path.write_bytes(b"nonsense\n" + content[:-3])
    with caplog.at_level(logging.WARNING):
        assert ResultsLog(path).read() == ROWS[:3]
    assert path.read_bytes() == content[: content.rindex(b"\n", 0, -1) + 1]
    assert ResultsLog(path).read() == ROWS[:3]
    assert len(caplog.messages) == 1


def test_a_disk_that_fills_up_leaves_the_log_as_it_was(path):
    before = fill(path, ROWS[:2])
    log = ResultsLog(path)
    for room in range(0, 300, 15):  # 20 sizes, cutting the batch of four records within and between records
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, resource.RLIM_INFINITY))
        try:
            with pytest.raises(errors.CheckpointError, match="cannot write .*results.jsonl: (No space|File too large)"):
                log.append(ROWS[2:])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert path.read_bytes() == before
        assert log.finished() == {"0000", "0001"}
    log.append(ROWS[2:])
    assert log.read() == ROWS


def test_a_sync_that_fails_is_not_reported_as_written(path, monkeypatch):
    log = ResultsLog(path)

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(errors.CheckpointError, match="Input/output error") as caught:
            log.append(ROWS)
    assert caught.value.exit_code == 4
    assert log.finished() == set() and path.read_bytes() == b""


def test_a_log_that_cannot_be_opened(tmp_path):
    with pytest.raises(errors.CheckpointError, match="cannot write .*results.jsonl: No such file or directory"):
        ResultsLog(tmp_path / "absent" / "results.jsonl")


# A kill at any point leaves the state before or the state after.

KILLED = """
import json, os, signal, sys
from jaxsoft.experiment.results import ResultsLog, write_csv
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
    subprocess.run(command, check=True, timeout=60)
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
    assert sorted(p.name for p in where.iterdir()) == ["results.csv", "results.jsonl"]


# The table.


def test_the_table_is_the_same_whatever_the_order_of_the_rows(tmp_path):
    path = tmp_path / "results.csv"
    columns = ("member", "labels", "ipc", "test_accuracy", "teacher_epoch")
    rows = [
        {
            "member": "b",
            "labels": "swap(2)|topk(3, renormalize=True)",
            "ipc": 10,
            "test_accuracy": 0.1 + 0.2,
            "seconds": 3.2,
        },
        {"member": "a", "labels": "hard", "ipc": np.int32(1), "test_accuracy": np.float32(0.5), "teacher_epoch": None},
        {"member": "c", "test_accuracy": float("nan"), "ipc": 2, "teacher_epoch": 1e-05},
    ]
    wanted = (
        b"member,labels,ipc,test_accuracy,teacher_epoch\n"
        b"a,hard,1,0.5,\n"
        b'b,"swap(2)|topk(3, renormalize=True)",10,0.30000000000000004,\n'
        b"c,,2,,1e-05\n"
    )
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        write_csv([rows[i] for i in order], path, columns)
        assert path.read_bytes() == wanted
    write_csv(rows, path, columns, order=["c", "b"])  # the plan's order; a member of no plan comes last
    assert [line[:1] for line in path.read_text().splitlines()[1:]] == ["c", "b", "a"]


def test_the_columns_hold_no_time():
    assert results.COLUMNS == tuple(
        "member dataset fingerprint model seed subset_seed ipc labels teacher_epoch learning_rate weight_decay steps "
        "protocol val_accuracy test_accuracy status first_bad_step wave device".split()
    )
