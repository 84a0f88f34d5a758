"""Students that a run keeps: RUN/students/, safetensors with one array a leaf [members, ...], one file a wave.

A file's one piece of metadata says who is in it, in which row, and the SHA-256 of each: safetensors notices no altered
number by itself. Members that failed are not in it, as none of their checkpoints is chosen.
"""

import functools
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jaxsoft import errors, files
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.training.ensemble import Students

FOLDER = "students"
_RECORD, _ENDING, _LOOK = "jaxsoft", ".safetensors", "-look-"
_DAMAGE = (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError)

Leaf = Shaped[np.ndarray, "..."]


def write(folder: Path, plan: Plan, wave: int, students: tuple[Students, ...], look: int = 0) -> None:
    """Keep the students of a wave that have not failed, whole or not at all.

    Args:
      folder: of the run.
      plan, wave: who they are.
      students: of every bucket of the wave, real members first.
      look: that they are seen at, from 1 on; 0 for the chosen checkpoint of each.

    Raises:
      CheckpointError: the folder cannot be written.
    """
    arrays, leaves, found = dict[str, Leaf](), list[list[Any]](), dict[str, list[Any]]()
    for b, (bucket, (start, stop)) in enumerate(zip(plan.buckets, plan.waves[wave])):
        state, best = students[b]
        well = np.flatnonzero(np.asarray(state.bad_step)[: stop - start] < 0)
        own = _leaves(state.variables if look or best is None else best.variables, well)
        leaves.append(list(map(list, own)))
        arrays |= {_tensor(b, path): array for path, array in own.items()}
        for row, j in enumerate(well):
            key = plan.keys[bucket.members[start + j]]
            found[key] = [b, row, _digest(key, (array[row] for array in own.values()))]
    sealed = json.dumps(files.seal({"leaves": leaves, "members": found}), sort_keys=True)
    wave_of = files.digest([json.dumps(plan.tag(wave)["members"])])[:16]
    path = folder / FOLDER / f"{wave_of}{f'{_LOOK}{look}' if look else ''}{_ENDING}"
    with errors.writing(path):
        path.parent.mkdir(exist_ok=True)
        files.replace(path, save(arrays, {_RECORD: sealed}))
        _supersede(path, wave_of, found)


def read(folder: Path, key: str, look: int = 0, like: Any = None) -> Any:
    """The variables of one member, as NumPy arrays: what its network is applied with.

    Args:
      folder: of the run.
      key: of the member, as the column `member` has it.
      look: that it was seen at, from 1 on; 0 for its chosen checkpoint.
      like: a tree of the structure that is wanted; without one, it is of dictionaries and lists.

    Raises:
      CheckpointError: there is no such student, or it is not as it was kept.
    """
    damaged = list[str]()
    for path in _paths(folder, look):
        if (record := _record(path)) is None:
            damaged.append(path.name)
        elif key in record["members"]:
            arrays = _arrays(path, record["leaves"], key, *record["members"][key])
            return _tree(arrays) if like is None else jax.tree.unflatten(jax.tree.structure(like), arrays.values())
    told = f"no student {errors.shown(key)}{f' at look {look}' if look else ''} in {folder / FOLDER}: "
    why = f"{', '.join(damaged)} cannot be read" if damaged else "it failed, or config.keep.students was another then"
    raise errors.CheckpointError(told + why)


def members(folder: Path, look: int = 0) -> frozenset[str]:
    """The keys of all members whose chosen checkpoint, or whose network at a look, can be read."""
    records = (_record(path) for path in _paths(folder, look))
    return frozenset[str]().union(*(record["members"] for record in records if record))


def sweep(folder: Path) -> None:
    """Give back the space of files that a killed process was about to keep; CheckpointError if that cannot be."""
    if (folder / FOLDER).is_dir():
        with errors.writing(folder / FOLDER):
            files.sweep(folder / FOLDER)


