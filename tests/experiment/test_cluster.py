"""Waves that others train: the same table, refusals in one line, and what is lost when a worker stops or dies."""

import json
import os
import pickle
import signal
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jax
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.command import clusters
from jaxsoft.console import Console
from jaxsoft.experiment import run as story
from jaxsoft.experiment.cluster import worker
from jaxsoft.experiment.cluster.driver import Cluster
from jaxsoft.experiment.store import results
from jaxsoft.experiment.students import kept
from jaxsoft.main import main

CHANGES = {"sweep.ipc": (1,), "compute.checkpoint_seconds": 0.0, "keep.students": "best"}
FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no room")
MACHINES = Path(__file__).with_name("machines.py")


class Gone(Exception):
    """What Ray raises where a worker died, or a task was taken back."""


class Failed(Gone):
    """What it raises where a task has raised."""

    def __init__(self, cause):
        self.cause = cause


class Task:
    def __init__(self, function, work, wave):
        self.function, self.work, self.wave = function, work, wave


class Ray:
    """Ray as the driver knows it, in this process: a task is done when it is waited for, the last one first.

    `instead` are what the first tasks come to in the place of their rows. `on_task` is called before each.
    """

    exceptions = SimpleNamespace(RayError=Gone, RayTaskError=Failed)

    def __init__(self, *instead, cpus=1.0, on_task=lambda: None, obeys=True):
        self.instead, self.cpus, self.on_task, self.obeys = [*instead], cpus, on_task, obeys
        self.asked, self.waves = {}, []

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": self.cpus, "memory": 1e12}}, {"Alive": False, "Resources": {}}]

    def put(self, value):
        return pickle.dumps(value)

    def remote(self, **asked):
        self.asked = asked
        return lambda function: SimpleNamespace(remote=lambda work, wave: Task(function, work, wave))

    def wait(self, tasks, num_returns=1, timeout=0.0):
        for task in (task for task in tasks[-num_returns:] if not hasattr(task, "found")):
            self.on_task()
            self.waves.append(task.wave)
            task.found = self.instead.pop(0) if self.instead else task.function(pickle.loads(task.work), task.wave)
        return tasks[-num_returns:], tasks[:-num_returns]

    def cancel(self, task):
        if self.obeys:
            task.found = Gone()

    def get(self, task, timeout=None):
        if isinstance(task.found, Gone):
            raise task.found
        return task.found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The settings of a run of two waves, and its folder."""
    base = tmp_path_factory.mktemp("alone")
    changes = CHANGES | {"teacher.store": str(base / "experts")}
    asked = tiny.settings(changes | {"compute.memory_gb": tiny.room_for(2, changes)})
    story.run(asked, base / "run", Console(quiet=True))
    return asked, base / "run"


def sent(alone, folder, ray, console=None):
    """The rows of the same run, whose waves are tasks."""
    return story.run(alone[0], folder, console or Console(quiet=True), cluster=Cluster(ray, False))


def same(folder, wanted):
    for name in ("results.csv", "curves.npz", "plan.json"):
        assert (folder / name).read_bytes() == (wanted / name).read_bytes(), name
    assert {p.name for p in folder.iterdir()} == {p.name for p in wanted.iterdir()}
    same_students(folder, wanted)


def same_students(folder, wanted):
    members = kept.members(wanted)
    assert kept.members(folder) == members and len(members) == 4
    for key in members:
        jax.tree.map(np.testing.assert_array_equal, kept.read(folder, key), kept.read(wanted, key))


def test_workers_give_the_table_of_a_run_alone(alone, tmp_path):
    ray = Ray(errors.Interrupted("its machine asked the worker to stop"))
    sent(alone, tmp_path / "run", ray)
    same(tmp_path / "run", alone[1])
    assert ray.waves == [1, 1, 0]
    environment = ray.asked["runtime_env"]["env_vars"]
    assert (ray.asked["num_cpus"], environment["JAX_NUM_CPU_DEVICES"], ray.asked["max_calls"]) == (1, "1", 0)
    assert environment["XLA_FLAGS"] == os.environ["XLA_FLAGS"]


def test_a_driver_that_is_stopped_goes_on_with_the_waves_that_are_left(alone, tmp_path):
    console = Console(quiet=True)
    stopping = Ray(on_task=lambda: setattr(console, "stop", True))
    with pytest.raises(errors.Interrupted, match="stopped with 1 waves left; the same command goes on from there"):
        sent(alone, tmp_path / "run", stopping, console)
    assert len(results.read(tmp_path / "run" / "results.jsonl")) == 2
    ray = Ray()
    sent(alone, tmp_path / "run", ray)
    assert (stopping.waves, ray.waves) == ([1], [0])
    same(tmp_path / "run", alone[1])


def test_a_wave_that_ends_as_all_are_stopped_is_not_lost(alone, tmp_path):
    console, ray = Console(quiet=True), Ray(obeys=False)
    ray.put = lambda value: setattr(console, "stop", True) or pickle.dumps(value)
    with pytest.raises(errors.Interrupted, match="stopped with 2 waves left"):
        sent(alone, tmp_path / "run", ray, console)
    assert len(results.read(tmp_path / "run" / "results.jsonl")) == 4


def test_a_worker_that_is_stopped_leaves_its_checkpoint_to_the_next(alone, tmp_path):
    trained = []

    def stop(program, index):
        trained.append(index)
        if len(trained) == 2:
            raise errors.Interrupted("stopped")

    with tiny.before_chunk(stop):
        sent(alone, tmp_path / "run", Ray())
    assert [int(index) for index in trained] == [0, 1, 1, 2, 0, 1, 2]
    same(tmp_path / "run", alone[1])


def test_a_worker_that_is_cut_off_and_the_one_in_its_place_do_not_meet(alone, tmp_path):
    """A node that is taken for dead still trains: both go on from one checkpoint, and each saves its own."""
    works, trained, ray = [], [], Ray()
    ray.put = lambda value: works.append(value) or pickle.dumps(value)

    def cut_off(program, index):
        trained.append(int(index))
        if len(trained) == 2:
            replaced = worker.train(works[0], 1)
            assert isinstance(replaced, errors.Interrupted), replaced
        elif len(trained) == 4:
            raise errors.Interrupted("the other one is stopped, too")

    with tiny.before_chunk(cut_off):
        sent(alone, tmp_path / "run", ray)
    assert trained == [0, 1, 1, 2, 2, 0, 1, 2] and ray.waves == [1, 0]
    same(tmp_path / "run", alone[1])


def test_a_worker_without_room_halves_its_wave_for_itself(alone, tmp_path):
    calls = iter([FULL])

    def full(program, index):
        if problem := next(calls, None):
            raise problem

    with tiny.before_chunk(full):
        rows = sent(alone, tmp_path / "run", Ray())
    assert (tmp_path / "run" / "plan.json").read_bytes() == (alone[1] / "plan.json").read_bytes()
    assert [row["wave"] for row in results.read(tmp_path / "run" / "results.jsonl")] == [1, 2, 0, 0]
    wanted = {row["member"]: row for row in results.read(alone[1] / "results.jsonl")}
    assert all(row["test_accuracy"] == wanted[row["member"]]["test_accuracy"] for row in rows)
    same_students(tmp_path / "run", alone[1])


def test_a_worker_with_other_devices_or_versions_refuses(alone, tmp_path):
    there = worker.about()
    with mock.patch.object(worker, "about", mock.Mock(side_effect=[there, there | {"devices": "2 x cpu"}])):
        with pytest.raises(
            errors.ConfigError, match=r"worker \S+ is not like this process.*: devices 2 x cpu there, 1 x"
        ):
            sent(alone, tmp_path / "run", Ray())


def test_a_worker_that_does_not_see_the_folder_keeps_nothing_there(alone, tmp_path):
    with mock.patch.object(worker, "seal", mock.Mock(side_effect=["here", "another", "another"])):
        with pytest.raises(
            errors.ConfigError, match="config.keep.students=best needs a --workdir that all workers see"
        ):
            sent(alone, tmp_path / "kept", Ray())
    asked = tiny.settings(vars_of(alone[0]) | {"keep.students": "none"})
    seen = []
    with mock.patch.object(worker, "seal", mock.Mock(side_effect=["here", "another", "another"])):
        with tiny.before_chunk(lambda *_: seen.append((tmp_path / "run" / "checkpoints").exists())):
            sent((asked, None), tmp_path / "run", Ray())
    assert (tmp_path / "run" / "results.csv").read_bytes() == (alone[1] / "results.csv").read_bytes()
    assert not any(seen) and len(seen) == 6


def vars_of(asked):
    """What `alone` changed, once more."""
    return CHANGES | {"teacher.store": asked.teacher.store, "compute.memory_gb": asked.compute.memory_gb}


@pytest.mark.parametrize(
    ("found", "kind", "told"),
    [
        (Gone("SIGKILL\nand more"), errors.JaxsoftError, "^wave 2 ended 10 workers: SIGKILL; the same command goes on"),
        (
            Failed(ImportError("No module named 'x'")),
            errors.ConfigError,
            "cannot import .* No module named 'x'; install",
        ),
        (Failed(ValueError("a mistake")), Failed, "^a mistake$"),
        (errors.DataError("not there"), errors.DataError, "^not there$"),
    ],
)
def test_what_ends_a_wave_ends_the_run(alone, tmp_path, found, kind, told):
    with pytest.raises(kind, match=told) as problem:
        sent(alone, tmp_path / "run", Ray(found))
    assert problem.type is kind


def test_a_cluster_without_room_for_a_worker_is_told_at_once(alone, tmp_path):
    with pytest.raises(errors.ConfigError, match=r"has what one worker needs, 1 CPU; they have 0\.5 CPU$"):
        Cluster(Ray(cpus=0.5), False)
    with mock.patch.object(Ray, "nodes", lambda _: [{"Alive": True, "Resources": {"CPU": 1.0, "memory": 1.0}}]):
        with pytest.raises(errors.ConfigError, match=r"needs, 1 CPU, \S+ GB; they have 1 CPU, 1e-09 GB$"):
            sent(alone, tmp_path / "run", Ray())


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--engine=dask",), "--engine expects ray, got 'dask'"),
        (("--address=auto",), "--address=auto is of a cluster: it wants --engine=ray, too"),
        (("--engine=ray", "--address=ray://x:1"), "--address expects auto or HOST:PORT of a cluster, got 'ray://x:1'"),
        (
            ("--engine=ray", "--process=0/2"),
            "--engine=ray sends waves to workers: it takes no --process",
        ),
    ],
)
def test_flags_that_do_not_fit(capsys, flags, told):
    assert main(["run", "digits:quick", *flags]) == 2
    assert capsys.readouterr().err == f"jaxsoft: {told}\n"


def test_without_ray_it_is_told_what_to_install(capsys):
    with mock.patch.object(clusters, "util", mock.Mock(find_spec=lambda _: None)):
        assert main(["run", "digits:quick", "--engine=ray"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("jaxsoft: --engine=ray needs Ray: pip install ") and line.endswith("[cluster]'\n")


def flags_of(address):
    return {"engine": "ray", "address": address, "dry_run": False}


def test_an_address_where_nobody_is_and_signals_that_stay_ours(monkeypatch):
    for name in clusters._USUAL:  # they are set for good
        monkeypatch.setenv(name, "")
    calls = []

    def init(**flags):
        calls.append(flags["address"])
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    ray = mock.Mock(init=init)
    with mock.patch.object(clusters.importlib, "import_module", lambda _: ray):
        with pytest.raises(errors.ConfigError, match="^--address=localhost:1: no cluster of Ray .*refused"):
            clusters.joined(flags_of("localhost:1")).__enter__()
        before = signal.getsignal(signal.SIGTERM)
        with clusters.joined(flags_of("")) as joined:
            assert joined is ray and signal.getsignal(signal.SIGTERM) is before
    assert calls == ["local"] and ray.shutdown.call_count == 1


def on_machines(file, folder, workers, programs, events):
    """Run on a cluster of Ray to which these events happen; the exit codes of its drivers."""
    kept_names = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    environment = {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "1",
        "XLA_FLAGS": os.environ["XLA_FLAGS"],
        "JAX_COMPILATION_CACHE_DIR": str(programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", MACHINES, file, folder, str(workers), json.dumps(events)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500, env=kept_names | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["exit"] for line in done.stderr.splitlines() if line.startswith('{"exit')]


needs_ray = pytest.mark.skipif(not util.find_spec("ray"), reason="Ray is not installed (extra cluster)")


def compared(tmp_path, programs, workers, events, waves, changes):
    """Run in so many waves on a cluster with these events, and alone; the exit codes of the drivers."""
    changes = CHANGES | changes
    changes |= {"compute.memory_gb": tiny.room_for(waves, changes)}
    codes = on_machines(tiny.config_file(tmp_path, changes), tmp_path / "run", workers, programs, events)
    story.run(tiny.settings(changes), tmp_path / "alone", Console(quiet=True))
    for name in ("results.csv", "curves.npz", "plan.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    return codes


@needs_ray
@pytest.mark.long
def test_a_sweep_outlives_its_machines(tmp_path, kept_programs):
    """Seven waves: a worker is killed, a node comes, the driver is stopped and started, and that node is gone."""
    changes = {"sweep.seed": tuple(range(8)), "student.steps": 3000}
    events = [(0, "kill"), (2, "add"), (4, "stop"), (6, "kill"), (8, "remove")]
    assert compared(tmp_path, kept_programs, 2, events, 7, changes) == [75, 0]


@needs_ray
def test_a_worker_that_is_killed_costs_nothing(tmp_path, kept_programs):
    assert compared(tmp_path, kept_programs, 1, [(0, "kill")], 2, {"sweep.seed": (0,)}) == [0]
