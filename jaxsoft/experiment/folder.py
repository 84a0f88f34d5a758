"""The folder of one run: held by one process, bound to one config, every file replaced whole or not at all."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from jaxsoft import errors, files
from jaxsoft.experiment import lock

CONFIG, LOCK, LOGS, MANIFEST = "config.json", "lock", "logs", "manifest.json"
PACKAGES = ("jaxsoft", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
FREE = ("config.compute.", "config.data.root", "config.teacher.store")  # say how and where, not what
SHOWN = 3  # differing settings that a message names


class RunFolder:
    """One run's folder.

    Reading needs no lock. Whoever writes calls `open` first, which refuses a second process and another config:

        with RunFolder(workdir).open(config) as folder:
            folder.write_json("plan.json", plan)
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).absolute()
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
                leftover.unlink()
            self._bind(config)
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
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_json(self, name: str, value: Any) -> None:
        """Replace a JSON file of the folder, whole or not at all; arrays become lists.

        Raises:
          CheckpointError: the folder cannot be written; the earlier file is intact.
        """
        write_file(self.path / name, _to_json(value))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the folder.

        Raises:
          CheckpointError: the file is missing or is not JSON.
        """
        try:
            return json.loads((self.path / name).read_bytes())
        except OSError as problem:
            raise errors.CheckpointError(f"cannot read {self.path / name}: {problem.strerror}") from problem
        except (ValueError, RecursionError) as problem:
            raise errors.CheckpointError(f"cannot read {self.path / name}: not JSON ({problem})") from problem

    def write_manifest(self) -> None:
        """Store size and SHA-256 of every file, for `verify`; the lock, the logs and the manifest are left out.

        Raises:
          CheckpointError: the folder cannot be written.
        """
        self.write_json(MANIFEST, {"files": {name: _digest(self.path / name) for name in _files(self.path)}})

    def _bind(self, config: Mapping[str, Any]) -> None:
        if not (self.path / CONFIG).exists():
            return self.write_json(CONFIG, config)
        there = dict(_settings(self.read_json(CONFIG)))
        now = dict(_settings(json.loads(_to_json(config))))
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
    manifest = folder.read_json(MANIFEST)
    try:
        problems = [_compare(folder.path, name, wanted) for name, wanted in manifest["files"].items()]
    except (AttributeError, KeyError, TypeError):
        raise errors.CheckpointError(f"cannot read {folder.path / MANIFEST}: it holds no list of files") from None
    return [problem for problem in problems if problem]


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
    return errors.CheckpointError(
        f"cannot write {path}: {problem.strerror}; what was there before is intact, "
        "mend this and run the same command again"
    )


def environment() -> dict[str, Any]:
    """What a number was made with: versions, device, platform, and the commit if the package lies in a checkout."""
    import jax  # here, so that reading and verifying a folder starts at once

    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "platform": platform.platform(),
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # imported from a checkout that is not installed
        return None


def _commit() -> str | None:
    """The checkout's commit, with `-dirty` when a tracked file was changed; None for an installed package."""
    tracked = ["ls-files", "--error-unmatch", Path(__file__).name]  # not a checkout that merely holds the environment
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        done = [
            subprocess.run(git + c, capture_output=True, text=True, timeout=10, check=True) for c in (tracked, describe)
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return done[1].stdout.strip()


def _to_json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, default=lambda array: array.tolist()) + "\n").encode()


def _settings(value: Any, name: str = "config") -> Iterator[tuple[str, str]]:
    """Dotted names and JSON texts of all settings."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _settings(inner, f"{name}.{key}")
    else:
        yield name, json.dumps(value)


def _files(folder: Path) -> list[str]:
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return sorted(n for n in names if n not in (LOCK, MANIFEST) and not n.startswith(f"{LOGS}/"))


def _digest(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _compare(folder: Path, name: str, wanted: Mapping[str, Any]) -> str | None:
    """What is wrong with one file, if anything."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return f"{name}: lies outside the run folder"
    try:
        if not (folder / path).is_file():
            return f"{name}: missing"
        found = _digest(folder / path)
    except OSError as problem:
        return f"{name}: cannot be read ({problem.strerror})"
    if found["bytes"] != wanted["bytes"]:
        return f"{name}: {found['bytes']} bytes, {wanted['bytes']} when the run finished"
    return f"{name}: changed since the run finished" if found["sha256"] != wanted["sha256"] else None
