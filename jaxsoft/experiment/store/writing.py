"""Files of a run folder are replaced whole or not at all; what cannot be written is told in one line."""

import errno
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import errors, files


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested mappings; an empty one is a value.

    >>> dict(flat({"a": {"b": 1, "c": {}}}, "config"))
    {'config.a.b': 1, 'config.a.c': {}}
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def differing(before: Mapping[str, Any], now: Mapping[str, Any], absent: Any = "absent") -> dict[str, tuple[Any, Any]]:
    """Of every key under which two mappings differ, what it stands for in each.

    >>> differing({"a": 1, "b": 2}, {"b": 3, "a": 1, "c": 4})
    {'b': (2, 3), 'c': ('absent', 4)}
    """
    both = {key: (before.get(key, absent), now.get(key, absent)) for key in {**before, **now}}
    return {key: (was, is_now) for key, (was, is_now) in both.items() if was != is_now}


def write_file(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, also when the power fails.

    Raises:
      CheckpointError: the folder cannot be written; an earlier file is intact.
    """
    try:
        files.replace(path, content)
    except OSError as problem:
        raise cannot_write(path, problem) from problem


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace a file of named arrays (`.npz`), whole or not at all.

    Raises:
      CheckpointError: the folder cannot be written; an earlier file is intact.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    write_file(path, file.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of such a file; where it is damaged, the zip and array readers raise anything."""
    with files.opened(path) as file, np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def cannot_write(path: Path, problem: OSError) -> errors.CheckpointError:
    """The error of a write that failed: what, why, and that nothing is lost."""
    if problem.errno == errno.ENOENT:
        return errors.CheckpointError(f"cannot write {path}: {problem.strerror}; was its folder moved or deleted?")
    return errors.CheckpointError(
        f"cannot write {path}: {problem.strerror}; what was there before is intact, "
        "mend this and run the same command again"
    )
