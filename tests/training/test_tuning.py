"""The search for layouts: it takes what is faster, remembers, and changes no result."""

import functools
import json

import jax
import numpy as np
import pytest
import tiny

from jaxsoft.ops import conv
from jaxsoft.training import timing, tuning
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.tuning import Layout, Table

START = Layout(2, 8)
RECIPE = tiny.CONV._replace(batch=8, slots=8, augment="none")


@pytest.fixture
def clock(monkeypatch):
    """Times by a formula instead of a clock: seconds of a step by (block, tile), of a map by lowering. Counts calls."""
    seen = {"steps": [], "maps": [], "step": lambda block, tile: 1.0, "map": {"patches": 1.0, "map": 2.0}}
    monkeypatch.setattr(timing, "steps", lambda recipe, shape, block, tile: (block, tile))
    monkeypatch.setattr(timing, "on_all_devices", lambda run, lowering: functools.partial(print, *run))
    monkeypatch.setattr(tuning, "fastest_lowerings", lambda *args: seen["maps"].append(args) or "map")

    def seconds(runs):
        seen["steps"] += [run.args for run in runs]
        return [seen["step"](*run.args) for run in runs]

    monkeypatch.setattr(timing, "seconds", seconds)
    return seen


def search(table, start=START, members=16, **kwargs):
    return tuning.search(RECIPE, tiny.SHAPE, members, start, table, **kwargs)


@pytest.mark.parametrize(
    "step, found",
    [
        (lambda block, tile: block, Layout(2, 8, "map")),  # the same time for each member: stay
        (lambda block, tile: 1.0, Layout(16, 8, "map")),  # a block costs what one member costs
        (lambda block, tile: block**2, Layout(1, 8, "map")),
        (lambda block, tile: block * (1.02 if tile == 4 else 1.05), Layout(2, 8, "map")),  # less than noise
        (lambda block, tile: block * tile, Layout(2, 1, "map")),
    ],
)
def test_the_search_follows_what_is_faster(clock, step, found):
    clock["step"] = step
    assert search(Table()) == found


def test_what_is_given_is_not_changed(clock):
    assert search(Table(), free=("tile",)) == Layout(2, 8)
    assert clock["maps"] == [] and {block for block, _ in clock["steps"]} == {2}


def test_a_layout_that_does_not_fit_in_memory_is_not_taken(clock):
    def step(block, tile):
        if block > 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
        return 1.0

    clock["step"] = step
    assert search(Table()).block == 4


def test_what_was_measured_is_remembered_by_this_device(clock, tmp_path, monkeypatch):
    first = search(Table(tmp_path))
    asked = len(clock["steps"])
    assert asked and search(Table(tmp_path)) == first and len(clock["steps"]) == asked
    search(Table(tmp_path), members=8)
    assert len(clock["steps"]) > asked, "another question"
    asked = len(clock["steps"])
    monkeypatch.setattr(tuning, "device", lambda: "another")
    search(Table(tmp_path))
    assert len(clock["steps"]) > asked, "another device"
    assert len(json.loads((tmp_path / "tuning.json").read_bytes())) == 2, "the first one's answers are kept"


def test_two_processes_add_to_one_file(tmp_path):
    one, other = Table(tmp_path), Table(tmp_path)
    one.ask(["a"], lambda: 1)
    other.ask(["b"], lambda: 2)
    assert Table(tmp_path).ask(["a"], lambda: 0) == 1 and Table(tmp_path).ask(["b"], lambda: 0) == 2


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"torn": ', b"\xff"])
def test_a_damaged_file_counts_as_empty(tmp_path, content):
    (tmp_path / "tuning.json").write_bytes(content)
    table = Table(tmp_path)
    assert table.ask(["a"], lambda: 1) == 1
    assert Table(tmp_path).ask(["a"], lambda: 0) == 1


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert Table(tmp_path / "file" / "deep").ask(["a"], lambda: 1) == 1


