"""The README is true: its script runs, its commands exist, its files and links are there."""

import contextlib
import io
import pathlib
import re
import shlex

import pytest

from jaxsoft import config, data, main
from jaxsoft.command import arguments
from jaxsoft.labels import given
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


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(jaxsoft run --config=[^`]+)`", README))))
def test_every_run_command_names_a_config_that_is_there_and_reads(command, monkeypatch):
    monkeypatch.chdir(ROOT)
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
    assert len(found) == 7 and len(operations) == 9
    for text in [*found, *(f"hard|{operation}" for operation in operations)]:
        LabelSpec.parse(text).check(num_classes=10)


def test_rows_of_another_teacher_fit_the_command_below_them(tmp_path, monkeypatch):
    made, command = re.findall(
        r"```(?:python)?\n(.*?)```", README.partition("### Labels of another teacher")[2], re.DOTALL
    )[:2]
    monkeypatch.chdir(tmp_path)
    exec(made, {})  # noqa: S102
    words = shlex.split(command.replace("=configs", f"={ROOT}/configs"))
    labels = arguments.settings(words[2:])[0].sweep.labels
    given.check_rows(labels, data.load("digits"))
    assert [str(given.spec_of(text)).partition(",")[0] for text in labels] == ["hard", "array(linear", "array(linear"]


def test_every_linked_file_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
