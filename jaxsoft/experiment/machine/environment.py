"""What a number is made with."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jaxsoft", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def environment() -> dict[str, Any]:
    """Versions, device, platform, and the commit if the package lies in a checkout; as JSON can hold it."""
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


def commit() -> str | None:
    """The checkout's commit, with `-dirty` when a tracked file was changed; None for an installed package."""
    tracked = ["ls-files", "--error-unmatch", Path(__file__).name]  # not a checkout that merely holds the environment
    described = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    git, how = ["git", "-C", str(Path(__file__).parent)], {"capture_output": True, "text": True, "timeout": 10}
    try:
        done = [subprocess.run(git + command, check=True, **how) for command in (tracked, described)]
    except (OSError, subprocess.SubprocessError):
        return None
    return done[1].stdout.strip()
