"""Checkpoints: nothing wrong is ever loaded, and what was committed stays."""

import errno
import logging
import os
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.experiment.store import checkpoints as store
from jaxsoft.experiment.store.checkpoints import Checkpoints

LIKE = {"w": jax.ShapeDtypeStruct((16, 32), np.float32), "n": jax.ShapeDtypeStruct((), np.int32)}


def tree(step):
    return {"w": np.random.default_rng(step).normal(size=(16, 32)).astype(np.float32), "n": np.int32(step)}


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "with space and ü", tag={"config": "ab12", "jax": jax.__version__})


def test_save_and_restore(checkpoints):
    mixed = {"w": jnp.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 2), np.int8), "state": (jnp.uint32(3), None)}
    checkpoints.save(4, mixed, {"done": [1, 2], "where": "wave 1"})
    back = checkpoints.restore(4, jax.eval_shape(lambda: mixed))
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(back))
    np.testing.assert_array_equal(back["w"], [[0, 1, 2], [3, 4, 5]])
    assert back["state"] == (3, None)
    assert back["empty"].shape == (0, 2)
    good = checkpoints.latest_good(mixed)
    assert (good.step, good.extra) == (4, {"done": [1, 2], "where": "wave 1"})


@pytest.mark.parametrize("keep, kept", [(1, [4]), (2, [3, 4]), (None, [1, 2, 3, 4])])
def test_the_newest_are_kept(tmp_path, keep, kept):
    checkpoints = Checkpoints(tmp_path, keep)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, tree(step))
    assert checkpoints.steps() == kept
    assert Checkpoints(tmp_path, keep).steps() == kept
    assert all(same(checkpoints.restore(step, LIKE), tree(step)) for step in kept)


def test_nothing_saved_yet(checkpoints):
    assert checkpoints.steps() == []
    assert checkpoints.latest_good(LIKE) is None
    with pytest.raises(errors.CheckpointError, match=r"no checkpoint of step 3 .* there are \[\]"):
        checkpoints.restore(3, LIKE)


def test_a_step_is_never_overwritten(checkpoints):
    checkpoints.save(1, tree(1))
    with pytest.raises(errors.CheckpointError, match="1 exists already"):
        checkpoints.save(1, tree(2))
    assert same(checkpoints.restore(1, LIKE), tree(1))


def test_it_is_quick(checkpoints):
    """20 leaves, 1 MB: a save takes some 20 ms on an idle machine; a regression to seconds is what this notices."""
    leaves = {f"leaf {i}": np.random.default_rng(i).normal(size=(13, 1024)).astype(np.float32) for i in range(20)}
    took = []
    for step in range(5):
        start = time.perf_counter()
        checkpoints.save(step, leaves)
        checkpoints.restore(step, leaves)
        took.append(time.perf_counter() - start)
    print(f"save and restore: {1000 * min(took):.0f} ms")
    assert min(took) < 0.5


# What does not fit is refused, leaf by leaf (exit 4), and nothing is loaded.

MISMATCHES = [
    *(({**LIKE, "w": jax.ShapeDtypeStruct(s, np.float32)}, "w", f"float32{list(s)}") for s in
      [(32, 16), (16, 31), (17, 32), (512,), (1, 16, 32), (), (0,), (16,), (16, 32, 1), (15, 32), (16, 33), (2, 8, 32)]),
    *(({**LIKE, "w": jax.ShapeDtypeStruct((16, 32), d)}, "w", f"{d}[16, 32]") for d in
      ["int32", "uint32", "float16", "bfloat16", "float64", "int8", "bool"]),
    *(({**LIKE, "n": jax.ShapeDtypeStruct((), d)}, "n", f"{d}[]") for d in ["int16", "int64", "uint32", "float32"]),
    ({"w": LIKE["w"]}, "n", "absent"),
    ({"n": LIKE["n"]}, "w", "absent"),
    ({}, "w", "absent"),
    ({**LIKE, "more": LIKE["n"]}, "more", "int32[]"),
    ({"v": LIKE["w"], "n": LIKE["n"]}, "v", "float32[16, 32]"),
    ({"params": LIKE}, "params/w", "float32[16, 32]"),
    ((LIKE["n"], LIKE["w"]), "0", "int32[]"),
    ({**LIKE, "w": {"w": LIKE["w"]}}, "w/w", "float32[16, 32]"),
]  # fmt: skip
TAGS = [
    ({"config": "cd34"}, "tag.config", '"cd34"'),
    ({}, "tag.config", "absent"),
    ({"config": "ab12", "v": 2}, "tag.v", "2"),
]


