"""The manifest of a finished run tells of every change."""

import hashlib
import json

import pytest

from jaxsoft import errors
from jaxsoft.experiment import folder
from jaxsoft.experiment.folder import RunFolder


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "runs with space" / "ü"
    with RunFolder(path).open({"seed": 0}) as run:
        (path / "teachers" / "0").mkdir(parents=True)
        (path / "teachers" / "0" / "ü").write_bytes(b"abc")
        (path / "logs").mkdir()
        (path / "logs" / "console.txt").write_text("line")
        run.write_manifest()
        run.write_manifest()  # the second does not list the first
    return path


def test_the_manifest_lists_what_a_run_left(finished):
    files = json.loads((finished / "manifest.json").read_text())["files"]
    assert list(files) == ["config.json", "teachers/0/ü"]
    assert files["teachers/0/ü"] == {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}


def test_an_untouched_folder_is_well(finished):
    (finished / "report.html").write_text("came later")
    (finished / "logs" / "console.txt").write_text("another line")
    assert folder.verify(finished) == []


def test_changes_are_told_apart(finished):
    (finished / "teachers" / "0" / "ü").write_bytes(b"abd")
    (finished / "config.json").unlink()
    assert folder.verify(finished) == ["config.json: missing", "teachers/0/ü: changed since the run finished"]
    (finished / "teachers" / "0" / "ü").write_bytes(b"abcd")
    assert folder.verify(finished)[1] == "teachers/0/ü: 4 bytes, 3 when the run finished"


def test_every_altered_byte_of_the_manifest_is_noticed(finished):
    content = (finished / "manifest.json").read_bytes()
    for at in range(len(content)):
        altered = bytearray(content)
        altered[at] ^= 1 << at % 7
        (finished / "manifest.json").write_bytes(altered)
        try:
            problems = folder.verify(finished)
        except errors.CheckpointError:
            continue
        assert problems or json.loads(altered) == json.loads(content), bytes(altered)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"files": 3}', '{"files": {"config.json": 3}}', '{"files": {"config.json": {}}}']
)
def test_a_manifest_that_is_none(finished, content):
    (finished / "manifest.json").write_text(content)
    with pytest.raises(errors.CheckpointError, match="cannot read .*manifest.json"):
        folder.verify(finished)


def test_no_manifest(tmp_path):
    with pytest.raises(errors.CheckpointError, match="cannot read .*manifest.json: No such file"):
        folder.verify(tmp_path)


def test_a_manifest_reaches_nothing_outside(finished, tmp_path):
    (tmp_path / "secret").write_text("x")
    names = ["../../secret", str(tmp_path / "secret")]
    (finished / "manifest.json").write_text(json.dumps({"files": {n: {"bytes": 1, "sha256": ""} for n in names}}))
    assert folder.verify(finished) == [f"{name}: lies outside the run folder" for name in names]
