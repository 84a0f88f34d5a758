"""The manifest of a run folder: which of its files it lists, what it says of them, and what has changed since."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jaxsoft import files

MANIFEST, LOCK, LOGS, TIMING = "manifest.json", "lock", "logs", "timing.json"
RESUMED = ".resumed"  # as old as the first start that went on with a finished run

Digest = dict[str, Any]
"""Size in bytes and SHA-256 of a file."""


def is_manifest(found: Any) -> bool:
    """Whether a value of JSON is a manifest."""
    if not isinstance(found, dict) or found.keys() != {"files"} or not isinstance(found["files"], dict):
        return False
    return all(
        isinstance(file, dict)
        and file.keys() == {"bytes", "sha256"}
        and type(file["bytes"]) is int
        and isinstance(file["sha256"], str)
        for file in found["files"].values()
    )


def names(folder: Path) -> list[str]:
    """The files of a run folder that its manifest lists."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return sorted(filter(is_listed, found))


def is_listed(name: str) -> bool:
    """Whether a file belongs to what a run leaves: not what changes with every start, nor what is not yet in place."""
    parts = PurePosixPath(name).parts
    if name in (MANIFEST, TIMING, RESUMED) or parts[-1:] == (LOCK,) or parts[:1] == (LOGS,):
        return False
    return not any(map(files.is_temporary, parts))


def digest(path: Path) -> Digest:
    """What the manifest says of a file.

    Raises:
      OSError: it cannot be read.
    """
    with files.opened(path) as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def compare(folder: Path, name: str, wanted: Mapping[str, Any]) -> str | None:
    """What is wrong with one file, if anything."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "lies outside the run folder"
    try:
        if (folder / path).is_symlink():
            return "is a link now"
        found = digest(folder / path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as problem:  # a name that no file can have
        return f"cannot be read ({getattr(problem, 'strerror', problem)})"
    if found["bytes"] != wanted["bytes"]:
        return f"{found['bytes']} bytes, {wanted['bytes']} when the run finished"
    return "changed since the run finished" if found["sha256"] != wanted["sha256"] else None