def test_every_map_of_every_layer_is_measured_and_the_fastest_taken(monkeypatch):
    times = {"forward": {"patches": 2.0, "map": 1.0}, "kernel_gradient": {"patches": 1.0, "map": 2.0}}
    monkeypatch.setattr(timing, "lowering_seconds", lambda problem, g: times.get(problem.map, times["forward"]))
    recipe = RECIPE._replace(model="convnet(depth=2, width=4)")
    found = tuning.fastest_lowerings(recipe, tiny.SHAPE, Layout(3, 4), Table())
    assert not isinstance(found, str)
    assert {(p.map, p.height, p.members, p.images): how for p, how in found} == {
        ("forward", 8, 3, 4): "map",
        ("kernel_gradient", 8, 3, 4): "patches",  # nobody needs the gradient in the images
        ("forward", 4, 3, 4): "map",
        ("input_gradient", 4, 3, 4): "map",
        ("kernel_gradient", 4, 3, 4): "patches",
    }


def test_a_layout_is_json_and_back():
    problem = conv.Problem("forward", 3, 4, 8, 8, 1, 4, 3, 1)
    for layout in (Layout(2, 8), Layout(2, 8, "map"), Layout(1, 4, ((problem, "patches"),))):
        assert tuning.layout_of(json.loads(json.dumps(layout)), members=3, batch=8) == layout


MAP = ["forward", 3, 4, 8, 8, 1, 4, 3, 1, "float32"]


@pytest.mark.parametrize(
    "nonsense",
    [
        None, {}, [], [1, 2], [4, 8, "map"], [0, 8, "map"], [10**9, 8, "map"], ["2", 8, "map"], [True, 8, "map"],
        [2, 3, "map"], [2, 0, "map"], [2, 16, "map"], [2, 8.0, "map"], [2, 8, "fast"], [2, 8, None], [2, 8, {"a": 1}],
        [2, 8, ["map"]], [2, 8, [[MAP, "fast"]]], [2, 8, [[MAP[1:], "map"]]], [2, 8, [[["back", *MAP[1:]], "map"]]],
        [2, 8, [[[*MAP[:-1], 4], "map"]]], [2, 8, [[[*MAP[:-2], 0, "float32"], "map"]]],
    ],
)  # fmt: skip
def test_a_layout_that_cannot_be_is_refused_and_searched_for_again(tmp_path, clock, nonsense):
    with pytest.raises(ValueError):
        tuning.layout_of(nonsense, members=3, batch=8)
    key = json.dumps(tuning.question(RECIPE, tiny.SHAPE, 3, START, Layout._fields))
    (tmp_path / "tuning.json").write_text(json.dumps({tuning.device(): {key: nonsense}}))
    found = tuning.search(RECIPE, tiny.SHAPE, 3, START, Table(tmp_path))
    assert clock["steps"], "measured anew"
    stored = json.loads((tmp_path / "tuning.json").read_text())[tuning.device()][key]
    assert tuning.layout_of(stored, members=3, batch=8) == found


@pytest.mark.parametrize("nonsense", [None, {}, [1.0], {"map": "fast"}, {"fast": 1.0}])
def test_times_that_are_none_are_measured_again(monkeypatch, nonsense):
    monkeypatch.setattr(timing, "lowering_seconds", lambda problem, g: {"patches": 2.0, "map": 1.0})
    table = Table()
    wanted = tuning.fastest_lowerings(RECIPE, tiny.SHAPE, START, table)
    table._answers = dict.fromkeys(table._answers, nonsense)
    assert tuning.fastest_lowerings(RECIPE, tiny.SHAPE, START, table) == wanted


def test_members_learn_the_same_in_a_layout_that_was_measured(monkeypatch):
    """With real times: all parts of the search, on a small network."""
    monkeypatch.setattr(timing, "_SECONDS", 0.002)
    table = Table()
    found = search(table, members=2, start=Layout(1, 8))
    assert not isinstance(found.lowering, str) and {how for _, how in found.lowering} <= set(conv.LOWERINGS)
    assert search(table, members=2, start=Layout(1, 8)) == found
    who = tiny.members([0, 1], slots=8)
    results = []
    for layout in (Layout(2, 8), found):
        bucket = Bucket(RECIPE, 2, layout.block, 2, layout.tile, layout.lowering)
        results.append(tiny.train(Program((bucket,), tiny.SHAPE, select=0), who, looked=tiny.evals(5))[-1][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


def test_what_is_forced_is_not_answered_by_what_was_measured_under_another_lowering(clock):
    """One table, two runs that force another lowering each: the answer of the first is none for the second."""
    table = Table()
    for lowering in ("map", "patches"):
        assert search(table, start=Layout(2, 8, lowering), free=("block", "tile")).lowering == lowering
