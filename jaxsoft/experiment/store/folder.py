"""The folder of one run: held by one process, bound to one config, every file replaced whole or not at all."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsoft import errors, files
from jaxsoft.experiment.store import lock
from jaxsoft.experiment.store.writing import cannot_write, differing, flat, write_file

CONFIG, LOCK, TIMING = "config.json", "lock", "timing.json"
MOST_JSON = 2**30  # bytes; a plan of a million members has less
MOST_STARTS = 100  # whose times are kept
FREE = (
    "config.compute.",
    "config.data.root",
    "config.teacher.store",
    "config.teacher.expected",
)  # say how and where, not what
SHOWN = 3  # differing settings that a message names


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
            with contextlib.ExitStack() as refused:
                held = lock.Lock(self.path / LOCK)
                refused.callback(held.release)
                files.sweep(self.path)
                if not self.compare(config):
                    self.write_json(CONFIG, config)
                if self._seconds is not None:
                    self.write_times(self._seconds, new=True)
                refused.pop_all()
        except OSError as problem:
            raise cannot_write(self.path, problem) from problem
        self._lock = held
        return self

    def join(self, config: Mapping[str, Any]) -> None:
        """Compare the config with the stored one; for the processes of a run beside the one that opened the folder.

        Raises:
          CheckpointError: the folder belongs to another config, or is not there.
        """
        if not self.compare(config):
            raise errors.CheckpointError(
                f"no run in {self.path}; all processes need one --workdir that all of them see"
            )

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

    def write_times(self, seconds: Mapping[str, float], new: bool = False) -> None:
        """Store how long the stages of the last start, or of a new one, took so far, beside those of earlier ones.

        Raises:
          CheckpointError: the folder cannot be written.
        """
        try:
            found = self.read_json(TIMING)
        except errors.CheckpointError:  # decides nothing, and counts as empty
            found = {}
        starts = [part for part in found.values() if isinstance(part, dict)] if isinstance(found, dict) else []
        starts = [*(starts if new else starts[:-1]), dict(seconds)][-MOST_STARTS:]
        self.write_json(TIMING, {f"start {number}": stages for number, stages in enumerate(starts, 1)})

    def compare(self, config: Mapping[str, Any]) -> bool:
        """Compare a config with the stored one; writes nothing.

        Returns:
          Whether one is stored.

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
        changed = {key: both for key, both in differing(there, now).items() if not key.startswith(FREE)}
        if not changed:
            return True
        shown = [f"{key} is {stored} there, {own} now" for key, (stored, own) in changed.items()]
        if len(shown) > SHOWN:
            shown[SHOWN:] = [f"and {len(shown) - SHOWN} more"]
        raise errors.CheckpointError(
            f"run folder {self.path} belongs to another config: {'; '.join(shown)}; "
            "resume with the stored settings or choose another --workdir"
        )


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))
