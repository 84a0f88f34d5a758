"""Checkpoints with digests. Only this module knows how Orbax keeps them; by itself it does not notice altered numbers.

A step is one atomic Orbax item of two parts: `leaves`, the bytes of a safetensors file, and `record`, what they must be
and whose they are. One array of bytes instead of one array a leaf: saving takes half the time, leaves may be empty, and
when a file is damaged no other read is pending, whose late failure would be printed as a traceback.
"""

import contextlib
import itertools
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxsoft import errors, files
from jaxsoft.experiment.store import packing

_ARRAY = "array.npy"
_FORMAT = "safetensors"  # of the leaves; the record of an earlier version names none

log = logging.getLogger(__name__)


class Good(NamedTuple):
    """A checkpoint that is as it was saved."""

    step: int
    tree: Any
    extra: dict[str, Any]


class Damaged(errors.CheckpointError):
    """A checkpoint is not as it was saved: bits flipped, files cut or gone."""


class Outdated(Damaged):
    """A checkpoint is as an earlier version saved it."""


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
        self.directory, self._mine = Path(directory).absolute(), mine
        self._tag = json.loads(json.dumps(dict(tag or {})))
        alone = _alone()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(keep),
            enable_async_checkpointing=False,  # an asynchronous save says that it succeeded before it fails
            save_root_metadata=False,
            create=jax.process_count() == 1,
            multiprocessing_options=alone,
        )
        array = ocp.ArrayCheckpointHandler, ocp.args.ArraySave, ocp.args.ArrayRestore
        handler, self._save, self._restore = array if jax.process_index() == 0 else (_Arrays, _ArrayArgs, _ArrayArgs)
        handlers = {"leaves": handler(), "record": ocp.JsonCheckpointHandler(multiprocessing_options=alone)}
        if mine:
            _sweep(self.directory)
        try:
            with _quiet():
                if jax.process_count() > 1:
                    self.directory.mkdir(parents=True, exist_ok=True)
                self._manager = ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)
        except OSError as problem:
            raise errors.CheckpointError(f"cannot keep checkpoints in {self.directory}: {_cause(problem)}") from problem

    def save(self, step: int, tree: Any, extra: Mapping[str, Any] | None = None) -> None:
        """Save a tree; when this returns, the step is committed.

        Args:
          step: its number; a step that exists is never overwritten.
          tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys.
          extra: JSON that is handed back with the tree.

        Raises:
          CheckpointError: the step exists, or it cannot be written; the earlier steps are intact.
        """
        if step in self.steps():
            raise errors.CheckpointError(f"checkpoint {self.path(step)} exists already")
        packed, leaves = packing.pack(tree)
        record = files.seal({"format": _FORMAT, "leaves": leaves, "tag": self._tag, "extra": dict(extra or {})})
        parts = ocp.args.Composite(leaves=self._save(packed), record=ocp.args.JsonSave(record))
        try:
            with _quiet():
                self._manager.save(step, args=parts, force=True)
                self._manager.wait_until_finished()
        except Exception as problem:  # the libraries below raise many types
            _sweep(self.directory)
            self._manager.reload()
            raise errors.CheckpointError(
                f"cannot save checkpoint {self.path(step)}: {_cause(problem)}; earlier steps are intact, "
                "mend this and run the same command again"
            ) from problem

    def path(self, step: int) -> Path:
        """The folder of a step."""
        return path_of(self.directory, step)

    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        return sorted(self._manager.all_steps())

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
            self._manager.reload()  # another process may have saved it since
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
        told = False
        for step in reversed([step for step in self.steps() if most is None or step <= most]):
            try:
                return self._load(step, like)
            except Damaged as damage:
                if not self._mine:
                    continue
                aside = self._set_aside(step).name
                if not (told and isinstance(damage, Outdated)):  # a whole folder of those is told in one line
                    log.warning("%s; set aside as %s, going one step back", damage, aside)
                told = isinstance(damage, Outdated)
        return None

    def close(self) -> None:
        """Let go of the directory.

        Raises:
          CheckpointError: what was left to do on the disk failed.
        """
        try:
            with _quiet():
                self._manager.close()
        except Exception as problem:  # as in `save`
            raise errors.CheckpointError(
                f"cannot finish the checkpoints in {self.directory}: {_cause(problem)}; "
                "mend this and run the same command again"
            ) from problem

    def _load(self, step: int, like: Any) -> Good:
        """The record first: the leaves are read only when it is known to be whole and to match."""
        with self._reading(step):
            record = files.unseal(self._part(step, "record", ocp.args.JsonRestore()))
        if record.get("format") != _FORMAT:
            told = f"checkpoint {self.path(step)} was saved by an earlier version; it and others like it are made anew"
            raise Outdated(told)
        if table := packing.differences(record["leaves"], like, record["tag"], self._tag):
            raise errors.CheckpointError(f"checkpoint {self.path(step)} does not match:", *table.split("\n"))
        with self._reading(step):
            tree = packing.unpack(self._part(step, "leaves", self._restore()), record["leaves"], like)
        return Good(step, tree, record["extra"])

    def _part(self, step: int, part: str, args: Any) -> Any:
        return self._manager.restore(step, args=ocp.args.Composite(**{part: args}))[part]

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        name = self.path(step)
        try:
            with _quiet():
                yield
        except (MemoryError, PermissionError) as problem:  # the checkpoint may be good
            raise errors.CheckpointError(f"cannot read checkpoint {name}: {_cause(problem)}") from problem
        except Exception as problem:  # damaged files make the libraries below raise anything
            raise Damaged(f"checkpoint {name} is damaged: {_cause(problem)}") from problem

    def _set_aside(self, step: int) -> Path:
        names = (self.directory / f"{step}.corrupt{count or ''}" for count in itertools.count())
        target = next(name for name in names if not name.exists())
        try:
            self.path(step).rename(target)
        except OSError as problem:
            raise errors.CheckpointError(f"cannot set aside {self.path(step)}: {_cause(problem)}") from problem
        self._manager.reload()
        return target


