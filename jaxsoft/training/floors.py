"""The least time that a chip takes for what a program does, how much longer real ones took; and a rough one, measured here."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxsoft.target import Chip
from jaxsoft.training.fusion import KINDS, Account

LAUNCHES = "launches"
BOUNDS = (*KINDS, LAUNCHES)
"""What takes time: kernels by their kind (`fusion.KINDS`), and to start them."""

MEASURED = 1.25, 2.0
"""Measured time over this floor. Of eleven programs on an H100 and an H200 (ConvNets D3 and D4, batches of 10 to 256, one to
256 members) it was 1.25 to 1.65; they have fewer kernels and bytes since, and if that had gained nothing it would be up to
2.0. docs/performance.md has the table. No TPU and no A100 was measured."""
UNTIMED = 1.25, 5.5
"""The same of programs with kernels of our own, which no device has timed: up to the times that were measured without them."""

LAUNCH = {"gpu": 2.5e-6, "tpu": 0.0}
"""Seconds between the starts of two kernels, at least, as measured on an H100; a TPU runs them as one program."""

# Products of float32 with all of their bits, against those of bfloat16: of data sheets (GPU), six passes (TPU).
_WIDE = {"gpu": 1 / 14, "tpu": 1 / 6}
# Best measured on two cores for small nets lies between 10% and 30% of the matrix-product peak.
_SHARE_OF_PEAK = 0.25


def seconds(program: Account, chip: Chip, precision: str) -> dict[str, float]:
    """Seconds of a program by what takes them, of `BOUNDS`.

    Each kernel takes the time of its bytes at the chip's bandwidth, or of its operations at its peak if that is more; one
    kernel follows the other, and a launch hides behind nothing.
    """
    peak = chip.peak * (_WIDE[chip.platform] if precision == "float32" else 1)
    found: dict[str, float] = {what: 0.0 for what in BOUNDS}
    for kernel in program.kernels:
        found[kernel.kind] += kernel.times * max(kernel.bytes / chip.bandwidth, kernel.flops / peak)
        found[LAUNCHES] += kernel.times * LAUNCH[chip.platform]
    return found


def matmul_flops_per_second() -> float:
    """This device's measured rate of large float32 matrix products."""
    a = jnp.ones((1024, 1024), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        product(a).block_until_ready()
        rates.append(2 * 1024**3 / (time.perf_counter() - start))
    return float(np.median(rates))


def estimated_seconds(flops: float) -> float:
    """A rough time for so much training, at the share of the measured peak that small nets reach."""
    return flops / (_SHARE_OF_PEAK * matmul_flops_per_second())
