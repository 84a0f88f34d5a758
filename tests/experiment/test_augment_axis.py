"""Augmentation as an axis: students, and the labels of views that they see, are as they are alone."""

import contextlib
import csv
import io
import json
import re

import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.experiment import run as story
from jaxsoft.experiment.plan import stored
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.main import main

AUGMENT = "none", "crop_flip(padding=1)"
# Of images; of views; of what an expert says at every step.
LABELS = "hard", "teacher(epoch=2, views=2)", "teacher(epoch=2, online=true)"
AXES = {"sweep.augment": AUGMENT, "sweep.labels": LABELS, "sweep.ipc": (2,), "sweep.seed": (0,)}
MINE = """import jax.numpy as jnp
from jaxsoft.training.augment import Augmentation
def wrong():
    return Augmentation(1, lambda image, u, step: image[:1])
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kept_programs):
    """A config file, the folder of its run, and what it said."""
    base = tmp_path_factory.mktemp("augment")
    file = tiny.config_file(base, AXES | {"teacher.store": str(base / "experts")})
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert tiny.command(file, base / "run") == 0
    return file, base / "run", told.getvalue()


def table(folder):
    with open(folder / "results.csv", newline="") as file:
        rows = [{name: value for name, value in row.items() if name != "commit"} for row in csv.DictReader(file)]
    return {(row["augment"], row["labels"]): row for row in rows}


def curve(folder, row):
    curves = np.load(folder / "curves.npz")
    return curves["train_loss"][curves["member"].tolist().index(row["member"])].tolist()


def test_every_augmentation_has_its_own_students_in_one_program(finished):
    rows = table(finished[1])
    assert len(rows) == 6 and len({row["member"] for row in rows.values()}) == 6
    assert len({tuple(curve(finished[1], row)) for row in rows.values()}) == 6
    assert re.findall(r"chunk \d+x", finished[2]) == ["chunk 1x"]
    for text in AUGMENT:
        assert len(re.findall(rf"1 x mlp\(hidden=8\): .*, augment {re.escape(text)}\n", finished[2])) == 3


ALONE = {
    "of views": ("sweep", LABELS[1:2]),
    "online": ("sweep", LABELS[2:]),
    "as students' setting": ("student", LABELS[:2]),
}


@pytest.mark.parametrize("case", ALONE)
def test_members_alone_are_as_among_others_whichever_setting_names_their_augmentation(finished, tmp_path, case):
    """Views are labelled as the student sees them; keys are those of runs that know no such axis."""
    group, labels = ALONE[case]
    own = {"sweep.augment": ()} if group == "student" else {}
    own |= {f"{group}.augment": AUGMENT[1] if group == "student" else AUGMENT[1:], "sweep.labels": labels}
    file = tiny.config_file(tmp_path, AXES | {"teacher.store": str(finished[0].parent / "experts")} | own)
    assert tiny.command(file, tmp_path / "run") == 0
    rows, among = table(tmp_path / "run"), table(finished[1])
    assert [*rows] == [(AUGMENT[1], text) for text in labels]
    for who, row in rows.items():
        assert row == among[who]
        assert curve(tmp_path / "run", row) == curve(finished[1], among[who])


def test_members_of_an_older_plan_have_the_augmentation_of_their_recipe(finished, tmp_path):
    folder = RunFolder(finished[1])
    assert {m.augment for m in stored.as_begun(folder).members} == {*AUGMENT}
    plan = folder.read_json(stored.PLAN)
    for member in plan["members"]:
        del member["augment"]
    RunFolder(tmp_path).write_json(stored.PLAN, plan)
    assert stored.as_begun(RunFolder(tmp_path)).members == stored.as_begun(folder).members


def test_an_export_of_a_swept_augmentation_trains_the_same_student(finished, tmp_path, capsys):
    member = table(finished[1])[AUGMENT[1], "hard"]["member"]

    with tiny.plain_flags():
        own = "--labels=hard", f"--augment={AUGMENT[1]}"
        assert main(["export", str(finished[1]), f"--to={tmp_path / 'out'}", *own]) == 0
        assert main(["verify", str(tmp_path / "out"), f"--run={finished[1]}"]) == 0
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["member"] == member and AUGMENT[1] in (tmp_path / "out" / "config.py").read_text()


REFUSED = {
    ("cropflip",): "config.sweep.augment: unknown augmentation 'cropflip'; closest: crop_flip",
    ("none", "none"): "config.sweep.augment has 'none' more than once",
    ("mylab:wrong",): "config.sweep.augment: mylab:wrong should give float32 [8, 8, 1], got float32 [1, 8, 1]",
}


@pytest.mark.parametrize("axis", REFUSED)
def test_what_does_not_fit_is_one_line(axis, tmp_path, monkeypatch):
    (tmp_path / "mylab.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.ConfigError) as caught:
        story._checked(tiny.settings({"sweep.augment": axis}))
    assert str(caught.value).startswith(REFUSED[axis]) and "\n" not in str(caught.value)
