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

from jaxsoft import errors, files, packing
from jaxsoft.experiment.store.differences import differences

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
      CheckpointError: the directory cannot be made.
    """

    def __init__(self, directory: Path, keep: int | None = 2, tag: Mapping[str, Any] | None = None, mine: bool = True):
        self.directory, self._keep, self._mine = Path(directory).absolute(), keep, mine
        self._tag = json.loads(json.dumps(dict(tag or {})))
        me = jax.process_index()  # each process keeps its own checkpoints, and waits for no other
        alone = ocp.options.MultiprocessingOptions(me, {me}, f"process-{me}")
        at_once = ocp.AsyncOptions(
            create_directories_asynchronously=False
        )  # else keys that all set say when they are there
        options = ocp.CompositeOptions(multiprocessing_options=alone, async_options=at_once)
        parts = {"leaves": _Leaves(), "record": ocp.JsonCheckpointHandler(multiprocessing_options=alone)}
        both = ocp.CompositeCheckpointHandler(composite_options=options, **parts)
        self._orbax = ocp.Checkpointer(both, multiprocessing_options=alone)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise errors.CheckpointError(f"cannot keep checkpoints in {self.directory}: {_cause(problem)}") from problem
        if mine:
            self._sweep()

    def save(self, step: int, tree: Any, extra: Mapping[str, Any] | None = None) -> None:
        """Save a tree; when this returns, the step is committed. One that exists is never overwritten.

        Args:
          step: its number.
          tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys.
          extra: JSON that is handed back with the tree.

        Raises:
          CheckpointError: the step exists, or it cannot be written; the earlier steps are intact.
        """
        path = path_of(self.directory, step)
        if path.exists():
            raise errors.CheckpointError(f"checkpoint {path} exists already")
        packed, leaves = packing.pack(tree)
        record = files.seal({"format": _FORMAT, "leaves": leaves, "tag": self._tag, "extra": dict(extra or {})})
        try:
            with _quiet():
                parts = ocp.args.Composite(leaves=_LeavesArgs(packed), record=ocp.args.JsonSave(record))
                self._orbax.save(path, args=parts)
        except Exception as problem:  # the libraries below raise many types
            self._sweep()
            raise errors.CheckpointError(
                f"cannot save checkpoint {path}: {_cause(problem)}; earlier steps are intact, "
                "mend this and run the same command again"
            ) from problem
        for old in self.steps()[: -self._keep] if self._keep else ():
            shutil.rmtree(path_of(self.directory, old), ignore_errors=True)

    def clear(self) -> None:
        """Remove every step."""
        for step in self.steps():
            shutil.rmtree(path_of(self.directory, step), ignore_errors=True)

    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        return sorted(int(path.name) for path in self.directory.glob("*") if path.name.isdecimal())

    def restore(self, step: int, like: Any) -> Any:
        """The tree of a step, in NumPy arrays that are bitwise what was saved, wherever it was saved from.

        Args:
          step: its number.
          like: a tree of arrays or `jax.ShapeDtypeStruct` with the structure, shapes and dtypes that are wanted.

        Raises:
          CheckpointError: the step does not exist, is damaged, or does not match `like` or the tag. Nothing is loaded.
        """
        if step not in self.steps():
            raise Damaged(f"no checkpoint of step {step} in {self.directory}; there are {self.steps()}")
        return self._load(step, like).tree

    def latest_good(self, like: Any, most: int | None = None) -> Good | None:
        """The newest step, of those up to `most`, that is as it was saved; damaged ones become `<step>.corrupt`.

        Raises:
          CheckpointError: a step does not match `like`, as in `restore`, or the tag.
        """
        told = False
        for step in reversed([step for step in self.steps() if most is None or step <= most]):
            try:
                return self._load(step, like)
            except Damaged as damage:
                if self._mine:
                    aside = self._set_aside(step).name
                    if not (told and isinstance(damage, Outdated)):  # a whole folder of those is told in one line
                        log.warning("%s; set aside as %s, going one step back", damage, aside)
                    told = isinstance(damage, Outdated)
        return None

    def _load(self, step: int, like: Any) -> Good:
        """The record first: the leaves are read only when it is known to be whole and to match."""
        path = path_of(self.directory, step)
        try:
            with _quiet():
                record = files.unseal(self._part(step, "record", ocp.args.JsonRestore()))
                if record.get("format") != _FORMAT:
                    told = f"checkpoint {path} was saved by an earlier version; it and others like it are made anew"
                    raise Outdated(told)
                if table := differences(record["leaves"], like, record["tag"], self._tag):
                    raise errors.CheckpointError(f"checkpoint {path} does not match:", *table)
                tree = packing.unpack(self._part(step, "leaves", _LeavesArgs()), record["leaves"], like)
        except errors.CheckpointError:
            raise
        except (MemoryError, PermissionError) as problem:  # the checkpoint may be good
            raise errors.CheckpointError(f"cannot read checkpoint {path}: {_cause(problem)}") from problem
        except Exception as problem:  # damaged files make the libraries below raise anything
            raise Damaged(f"checkpoint {path} is damaged: {_cause(problem)}") from problem
        return Good(step, tree, record["extra"])

    def _part(self, step: int, part: str, args: Any) -> Any:
        return self._orbax.restore(path_of(self.directory, step), args=ocp.args.Composite(**{part: args}))[part]

    def _set_aside(self, step: int) -> Path:
        names = (self.directory / f"{step}.corrupt{count or ''}" for count in itertools.count())
        path, target = path_of(self.directory, step), next(name for name in names if not name.exists())
        try:
            return path.rename(target)
        except OSError as problem:
            raise errors.CheckpointError(f"cannot set aside {path}: {_cause(problem)}") from problem

    def _sweep(self) -> None:
        """Give back the space of saves that failed or were killed."""
        for leftover in self.directory.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(leftover, ignore_errors=True)


class Memory(dict[int, Good]):
    """Trees by step on the host; saves and restores as `Checkpoints` do."""

    def save(self, step: int, tree: Any, extra: dict[str, Any]) -> None:
        """As `Checkpoints.save`."""
        self[step] = Good(step, jax.device_get(tree), extra)

    def restore(self, step: int, like: Any) -> Any:
        """As `Checkpoints.restore`; nothing here is damaged or does not match."""
        if step not in self:
            raise Damaged(f"step {step} is not kept; there are {self.steps()}")
        return self[step].tree

    def latest_good(self, like: Any, most: int | None = None) -> Good | None:
        """As `Checkpoints.latest_good`."""
        return max(
            (self[step] for step in self if most is None or step <= most), key=lambda good: good.step, default=None
        )

    def steps(self) -> list[int]:
        """As `Checkpoints.steps`."""
        return sorted(self)


def path_of(directory: Path, step: int) -> Path:
    """The folder of a step in a directory."""
    return directory / str(step)


class _Leaves(ocp.ArrayCheckpointHandler):
    """One array. Orbax lets only the first process write arrays that lie on its host; others write a file themselves."""

    async def async_save(self, directory: Any, *_: Any, args: Any) -> Any:
        if jax.process_index() == 0:
            return await super().async_save(directory, args.item)
        with open(directory / _ARRAY, "xb") as file:
            np.save(file, args.item, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())

    def restore(self, directory: Any, *_: Any, **__: Any) -> Any:
        file = directory / _ARRAY
        return np.load(file, allow_pickle=False) if file.exists() else super().restore(directory)


@ocp.args.register_with_handler(_Leaves, for_save=True, for_restore=True)
@dataclass
class _LeavesArgs(ocp.args.CheckpointArgs):
    item: Any = None


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
    return errors.shown(errors.first_line(problem)[:120])
