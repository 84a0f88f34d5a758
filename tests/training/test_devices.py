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
recipe = tiny.CONV._replace(augment="none")
results, texts = [], []
for devices in (jax.devices()[:1], jax.devices()):
    program = tiny.program(recipe, 16, block=2, select=1, devices=devices)
    who = tiny.members(range(16), steps=[3, 4] * 8)
    results.append(tiny.train(program, who, chunks=2, looked=tiny.evals(5))[-1])
    texts.append(program._compiled["chunk"].as_text())
same = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), *results)
kernels = results[0][0].state.variables["params"]["conv0"]["kernel"]
print("devices", len(jax.devices()), "same", all(jax.tree.leaves(same)), "distinct", len({k.tobytes() for k in kernels}))
print(texts[1])
"""


@pytest.fixture(scope="module")
def told():
    """The number of devices must be set before JAX starts, hence another process."""
    env = os.environ | {"PYTHONPATH": str(HERE), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_eight_devices_compute_the_bits_of_one(told):
    assert told.startswith("devices 8 same True distinct 16\n"), told[:200]


def test_devices_do_not_speak_to_each_other(told):
    assert "num_partitions=8" in told, "the text is not that of a program for eight devices"
    spoken = re.findall(r"\b(all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+|send|recv)\(", told)
    assert not spoken
