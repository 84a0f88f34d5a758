"""The README is true: its script runs, its commands exist, its files and links are there."""

import contextlib
import io
import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxsoft import Results, config, main
from jaxsoft.command import arguments
from jaxsoft.labels.spec import LabelSpec

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CELLS = [cell for line in README.splitlines() if line.startswith("|") for cell in line.split("|")]


def test_the_opening_script_trains_its_students_and_prints_the_table(tmp_path, monkeypatch):
    script, more = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2]
    for all_of_it, fewer in (("range(10)", "range(2)"), ("steps=300", "steps=30")):
        assert script.count(all_of_it) == 1
        script = script.replace(all_of_it, fewer)
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(script, names)  # noqa: S102
    assert len(names["results"]) == 20
    assert {row["status"] for row in names["results"]} == {"done"}
    header, _, *rows = printed.getvalue().splitlines()
    assert header.startswith("IPC  hard labels, %")
    assert [row.split()[0] for row in rows[:2]] == ["2", "5"]
    monkeypatch.chdir(tmp_path)
    exec(more, names)  # noqa: S102
    assert Results.load("runs/first") == names["results"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(jaxsoft run (?!--)[^`]+)`", README))))
def test_every_run_command_names_an_experiment_that_is_there_and_reads(command, monkeypatch):
    read: list[config.Settings] = []
    monkeypatch.setattr(main, "_run", lambda argv: read.append(arguments.settings(argv)[0]) or 0)
    assert main.main(shlex.split(command)[1:]) == 0
    assert read[0].data.name in command


def test_the_commands_for_a_folder_of_ones_own_train_students_on_it(tmp_path, monkeypatch):
    """As they stand, with smaller networks, fewer steps and one seed."""
    row = next(line for line in README.splitlines() if line.startswith("| your own folder"))
    prepare, run = re.findall(r"`jaxsoft ([^`]+)`", row)
    digits = load_digits()
    for i, (pixels, label) in enumerate(zip(digits.images[:300], digits.target)):
        path = tmp_path / "digits" / ("train", "val", "test")[i % 3] / str(label) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).save(path)
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "prepared"))
    monkeypatch.chdir(ROOT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main.main(shlex.split(prepare.replace("DIR", str(tmp_path / "digits")))) == 0
        small = [f"--config.{who}.model=mlp(hidden=8)" for who in ("teacher", "student")]
        more = (
            "--config.student.steps=8",
            "--config.sweep.seed=0",
            "--config.teacher.store=",
            f"--workdir={tmp_path / 'run'}",
        )
        assert main.main([*shlex.split(run), *small, *more]) == 0
    assert "10 classes; train: 100 images of train; validation: 100 of val; test: 100 of test" in printed.getvalue()
    assert (tmp_path / "run" / "report.html").exists()


def test_every_label_spec_in_the_tables_is_read():
    found = [text for cell in CELLS if "`hard`" in cell for text in re.findall(r"`([^`]+)`", cell)]
    operations = [
        text
        for name in ("softness", "structure")
        for line in README.splitlines()
        if line.startswith(f"| {name}")
        for text in re.findall(r"`([^`]+)`", line)
    ]
    assert len(found) == 10 and len(operations) == 9
    for text in [*found, *(f"hard|{operation}" for operation in operations)]:
        LabelSpec.parse(text).check(num_classes=10)


def test_every_linked_file_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []
