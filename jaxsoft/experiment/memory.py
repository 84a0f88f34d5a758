"""Bytes: what a run may use, and what every device holds beside its members."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxsoft import config, spec
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.labels.spec import LabelSpec

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def budget_bytes(settings: config.Settings) -> int:
    """What a wave may use on the devices of all processes: the configured budget, or 80% of the devices' memory.

    On CPU it is half of this machine's memory, for all processes together: they may all be here.
    """
    if settings.compute.memory_gb:
        return int(settings.compute.memory_gb * 1e9)
    of_devices = _device_bytes()
    return int(0.8 * of_devices) * jax.device_count() if of_devices else int(0.5 * host_bytes())


def most_bytes() -> int:
    """What there is at all: the memory of all devices, on CPU that of this machine."""
    return _device_bytes() * jax.device_count() or host_bytes()


def _device_bytes() -> int:
    """Memory of a device; 0 on CPU, which has none of its own."""
    return int((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0))


def host_bytes() -> int:
    """Memory of this machine, or of the container that it is."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def shared_bytes(settings: config.Settings, members: Sequence[MemberSpec], dataset: Any) -> int:
    """Image bank, label rows and evaluation sets; at most so, as subsets of different seeds may have images in common."""
    whitened = spec.parse_one(settings.data.normalize).name == "zca"
    pixels = math.prod(dataset.image_shape) * (4 if whitened else dataset.train.images.dtype.itemsize)
    largest: dict[tuple[str, int, int], int] = {}
    for m in members:
        draw = m.select, m.subset_seed, m.ipc if settings.protocol == "paper" else 0  # the paper draws each IPC anew
        largest[draw] = max(m.ipc, largest.get(draw, 0))
    used = min(len(dataset.train), sum(largest.values()) * dataset.num_classes)
    specs = {text: LabelSpec.parse(text) for text in {m.labels for m in members}}
    of_images = sum(not spec.is_of_subset for spec in specs.values()) * used
    blocks = {(m.labels, m.select, m.subset_seed, m.ipc, m.without): m for m in members if specs[m.labels].is_of_subset}
    of_subsets = sum(m.slots(dataset.num_classes) * max(1, specs[m.labels].views) for m in blocks.values())
    rows = (of_images + of_subsets) * dataset.num_classes * 4
    return used * pixels + rows + (len(dataset.validation) + len(dataset.test)) * (pixels + 4)
