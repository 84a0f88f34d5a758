"""Strict flags for every test: shapes in annotations are checked, rank promotion raises, warnings are errors."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile hundreds of small programs and run each for milliseconds: compiling less is a third of the time.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import jaxtyping
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("jaxsoft", "beartype.beartype")

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """Inputs and outputs of the reference implementation; kept outside the repository."""
    path = SHARED / "golden" / "reference_parity.npz"
    if not path.exists():
        pytest.skip(
            f"the reference numbers are not part of the repository (looked for {path.name} beside the checkout)"
        )
    with np.load(path, allow_pickle=False) as z:
        return {name: z[name] for name in z.files}
