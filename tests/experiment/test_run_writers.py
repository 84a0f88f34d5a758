"""A run whose disk is taken away: told in one line, nothing lost of what was there, and the same command goes on."""

import builtins
import errno
import io
import json
import os
import shutil

import orbax.checkpoint as ocp
import pytest
import tiny_run as tiny

from jaxsoft import errors, main
from jaxsoft.experiment import run
from jaxsoft.experiment.store import checkpoints as store
from jaxsoft.experiment.store import manifest, results
from jaxsoft.experiment.tell import examples

CHANGES = {"sweep.ipc": (1,), "compute.checkpoint_seconds": 0.0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kept_programs):
    """A config file, and the folder of its run."""
    return tiny.finished(tmp_path_factory.mktemp("run"), CHANGES)


def half_done(finished, workdir):
    """Its experts are there, and half of its students."""
    shutil.copytree(finished[1], workdir, ignore=lambda *_: ["results.csv", "manifest.json", examples.NAME])
    lines = (workdir / "results.jsonl").read_bytes().splitlines(keepends=True)
    (workdir / "results.jsonl").write_bytes(b"".join(lines[:2]))


class Disk:
    """Below a folder every call that writes fails from `pull` on, as on a disk that was mounted anew to be read."""

    CALLS = (
        "open",
        "mkdir",
        "replace",
        "rename",
        "truncate",
        "utime",
        "unlink",
        "rmdir",
        "write",
        "ftruncate",
        "fsync",
    )

    def __init__(self, root, monkeypatch):
        self.root, self.pulled = str(root), False
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._guarded(getattr(os, name), name))
        for module in (builtins, io):
            monkeypatch.setattr(module, "open", self._guarded(io.open, "file"))

    def pull(self):
        self.pulled = True

    def _guarded(self, call, name):
        def guarded(where, *args, **options):
            reads = name == "open" and not (args and args[0] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            reads |= name == "file" and not set(args[0] if args else options.get("mode", "r")) & set("wxa+")
            if self.pulled and not reads and self._holds(where):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(where))
            return call(where, *args, **options)

        return guarded

    def _holds(self, where):
        if isinstance(where, int):
            where = os.readlink(f"/proc/self/fd/{where}") if os.path.exists(f"/proc/self/fd/{where}") else ""
        return os.fspath(where).startswith(self.root)


def at_first(monkeypatch, owner, name, do):
    """Do something before the first call of a place."""
    whole, waiting = getattr(owner, name), [do]

    def patched(*args, **options):
        if waiting:
            waiting.pop()()
        return whole(*args, **options)

    monkeypatch.setattr(owner, name, patched)


def contents(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name not in ("lock", "timing.json")}


def told_in_one_line(capsys):
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("jaxsoft: ")]
    return line


