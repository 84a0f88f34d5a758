"""A run that is done stays done, whatever becomes of its report."""

import pytest
import synthetic

from jaxsoft import main
from jaxsoft.analysis import report
from jaxsoft.analysis.showing import drawing
from jaxsoft.console import Console
from jaxsoft.experiment.store import folder, manifest


@pytest.fixture
def done(tmp_path, no_drawing, few_draws):
    """The folder of a run that has just trained its last member, and its rows."""
    rows = synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5,))
    synthetic.write_run(tmp_path / "run", rows)
    return tmp_path / "run", rows


def finish(done):
    return main._finish(done[1], done[0], Console(quiet=True), "")


@pytest.mark.parametrize("problem", [ValueError("odd"), RecursionError(), main.errors.CheckpointError("full")])
def test_a_report_that_fails_costs_a_finished_run_nothing(done, monkeypatch, capsys, problem):
    def fail(*_):
        raise problem

    monkeypatch.setattr(report, "write_report", fail)
    assert main._finish(done[1], done[0], Console(), "") == 0
    told = capsys.readouterr().out
    assert f"try: jaxsoft report {done[0]}" in told
    assert "report.html" not in told and "open the report" not in told and f"table: {done[0]}/results.csv" in told
    assert manifest.verify(done[0]) == []
    done[1][0]["status"] = "failed"
    assert finish(done) == 5


def test_the_manifest_holds_the_report_and_knows_one_that_is_written_anew(done, monkeypatch, capsys):
    assert finish(done) == 0
    path = done[0]
    listed = folder.RunFolder(path).read_json("manifest.json")["files"]
    assert {"results.csv", "report.html", "summary.md", "plots/accuracy.png"} <= set(listed)
    (path / "plots" / "accuracy.png").write_bytes(b"other")
    assert manifest.verify(path) != []
    monkeypatch.setattr(drawing, "png", lambda chart: b"another version")
    assert main.main(["report", str(path)]) == 0
    assert manifest.verify(path) == []
    (path / "results.csv").write_bytes((path / "results.csv").read_bytes() + b"\n")
    assert main.main(["report", str(path)]) == 0  # vouches for its own files alone
    assert [problem.partition(":")[0] for problem in manifest.verify(path)] == ["results.csv"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": []}'])
def test_a_damaged_manifest_costs_no_report(done, capsys, caplog, content):
    (done[0] / "manifest.json").write_text(content)
    assert main.main(["report", str(done[0])]) == 0
    assert (done[0] / "report.html").exists()
    assert "the report is not listed for jaxsoft verify: cannot read " in caplog.text
    assert "run the same command again" in caplog.text


def test_a_folder_in_the_place_of_a_report_is_named_before_anything_is_replaced(done, capsys):
    (done[0] / "report.html").mkdir()
    assert main.main(["report", str(done[0])]) == 4
    assert f"cannot write the report to {done[0]}: report.html is a folder" in capsys.readouterr().err
    assert not (done[0] / "summary.md").exists() and not list(done[0].glob("plots/*"))
