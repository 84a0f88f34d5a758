"""The folder of one run: held by one process, bound to one config, every file replaced whole or not at all."""

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import config as settings_of
from jaxsoft import errors, files
from jaxsoft.experiment.store import lock

log = logging.getLogger(__name__)

CONFIG, LOCK, TIMING = "config.json", "lock", "timing.json"
MOST_JSON = 2**30  # bytes; a plan of a million members has less
MOST_STARTS = 100  # whose times are kept
SHOWN = 3  # differing settings that a message names
FREE = ("config.compute.", "config.data.root", "config.teacher.store", "config.teacher.expected")
FREE += ("config.teacher.keep", "config.sinks", "config.keep.", "config.note")
"""How settings begin that say how and where, not what."""
_WAY_ON = "resume with the stored settings or choose another --workdir"


class RunFolder(contextlib.AbstractContextManager):
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
        self._seconds = seconds
        self._lock: lock.Lock | None = None

    def open(self, config: Mapping[str, Any]) -> "RunFolder":
        """Create the folder if needed, take its lock, and store the config (as JSON can hold it) or `compare` it.

        Raises:
          CheckpointError: another process holds the folder, it belongs to another config, or it cannot be written.
        """
        if self._lock is not None:
            raise errors.CheckpointError(f"run folder {self.path} is open already")
        with errors.writing(self.path), contextlib.ExitStack() as refused:
            self.path.mkdir(parents=True, exist_ok=True)
            held = lock.Lock(self.path / LOCK)
            refused.callback(held.release)
            files.sweep(self.path)
            if not self.compare(config):
                self.write_json(CONFIG, config)
            if self._seconds is not None:
                self.write_times(self._seconds, new=True)
            refused.pop_all()
            self._lock = held
        return self

    def join(self, config: Mapping[str, Any]) -> None:
        """For the processes of a run beside the one that opened the folder: `compare`, and refuse a folder without a run."""
        if not self.compare(config):
            told = f"no run in {self.path}; all processes need one --workdir that all of them see"
            raise errors.CheckpointError(told)

    def close(self) -> None:
        """Give the lock back. Closing twice does no harm."""
        if self._lock is not None:
            if self._seconds is not None:
                with contextlib.suppress(errors.CheckpointError):  # what went wrong before is what counts
                    self.write_times(self._seconds)
            self._lock.release()
            self._lock = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_json(self, name: str, value: Any) -> None:
        """Replace a JSON file, as `write_file` does; arrays become lists, and an object is sealed."""
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

    def read_settings(self) -> settings_of.Settings:
        """The settings that the run began with; those that this version does not know are named and left out.

        Raises:
          CheckpointError: they cannot be read, or hold what this version does not take.
        """
        found = self.read_json(CONFIG)
        usual, there = (dict(flat(one)) for one in (settings_of.as_dict(settings_of.Settings()), found))
        groups = {name.rpartition(".")[0] for name in usual}
        if unknown := sorted(name for name in there if name not in usual and name not in groups):
            log.warning("%s was begun by another version: settings unknown here: %s", self.path, ", ".join(unknown))
        try:
            return settings_of.read(_without(found, unknown))
        except errors.ConfigError as problem:
            raise errors.CheckpointError(f"cannot read {self.path / CONFIG}: {problem}") from None

    def write_times(self, seconds: Mapping[str, float], new: bool = False) -> None:
        """Store how long the stages of the last start, or of a new one, took so far, beside those of earlier ones."""
        try:
            found = self.read_json(TIMING)
        except errors.CheckpointError:  # decides nothing, and counts as empty
            found = {}
        starts = [part for part in found.values() if isinstance(part, dict)] if isinstance(found, dict) else []
        starts = [*(starts if new else starts[:-1]), dict(seconds)][-MOST_STARTS:]
        self.write_json(TIMING, {f"start {number}": stages for number, stages in enumerate(starts, 1)})

    def compare(self, config: Mapping[str, Any], way_on: str = _WAY_ON) -> bool:
        """Compare a config with the stored one, key by key, if one is stored; says whether it is, and writes nothing.

        Raises:
          CheckpointError: the folder belongs to another config, or there is a file in its place.
        """
        nearest = next(p for p in (self.path, *self.path.parents) if p.exists())
        if not nearest.is_dir():
            raise errors.CheckpointError(f"{nearest} is a file, no folder for a run; choose another --workdir")
        if not (self.path / CONFIG).exists():
            return False
        stored = self.read_json(CONFIG)
        if not isinstance(stored, dict) or not stored:
            told = f"cannot read {self.path / CONFIG}: it holds no settings; delete it and run the same command again"
            raise errors.CheckpointError(told)
        there, now = ({k: json.dumps(v) for k, v in flat(one, "config")} for one in (stored, _plain(config)))
        usual = {k: json.dumps(v) for k, v in flat(settings_of.as_dict(settings_of.Settings()), "config")}
        there |= {
            k: usual[k] for k in now if k in usual and k not in there
        }  # of a version that did not know the setting
        shown = [
            f"{key} is {was} there, {own} now"
            for key, (was, own) in differing(there, now).items()
            if not key.startswith(FREE)
        ]
        if shown:
            more = [f"and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
            raise errors.CheckpointError(
                f"run folder {self.path} belongs to another config: {'; '.join(shown[:SHOWN] + more)}; {way_on}"
            )
        return True


class Temporary(RunFolder):
    """A run folder that is there as long as this object."""

    def __init__(self):
        super().__init__(tempfile.mkdtemp(prefix="jaxsoft-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


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
    """What two mappings hold under every key where they differ.

    >>> differing({"a": 1, "b": 2}, {"b": 3, "a": 1, "c": 4})
    {'b': (2, 3), 'c': ('absent', 4)}
    """
    both = {key: (before.get(key, absent), now.get(key, absent)) for key in {**before, **now}}
    return {key: pair for key, pair in both.items() if pair[0] != pair[1]}


def write_file(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all; CheckpointError if it cannot be written, and then an earlier one is intact."""
    with errors.writing(path):
        files.replace(path, content)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace a file of named arrays (`.npz`), as `write_file` does."""
    write_file(path, packed(arrays))


def packed(arrays: Mapping[str, Any]) -> bytes:
    """Named arrays as the bytes of an `.npz` file; equal arrays give equal bytes."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of such a file; where it is damaged, the zip and array readers raise anything."""
    with files.opened(path) as file, np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _without(values: Mapping[str, Any], names: Collection[str], of: str = "") -> dict[str, Any]:
    """Nested mappings without what has one of these dotted names."""
    left = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            left |= {key: inner} if (inner := _without(value, names, f"{of}{key}.")) else {}
        elif of + key not in names:
            left[key] = value
    return left


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))
