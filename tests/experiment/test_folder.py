"""A run folder: one process, one config, files that are whole, a manifest that tells of changes."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxsoft import errors, files
from jaxsoft.experiment.store import folder
from jaxsoft.experiment.store.checkpoints import Checkpoints
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.store.results import ResultsLog

CONFIG = {"student": {"steps": 400, "model": "convnet(depth=2)"}, "sweep": {"ipc": (1, 10)}, "seed": 0, "limit": None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs with space" / "ü"


def test_a_new_folder_stores_its_config_and_an_equal_one_resumes(path):
    with RunFolder(path).open(CONFIG):
        assert files.unseal(json.loads((path / "config.json").read_text())) == {**CONFIG, "sweep": {"ipc": [1, 10]}}
    before = os.stat(path / "config.json").st_mtime_ns
    with RunFolder(path).open({"limit": None, **CONFIG}):
        pass
    assert os.stat(path / "config.json").st_mtime_ns == before


def test_a_setting_that_an_earlier_version_did_not_know_had_its_default(path):
    RunFolder(path).open(CONFIG).close()
    known = {**CONFIG, "student": {**CONFIG["student"], "loss": "soft_cross_entropy"}}
    RunFolder(path).open(known).close()
    known["student"]["loss"] = "squared_error"
    with pytest.raises(errors.CheckpointError, match='student.loss is "soft_cross_entropy" there, "squared_error" now'):
        RunFolder(path).open(known)


def test_another_config_is_refused_by_its_differing_settings(path):
    RunFolder(path).open(CONFIG).close()
    stored = (path / "config.json").read_bytes()
    with pytest.raises(errors.CheckpointError) as caught:
        RunFolder(path).open({**CONFIG, "student": {**CONFIG["student"], "steps": 500}})
    assert str(caught.value) == (
        f"run folder {path} belongs to another config: config.student.steps is 400 there, 500 now; "
        "resume with the stored settings or choose another --workdir"
    )
    assert caught.value.exit_code == 4
    other = {"student": {"steps": 500, "model": "mlp"}, "sweep": {"ipc": (1, 50)}, "seed": "0", "more": {}}
    with pytest.raises(errors.CheckpointError) as caught:
        RunFolder(path).open(other)
    assert (
        'config.student.steps is 400 there, 500 now; config.student.model is "convnet(depth=2)" there, "mlp" now; '
        "config.sweep.ipc is [1, 10] there, [1, 50] now; and 3 more; resume"
    ) in str(caught.value)
    with pytest.raises(errors.CheckpointError, match="config.limit is null there, absent now; resume"):
        RunFolder(path).open({k: v for k, v in CONFIG.items() if k != "limit"})
    assert (path / "config.json").read_bytes() == stored
    RunFolder(path).open(CONFIG).close()  # a refusal holds no lock


def test_a_second_opening_is_refused_until_the_first_is_closed(path):
    with RunFolder(path).open(CONFIG) as first:
        with pytest.raises(errors.CheckpointError, match=f"in use by process {os.getpid()}"):
            RunFolder(path).open(CONFIG)
        with pytest.raises(errors.CheckpointError, match="is open already"):
            first.open(CONFIG)
    first.close()
    first.open(CONFIG).close()


def test_a_damaged_config_is_said(path):
    RunFolder(path).open(CONFIG).close()
    (path / "config.json").write_bytes(b'{"student": ')
    with pytest.raises(errors.CheckpointError, match=r"cannot read .*config.json: not JSON"):
        RunFolder(path).open(CONFIG)


@pytest.mark.parametrize("content", ["{}", "[1]", "null", "3"])
def test_a_config_that_holds_no_settings_is_said(path, content):
    path.mkdir(parents=True)
    (path / "config.json").write_text(content)
    with pytest.raises(errors.CheckpointError, match="config.json: it holds no settings; delete it and run the same"):
        RunFolder(path).open(CONFIG)


def test_how_and_where_may_change_between_two_runs(path):
    RunFolder(path).open({"compute": {"block": 0}, "data": {"root": "", "name": "digits"}}).close()
    RunFolder(path).open({"compute": {"block": 4}, "data": {"root": "/elsewhere", "name": "digits"}}).close()
    with pytest.raises(errors.CheckpointError, match="config.data.name"):
        RunFolder(path).open({"compute": {"block": 0}, "data": {"root": "", "name": "cifar10"}})


def test_what_a_killed_process_was_writing_is_swept(path, tmp_path):
    path.mkdir(parents=True)
    (tmp_path / "victim").write_text("precious")
    (path / ".plan.json.0123abcd.tmp").write_text("[1, 2")
    (path / ".link.0123abcd.tmp").symlink_to(tmp_path / "victim")
    (path / ".report.k_3xyz9a.tmp").mkdir()
    (path / ".report.k_3xyz9a.tmp" / "0").write_text("<html")
    (path / ".mine.tmp").write_text("precious")
    (path / ".folder.0123abcd.tmp").mkdir()
    (path / ".folder.0123abcd.tmp" / "theirs").write_text("precious")
    RunFolder(path).open(CONFIG).close()
    assert sorted(p.name for p in path.iterdir()) == [".folder.0123abcd.tmp", ".mine.tmp", "config.json", "lock"]
    assert (tmp_path / "victim").read_text() == (path / ".mine.tmp").read_text() == "precious"


def test_a_failed_opening_holds_no_lock(path):
    (path / "config.json").mkdir(parents=True)
    with pytest.raises(errors.CheckpointError, match="cannot read .*config.json: it is a folder"):
        RunFolder(path).open(CONFIG)
    (path / "config.json").rmdir()
    RunFolder(path).open(CONFIG).close()


def test_an_altered_config_is_told_and_deleting_it_helps(path):
    RunFolder(path).open(CONFIG).close()
    stored = path / "config.json"
    stored.write_text(stored.read_text().replace("400", "500"))
    with pytest.raises(
        errors.CheckpointError, match="config.json: the record is not what was saved; delete it and run"
    ):
        RunFolder(path).open({**CONFIG, "student": {**CONFIG["student"], "steps": 500}})
    stored.unlink()
    RunFolder(path).open(CONFIG).close()


def test_a_config_of_an_earlier_version_has_no_seal(path):
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(CONFIG))
    RunFolder(path).open(CONFIG).close()
    with pytest.raises(errors.CheckpointError, match="belongs to another config"):
        RunFolder(path).open({**CONFIG, "seed": 7})


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"sha256": 3}', "9" * 5000, "\udcff"])
def test_what_is_no_json_is_told_in_one_line(path, content):
    path.mkdir(parents=True)
    (path / "plan.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(errors.CheckpointError, match="delete it and run the same command again") as told:
        RunFolder(path).read_json("plan.json")
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


def test_the_times_of_every_start_are_kept(path):
    def times():
        return RunFolder(path).read_json("timing.json")

    seconds = {"data": 1.0}
    with RunFolder(path, seconds).open(CONFIG):
        assert times() == {"start 1": {"data": 1.0}}  # whatever becomes of it
        seconds["teachers"] = 2.0
    seconds["report"] = 3.0
    RunFolder(path).write_times(seconds)
    with pytest.raises(errors.Interrupted), RunFolder(path, {"data": 4.0}).open(CONFIG):
        raise errors.Interrupted("stop")
    with pytest.raises(errors.CheckpointError, match="another config"):
        RunFolder(path, {"data": 9.0}).open({})  # which is no start of this run
    assert times() == {"start 1": {"data": 1.0, "teachers": 2.0, "report": 3.0}, "start 2": {"data": 4.0}}
    (path / "timing.json").write_text('{"stages": {"data": 5.0}}')  # of an earlier version
    for _ in range(folder.MOST_STARTS):
        RunFolder(path, {"data": 6.0}).open(CONFIG).close()
    assert len(times()) == folder.MOST_STARTS and times()["start 1"] == {"data": 6.0}
    (path / "timing.json").write_text("{")
    RunFolder(path, {"data": 7.0}).open(CONFIG).close()
    assert times() == {"start 1": {"data": 7.0}}


def test_json_files(path):
    run = RunFolder(path).open(CONFIG)
    run.write_json("plan.json", {"waves": np.arange(3), "rate": np.float32(0.5), "when": (1, 2), "name": "ü"})
    assert run.read_json("plan.json") == {"waves": [0, 1, 2], "rate": 0.5, "when": [1, 2], "name": "ü"}
    with pytest.raises(errors.CheckpointError, match="cannot read .*absent.json: No such file"):
        run.read_json("absent.json")
    run.close()


@pytest.mark.parametrize("limit", range(0, 2000, 100))
def test_a_full_disk_leaves_the_earlier_file(path, limit):
    run = RunFolder(path).open(CONFIG)
    run.write_json("plan.json", "earlier")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with pytest.raises(errors.CheckpointError, match="cannot write .*plan.json: File too large; what was there"):
            run.write_json("plan.json", "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert run.read_json("plan.json") == "earlier"
    assert sorted(p.name for p in path.iterdir()) == ["config.json", "lock", "plan.json"]
    run.close()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_earlier_file(path, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    run = RunFolder(path).open(CONFIG)
    run.write_json("plan.json", "earlier")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(errors.CheckpointError, match="plan.json: Read-only file system") as caught:
            run.write_json("plan.json", "later")
    assert "\n" not in str(caught.value)
    assert run.read_json("plan.json") == "earlier"
    run.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(where)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system that is really full")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_run_on_a_disk_that_is_really_full(small_disk):
    """20 amounts of free space: each step says that the disk is full or succeeds, and nothing that was there is lost."""
    state, refusals = {"w": np.arange(30_000, dtype=np.float32)}, 0
    with RunFolder(small_disk / "run").open(CONFIG) as run:
        checkpoints = Checkpoints(run.path / "checkpoints")
        log = ResultsLog(run.path / "results.jsonl")
        for trial in range(20):
            (small_disk / "ballast").write_bytes(b"")
            free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
            (small_disk / "ballast").write_bytes(bytes(max(0, free - 4096 * trial * 3)))
            steps, rows = checkpoints.steps(), log.read()
            todo = [
                lambda trial=trial: checkpoints.save(trial, state),
                lambda trial=trial: log.append([{"member": str(trial), "text": "x" * 9000}]),
                lambda trial=trial: run.write_json("timing.json", ["x" * 9000, trial]),
            ]
            for step in todo:
                try:
                    step()
                except errors.CheckpointError as problem:
                    assert "No space left on device" in str(problem)
                    refusals += 1
            assert set(steps[-1:]) <= set(checkpoints.steps()) and log.read()[: len(rows)] == rows
            assert run.read_json("config.json")["seed"] == 0
        assert 10 < refusals < 50
        (small_disk / "ballast").unlink()
        for step in todo[:1] * (19 not in checkpoints.steps()) + todo[1:]:
            step()
    good = Checkpoints(run.path / "checkpoints").latest_good(state)
    assert good is not None and good.step == 19 and np.array_equal(good.tree["w"], state["w"])
    assert "19" in ResultsLog(run.path / "results.jsonl").finished
    assert run.read_json("timing.json")[1] == 19


def test_a_file_is_on_the_disk_before_it_takes_its_name(path, monkeypatch):
    calls = []
    path.mkdir(parents=True)
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, call=call: calls.append(name) or call(*a))
    folder.write_file(path / "file", b"content")
    assert calls == ["fsync", "replace", "fsync"]
    assert (path / "file").read_bytes() == b"content"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/run"):
        with pytest.raises(errors.CheckpointError, match=f"cannot write .*{name}: (File exists|Not a directory)"):
            RunFolder(tmp_path / name).open(CONFIG)


KILLED = """
import os, signal, sys
from jaxsoft.experiment.store.folder import RunFolder

call = getattr(os, sys.argv[2])
def dying(*args):
    if sys.argv[3] == "after":
        call(*args)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[2], dying)
RunFolder(sys.argv[1]).open({"seed": 0})
"""


@pytest.mark.parametrize(
    "call, when, stored", [("fsync", "before", False), ("replace", "before", False), ("replace", "after", True)]
)
def test_a_kill_while_the_config_is_stored(path, caplog, call, when, stored):
    process = subprocess.run([sys.executable, "-c", KILLED, str(path), call, when], timeout=300)
    assert process.returncode == -9
    assert (path / "config.json").exists() == stored
    with RunFolder(path).open({"seed": 0}) as run:
        assert "taking over" in caplog.text
        assert run.read_json("config.json") == {"seed": 0}
        assert sorted(p.name for p in path.iterdir()) == ["config.json", "lock"]
