"""Strict flags for every test: shapes in annotations are checked, rank promotion raises, warnings are errors."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile hundreds of small programs and run each for milliseconds: compiling less is a third of the time.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

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
