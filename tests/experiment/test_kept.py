"""Students that a run keeps: the networks that its rows speak of, and nothing that was altered since."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import test_plan
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import manifest, results
from jaxsoft.experiment.students import kept
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.experiment.tell import describe
from jaxsoft.training.buckets import Best, Students
from jaxsoft.training.fit import State

CHANGES = {"keep.students": "all", "sweep.ipc": (1,), "protocol": "both"}


class Statistics(NamedTuple):
    mean: Any
    count: Any


def plan(*waves: tuple[tuple[int, int], ...]) -> Plan:
    """A plan of two buckets, of the members a, b, c and of d, e."""
    return dataclasses.replace(test_plan.by_hand((3, 2), waves or (((0, 3), (0, 2)),)), keys=tuple("abcde"))


def bucket(members: int, seed: int, failed: tuple[int, ...] = ()) -> Students:
    """Students of any kind of leaf."""
    random, bad = np.random.default_rng(seed), np.full(members, -1)
    layers = [random.random((members, 3, 4), np.float32).swapaxes(1, 2), random.random((members, 2)).astype("bfloat16")]
    variables = {
        "params": {"dense": layers, "none": np.zeros((members, 0), np.float32)},
        "stats": Statistics(np.arange(members) + 7 * seed, np.arange(members) % 2 == 0),
    }
    bad[list(failed)] = 3
    later: Any = jax.tree.map(lambda a: a[::-1], variables)
    unread = jnp.zeros((members, 1))
    return Students(State(later, (), jnp.asarray(bad, jnp.int32)), Best(variables, unread, unread))


BUCKETS = bucket(4, 1, failed=(1,)), bucket(4, 2)  # the last of each fill their block


def chosen(place, row, tree="best"):
    return jax.tree.map(lambda a: np.asarray(a[row]), getattr(BUCKETS[place], tree).variables)


def test_a_member_is_read_back_bitwise_whatever_its_leaves_are(tmp_path):
    assert ml_dtypes.bfloat16  # a type that NumPy then knows
    kept.write(tmp_path, plan(), 0, BUCKETS)
    kept.write(tmp_path, plan(), 0, BUCKETS, look=2)
    assert kept.members(tmp_path) == kept.members(tmp_path, look=2) == set("acde")  # b has failed
    for key, place, row in (("a", 0, 0), ("c", 0, 2), ("e", 1, 1)):
        for look, tree in ((0, "best"), (2, "state")):
            found = kept.read(tmp_path, key, look, like=chosen(place, row))
            jax.tree.map(np.testing.assert_array_equal, found, chosen(place, row, tree))
            assert jax.tree.map(lambda a: a.dtype, found) == jax.tree.map(lambda a: a.dtype, chosen(place, row))
    plain = kept.read(tmp_path, "c")
    assert isinstance(plain["params"]["dense"], list) and plain["stats"]["mean"] == 9
    for key, look in (("b", 0), ("z", 0), ("c", 1)):
        with pytest.raises(
            errors.CheckpointError, match=f"no student {key}.* in .*students: it failed, or config.keep"
        ):
            kept.read(tmp_path, key, look)
    (path, _) = sorted((tmp_path / "students").iterdir(), key=lambda path: len(path.name))
    assert safetensors.numpy.load_file(path)["0/params/dense/0"].shape == (2, 4, 3)  # any tool can read it
    before = path.read_bytes()
    kept.write(tmp_path, plan(), 0, BUCKETS)
    assert path.read_bytes() == before


def test_a_flipped_bit_is_never_read(tmp_path):
    kept.write(tmp_path, plan(), 0, BUCKETS)
    (path,) = (tmp_path / "students").iterdir()
    whole, refused = path.read_bytes(), set()
    for bit in [*range(0, 8 * len(whole), 97), 8 * len(whole) - 1]:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        for key, place, row in (("a", 0, 0), ("d", 1, 0), ("e", 1, 1)):
            try:
                found = kept.read(tmp_path, key, like=chosen(place, row))
            except errors.CheckpointError as problem:
                assert "\n" not in str(problem)
                refused.add(key)
            else:
                jax.tree.map(np.testing.assert_array_equal, found, chosen(place, row))
        assert bit < 8 * len(whole) - 1 or refused == {"a", "d", "e"}
    for content in (whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(errors.CheckpointError, match=f"no student a in .*: {path.name} cannot be read"):
            kept.read(tmp_path, "a")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(errors.CheckpointError, match="cannot read student .* it is not what was kept; put back a copy"):
        [kept.read(tmp_path, key) for key in "acde"]


def test_a_member_is_in_the_file_of_one_wave(tmp_path):
    whole, halves = plan(), plan(((0, 2), (0, 1)), ((2, 3), (1, 2)))
    kept.write(tmp_path, whole, 0, BUCKETS, look=1)
    kept.write(tmp_path, whole, 0, BUCKETS)
    kept.write(tmp_path, halves, 0, BUCKETS)
    assert kept.members(tmp_path) == {"a", "d"} and len(list((tmp_path / "students").iterdir())) == 1
    kept.write(tmp_path, halves, 1, BUCKETS)
    assert kept.members(tmp_path) == {"a", "c", "d", "e"}


def test_what_cannot_be_written_is_one_line_and_what_a_kill_left_is_swept(tmp_path):
    (tmp_path / "students").write_text("a file")
    with pytest.raises(errors.CheckpointError, match="cannot write .*students"):
        kept.write(tmp_path, plan(), 0, BUCKETS)
    (tmp_path / "students").unlink()
    (tmp_path / "students").mkdir()
    (tmp_path / "students" / ".x.safetensors.0123abcd.tmp").touch()
    kept.sweep(tmp_path)
    assert not list((tmp_path / "students").iterdir())


# A whole run.


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kept_programs):
    return tiny.finished(tmp_path_factory.mktemp("kept"), CHANGES)


def test_kept_networks_reach_what_the_rows_say(finished):
    settings, folder = tiny.settings(CHANGES), finished[1]
    data = run.load(settings)
    experts = teach(data, settings.teacher, settings.data.normalize, folder / "teachers")
    made, scale = planning.make(settings, data, experts.histories, {}), experts.normalizer
    for row, member in zip(results.read(folder / "results.jsonl"), made.members):
        recipe = planning.recipe(settings, member, 10)

        def accuracy(split, variables, recipe=recipe):
            logits = recipe.logits(variables, jnp.asarray(scale(scale.store(split.images))))
            return float((np.asarray(logits).argmax(-1) == split.labels).mean())

        assert accuracy(data.test, kept.read(folder, row["member"])) == pytest.approx(row["test_accuracy"], abs=1e-6)
        for look, (val, test) in enumerate(zip(row["curve"]["val_accuracy"], row["curve"]["test_accuracy"]), 1):
            variables = kept.read(folder, row["member"], look)
            assert accuracy(data.validation, variables) == pytest.approx(val, abs=1e-6)
            assert accuracy(data.test, variables) == pytest.approx(test, abs=1e-6)


def test_kept_students_are_listed_and_a_run_that_goes_on_otherwise_says_so(finished, capsys):
    file, folder = finished
    listed = [name for name in manifest.listed(run.RunFolder(folder)) if name.startswith("students/")]
    assert len(listed) == 1 + 3
    before = {name: (folder / name).read_bytes() for name in ("results.csv", *listed)}
    assert tiny.command(file, folder, "--config.keep.students=none") == 0
    assert "4 students are kept from before, and no more are: config.keep.students is none\n" in capsys.readouterr().out
    assert before == {name: (folder / name).read_bytes() for name in before}
    chosen = next(folder / name for name in listed if "look" not in name)
    chosen.rename(folder.parent / "elsewhere")
    assert tiny.command(file, folder) == 0
    said = capsys.readouterr().out
    assert "students are kept from here on: of 4 that failed or were done before none is\nstudents: 0 of 4 left" in said
    (folder.parent / "elsewhere").rename(chosen)


def test_the_plan_says_how_many_students_are_kept_and_their_size():
    settings = tiny.settings({"keep.students": "best"})
    made = planning.make(settings, run.load(settings), None, {})
    one = sum(a.size * 4 for a in (np.empty((64, 8)), np.empty(8), np.empty((8, 10)), np.empty(10)))
    assert made.network_bytes() == 8 * one
    assert f"  students kept: 8, {8 * one / 1e6:.3g} MB" in describe.plan_lines(made, settings, 1)
    everything = describe.plan_lines(made, tiny.settings({"keep.students": "all"}), 1)
    assert f"  students kept: 8, each as chosen and at 3 looks, {4 * 8 * one / 1e6:.3g} MB" in everything
    assert not any("kept" in line for line in describe.plan_lines(made, tiny.settings(), 1))
