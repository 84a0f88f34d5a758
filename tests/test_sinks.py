"""Sinks: each event once and in its place, own ones beside those that come along, and none that stops a run."""

import csv
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from jaxsoft import errors, imports, sinks
from jaxsoft.sinks import Sinks

OWN = """
class Keeps:
    def __init__(self, folder, name: str = "kept"):
        self.file = open(folder / name, "a")

    def write(self, event):
        self.file.write(f"{event['event']} {event['step']}\\n")
        if event["step"] == 9:
            raise RuntimeError("the disk of the other machine is full")

    def close(self):
        self.file.write("closed\\n")
        self.file.close()


class Worse(Keeps):
    def close(self):
        self.file.close()
        raise RuntimeError("nor can it be closed")


def nothing(folder):
    return 3


def stops(folder):
    raise SystemExit("no account")
"""


@pytest.fixture(autouse=True)
def mine(tmp_path):
    """`mine:` is a module beside a config; what sinks write goes to another folder."""
    (tmp_path / "mine.py").write_text(OWN)
    imports.beside(tmp_path / "config.py")
    yield
    imports.beside(None)


def teacher(step, expert=0, accuracy=0.5):
    told = {"train_loss": 1.0, "val_accuracy": accuracy, "label_entropy": 2.0}
    return {"event": "teacher", "step": step, "expert": expert, **told}


def students(step, ipc=1, labels="hard"):
    return {"event": "students", "step": step, "wave": 0, "ipc": ipc, "labels": labels, "val_accuracy": step / 10}


def member(step, key, accuracy=0.7):
    row = {"member": key, "ipc": 1, "labels": "hard", "learning_rate": 0.1, "test_accuracy": accuracy}
    return {"event": "member", "step": step, **row}


def started(folder, *events, texts=("csv",)):
    """A start of a run that hands on these events; what it said."""
    said = []
    with Sinks(texts, folder / "run" / "logs", said.append) as to:
        to.write(events)
    return said


def table(folder, kind):
    with open(folder / "run" / "logs" / f"{kind}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_each_event_once_whatever_is_told_again(tmp_path):
    assert started(tmp_path, teacher(1), teacher(1, expert=1), students(1), students(2), member(1, "a")) == []
    assert started(tmp_path, students(2), students(2, ipc=5), students(3), member(1, "a"), member(2, "b", None)) == []
    assert [(row["step"], row["expert"]) for row in table(tmp_path, "teacher")] == [("1", "0"), ("1", "1")]
    seen = [(row["step"], row["ipc"]) for row in table(tmp_path, "students")]
    assert seen == [("1", "1"), ("2", "1"), ("2", "5"), ("3", "1")]
    assert [(row["step"], row["test_accuracy"]) for row in table(tmp_path, "member")] == [("1", "0.7"), ("2", "")]


def test_nothing_is_made_where_there_is_nothing_to_tell(tmp_path):
    started(tmp_path, teacher(1))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "logs").iterdir()}
    started(tmp_path, teacher(1))
    started(tmp_path, texts=("csv", "mine:Keeps"))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "logs").iterdir()} == before
    assert not started(tmp_path / "other", teacher(1), texts=()) and not (tmp_path / "other").exists()


def test_a_sink_that_is_named_later_gets_what_is_told_from_then_on_and_again(tmp_path):
    started(tmp_path, teacher(1), teacher(2))
    started(tmp_path, teacher(1), teacher(3), texts=("csv", "mine:Keeps(name='x y')"))
    assert (tmp_path / "run" / "logs" / "x y").read_text() == "teacher 1\nteacher 3\nclosed\n"
    assert len(table(tmp_path, "teacher")) == 3


def test_a_sink_that_fails_is_told_once_and_the_others_go_on(tmp_path):
    said = started(tmp_path, *(teacher(step) for step in range(8, 12)), texts=("mine:Keeps", "csv"))
    (line,) = said
    assert line.startswith("warning: the run goes on without a sink: mine:Keeps: ")
    assert line.endswith("mine.py, line 9: RuntimeError: the disk of the other machine is full")
    assert (tmp_path / "run" / "logs" / "kept").read_text() == "teacher 8\nteacher 9\nclosed\n"
    assert len(table(tmp_path, "teacher")) == 4


