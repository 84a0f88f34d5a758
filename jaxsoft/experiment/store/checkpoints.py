"""Checkpoints with digests: one file a step, replaced whole or not at all; what is damaged is noticed and set aside."""

import contextlib
import itertools
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import errors, files
from jaxsoft.experiment.store import packing

_SUFFIX = ".safetensors"

log = logging.getLogger(__name__)


class Good(NamedTuple):
    """A checkpoint that is as it was saved."""

    step: int
    tree: Any
    extra: dict[str, Any]


class Damaged(errors.CheckpointError):
    """A checkpoint is not as it was saved: bits flipped, files cut or gone."""


class Checkpoints:
    """The checkpoints of one tree, by step. One process writes at a time: it holds the run folder's lock, or a directory
    of its own.

    Args:
      directory: where they lie; created, and cleaned of what a killed process was about to save.
      keep: how many of the newest steps to keep; None keeps all.
      tag: JSON that a checkpoint must share with whoever restores it, such as config hash and versions.
      mine: whether this process is the one that writes; another one cleans nothing up, and sets nothing aside.

    Raises:
      CheckpointError: the directory cannot be read or written.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        keep: int | None = 2,
        tag: Mapping[str, Any] | None = None,
        mine: bool = True,
    ):
        self.directory, self._keep, self._mine = Path(directory).absolute(), keep, mine
        self._tag = json.loads(json.dumps(dict(tag or {})))
        try:
            if mine:
                self.directory.mkdir(parents=True, exist_ok=True)
                files.sweep(self.directory)
        except OSError as problem:
            raise errors.CheckpointError(
                f"cannot keep checkpoints in {self.directory}: {problem.strerror}"
            ) from problem

    def save(self, step: int, tree: Any, extra: Mapping[str, Any] | None = None) -> None:
        """Save a tree; when this returns, the step is committed.

        Args:
          step: its number; a step that exists is never overwritten.
          tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys.
          extra: JSON that is handed back with the tree.

        Raises:
          CheckpointError: the step exists, or it cannot be written; the earlier steps are intact.
        """
        path = self.path(step)
        if path.exists():
            raise errors.CheckpointError(f"checkpoint {path} exists already")
        try:
            files.replace(path, packing.packed(tree, {"tag": self._tag, "extra": dict(extra or {})}))
        except OSError as problem:
            raise errors.CheckpointError(
                f"cannot save checkpoint {path}: {problem.strerror}; earlier steps are intact, "
                "mend this and run the same command again"
            ) from problem
        for old in self.steps()[: -self._keep] if self._keep else []:
            self.path(old).unlink(missing_ok=True)

    def path(self, step: int) -> Path:
        """The file of a step."""
        return path_of(self.directory, step)

    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        return sorted(int(path.stem) for path in self.directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal())

    def restore(self, step: int, like: Any) -> Any:
        """Load a step into NumPy arrays, wherever it was saved from.

        Args:
          step: its number.
          like: a tree of arrays or `jax.ShapeDtypeStruct` with the structure, shapes and dtypes that are wanted.

        Returns:
          A tree as `like`, of arrays that are bitwise what was saved.

        Raises:
          CheckpointError: the step does not exist, is damaged, or does not match `like` or the tag. Nothing is loaded.
        """
        if step not in self.steps():
            raise Damaged(f"no checkpoint of step {step} in {self.directory}; there are {self.steps()}")
        return self._load(step, like).tree

    def latest_good(self, like: Any, most: int | None = None) -> Good | None:
        """The newest step that is as it was saved; damaged ones are set aside as `<step>.corrupt`.

        Args:
          like: as in `restore`.
          most: leave newer steps alone.

        Raises:
          CheckpointError: a step does not match `like` or the tag.
        """
        for step in reversed([step for step in self.steps() if most is None or step <= most]):
            try:
                return self._load(step, like)
            except Damaged as damage:
                if self._mine:
                    log.warning("%s; set aside as %s, going one step back", damage, self._set_aside(step).name)
        return None

    def _load(self, step: int, like: Any) -> Good:
        """The record first: the leaves are read only when it is known to be whole and to match."""
        path = self.path(step)
        with _reading(path):
            record = packing.read_record(path)
        if table := packing.differences(record["leaves"], like, record["tag"], self._tag):
            raise errors.CheckpointError(f"checkpoint {path} does not match:", *table.split("\n"))
        with _reading(path):
            return Good(step, packing.read_leaves(path, record["leaves"], like), record["extra"])

    def _set_aside(self, step: int) -> Path:
        names = (self.directory / f"{step}.corrupt{count or ''}" for count in itertools.count())
        target = next(name for name in names if not name.exists())
        try:
            self.path(step).rename(target)
        except OSError as problem:
            raise errors.CheckpointError(f"cannot set aside {self.path(step)}: {problem.strerror}") from problem
        return target


def path_of(directory: Path, step: int) -> Path:
    """The file of a step in a directory."""
    return directory / f"{step}{_SUFFIX}"


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say whether a file is damaged or the machine has no luck with it."""
    try:
        yield
    except (MemoryError, PermissionError) as problem:  # the checkpoint may be good
        cause = getattr(problem, "strerror", None) or problem
        raise errors.CheckpointError(f"cannot read checkpoint {path}: {cause}") from problem
    except Exception as problem:  # damaged files make the readers raise anything
        cause = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:120]
        raise Damaged(f"checkpoint {path} is damaged: {errors.shown(cause)}") from problem
