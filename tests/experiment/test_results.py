"""The log of results: no finished row is lost, doubled or altered without notice; the table is derived from it."""

import errno
import json
import logging
import os
import zlib

import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.experiment.store import results
from jaxsoft.experiment.store.results import ResultsLog, write_csv

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
    assert log.finished == {row["member"] for row in ROWS}
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
        assert log.finished == {row["member"] for row in ROWS[:whole]}
        log.append(ROWS)  # the wave runs again
        log.close()
        assert path.read_bytes() == content
    assert not path.with_name("results.jsonl.corrupt").exists()


def test_every_altered_byte_is_noticed_and_the_other_records_are_kept(path, quick_disk, caplog):
    content = fill(path, ROWS[:3])
    second = range(content.index(b"\n") + 1, content.index(b"\n", content.index(b"\n") + 1))
    for at, bit in [(i, bit) for i in second for bit in (0, i % 8)]:  # the lowest bit turns a digit into a digit
        altered = bytearray(content)
        altered[at] ^= 1 << bit
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


def test_a_sync_that_fails_is_not_reported_as_written(path, monkeypatch):
    log = ResultsLog(path)

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(errors.CheckpointError, match="Input/output error") as caught:
            log.append(ROWS)
    assert caught.value.exit_code == 4
    assert log.finished == set() and path.read_bytes() == b""


def test_a_log_that_cannot_be_opened(tmp_path):
    with pytest.raises(errors.CheckpointError, match="cannot write .*results.jsonl: No such file or directory"):
        ResultsLog(tmp_path / "absent" / "results.jsonl")


def remove(path):
    path.unlink()


def truncate(path):
    os.truncate(path, 0)


def cut(path):
    os.truncate(path, path.stat().st_size - 200)


def replace(path):
    path.rename(path.with_name("moved"))
    path.write_bytes(b"another file\n")


def alter(path):
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [remove, truncate, cut, replace, alter])
@pytest.mark.parametrize("then", ["append", "read"])
def test_what_is_taken_away_while_the_log_is_open_is_written_again(path, caplog, harm, then):
    fill(path, ROWS[:2])
    log = ResultsLog(path)
    log.append(ROWS[2:4])
    harm(path)
    if then == "append":
        log.append(ROWS[4:])
    wanted = ROWS if then == "append" else ROWS[:4]
    for rows in (log.read(), ResultsLog(path).read()):
        assert sorted(rows, key=lambda row: row["member"]) == wanted
    assert caplog.text.count("what it held is written again") == 1
    log.append(ROWS)
    log.close()
    assert len(results.read(path)) == len(ROWS)


def test_a_log_whose_folder_was_moved_is_told_and_whole_where_it_went(path):
    log = ResultsLog(path)
    log.append(ROWS[:2])
    path.parent.rename(path.parent.with_name("moved"))
    with pytest.raises(errors.CheckpointError, match="No such file or directory; was its folder moved or deleted?"):
        log.append(ROWS[2:])
    log.close()
    assert results.read(path.parent.with_name("moved") / path.name) == ROWS


def test_a_log_that_is_a_link_or_a_pipe_is_refused(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(errors.CheckpointError, match="results.jsonl: it is a link"):
        ResultsLog(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(errors.CheckpointError, match="results.jsonl: it is a named pipe"):
        ResultsLog(path)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("payload", [b"[]", b"3", b'{"ipc":1}', b'{"member":1}', b"[" * 100_000, b"{]"])
def test_a_sound_record_that_is_no_row_is_set_aside(path, payload):
    fill(path, ROWS[:1])
    with open(path, "ab") as file:
        file.write(b'{"crc":"%08x","len":%d,"row":%s}\n' % (zlib.crc32(payload), len(payload), payload))
        file.write(b'{"crc":"00000000","len":%s,"row":%s}\n' % (b"9" * 5000, payload))
    assert ResultsLog(path).read() == ROWS[:1]
    assert path.with_name("results.jsonl.corrupt").read_bytes().count(payload) == 2


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
        "member dataset fingerprint model seed subset_seed select without ipc labels teacher_epoch learning_rate "
        "weight_decay steps loss optimizer augment protocol val_accuracy test_accuracy paper_accuracy accuracy_by_class status first_bad_step "
        "wave device version commit".split()
    )
