"""The README is true: its script runs, its commands exist, its files and links are there."""

import contextlib
import io
import pathlib
import re
import shlex

import pytest

from jaxsoft import config, main
from jaxsoft.command import arguments
from jaxsoft.labels.spec import LabelSpec

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CELLS = [cell for line in README.splitlines() if line.startswith("|") for cell in line.split("|")]


def test_the_opening_script_trains_its_students_and_prints_the_table():
    script = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert script is not None
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(script[1], names)  # noqa: S102
    assert len(names["rows"]) == 100
    assert {row["status"] for row in names["rows"]} == {"done"}
    header, _, *rows = printed.getvalue().splitlines()
    assert header.startswith("IPC  hard labels, %")
    assert [row.split()[0] for row in rows[:2]] == ["2", "5"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(jaxsoft run (?!--)[^`]+)`", README))))
def test_every_run_command_names_an_experiment_that_is_there_and_reads(command, monkeypatch):
    read: list[config.Settings] = []
    monkeypatch.setattr(main, "_run", lambda argv: read.append(arguments.settings(argv)[0]) or 0)
    assert main.main(shlex.split(command)[1:]) == 0
    assert read[0].data.name in command


def test_every_label_spec_in_the_tables_is_read():
    found = [text for cell in CELLS if "`hard`" in cell for text in re.findall(r"`([^`]+)`", cell)]
    operations = [
        text
        for name in ("softness", "structure")
        for line in README.splitlines()
        if line.startswith(f"| {name}")
        for text in re.findall(r"`([^`]+)`", line)
    ]
    assert len(found) == 6 and len(operations) == 9
    for text in [*found, *(f"hard|{operation}" for operation in operations)]:
        LabelSpec.parse(text).check(num_classes=10)


def test_every_linked_file_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
