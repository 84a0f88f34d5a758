"""How JAX starts for a caller of the Python interface: on all cores, with a cache; what was set up or has started stays."""

import os
import subprocess
import sys

import pytest

CORES = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
TELL = "starting.set_up_for_caller(); print(len(jax.devices()), jax.config.jax_compilation_cache_dir)"


@pytest.mark.parametrize(
    "before, devices, cache",
    [
        ("", CORES, "jaxsoft/xla"),
        ("jax.config.update('jax_num_cpu_devices', 3)", 3, "jaxsoft/xla"),
        ("jax.config.update('jax_compilation_cache_dir', '/elsewhere')", CORES, "/elsewhere"),
        ("jax.devices()", 1, "None"),
    ],
)
def test_what_the_user_has_set_up_stays(before, devices, cache, tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    env |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    code = f"import jax; from jaxsoft.command import starting; {before or 'pass'}; {TELL}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300, check=True
    )
    count, where = done.stdout.split()
    assert int(count) == devices and where.endswith(cache)
