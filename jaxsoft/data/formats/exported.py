"""What `jaxsoft export` wrote: a folder with a sealed record, and files that it knows by their SHA-256."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from jaxsoft import errors, files

RECORD, IMAGES, LABELS, PIXELS = "export.json", "images.npy", "labels.npz", "pixels.npz"
FORMAT = 1
_MOST = 2**30  # bytes of a file


def is_export(folder: Path) -> bool:
    """Whether a folder is an export, not a run."""
    return (folder / RECORD).is_file()


def read(folder: Path) -> dict[str, Any]:
    """The record of an export, all of whose files are as they were written.

    Raises:
      CheckpointError: there is none, or a file was altered or is missing; names it.
    """
    try:
        found = files.unseal(json.loads(files.read(folder / RECORD, _MOST)))
        listed = found["files"]
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}; this version reads {FORMAT}")
    except OSError as problem:
        raise errors.CheckpointError(f"no export in {folder}: {RECORD}: {problem.strerror}") from problem
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        told = errors.shown(errors.first_line(problem))
        raise errors.CheckpointError(f"cannot read {folder / RECORD}: {told}; export it again") from None
    if wrong := [problem for name, was in listed.items() if (problem := _problem(folder, name, was["sha256"]))]:
        raise errors.CheckpointError(f"{folder} is not what was exported: {'; '.join(wrong)}")
    return found


def _problem(folder: Path, name: str, sha256: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return f"{errors.shown(name)} lies outside of it"
    try:
        return "" if files.digest([files.read(folder / path, _MOST)]) == sha256 else f"{name} was changed"
    except OSError as problem:
        return f"{errors.shown(name)}: {problem.strerror}"
