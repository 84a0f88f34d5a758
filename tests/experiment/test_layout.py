"""Which groups are measured, what a user has given, and that a run keeps what it began with."""

import json

import pytest
import tiny_run

from jaxsoft.experiment import layout, plan, run, waves
from jaxsoft.experiment.console import Console
from jaxsoft.training import cost, tuning
from jaxsoft.training.tuning import Layout, Table

CONV = {"student.model": "convnet(depth=1, width=4)", "compute.tune": "always"}


@pytest.fixture
def asked(monkeypatch):
    """A search that always finds one image at a time, one lowering for all; remembers what it was asked."""
    seen = []

    def search(recipe, shape, members, start, table, free):
        seen.append((recipe.batch, start, tuple(free)))
        return Layout(1, 1, "map")

    monkeypatch.setattr(tuning, "search", search)
    return seen


def made(changes=()):
    settings = tiny_run.settings(changes)
    return plan.make(settings, run.load(settings), None, {}), settings


def measured(changes=(), **kwargs):
    told = []
    return layout.measured(*made(changes), Table(), told.append, **kwargs), told


def test_always_measures_every_group_and_says_so(asked):
    found, told = measured(CONV)
    assert {(g.block, g.tile, g.lowering) for g in found.groups} == {(1, 1, "map")}
    assert [batch for batch, _, _ in asked] == [10, 16] and len(told) == 2
    assert {(b.block, b.tile, b.lowering) for b in found.buckets()} == {(1, 1, "map")}


def test_auto_measures_what_trains_for_minutes(asked, monkeypatch):
    changes = CONV | {"compute.tune": "auto"}
    small = changes | {"compute.memory_gb": 1e-4}
    assert measured(small)[0] == made(small)[0] and len(made(small)[0].waves) > 1 and asked == []
    monkeypatch.setattr(cost, "estimated_seconds", lambda flops: 1e3)
    measured(changes)
    assert len(asked) == 2


def test_never_and_a_dry_run_measure_nothing(asked):
    assert measured(CONV | {"compute.tune": "never"})[1] == measured(CONV, only_known=True)[1] == asked == []


def test_what_a_user_forces_stays(asked):
    measured(CONV | {"compute.block": 2})
    measured(CONV | {"compute.tile": 5, "compute.lowering": "patches"})
    assert [free for _, _, free in asked] == [("tile", "lowering")] * 2 + [("block",)] * 2
    assert asked[2][1].lowering == "patches"
    all_of_it = CONV | {"compute.block": 2, "compute.tile": 5, "compute.lowering": "patches"}
    found, _ = measured(all_of_it)
    assert len(asked) == 4 and {g.lowering for g in found.groups} == {"patches"}


def test_a_resumed_run_keeps_the_layout_that_it_began_with(tmp_path, monkeypatch, kept_programs):
    """Real searches at the beginning; none afterwards, whatever the settings and the table say by then."""
    from jaxsoft.training import timing

    monkeypatch.setattr(timing, "_SECONDS", 0.001)
    monkeypatch.setattr(layout, "table", Table)
    settings = tiny_run.settings(CONV | {"sweep.ipc": (1,), "sweep.labels": ("hard",)})
    rows = run.run(settings, tmp_path, Console())
    groups = json.loads((tmp_path / "plan.json").read_text())["groups"]
    assert [how for g in groups for _, how in g["lowering"]], "no table was stored"
    (tmp_path / "results.jsonl").unlink()
    used = []
    monkeypatch.setattr(tuning, "search", lambda *args: pytest.fail("searched again"))
    monkeypatch.setattr(run, "wave_program", lambda plan, *rest: used.append(plan.buckets()) or program(plan, *rest))
    changed = tiny_run.settings(CONV | {"sweep.ipc": (1,), "sweep.labels": ("hard",), "compute.lowering": "grouped"})
    again = run.run(changed, tmp_path, Console())
    assert again == rows
    stored = [waves.layout_of(g) for g in groups]
    assert [Layout(b.block, b.tile, b.lowering) for b in used[0]] == stored


program = run.wave_program
