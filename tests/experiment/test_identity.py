"""A number is known by all that made it: edited code, other data and other settings never get old numbers."""

import csv
import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors, sources
from jaxsoft.experiment import run
from jaxsoft.experiment.machine import commit as built
from jaxsoft.experiment.machine import environment
from jaxsoft.experiment.plan import identity, make
from jaxsoft.experiment.store import folder, manifest, starts
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.labels import ops

SPEC = "teacher(epoch=3)|smooth(0.1)"
CHANGES = {"sweep.labels": ("hard", SPEC), "sweep.ipc": (1,)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kept_programs):
    """A config file and the folder of its run."""
    return tiny.finished(tmp_path_factory.mktemp("run"), CHANGES)


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run, to be spoilt."""
    return finished[0], shutil.copytree(finished[1], tmp_path / "run")


@pytest.fixture
def edit(monkeypatch):
    """A function that edits the code of one function: what it computes, or the digest of its source alone."""
    whole, edited = sources.digest, set()
    other = lambda *functions: whole(*functions) + "*" * len(edited & {f.__name__ for f in functions})  # noqa: E731
    monkeypatch.setattr(sources, "digest", other)

    def edit(name, module=None, function=None):
        edited.add(name)
        if module:
            before = getattr(module, name)
            monkeypatch.setattr(module, name, functools.wraps(before)(function))
        identity._of_training.cache_clear()

    yield edit
    identity._of_training.cache_clear()
    jax.clear_caches()


def table(path):
    with open(path / "results.csv", newline="") as file:
        return {(row["labels"], row["seed"]): row for row in csv.DictReader(file)}


def test_edited_code_trains_what_uses_it_again_and_nothing_else(copy, edit, capsys):
    """Of 4 students 2 have smoothed labels; the others keep their rows."""
    file, path = copy
    before, log = table(path), (path / "results.jsonl").read_bytes()
    edit("smooth", ops, lambda row, amount=0.1: row[::-1])
    jax.clear_caches()
    assert tiny.command(file, path) == 0
    told = capsys.readouterr().out
    assert "edited since this run began: label operation smooth; students that use it are trained again" in told
    assert "students: 2 of 4 left" in told
    after = table(path)
    assert after.keys() == before.keys()
    for cell, row in after.items():
        assert (row == before[cell]) == (cell[0] == "hard"), cell
        assert (row["test_accuracy"] == before[cell]["test_accuracy"]) == (cell[0] == "hard"), cell
    assert (path / "results.jsonl").read_bytes().startswith(log)
    assert manifest.verify(path) == []
    assert tiny.command(file, path) == 0
    assert "students: 0 of 4 left" in capsys.readouterr().out


def test_a_loss_is_in_the_keys_of_who_minimises_it_and_the_usual_one_in_none():
    dataset = run.load(tiny.settings())

    def told(**changes):
        settings = tiny.settings({f"student.{name}": value for name, value in changes.items()})
        experts = teach(dataset, dataclasses.replace(settings.teacher, experts=0))
        context = identity.member_context(settings, dataset, experts)
        plan = make.make(settings, dataset, [[]], context | {"teacher": ""})
        return plan.keys, identity.of_student(context, plan.members[0]), json.dumps(context["learned"])

    usual, other = told(), told(loss="squared_error")
    assert "loss" not in usual[1] and other[1]["loss"] == "squared_error"
    assert "loss" not in usual[2] and other[2].count("squared_error") == 1  # of those that learn labels
    assert usual == told(loss="soft_cross_entropy") and not set(usual[0]) & set(other[0])


def test_edited_code_of_the_teachers_teaches_them_again(copy, edit, capsys):
    file, path = copy
    keys = {row["member"] for row in table(path).values()}
    edit("mlp")
    assert tiny.command(file, path) == 0
    told = capsys.readouterr().out
    assert "model mlp(hidden=8)" in told and "teacher's model mlp(hidden=8)" in told and "4 of 4 left" in told
    assert len([p for p in (path / "teachers").iterdir() if p.is_dir()]) == 2
    assert not keys & {row["member"] for row in table(path).values()}


def test_an_edited_engine_trains_all_again(copy, monkeypatch, capsys):
    file, path = copy
    monkeypatch.setattr(sources, "engine", lambda: "another")
    assert tiny.command(file, path) == 0
    assert "edited since this run began: engine" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("LIBTPU_INIT_ARGS", "--fast", "LIBTPU_INIT_ARGS was not set, is --fast now"),
        ("JAX_A_NEW_SETTING", "1", "JAX_A_NEW_SETTING was not set, is 1 now"),
    ],
)
def test_a_run_goes_on_only_under_the_settings_that_it_began_with(copy, monkeypatch, capsys, name, value, told):
    file, path = copy
    (path / "results.jsonl").write_bytes(b"")
    files = sorted(p.name for p in path.iterdir())
    monkeypatch.setenv(name, value)
    with tiny.before_chunk(tiny.never):
        assert tiny.command(file, path) == errors.CheckpointError.exit_code
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
    assert sorted(p.name for p in path.iterdir()) == files
    assert len([p for p in (path / "teachers").iterdir() if p.is_dir()]) == 1  # nobody was taught


@pytest.mark.parametrize(
    "name, value", [("jax_threefry_partitionable", False), ("jax_random_seed_offset", 7), ("jax_enable_x64", True)]
)
def test_what_is_pinned_changes_no_number(finished, tmp_path, capsys, name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        assert tiny.command(finished[0], tmp_path / "run") == 0
    finally:
        jax.config.update(name, before)
    assert (tmp_path / "run" / "results.csv").read_bytes() == (finished[1] / "results.csv").read_bytes()
    assert f"{name.upper()}={value} is not used" in capsys.readouterr().out


def test_other_data_under_the_same_name_is_refused(copy, capsys):
    file, path = copy
    stored = folder.RunFolder(path).read_json("plan.json")
    stored["identity"]["data"]["fingerprint"] = "f" * 64
    folder.RunFolder(path).write_json("plan.json", stored)
    assert tiny.command(file, path) == errors.CheckpointError.exit_code
    assert "began with other data: fingerprint was ffff" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_is_refused_and_can_still_be_read(copy, capsys):
    file, path = copy
    stored = folder.RunFolder(path).read_json("plan.json")
    del stored["identity"]
    folder.RunFolder(path).write_json("plan.json", stored)
    before = table(path)
    assert tiny.command(file, path) == errors.CheckpointError.exit_code
    told = capsys.readouterr().err
    assert "of an earlier version" in told and "choose another --workdir" in told and told.count("\n") == 1
    assert table(path) == before


def test_every_start_is_written_down_and_what_differs_is_said(copy, capsys, monkeypatch):
    file, path = copy
    assert len(json.loads((path / "env.json").read_text())["starts"]) == 1
    (path / "results.jsonl").write_bytes(b"")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    assert tiny.command(file, path) == 0
    assert "since the last start: settings.OPENBLAS_NUM_THREADS was None, is 7 now" in capsys.readouterr().out
    first, second = json.loads((path / "env.json").read_text())["starts"]
    assert second["settings"]["OPENBLAS_NUM_THREADS"] == "7" and first["versions"] == second["versions"]


@pytest.mark.parametrize("content", ["[]", "3", "{", '{"starts": 3}', '{"starts": [3]}'])
def test_starts_that_cannot_be_read_are_set_aside(tmp_path, caplog, content):
    (tmp_path / "env.json").write_text(content)
    assert starts.add_start(folder.RunFolder(tmp_path)) == []
    assert "it is set aside as env.json.corrupt, and begun anew" in caplog.text
    assert (tmp_path / "env.json.corrupt").read_text() == content
    assert len(folder.RunFolder(tmp_path).read_json("env.json")["starts"]) == 1


def test_rows_say_version_and_commit(finished):
    import jaxsoft

    rows = table(finished[1]).values()
    assert {row["version"] for row in rows} == {jaxsoft.__version__}
    assert {row["commit"] for row in rows} == {environment.commit() or ""}


def test_the_environment():
    told = environment.environment()
    assert told["versions"]["jax"] == jax.__version__ and told["versions"]["numpy"] == np.__version__
    assert set(told["versions"]) == {"python", "jaxsoft", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"}
    assert (told["device"], told["device_count"]) == (jax.devices()[0].device_kind, jax.device_count())
    assert told["commit"] is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", told["commit"])
    json.dumps(told)


def test_no_commit_without_git_or_in_a_foreign_checkout(tmp_path, monkeypatch):
    here = os.path.dirname(built.__file__)
    monkeypatch.setattr(built, "__file__", str(tmp_path / "commit.py"))
    assert built.commit() is None
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    assert built.commit() is None
    monkeypatch.setattr(built, "__file__", os.path.join(here, "commit.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert built.commit() is None
