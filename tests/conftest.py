"""Strict flags for every test: shapes in annotations are checked, rank promotion raises, warnings are errors."""

import gc
import importlib.metadata
import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile thousands of small programs and run each for milliseconds: compiling less is half of the time. The second
# flag is of this release of XLA, and another that does not know it would not start.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false" * importlib.metadata.version("jaxlib").startswith("0.10."),
)

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.devices()  # JAX is at work: nothing that a test calls sets up more devices, or a cache of programs
jaxtyping.install_import_hook("jaxsoft", "beartype.beartype")

KEPT = pathlib.Path(__file__).parent / "golden" / "reference.npz"
WHOLE = pathlib.Path(__file__).resolve().parents[2] / "shared" / "golden" / "reference_parity.npz"


def pytest_collection_modifyitems(items):
    """Whole runs first, which take longest: no worker is left with one of them when the others have nothing to do."""
    items.sort(key=lambda item: item.path.parent.name != "experiment" and item.path.stem != "test_benchmarks")


def pytest_collection_finish():
    """What is imported by now stays: it need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk():
    """A power failure is no test here, and waiting for the disk is most of the time of what writes many small files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor) and None)
        yield


@pytest.fixture(scope="session", autouse=True)
def kept_programs(pytestconfig):
    """What is compiled once, by any worker or an earlier run, all tests read from JAX's persistent cache: yours, or pytest's.

    A program's name there stands for its code, XLA's flags and its version: nothing gets an older program than its own.
    """
    folder = pathlib.Path(jax.config.jax_compilation_cache_dir or pytestconfig.cache.mkdir("programs"))
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    return folder


@pytest.fixture(scope="session")
def golden(request) -> dict[str, np.ndarray]:
    """Inputs and outputs of the original implementation, see golden/README.md: what is kept there, or the `whole` file."""
    path = {"kept": KEPT, "whole": WHOLE}[getattr(request, "param", "kept")]
    if path is WHOLE and not path.exists():
        pytest.skip(f"larger inputs than tests/golden/ keeps; looked for {path.name} beside the checkout")
    with np.load(path, allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


@pytest.fixture(scope="session")
def systems() -> dict[str, np.ndarray]:
    """Inputs and outputs of losses of related systems, by their own code, see golden/README.md."""
    with np.load(KEPT.with_name("losses.npz"), allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


@pytest.fixture(scope="session")
def golden_variables(golden):
    """A function that reads a network of the original implementation as this package names its variables."""
    names = {"kernel_hwio": "kernel", "kernel_flat_hwc": "kernel"}

    def read(prefix: str) -> dict[str, dict]:
        variables = {"params": {}, "batch_stats": {}}
        for path in (name.removeprefix(prefix) for name in golden if name.startswith(prefix)):
            module, leaf = path.split("/")
            kind = "batch_stats" if leaf in ("mean", "var") else "params"
            variables[kind].setdefault(module, {})[names.get(leaf, leaf)] = jnp.asarray(golden[prefix + path])
        return {kind: tree for kind, tree in variables.items() if tree}

    return read
