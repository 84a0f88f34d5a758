"""The manifest of a finished run: size and SHA-256 of every file, and what has changed since."""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jaxsoft import errors, files
from jaxsoft.experiment.store import shares
from jaxsoft.experiment.store.folder import LOCK, TIMING, RunFolder, write_file
from jaxsoft.experiment.store.lock import LEASE

MANIFEST = "manifest.json"
_LOGS = "logs"
_RESUMED = ".resumed"  # as old as the first start that went on with a finished run

Digest = dict[str, Any]  # of a file
_DIGEST = {"bytes": int, "sha256": str}  # its keys, and what they hold

log = logging.getLogger(__name__)


def write(folder: RunFolder) -> None:
    """Store size and SHA-256 of every file, for `verify`; locks, the logs, the times and the manifest are left out.

    What an earlier manifest lists stays listed as it was, unless it was written since `goes_on`: a rerun makes no damage good.

    Raises:
      CheckpointError: a file cannot be read, or the folder cannot be written.
    """
    earlier = {}
    if (folder.path / MANIFEST).exists():
        try:
            earlier = listed(folder)
        except errors.CheckpointError as problem:
            log.warning("%s: every file is listed as it is now", str(problem).partition(";")[0])
    _store(folder, {name: was for name, was in earlier.items() if _is_listed(name) and not _wrote(folder.path, name)})
    (folder.path / _RESUMED).unlink(missing_ok=True)


def goes_on(folder: RunFolder) -> None:
    """Note that a run which had finished is gone on with; of several starts, until one finishes, the first counts."""
    if (folder.path / MANIFEST).exists() and not (folder.path / _RESUMED).exists():
        write_file(folder.path / _RESUMED, b"")


def listed(folder: RunFolder) -> dict[str, Digest]:
    """What the manifest says of every file that it lists; CheckpointError if it is missing or damaged."""
    found = folder.read_json(MANIFEST)
    digests = found["files"] if isinstance(found, dict) and found.keys() == {"files"} else None
    if not (isinstance(digests, dict) and all(map(_is_digest, digests.values()))):
        told = f"cannot read {folder.path / MANIFEST}: it holds no list of files; run the same command again"
        raise errors.CheckpointError(told)
    return digests


def extend(folder: RunFolder, added: tuple[str, ...]) -> None:
    """Digest anew the files whose names begin so; the others stay listed as they are."""
    _store(folder, {name: was for name, was in listed(folder).items() if not name.startswith(added)}, added)


def verify(path: str | os.PathLike) -> list[str]:
    """Compare a run folder with its manifest. Files that came later are no problem: a report may be added.

    Returns:
      One line for each file that is missing or changed; empty when all is well.

    Raises:
      CheckpointError: the manifest is missing (the run has not finished) or damaged.
    """
    folder = RunFolder(path)
    if not folder.path.is_dir():
        raise errors.CheckpointError(f"no run folder at {folder.path}")
    if not os.path.lexists(folder.path / MANIFEST):
        told = f"the run in {folder.path} has not finished: it has no {MANIFEST}; run the same command again"
        raise errors.CheckpointError(told)
    problems = [(name, _problem(folder.path, name, wanted)) for name, wanted in listed(folder).items()]
    return [f"{errors.shown(name)}: {problem}" for name, problem in problems if problem]


def _store(folder: RunFolder, kept: dict[str, Digest], added: tuple[str, ...] = ("",)) -> None:
    """List the files whose names begin so as they are now, and what is kept as it was."""
    paths = (path for path in folder.path.rglob("*") if path.is_file() and not path.is_symlink())
    names = (path.relative_to(folder.path).as_posix() for path in paths)
    try:
        now = {name: _digest(folder.path / name) for name in names if _is_listed(name) and name.startswith(added)}
    except OSError as problem:
        raise errors.CheckpointError(f"cannot read {problem.filename}: {problem.strerror}") from problem
    folder.write_json(MANIFEST, {"files": dict(sorted((now | kept).items()))})


def _is_listed(name: str) -> bool:
    """Whether a file belongs to what a run leaves: not what changes with every start, nor what is not yet in place, nor shares."""
    parts = PurePosixPath(name).parts
    if shares.is_share(parts[0]):
        return False
    changes = name in (MANIFEST, TIMING, _RESUMED) or parts[:1] == (_LOGS,) or parts[-1] in (LOCK, LOCK + LEASE)
    return not changes and not any(map(files.is_temporary, parts))


def _is_digest(found: Any) -> bool:
    return isinstance(found, dict) and {key: type(value) for key, value in found.items()} == _DIGEST


def _digest(path: Path) -> Digest:
    with files.opened(path) as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _wrote(folder: Path, name: str) -> bool:
    """Whether a file was written, or taken away, since the run goes on, by the clock of the file system."""
    path, mark = folder / name, folder / _RESUMED
    nearest = next(p for p in (path, *path.parents) if os.path.lexists(p))
    return not mark.exists() or nearest.lstat().st_mtime_ns >= mark.stat().st_mtime_ns


def _problem(folder: Path, name: str, wanted: Mapping[str, Any]) -> str | None:
    """What is wrong with one file, if anything."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "lies outside the run folder"
    try:
        if (folder / path).is_symlink():
            return "is a link now"
        found = _digest(folder / path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as problem:  # a name that no file can have
        return f"cannot be read ({getattr(problem, 'strerror', problem)})"
    if found["bytes"] != wanted["bytes"]:
        return f"{found['bytes']} bytes, {wanted['bytes']} when the run finished"
    return "changed since the run finished" if found["sha256"] != wanted["sha256"] else None
