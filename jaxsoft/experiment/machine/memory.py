"""Bytes: what a run may use, and what every device holds beside its members."""

import math
import os
from pathlib import Path
from typing import Any

from jaxsoft import config, target

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def budget_bytes(settings: config.Settings) -> int:
    """What a wave may use on the devices of all processes: the configured budget, or 80% of the devices' memory.

    On CPU it is half of this machine's memory, for all processes together: they may all be here.
    """
    if settings.compute.memory_gb:
        return int(settings.compute.memory_gb * 1e9)
    there = target.current()
    return int(0.8 * there.memory) * there.devices if there.memory else int(0.5 * host_bytes())


def most_bytes() -> int:
    """What there is at all: the memory of all devices, on CPU that of this machine."""
    there = target.current()
    return there.memory * there.devices or host_bytes()


def host_bytes() -> int:
    """Memory of this machine, or of the container that it is."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def gathered_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of the copy that XLA keeps of what steps gather from, rows [N, K] or images [N, *S, H, W, C]; 0 but on a TPU.

    As a TPU lays it, columns and classes are padded to 128, and lines to 8. It is there for all of a chunk.
    """
    if target.platform() != "tpu":
        return 0
    sides: Any = shape[-3:-1] if len(shape) > 2 else shape
    lines, columns = sides
    padded = (lines + -lines % 8) * (columns + -columns % 128)
    return math.prod(shape) // max(1, lines * columns) * padded * itemsize
