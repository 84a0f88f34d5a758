"""Bytes: what a run may use, and what every device holds beside its members."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxsoft import config
from jaxsoft.experiment.sweep import MemberSpec

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def budget_bytes(settings: config.Settings) -> int:
    """What a wave may use: the configured budget, or 80% of the devices' memory (half of the machine's, on CPU)."""
    if settings.compute.memory_gb:
        return int(settings.compute.memory_gb * 1e9)
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(0.8 * stats["bytes_limit"]) * jax.local_device_count()
    return int(0.5 * _host_bytes())


def _host_bytes() -> int:
    """Memory of this machine, or of the container that it is."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def shared_bytes(settings: config.Settings, members: Sequence[MemberSpec], dataset: Any) -> int:
    """Image bank, label rows and evaluation sets; at most so, as subsets of different seeds may have images in common."""
    pixels = math.prod(dataset.image_shape) * (4 if settings.data.normalize == "zca" else 1)
    drawn = sum(max(m.ipc for m in members) for _ in {m.subset_seed for m in members}) * dataset.num_classes
    used = min(len(dataset.train), drawn)
    rows = len({m.labels for m in members}) * used * dataset.num_classes * 4
    return used * pixels + rows + (len(dataset.validation) + len(dataset.test)) * (pixels + 4)
