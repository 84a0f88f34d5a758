"""What a number is made with."""

import platform
from importlib import metadata
from typing import Any

import jax

from jaxsoft.experiment.machine.commit import commit

PACKAGES = ("jaxsoft", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def environment() -> dict[str, Any]:
    """Versions, device, platform, and the commit if it is known; as JSON can hold it."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "platform": platform.platform(),
        "commit": commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # imported from a checkout that is not installed
        return None