def _supersede(path: Path, wave: str, found: Collection[str]) -> None:
    """Take away what waves of another shape have kept of the same members: a key is in one wave's file."""
    for other in path.parent.glob(f"*{_ENDING}"):
        if (
            not other.name.startswith(wave)
            and (there := _record(other))
            and not there["members"].keys().isdisjoint(found)
        ):
            other.unlink()


def _paths(folder: Path, look: int) -> list[Path]:
    ending = f"{_LOOK}{look}{_ENDING}" if look else _ENDING
    found = sorted((folder / FOLDER).glob(f"*{ending}"))
    return [path for path in found if look or _LOOK not in path.name]


def _record(path: Path) -> dict[str, Any] | None:
    """Who is in a file, `members`, and of what arrays each bucket, `leaves`; None if it cannot be read."""
    try:
        with files.opened(path):
            found = path.stat()
        return _known(path, (found.st_ino, found.st_size, found.st_mtime_ns))
    except _DAMAGE:
        return None


@functools.lru_cache(10_000)
def _known(path: Path, _: tuple[int, ...]) -> dict[str, Any]:
    """A file's record; it is asked with another stamp once the file was replaced."""
    with safe_open(path, "np") as file:
        record = files.unseal(json.loads(file.metadata()[_RECORD]))
    return {"members": dict(record["members"]), "leaves": record["leaves"]}


def _arrays(path: Path, leaves: list[list[Any]], key: str, bucket: int, row: int, sha256: str) -> dict[tuple, Leaf]:
    """The leaves of a member by path; CheckpointError if they are not what was kept."""
    try:
        with safe_open(path, "np") as file:
            slices = {tuple(at): file.get_slice(_tensor(bucket, at)) for at in leaves[bucket]}
            found = {at: np.asarray(part[row : row + 1]).reshape(part.get_shape()[1:]) for at, part in slices.items()}
        if _digest(key, found.values()) != sha256:
            raise ValueError("it is not what was kept")
    except _DAMAGE as problem:
        said = errors.shown(getattr(problem, "strerror", None) or errors.first_line(problem))
        way_on = "put back a copy of it, or train in another --workdir"
        raise errors.CheckpointError(f"cannot read student {key} from {path}: {said}; {way_on}") from None
    return found


def _tensor(bucket: int, at: Iterable[Any]) -> str:
    return "/".join(map(str, (bucket, *at)))


def _digest(key: str, arrays: Iterable[Leaf]) -> str:
    """SHA-256 of a member: its key, and type, shape and bytes of its leaves in the order of the tree."""

    def parts() -> Iterator[Any]:
        yield key
        for array in map(np.ascontiguousarray, arrays):
            yield f" {array.dtype.name}{list(array.shape)} "
            yield array.reshape(-1).view(np.uint8).data

    return files.digest(parts())


def _leaves(tree: Any, well: Int[np.ndarray, "m"]) -> dict[tuple, Leaf]:
    """The leaves by path, contiguous, of those members that are well."""
    rows = slice(len(well)) if not len(well) or well[-1] == len(well) - 1 else well
    named = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(map(_name, path)): np.ascontiguousarray(np.asarray(leaf)[rows]) for path, leaf in named}


def _name(step: Any) -> Any:
    """What a step of a path is called: a key, a position, or an attribute."""
    return next(getattr(step, kind) for kind in ("key", "idx", "name") if hasattr(step, kind))


def _tree(arrays: dict[tuple, Leaf]) -> Any:
    """Nested dictionaries, and lists where all steps are positions."""
    if () in arrays:
        return arrays[()]
    parts: dict[Any, dict[tuple, Leaf]] = {}
    for (first, *rest), array in arrays.items():
        parts.setdefault(first, {})[tuple(rest)] = array
    inner = {first: _tree(own) for first, own in parts.items()}
    return list(inner.values()) if list(inner) == list(range(len(inner))) else inner