@pytest.mark.parametrize("like, path, wanted", MISMATCHES)
def test_a_tree_that_does_not_match_is_refused(saved, monkeypatch, like, path, wanted):
    refused(saved, monkeypatch, like, {"config": "ab12"}, path, wanted)


@pytest.mark.parametrize("tag, path, wanted", TAGS)
def test_a_tag_that_does_not_match_is_refused(saved, monkeypatch, tag, path, wanted):
    refused(saved, monkeypatch, LIKE, tag, path, wanted)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved")
    Checkpoints(directory, tag={"config": "ab12"}).save(1, tree(1))
    return directory


def refused(directory, monkeypatch, like, tag, path, wanted):
    read, part = [], Checkpoints._part
    monkeypatch.setattr(
        Checkpoints, "_part", lambda self, step, name, args: read.append(name) or part(self, step, name, args)
    )
    checkpoints = Checkpoints(directory, tag=tag)
    for load in (lambda: checkpoints.restore(1, like), lambda: checkpoints.latest_good(like)):
        with pytest.raises(errors.CheckpointError, match="does not match") as caught:
            load()
        assert caught.value.exit_code == 4
        lines = [line.split(maxsplit=1) for line in str(caught.value).splitlines()]
        assert [rest.endswith(wanted) for name, rest in lines if name == path] == [True]
    assert read == ["record", "record"]
    assert checkpoints.steps() == [1]


# A damaged checkpoint is set aside, never deleted, and the one before it serves.


def test_a_damaged_checkpoint_is_set_aside_and_said(checkpoints, caplog):
    for step in (1, 2):
        checkpoints.save(step, tree(step))
    record = checkpoints.directory / "2" / "record" / "metadata"
    record.write_text(record.read_text().replace("float32", "float16"))
    with pytest.raises(store.Damaged, match="2 is damaged: the record is not what was saved"):
        checkpoints.restore(2, LIKE)
    assert checkpoints.steps() == [1, 2]
    with caplog.at_level(logging.WARNING):
        assert checkpoints.latest_good(LIKE).step == 1
    (said,) = caplog.messages
    assert "set aside as 2.corrupt, going one step back" in said and "\n" not in said
    checkpoints.save(2, tree(2))  # the number is free again
    assert same(checkpoints.latest_good(LIKE).tree, tree(2))
    record.write_text("{")
    assert checkpoints.latest_good(LIKE).step == 1
    assert {p.name for p in checkpoints.directory.iterdir()} == {"1", "2.corrupt", "2.corrupt1"}


def test_all_damaged(checkpoints):
    checkpoints.save(1, tree(1))
    shutil.rmtree(checkpoints.directory / "1" / "leaves")
    assert checkpoints.latest_good(LIKE) is None
    assert (checkpoints.directory / "1.corrupt").is_dir()


def test_damage_on_a_disk_that_cannot_be_written(checkpoints, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    checkpoints.save(1, tree(1))
    shutil.rmtree(checkpoints.directory / "1" / "leaves")
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(errors.CheckpointError, match="cannot set aside .*/1: Read-only file system"):
        checkpoints.latest_good(LIKE)
    assert checkpoints.steps() == [1]


@pytest.mark.parametrize("problem", [PermissionError(errno.EACCES, "Permission denied"), MemoryError("no memory")])
def test_a_fault_of_the_machine_condemns_no_checkpoint(checkpoints, monkeypatch, problem):
    def fail(*_):
        raise problem

    checkpoints.save(1, tree(1))
    monkeypatch.setattr(Checkpoints, "_part", fail)
    with pytest.raises(errors.CheckpointError, match="cannot read checkpoint .*: (Permission denied|no memory)"):
        checkpoints.latest_good(LIKE)
    assert checkpoints.steps() == [1]


# A save that fails says so, and leaves what was there.


def test_a_commit_that_fails_is_not_reported_as_saved(checkpoints, monkeypatch):
    checkpoints.save(1, tree(1))
    rename = os.rename

    def fail(source, target, **options):
        if str(target).endswith("/2"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(errors.CheckpointError, match="cannot save checkpoint .*2: Input/output error") as caught:
            checkpoints.save(2, tree(2))
    assert "\n" not in str(caught.value)
    assert checkpoints.steps() == Checkpoints(checkpoints.directory).steps() == [1]
    assert [p.name for p in checkpoints.directory.iterdir()] == ["1"]
    checkpoints.save(2, tree(2))
    assert same(checkpoints.restore(2, LIKE), tree(2))


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.CheckpointError, match="cannot keep checkpoints in .*file/here: Not a directory"):
        Checkpoints(tmp_path / "file" / "here")
