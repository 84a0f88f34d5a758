"""Run folders of earlier formats: they are read and resumed, or it is said in one line why not."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors, main
from jaxsoft.experiment.store import manifest, results
from jaxsoft.experiment.store.checkpoints import Checkpoints, Damaged

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.fixture(params=sorted(FIXTURES.glob("run-*.zip")), ids=lambda path: path.stem)
def released(request, tmp_path):
    """A finished run of the tiny experiment, without its report."""
    zipfile.ZipFile(request.param).extractall(tmp_path / "run")
    return tmp_path / "run"


def test_it_is_whole_and_its_report_is_written(released, capsys):
    assert main.main(["verify", str(released)]) == 0
    assert len(results.read(released / "results.jsonl")) == 8
    assert main.main(["report", str(released)]) == 0
    assert "teacher(epoch=3)" in (released / "report.html").read_text()


def test_checkpoints_of_an_earlier_layout_are_never_read_and_told_in_one_line(released, caplog):
    (folder,) = (released / "teachers").iterdir()
    kept = Checkpoints(folder, keep=None, tag={"teacher": folder.name})
    assert kept.steps() == [0, 1, 2, 3]
    with pytest.raises(Damaged, match="3 was saved by an earlier version"):
        kept.restore(3, {})
    assert kept.latest_good({}) is None and kept.steps() == []
    (line,) = caplog.messages
    assert str(folder / "3") in line and "earlier version; it and others like it are made anew" in line
    kept.save(3, {"w": np.ones(2)})
    assert kept.latest_good({"w": np.ones(2)}).step == 3
    assert len(list(folder.glob("*.corrupt"))) == 4


def test_it_is_resumed_or_refused_in_one_line(released, tmp_path, capsys, kept_programs):
    table, file = (released / "results.csv").read_bytes(), tiny.config_file(tmp_path)
    with tiny.before_chunk(lambda program, index: tiny.never() if program.select else None):
        code = tiny.command(file, released)
    told = capsys.readouterr()
    if code == 0:
        assert "students: 0 of 8 left" in told.out
        assert manifest.verify(released) == []
    else:
        assert code == errors.CheckpointError.exit_code
        assert len(told.err.splitlines()) == 1 and str(released) in told.err
        assert (released / "results.csv").read_bytes() == table
