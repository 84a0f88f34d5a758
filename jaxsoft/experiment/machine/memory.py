"""Bytes: what a run may use, and what every device holds beside its members."""

import os
from pathlib import Path

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
