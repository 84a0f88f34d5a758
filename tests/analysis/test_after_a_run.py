"""A run that is done stays done, whatever becomes of its report; and figures are ours whatever the user's settings are."""

import os
import subprocess
import sys

import pytest
import synthetic

from jaxsoft import main
from jaxsoft.analysis import plots, report
from jaxsoft.console import Console
from jaxsoft.experiment.store import folder, manifest


@pytest.fixture
def done(tmp_path, no_drawing, few_draws):
    """The folder of a run that has just trained its last member, and its rows."""
    rows = synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5,))
    synthetic.write_run(tmp_path / "run", rows)
    return tmp_path / "run", rows


def finish(done):
    return main._finish(done[1], done[0], Console(quiet=True))


@pytest.mark.parametrize("problem", [ValueError("odd"), RecursionError(), main.errors.CheckpointError("full")])
def test_a_report_that_fails_costs_a_finished_run_nothing(done, monkeypatch, capsys, problem):
    def fail(*_):
        raise problem

    monkeypatch.setattr(report, "write_report", fail)
    assert main._finish(done[1], done[0], Console()) == 0
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
    monkeypatch.setattr(plots, "png", lambda draw, *args: b"another version")
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


@pytest.mark.parametrize(
    "settings",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {"MATPLOTLIBRC": "text.usetex: True\nfont.family: none\nfigure.dpi: 9\n"},
        {"MATPLOTLIBRC": "\udcff\udcfe: 1\n"},
    ],
    ids=["notebook", "unknown backend", "usetex", "not text"],
)
def test_figures_are_the_same_under_any_settings(tmp_path, settings):
    """In a process of its own, as settings are read when matplotlib is imported."""
    file = tmp_path / "matplotlibrc"
    file.write_bytes(settings.get("MATPLOTLIBRC", "").encode(errors="surrogateescape"))
    environment = {**os.environ, **settings, "MATPLOTLIBRC": str(file)}
    code = "from jaxsoft.analysis import plots; import sys; sys.stdout.buffer.write(plots.png(plots._missing, '$x_1$'))"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert found.stdout == plots.png(plots._missing, "$x_1$")


def test_a_dollar_is_a_dollar_and_powers_are_still_powers():
    axis = plots.Figure().subplots().xaxis
    axis.axes.set(xscale="log", xlim=(1, 1e6))
    axis.set_major_formatter(plots.Powers())
    assert axis.get_major_formatter()(1000.0) == "10³"
    assert axis.get_major_formatter()(0.01) == "10⁻²"


@pytest.mark.loses
def test_a_figure_that_cannot_be_drawn_leaves_a_note_in_its_place(caplog):
    def fail():
        raise ValueError("\x1b[2J")

    assert plots.png(fail).startswith(b"\x89PNG")
    assert "could not be drawn: ValueError: \\x1b[2J" in caplog.text