def path_of(directory: Path, step: int) -> Path:
    """The folder of a step in a directory."""
    return directory / str(step)


class _Arrays(ocp.ArrayCheckpointHandler):
    """One array of a process that is not the first; Orbax lets only the first write arrays that lie on its host."""

    async def async_save(self, directory: Any, *_: Any, args: Any) -> None:
        with open(directory / _ARRAY, "xb") as file:
            np.save(file, args.item, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())

    def restore(self, directory: Any, *_: Any, **__: Any) -> Any:
        if not (directory / _ARRAY).exists():  # the first process saved it: an epoch of the experts
            return super().restore(directory)
        return np.load(directory / _ARRAY, allow_pickle=False)

    def finalize(self, directory: Any) -> None:
        """Nothing is left to do."""


@ocp.args.register_with_handler(_Arrays, for_save=True, for_restore=True)
@dataclass
class _ArrayArgs(ocp.args.CheckpointArgs):
    item: Any = None


def _alone() -> ocp.options.MultiprocessingOptions:
    """Of several processes each keeps its own checkpoints, and waits for no other."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(me, {me}, f"process-{me}")


def _sweep(directory: Path) -> None:
    """Give back the space of saves that failed or were killed. Orbax's own cleaning does not find them all."""
    for leftover in directory.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs, as tracebacks, the failures that it also raises."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        absl.setLevel(level)


def _cause(problem: Exception) -> str:
    """Why, in one short line; TensorStore writes paragraphs around the number of the system's error."""
    if number := re.search(r"os_error_code='(\d+)'", str(problem)):
        return os.strerror(int(number[1]))
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return errors.shown((str(problem).strip().splitlines() or [type(problem).__name__])[0][:120])
