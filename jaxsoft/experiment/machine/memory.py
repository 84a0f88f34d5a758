"""Bytes: what a run may use, and what every device holds beside its members."""

import math
import os
from pathlib import Path

from jaxsoft import config, target

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
# Padded copies of a v5e: what has room in the chip's own memory, beside what a step needs there (of two experiments near it
# one was there with 106 MiB, one was not with 112); what a copy may add, or be times the array, if that has several channels
# or not.
_OWN_BYTES, _ADDED_BYTES, _COPIED, _COPIED_COLORS = 110 * 2**20, 128 * 2**20, 2, 6


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


def gathered_bytes(*arrays: tuple[tuple[int, ...], int]) -> tuple[int, int]:
    """Bytes that a TPU holds more of what steps gather from: in its main memory, and in the chip's own; 0 elsewhere.

    Classes are padded to 8. For all of a chunk there is a copy as well, whose columns and classes are padded to 128 and its
    lines to 8: in the chip's own memory, the smallest first, or if there is no room, and it adds little, or little for its
    size, in main memory. These limits are those of 119 gathers that XLA compiled for a v5e, of which they tell 118.

    Args:
      arrays: (shape, bytes of an element) of rows [N, K] or images [N, *S, H, W, C].
    """
    main = own = 0
    for copy, lying, worth in sorted(_copy(*array) for array in arrays if target.platform() == "tpu"):
        fits = own + copy <= _OWN_BYTES
        own += copy * fits
        main += copy * (worth and not fits) + lying
    return main, own


def _copy(shape: tuple[int, ...], itemsize: int) -> tuple[int, int, bool]:
    """Bytes of a padded copy, those that the array itself is padded by, and whether it is worth main memory."""
    lines, columns = [*shape[-3:-1]] if len(shape) > 2 else [1, *shape[1:]]
    rest = math.prod(shape) // max(1, lines * columns) * itemsize
    lying = rest * (lines * columns if len(shape) > 2 else columns + -columns % 8)
    copy = rest * (lines + -lines % 8 if len(shape) > 2 else 1) * (columns + -columns % 128)
    most = _COPIED_COLORS if len(shape) > 2 and shape[-1] > 1 else _COPIED
    return copy, lying - math.prod(shape) * itemsize, copy - lying <= _ADDED_BYTES or copy <= most * lying
