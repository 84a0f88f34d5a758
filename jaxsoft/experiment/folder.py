"""The folder of one run: held by one process, bound to one config, every file replaced whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jaxsoft import errors, files
from jaxsoft.experiment import lock

CONFIG, LOCK, LOGS, MANIFEST, TIMING = "config.json", "lock", "logs", "manifest.json", "timing.json"
MOST_JSON = 2**30  # bytes; a plan of a million members has less
MOST_STARTS = 100  # whose times are kept
FREE = (
    "config.compute.",
    "config.data.root",
    "config.teacher.store",
    "config.teacher.expected",
)  # say how and where, not what
SHOWN = 3  # differing settings that a message names


class RunFolder:
    """One run's folder.

    Reading needs no lock. Whoever writes calls `open` first, which refuses a second process and another config:

        with RunFolder(workdir).open(config) as folder:
            folder.write_json("plan.json", plan)

    Args:
      path: where it is, or will be.
      seconds: how long each stage of this start has taken; kept in the folder for whoever opens it.
    """

    def __init__(self, path: str | os.PathLike, seconds: Mapping[str, float] | None = None):
        self.path = Path(path).absolute()
        self._seconds, self._counted = seconds, False
        self._lock: lock.Lock | None = None

    def open(self, config: Mapping[str, Any]) -> "RunFolder":
        """Create the folder if needed, take its lock, and store the config or compare it with the stored one.

        Args:
          config: resolved settings, as JSON can hold them; nested mappings are compared key by key.

        Raises:
          CheckpointError: another process holds the folder, it belongs to another config, or it cannot be written.
        """
        if self._lock is not None:
            raise errors.CheckpointError(f"run folder {self.path} is open already")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock.Lock(self.path / LOCK)
            for leftover in self.path.glob(".*.tmp"):  # what a killed process was about to put in place
                if leftover.is_symlink() or not leftover.is_dir():
                    leftover.unlink()
            self._bind(config)
            if self._seconds is not None:
                self._write_times([*self._times(), dict(self._seconds)])
                self._counted = True
        except OSError as problem:
            self.close()
            raise cannot_write(self.path, problem) from problem
        except BaseException:
            self.close()
            raise
        return self

    def join(self, config: Mapping[str, Any]) -> None:
        """Compare the config with the stored one; for the processes of a run beside the one that opened the folder.

        Raises:
          CheckpointError: the folder belongs to another config, or is not there.
        """
        if not (self.path / CONFIG).exists():
            raise errors.CheckpointError(
                f"no run in {self.path}; all processes need one --workdir that all of them see"
            )
        self._bind(config)

    def close(self) -> None:
        """Give the lock back. Closing twice does no harm."""
        if self._lock is not None:
            if self._counted and self._seconds:
                with contextlib.suppress(errors.CheckpointError):  # what went wrong before is what counts
                    self.write_times(self._seconds)
                self._counted = False
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_json(self, name: str, value: Any) -> None:
        """Replace a JSON file of the folder, whole or not at all; arrays become lists, and an object is sealed.

        Raises:
          CheckpointError: the folder cannot be written; the earlier file is intact.
        """
        plain = _plain(value)
        sealed = files.seal(plain) if isinstance(plain, dict) else plain
        write_file(self.path / name, (json.dumps(sealed, indent=2) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the folder. One without a seal is of an earlier version: whoever uses it looks closely.

        Raises:
          CheckpointError: the file is missing, is not JSON, or was altered.
        """
        try:
            return files.unsealed(json.loads(files.read(self.path / name, MOST_JSON)))
        except OSError as problem:
            raise errors.CheckpointError(f"cannot read {self.path / name}: {problem.strerror}") from problem
        except (ValueError, RecursionError) as problem:
            what = "not JSON" if isinstance(problem, json.JSONDecodeError | RecursionError) else problem
            told = f"cannot read {self.path / name}: {what}; delete it and run the same command again"
            raise errors.CheckpointError(told) from problem

    def write_manifest(self) -> None:
        """Store size and SHA-256 of every file, for `verify`; the lock, the logs, the times and the manifest are left out.

        Raises:
          CheckpointError: the folder cannot be written.
        """
        try:
            digests = {name: _digest(self.path / name) for name in _files(self.path)}
        except OSError as problem:
            raise errors.CheckpointError(f"cannot read {problem.filename}: {problem.strerror}") from problem
        self.write_json(MANIFEST, {"files": digests})

    def write_times(self, seconds: Mapping[str, float]) -> None:
        """Store how long the stages of the last start took so far, beside those of earlier ones.

        Raises:
          CheckpointError: the folder cannot be written.
        """
        self._write_times([*self._times()[:-1], dict(seconds)])

    def _times(self) -> list[dict[str, float]]:
        """Of each start its stages; a file that cannot be read decides nothing, and counts as empty."""
        try:
            found = self.read_json(TIMING)
        except errors.CheckpointError:
            return []
        return [part for part in found.values() if isinstance(part, dict)] if isinstance(found, dict) else []

    def _write_times(self, starts: list[dict[str, float]]) -> None:
        last = starts[-MOST_STARTS:]
        self.write_json(TIMING, {f"start {number}": stages for number, stages in enumerate(last, 1)})

    def extend_manifest(self, added: tuple[str, ...]) -> None:
        """Digest anew the files whose names begin so; the others stay listed as they are.

        Raises:
          CheckpointError: the folder cannot be written, or holds no manifest that can be read.
        """
        listed = self.read_json(MANIFEST)["files"]
        kept = {name: digest for name, digest in listed.items() if not name.startswith(added)}
        new = {name: _digest(self.path / name) for name in _files(self.path) if name.startswith(added)}
        self.write_json(MANIFEST, {"files": dict(sorted((kept | new).items()))})

    def _bind(self, config: Mapping[str, Any]) -> None:
        if not (self.path / CONFIG).exists():
            return self.write_json(CONFIG, config)
        there = dict(_settings(self.read_json(CONFIG)))
        now = dict(_settings(_plain(config)))
        differing = [key for key in {**there, **now} if there.get(key) != now.get(key) and not key.startswith(FREE)]
        if not differing:
            return None
        shown = [f"{k} is {there.get(k, 'absent')} there, {now.get(k, 'absent')} now" for k in differing[:SHOWN]]
        if len(differing) > SHOWN:
            shown.append(f"and {len(differing) - SHOWN} more")
        raise errors.CheckpointError(
            f"run folder {self.path} belongs to another config: {'; '.join(shown)}; "
            "resume with the stored settings or choose another --workdir"
        )


