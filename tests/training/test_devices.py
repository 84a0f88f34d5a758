"""Members spread over eight devices: the same bits, and not a word between devices."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent

PROGRAM = """
import jax
jax.config.update("jax_num_cpu_devices", 8)
import numpy as np
import tiny
recipe = tiny.CONV._replace(augment="none", slots=4)
results, texts = [], []
for devices in (jax.devices()[:1], jax.devices()):
    program = tiny.program(recipe, 16, block=2, select=1, devices=devices)
    who = tiny.members(range(16), slots=4, steps=[3, 4] * 8)
    results.append(tiny.train(program, who, chunks=2, looked=tiny.evals(5))[-1])
    texts.append(program._compiled["chunk"].as_text())
(one, told), (eight, told_eight) = results
same = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), (one, told.loss), (eight, told_eight.loss))
# XLA fuses the evaluation of a lone block with what follows it: the mean entropy may move by its last bit.
np.testing.assert_allclose(told.entropy, told_eight.entropy, rtol=1e-6)
np.testing.assert_array_equal(told.accuracy, told_eight.accuracy)
kernels = one.state.variables["params"]["conv0"]["kernel"]
print("devices", len(jax.devices()), "same", all(jax.tree.leaves(same)), "distinct", len({k.tobytes() for k in kernels}))
print(texts[1])
"""


@pytest.fixture(scope="module")
def told():
    """The number of devices must be set before JAX starts, hence another process; compiled as users' programs are.

    By the flags of the tests a product of a lone block may be computed in another order than that of many.
    """
    env = os.environ | {"PYTHONPATH": str(HERE), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_students_on_eight_devices_are_bitwise_those_on_one(told):
    assert told.startswith("devices 8 same True distinct 16\n"), told[:200]


def test_devices_do_not_speak_to_each_other(told):
    assert "num_partitions=8" in told, "the text is not that of a program for eight devices"
    spoken = re.findall(r"\b(all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+|send|recv)\(", told)
    assert not spoken
