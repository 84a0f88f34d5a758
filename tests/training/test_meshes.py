"""One member on several devices that share its batches, and from windows of a stream: the numbers of one device."""

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft.training import fit
from jaxsoft.training.fit import Window

SCRIPT = Path(__file__).with_name("meshes.py")


def process(devices, programs, *args):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    paths = os.pathsep.join([str(SCRIPT.parents[2]), str(SCRIPT.parent)])
    cache = {"JAX_COMPILATION_CACHE_DIR": str(programs), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    around = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": paths, **cache}
    return subprocess.Popen([sys.executable, SCRIPT, *args], stdout=subprocess.PIPE, env=around, text=True)


def said(running):
    out, _ = running.communicate(timeout=500)
    assert running.returncode == 0
    (line,) = (line for line in out.splitlines() if line.startswith("{"))  # the others are gloo's
    return json.loads(line)


@pytest.fixture(scope="module")
def told(kept_programs):
    """Of a process with eight devices."""
    return said(process(8, kept_programs, "one"))


@pytest.mark.parametrize("case", ["1x8", "2x4", "4x2", "accumulated", "window"])
def test_several_devices_are_one(told, case):
    """State and reports after twenty steps, in float64."""
    assert told["apart"]["training"] > 1e-2
    assert told["apart"][case] < 1e-12


def test_the_first_steps_in_float32_differ_by_rounding(told):
    assert 0 < told["apart"]["float32"] < 1e-5


@pytest.mark.parametrize("case", ["own statistics", "accumulated, of one"])
def test_statistics_of_parts_are_another_algorithm(told, case):
    assert 1e-4 < told["apart"][case] < 1


def test_a_step_sums_its_gradient_once_and_statistics_twice(told):
    """What is left is of the evaluation: one sum of its counts and one of entropies, together or not; nothing is gathered."""
    plain, norm = told["collectives"]["no norm"], told["collectives"]["1x8"]
    assert norm["all-reduce"] == plain["all-reduce"] + 2 and plain["all-reduce"] <= 3
    for counts in told["collectives"].values():
        assert sum(counts.values()) == counts["all-reduce"]


def test_two_processes_are_one(kept_programs):
    """Data over both of them, then members over both, each of which gives all rows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = [said(p) for p in [process(2, kept_programs, f"{i}/2", port) for i in range(2)]]
    assert [one["shares"] for one in both] == [[[0, 2], [0, 1]], [[1, 2], [0, 1]]]
    assert max(one["apart"][i] for one in both for i in range(2)) < 1e-12


def windows(who, steps, recipe=tiny.CONV):
    """What a member sees of the bank in its first steps, in uint8, with the class of each image as its label."""
    slots, real = jax.vmap(lambda t: fit.slots_at(recipe, tiny.one(who, 0), t))(jnp.arange(steps))
    images = np.random.default_rng(0).integers(0, 256, (tiny.IMAGES, *tiny.SHAPE), dtype=np.uint8)
    labels = np.arange(tiny.IMAGES, dtype=np.int32) % tiny.CLASSES
    places = np.asarray(who.images[0])[np.asarray(slots)]
    return images, labels, Window(images[places], np.where(real, labels[places], -1))


@pytest.fixture(scope="module")
def taught():
    """A member's own batches as windows of two steps: what it is after each, what chunks make of it, and how to go on."""
    who = tiny.members([3])
    images, labels, window = windows(who, 8)
    bank = tiny.bank()._replace(images=images, rows=np.eye(tiny.CLASSES, dtype=np.float32))
    who = who._replace(rows=labels[who.images])
    program = tiny.program(tiny.CONV, 1, select=1)

    def learn(students, first, window=window, who=who):
        part = jax.tree.map(lambda a: a[first : first + 2], window)
        return program.learn(bank, part, (who,), students, first)

    chunks, students, seen = tiny.train(program, who, 4, bank, tiny.evals(11)), program.initialize((who,)), []
    for first in range(0, 8, 2):
        students, loss = learn(students, first)
        seen.append(tiny.host((students, loss)))
    return learn, seen, chunks, window, who


def test_a_window_of_what_a_chunk_sees_teaches_the_same(taught):
    """But for the order of sums: it is another program."""
    _, seen, chunks, *_ = taught
    for ((students,), (loss,)), (then, report) in zip(seen, chunks, strict=True):
        near = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
        jax.tree.map(near, students.state, then.state)
        near(loss, report.loss)


def test_windows_resumed_are_those_never_stopped(taught):
    learn, seen, *_ = taught
    students, loss = learn(learn(seen[1][0], 4)[0], 6)
    tiny.assert_bitwise(tiny.host((students, loss)), seen[3])


def test_a_step_of_padding_changes_nothing(taught):
    """Neither does it count in the mean loss of a window, nor end a training by what is not finite."""
    learn, seen, _, window, who = taught
    half = window._replace(labels=window.labels.copy())
    half.labels[1] = -1
    longer, after = who._replace(steps=who.steps + 9), seen[0][0]
    (one,), (loss,) = learn(after, 0, half, longer)
    none = half._replace(labels=np.full_like(half.labels, -1))  # another array: the first may still be read
    (same,), _ = learn((tiny.host(one),), 0, none, longer)
    assert loss > 0 and not np.array_equal(*(jax.tree.leaves(s.state.optimizer)[0] for s in (one, after[0])))
    tiny.assert_bitwise(tiny.host(same), tiny.host(one))


def test_what_is_judged_is_what_is_evaluated():
    program, who = tiny.program(tiny.CONV, 1, select=1), tiny.members([3])
    images = np.random.default_rng(5).integers(0, 256, (2, 4, *tiny.SHAPE), dtype=np.uint8)
    labels = np.array([[0, 1, 2, 0], [1, 2, -1, -1]], np.int32)
    students = program.initialize((who,))
    (report,) = program.look(tiny.bank(), (tiny.EvalSet(images, labels),), students)
    (judged,) = program.judge(tiny.bank(), Window(images, labels), students)
    assert judged.count.tolist() == [6]
    np.testing.assert_allclose(judged.correct / 6, report.accuracy[:, 0], rtol=1e-6)
    np.testing.assert_allclose(judged.entropy / 6, report.entropy[:, 0], rtol=1e-5)