def verify(path: str | os.PathLike) -> list[str]:
    """Compare a run folder with its manifest. Files that came later are no problem: a report may be added.

    Returns:
      One line for each file that is missing or changed; empty when all is well.

    Raises:
      CheckpointError: the manifest is missing (the run has not finished) or damaged.
    """
    folder = RunFolder(path)
    listed = folder.read_json(MANIFEST)
    if not _is_manifest(listed):
        told = f"cannot read {folder.path / MANIFEST}: it holds no list of files; run the same command again"
        raise errors.CheckpointError(told)
    problems = [(name, _compare(folder.path, name, wanted)) for name, wanted in listed["files"].items()]
    return [f"{errors.shown(name)}: {problem}" for name, problem in problems if problem]


def _is_manifest(found: Any) -> bool:
    if not isinstance(found, dict) or found.keys() != {"files"} or not isinstance(found["files"], dict):
        return False
    return all(
        isinstance(file, dict)
        and file.keys() == {"bytes", "sha256"}
        and type(file["bytes"]) is int
        and isinstance(file["sha256"], str)
        for file in found["files"].values()
    )


def write_file(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, also when the power fails.

    Raises:
      CheckpointError: the folder cannot be written; an earlier file is intact.
    """
    try:
        files.replace(path, content)
    except OSError as problem:
        raise cannot_write(path, problem) from problem


def cannot_write(path: Path, problem: OSError) -> errors.CheckpointError:
    """The error of a write that failed: what, why, and that nothing is lost."""
    if problem.errno == errno.ENOENT:
        return errors.CheckpointError(f"cannot write {path}: {problem.strerror}; was its folder moved or deleted?")
    return errors.CheckpointError(
        f"cannot write {path}: {problem.strerror}; what was there before is intact, "
        "mend this and run the same command again"
    )


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))


def _settings(value: Any, name: str = "config") -> Iterator[tuple[str, str]]:
    """Dotted names and JSON texts of all settings."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _settings(inner, f"{name}.{key}")
    else:
        yield name, json.dumps(value)


def _files(folder: Path) -> list[str]:
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return sorted(n for n in names if n not in (LOCK, MANIFEST, TIMING) and not n.startswith(f"{LOGS}/"))


def _digest(path: Path) -> dict[str, Any]:
    with files.opened(path) as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _compare(folder: Path, name: str, wanted: Mapping[str, Any]) -> str | None:
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