def test_a_sink_that_fails_and_cannot_be_closed_is_told_once(tmp_path):
    assert len(started(tmp_path, teacher(9), texts=("mine:Worse",))) == 1
    assert "nor can it be closed" in started(tmp_path / "other", teacher(1), texts=("mine:Worse",))[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mine:stops", r"mine\.py, line 27: SystemExit: no account"),
        ("mine:nothing", r"mine:nothing should return an object with write\(event\) and close\(\), got int"),
    ],
)
def test_a_sink_that_cannot_be_made_is_told_once(tmp_path, text, problem):
    (line,) = started(tmp_path, teacher(1), teacher(2), texts=(text,))
    assert line.startswith(f"warning: the run goes on without a sink: {text}")
    assert re.search(problem, line)


def test_a_folder_that_cannot_be_written_stops_no_run(tmp_path):
    (tmp_path / "run").write_text("a file")
    (line,) = started(tmp_path, teacher(1), teacher(2))
    assert line.startswith("warning: the run goes on without a sink: csv: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cvs", r"unknown sink 'cvs'; closest: csv.* \(all of them: jaxsoft/sinks\.py\)"),
        ("csv(1)", r"csv\(1\) in .*: too many positional arguments; usage: csv\(\)"),
        ("wandb(mode=3)", r"wandb\(mode=3\) in .*: mode expects str, got 3"),
        ("wandb(mode='of')", r"wandb\(mode='of'\): mode expects one of online, offline, shared, disabled, got 'of'"),
        ("mine:absent", r"module mine has no function 'absent'; it has: "),
        ("mine:Keeps(folder='x')", r"usage: mine:Keeps\(name: str=kept\)"),
    ],
)
def test_what_is_no_sink_is_refused(text, problem):
    with pytest.raises(errors.ConfigError, match=problem):
        sinks.check(text)


def test_a_missing_package_is_one_line_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.ConfigError, match=r"^tensorboard needs .* not installed: pip install 'tensorboard>=2"):
        sinks.check("tensorboard")
    sinks.check("csv")


def test_what_is_missing_is_installed_as_the_extra_of_that_name():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    assert {name: extras[name] for name in sinks._PACKAGES} == {n: [text] for n, text in sinks._PACKAGES.items()}


def test_tensorboard_reads_the_curves_of_all_starts_as_one(tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard")
    sinks.check("tensorboard")
    for steps in ((1, 2), (2, 3)):
        events = (teacher(4, accuracy=None), *map(students, steps), member(1, "a"))
        assert started(tmp_path, *events, texts=("tensorboard",)) == []
    found = reading.EventAccumulator(str(tmp_path / "run" / "logs" / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    assert set(found.Tags()["scalars"]) == {
        "teacher train_loss/expert=0", "teacher label_entropy/expert=0",
        "students val_accuracy/ipc=1 labels=hard", "member test_accuracy/ipc=1 labels=hard",
    }  # fmt: skip
    curve = found.Scalars("students val_accuracy/ipc=1 labels=hard")
    assert [(point.step, point.value) for point in curve] == [(n, pytest.approx(n / 10)) for n in (1, 2, 3)]


def test_weights_and_biases_get_an_offline_run_that_goes_on(tmp_path, monkeypatch, capfd):
    pytest.importorskip("wandb", reason="no wandb")
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    text = "wandb(project='study', mode='offline')"
    sinks.check(text)
    assert started(tmp_path, teacher(1), students(1), texts=(text,)) == []
    assert started(tmp_path, teacher(1), students(1), students(2), texts=(text,)) == []
    runs = [*(tmp_path / "run" / "logs" / "wandb").glob("offline-run-*/run-*.wandb")]
    assert len({path.name for path in runs}) == 1
    stored = b"".join(path.read_bytes() for path in runs)
    assert stored.count(b"teacher val_accuracy/expert=0") and b"students val_accuracy/ipc=1 labels=hard" in stored
    assert capfd.readouterr() == ("", "")