PLACES = {
    "a checkpoint": (store.Checkpoints, "save"),
    "rows": (results.ResultsLog, "append"),
    "the table": (results, "write_csv"),
    "examples": (examples, "write"),
    "the manifest": (run, "close"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_becomes_read_only_under_a_run(finished, tmp_path, monkeypatch, capsys, place):
    (file, whole), workdir = finished, tmp_path / "run"
    half_done(finished, workdir)
    before = {}
    with monkeypatch.context() as patch:
        disk = Disk(workdir, patch)
        at_first(patch, *PLACES[place], lambda: (before.update(contents(workdir)), disk.pull()))
        code = tiny.command(file, workdir)
    line = told_in_one_line(capsys)
    assert code == errors.CheckpointError.exit_code
    assert "Read-only file system" in line and str(workdir) in line
    assert contents(workdir) == before and not (workdir / "manifest.json").exists()
    assert tiny.command(file, workdir) == 0
    assert (workdir / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    assert manifest.verify(workdir) == []


def test_experts_on_a_disk_that_becomes_read_only(finished, tmp_path, monkeypatch, capsys):
    (file, whole), workdir = finished, tmp_path / "run"
    with monkeypatch.context() as patch:
        disk = Disk(workdir, patch)
        with tiny.before_chunk(lambda program, index: disk.pull() if index == 1 else None):
            assert tiny.command(file, workdir) == errors.CheckpointError.exit_code
    assert "cannot save checkpoint" in (line := told_in_one_line(capsys)) and "Read-only file system" in line
    trained = []
    with tiny.before_chunk(lambda program, index: program.select or trained.append(index)):
        assert tiny.command(file, workdir) == 0
    assert trained == [1, 2], "the first epoch was kept"
    assert (workdir / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


def test_a_folder_that_is_deleted_under_a_run(finished, tmp_path, capsys):
    (file, whole), workdir = finished, tmp_path / "run"
    half_done(finished, workdir)
    with tiny.before_chunk(lambda program, index: shutil.rmtree(workdir, ignore_errors=True)):
        assert tiny.command(file, workdir) == errors.CheckpointError.exit_code
    assert str(workdir) in told_in_one_line(capsys)
    assert tiny.command(file, workdir) == 0
    assert (workdir / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


def test_a_log_that_is_removed_under_a_run_loses_nothing(finished, tmp_path, capsys):
    (file, whole), workdir = finished, tmp_path / "run"
    half_done(finished, workdir)
    with tiny.before_chunk(lambda program, index: (workdir / "results.jsonl").unlink(missing_ok=True)):
        assert tiny.command(file, workdir) == 0
    assert (workdir / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    assert (workdir / "results.jsonl").read_bytes().count(b"\n") == 4


def test_a_commit_that_fails_is_no_finished_run(finished, tmp_path, monkeypatch, capsys):
    (file, whole), workdir = finished, tmp_path / "run"
    half_done(finished, workdir)

    def fail(*_, **__):
        raise RuntimeError("the commit failed\nat length")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.Checkpointer, "save", fail)
        assert tiny.command(file, workdir) == errors.CheckpointError.exit_code
    assert "the commit failed" in (line := told_in_one_line(capsys)) and "run the same command again" in line
    assert not (workdir / "manifest.json").exists() and not (workdir / "results.csv").exists()
    assert tiny.command(file, workdir) == 0
    assert (workdir / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


def test_damaged_examples_are_made_again(finished, tmp_path):
    file, workdir = finished[0], tmp_path / "run"
    shutil.copytree(finished[1], workdir)
    wanted = (workdir / examples.NAME).read_bytes()
    (workdir / examples.NAME).write_bytes(wanted[:-100])
    with tiny.before_chunk(tiny.never):
        assert tiny.command(file, workdir) == 0
    assert (workdir / examples.NAME).read_bytes() == wanted


def test_an_altered_plan_is_refused_and_without_it_the_run_goes_on(finished, tmp_path, capsys):
    (file, whole), workdir = finished, tmp_path / "run"
    half_done(finished, workdir)
    plan = json.loads((workdir / "plan.json").read_text())
    plan["groups"][0]["block"] = 10**9
    del plan["sha256"]  # as of an earlier version
    (workdir / "plan.json").write_text(json.dumps(plan))
    assert tiny.command(file, workdir) == errors.CheckpointError.exit_code
    assert "block expects an integer from 1 to 4, got 1000000000; delete it" in told_in_one_line(capsys)
    (workdir / "plan.json").unlink()
    (workdir / "checkpoints" / "wave-0-devices-1" / "1").mkdir(parents=True)  # of another plan
    assert tiny.command(file, workdir) == 0
    assert "students: 2 of 4 left" in capsys.readouterr().out
    assert (workdir / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


def test_a_report_leaves_out_what_was_altered_and_verify_tells_of_it(finished, tmp_path, caplog):
    workdir = shutil.copytree(finished[1], tmp_path / "run")
    names = ("config.json", "env.json", "plan.json", "teachers.json", "timing.json")
    for name in names:
        (workdir / name).write_text((workdir / name).read_text().replace("1", "2", 1))
    assert main.main(["report", str(workdir)]) == 0
    for name in names:
        assert f"without {name}: cannot read {workdir / name}: the record is not what was saved" in caplog.text
    assert [told.partition(":")[0] for told in manifest.verify(workdir)] == list(names[:-1])  # times are not listed
