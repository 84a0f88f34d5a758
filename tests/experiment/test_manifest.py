"""The manifest of a finished run tells of every change."""

import errno
import hashlib
import json
import os

import pytest

from jaxsoft import errors, files
from jaxsoft.experiment.store import manifest
from jaxsoft.experiment.store.folder import RunFolder


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "runs with space" / "ü"
    with RunFolder(path).open({"seed": 0}) as run:
        (path / "teachers" / "0").mkdir(parents=True)
        (path / "teachers" / "0" / "ü").write_bytes(b"abc")
        (path / "logs").mkdir()
        (path / "logs" / "console.txt").write_text("line")
        manifest.write(run)
        manifest.write(run)  # the second does not list the first
    return path


def test_the_manifest_lists_what_a_run_left(finished):
    files = json.loads((finished / "manifest.json").read_text())["files"]
    assert list(files) == ["config.json", "teachers/0/ü"]
    assert files["teachers/0/ü"] == {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}


def test_an_untouched_folder_is_well(finished):
    (finished / "report.html").write_text("came later")
    (finished / "logs" / "console.txt").write_text("another line")
    assert manifest.verify(finished) == []


def test_changes_are_told_apart(finished):
    (finished / "teachers" / "0" / "ü").write_bytes(b"abd")
    (finished / "config.json").unlink()
    assert manifest.verify(finished) == ["config.json: missing", "teachers/0/ü: changed since the run finished"]
    (finished / "teachers" / "0" / "ü").write_bytes(b"abcd")
    assert manifest.verify(finished)[1] == "teachers/0/ü: 4 bytes, 3 when the run finished"


def test_every_altered_byte_of_the_manifest_is_noticed(finished):
    content = (finished / "manifest.json").read_bytes()
    for at in range(len(content)):
        altered = bytearray(content)
        altered[at] ^= 1 << at % 7
        (finished / "manifest.json").write_bytes(altered)
        try:
            problems = manifest.verify(finished)
        except errors.CheckpointError:
            continue
        assert problems or json.loads(altered) == json.loads(content), bytes(altered)


WHOLE = {"bytes": 1, "sha256": ""}


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "3", "null", '{"files": 3}', '{"files": []}', '{"files": {"a": 3}}', '{"files": {"a": {}}}',
        '{"files": {}, "more": 1}', "[" * 100_000, '{"files": {"a": {"bytes": "1", "sha256": ""}}}',
        '{"files": {"a": {"bytes": 1, "sha256": []}}}', '{"files": {"a": {"bytes": true, "sha256": ""}}}',
        '{"files": {"a": {"bytes": %s, "sha256": ""}}}' % ("9" * 5000),
    ],
)  # fmt: skip
def test_a_manifest_that_is_none(finished, content):
    (finished / "manifest.json").write_text(content)
    for reads in (manifest.verify, lambda path: manifest.extend(RunFolder(path), ("report.html",))):
        with pytest.raises(errors.CheckpointError, match="cannot read .*manifest.json"):
            reads(finished)


def test_no_manifest(tmp_path):
    with pytest.raises(errors.CheckpointError, match="has not finished: it has no manifest.json; run the same command"):
        manifest.verify(tmp_path)
    with pytest.raises(errors.CheckpointError, match="no run folder at .*nowhere"):
        manifest.verify(tmp_path / "nowhere")


def again(path, *, before=lambda: None, during=lambda: None):
    """Another start of a finished run; what was done before it is older than a tick of the file system's clock."""
    before()
    for file in [path, *path.rglob("*")]:
        os.utime(file, ns=(0, file.stat().st_mtime_ns - 10**9))
    run = RunFolder(path)
    manifest.goes_on(run)
    during()
    manifest.write(run)


def test_running_again_makes_no_damage_good(finished):
    expert = finished / "teachers" / "0" / "ü"
    again(finished, before=lambda: expert.write_bytes(b"abd"))
    assert manifest.verify(finished) == ["teachers/0/ü: changed since the run finished"]
    again(finished, before=expert.unlink)
    assert manifest.verify(finished) == ["teachers/0/ü: missing"]
    again(finished, during=lambda: expert.write_bytes(b"trained again"))
    assert manifest.verify(finished) == [] and not (finished / ".resumed").exists()
    again(finished, during=expert.unlink)
    assert manifest.verify(finished) == [] and list(manifest.listed(RunFolder(finished))) == ["config.json"]


def test_what_a_killed_start_wrote_is_as_the_run_left_it(finished):
    def killed():
        manifest.goes_on(RunFolder(finished))
        (finished / "config.json").write_text("written by a start that was killed")

    again(finished, before=killed)
    assert manifest.verify(finished) == []


def test_a_manifest_that_cannot_be_read_is_told_and_written_anew(finished, caplog):
    (finished / "manifest.json").write_text("[]")
    again(finished)
    assert "it holds no list of files: every file is listed as it is now" in caplog.text
    assert manifest.verify(finished) == []


def test_locks_and_what_is_not_yet_in_place_are_not_listed(finished):
    (finished / "teachers" / "0" / "lock").write_text("")
    (finished / ".report.k_3xyz9a.tmp").mkdir()
    for name in (".report.k_3xyz9a.tmp/0", ".plan.json.0123abcd.tmp", ".mine.tmp"):
        (finished / name).write_text("")
    manifest.write(RunFolder(finished))
    assert list(manifest.listed(RunFolder(finished))) == [".mine.tmp", "config.json", "teachers/0/ü"]


def test_a_manifest_reaches_nothing_outside(finished, tmp_path):
    (tmp_path / "secret").write_text("x")
    names = ["../../secret", str(tmp_path / "secret")]
    (finished / "manifest.json").write_text(json.dumps({"files": dict.fromkeys(names, WHOLE)}))
    assert manifest.verify(finished) == [f"{name}: lies outside the run folder" for name in names]


def test_names_that_no_file_can_have(finished):
    names = ["a\0b", "\ud800", "x" * 300, "config.json/x", "\x1b[2J"]
    (finished / "manifest.json").write_text(json.dumps({"files": dict.fromkeys(names, WHOLE)}))
    told = manifest.verify(finished)
    assert len(told) == len(names) and all(line.isprintable() for line in told)


def test_what_hangs_or_leads_elsewhere_is_told(finished, tmp_path):
    path, outside = finished / "config.json", tmp_path / "elsewhere"
    path.rename(outside)
    path.symlink_to(outside)
    assert manifest.verify(finished) == ["config.json: is a link now"]
    path.unlink()
    os.mkfifo(path)
    assert manifest.verify(finished) == ["config.json: cannot be read (it is a named pipe, not a regular file)"]
    (finished / "manifest.json").unlink()
    os.mkfifo(finished / "manifest.json")
    with pytest.raises(errors.CheckpointError, match="manifest.json: it is a named pipe"):
        manifest.verify(finished)


def test_a_file_that_cannot_be_read_is_told_when_the_manifest_is_written(finished, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files, "opened", fail)
        with pytest.raises(errors.CheckpointError, match="cannot read .*config.json: Input/output error"):
            manifest.write(RunFolder(finished))
    assert manifest.verify(finished) == []
