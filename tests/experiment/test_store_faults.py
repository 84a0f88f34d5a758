"""Checkpoints under damage, full disks and kills: what is loaded is what was saved."""

import json
import os
import resource
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.experiment.store.checkpoints import Checkpoints

LIKE = {"w": jax.ShapeDtypeStruct((16, 32), np.float32), "n": jax.ShapeDtypeStruct((), np.int32)}


def tree(step):
    return {"w": np.random.default_rng(step).normal(size=(16, 32)).astype(np.float32), "n": np.int32(step)}


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


# Damage is noticed; the checkpoint is set aside and the one before it serves.


def files(directory):
    return sorted(p for p in directory.rglob("*") if p.is_file())


def flip(directory, rng):
    sizes = [p.stat().st_size for p in files(directory)]
    path = files(directory)[rng.choice(len(sizes), p=np.array(sizes) / sum(sizes))]
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


def truncate(directory, rng):
    path = rng.choice([p for p in files(directory) if p.stat().st_size])
    os.truncate(path, rng.integers(path.stat().st_size))


def delete(directory, rng):
    path = rng.choice(sorted(directory.rglob("*")))
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pair") / "checkpoints"
    checkpoints = Checkpoints(directory)
    for step in (1, 2):
        checkpoints.save(step, tree(step))
    return directory


def damage(pair, tmp_path, harm, times, capfd):
    """How often the newest checkpoint was given up. Whatever is loaded must be as saved, whatever is bad be kept."""
    stepped_back = 0
    for trial in range(times):
        directory = tmp_path / str(trial)
        shutil.copytree(pair, directory)
        harm(directory / "2", np.random.default_rng(trial))
        harmed = {p.relative_to(directory / "2"): p.read_bytes() for p in files(directory / "2")}
        good = Checkpoints(directory).latest_good(LIKE)
        assert good is not None and good.step in (1, 2) and same(good.tree, tree(good.step)), f"trial {trial}"
        if good.step == 1:
            stepped_back += 1
            aside = directory / "2.corrupt"
            assert {p.relative_to(aside): p.read_bytes() for p in files(aside)} == harmed
            assert Checkpoints(directory).steps() == [1]
        shutil.rmtree(directory)
    assert "Traceback" not in capfd.readouterr().err
    return stepped_back


@pytest.mark.parametrize("harm, times, least", [(flip, 60, 30), (truncate, 20, 8), (delete, 10, 4)])
def test_damage_is_noticed(pair, tmp_path, harm, times, least, capfd):
    assert damage(pair, tmp_path, harm, times, capfd) >= least


@pytest.mark.long
@pytest.mark.parametrize("harm, times, least", [(flip, 1000, 500), (truncate, 200, 80), (delete, 50, 20)])
def test_much_damage_is_noticed(pair, tmp_path, harm, times, least, capfd):
    assert damage(pair, tmp_path, harm, times, capfd) >= least


@pytest.mark.parametrize("limit", range(0, 2000, 100))
def test_a_full_disk(tmp_path, capfd, limit):
    """20 sizes at which a file may grow no further."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        checkpoints.save(2, tree(2))
        message = ""
    except errors.CheckpointError as problem:
        message = str(problem)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert "File too large; earlier steps are intact" in message and "\n" not in message
    assert "Traceback" not in capfd.readouterr().err
    assert checkpoints.steps() == [1] and [p.name for p in tmp_path.iterdir()] == ["1"]
    checkpoints.save(2, tree(2))  # there is room again
    assert same(Checkpoints(tmp_path).latest_good(LIKE).tree, tree(2))


# A kill at any point leaves the state before or the state after, never a third.

POINTS = {
    "nothing written": ("os.mkdir", "3.orbax"),
    "amid writing": ("open", "record.orbax-checkpoint-tmp/metadata"),
    "all written": ("os.rename", "leaves.orbax-checkpoint-tmp"),
    "before the commit": ("os.rename", "/3'"),
    "after the commit": ("shutil.rmtree", "/1'"),
    "amid clearing up": ("os.rmdir", ""),
}
KILLED = """
import json, os, signal, sys
import numpy as np
from jaxsoft.experiment.store.checkpoints import Checkpoints

def die(event, part):
    def hook(seen, args):
        if seen == event and part in str(args):
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def tree(step):
    return {"w": np.random.default_rng(step).normal(size=(16, 32)).astype(np.float32), "n": np.int32(step)}

for name, point in json.loads(sys.argv[2]).items():
    if not os.fork():
        checkpoints = Checkpoints(os.path.join(sys.argv[1], name))
        checkpoints.save(1, tree(1))
        checkpoints.save(2, tree(2))
        die(*point)
        checkpoints.save(3, tree(3))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL, name
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, "-c", KILLED, str(directory), json.dumps(POINTS)], check=True, timeout=300)
    return directory


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_the_state_before_or_after(killed, point):
    checkpoints = Checkpoints(killed / point)
    assert not list(checkpoints.directory.glob("*tmp*"))
    good = checkpoints.latest_good(LIKE)
    assert good.step == (3 if point in ("after the commit", "amid clearing up") else 2)
    assert same(good.tree, tree(good.step))
    checkpoints.save(good.step + 1, tree(9))
    assert checkpoints.steps() == [good.step, good.step + 1]
    assert same(checkpoints.latest_good(LIKE).tree, tree(9))
