"""Run folders read back: the results, and what else a run left behind. Nothing here knows how students are trained."""

import json
import logging
import math
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float16, Float32, Int32, UInt8

from jaxsoft import errors, files
from jaxsoft.analysis.reading.results import plain, read_results
from jaxsoft.types import Row

_MOST_EXAMPLES_BYTES = 256 * 2**20
_MOST_JSON_BYTES = 2**30
_LONGEST_NAME = 100
_TEXTS = ("config", "plan", "env", "timing")
_BEGUN = ("config.json", "results.jsonl")  # a folder with one of these is a run's
_NO_JSON = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
_WAY_ON = "delete it and run the same command again"

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelSample:
    """The probabilities of K classes that the teacher gave to N images after each of P epochs, and the true classes."""

    probabilities: Float16[np.ndarray, "P N K"]
    labels: Int32[np.ndarray, "N"]


@dataclass(frozen=True)
class Examples:
    """A few real images n, and the probabilities of K classes that the teacher gave them after each of P epochs.

    `train` and `validation` are the labels of many images of these splits, at the same epochs, and `experts` are those
    who gave them; older runs have none.
    """

    images: UInt8[np.ndarray, "n H W C"]
    labels: Int32[np.ndarray, "n"]
    epochs: Int32[np.ndarray, "P"]
    probabilities: Float32[np.ndarray, "P n K"]
    class_names: tuple[str, ...]
    train: LabelSample | None = None
    validation: LabelSample | None = None
    experts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run folder. What the run did not leave, or is damaged and decides no number, is empty, or None.

    `sets` are the records of imported sets, by digest; `damaged` names the files that are left out for that.
    """

    folder: Path
    rows: list[Row]
    config: dict[str, Any]
    plan: dict[str, Any]
    env: dict[str, Any]
    timing: dict[str, Any]
    teachers: dict[str, Any]
    examples: Examples | None
    damaged: tuple[str, ...] = ()
    sets: dict[str, Any] = field(default_factory=dict)


def examples_of(runs: Sequence[Run], dataset: str) -> Examples | None:
    """The images that some run kept of a data set."""
    of_it = [run.examples for run in runs if run.rows and run.rows[0]["dataset"] == dataset]
    return next((examples for examples in of_it if examples is not None), None)


def labeller(run: Run) -> str:
    """Who gave the labels of a run's examples: "the teacher" where there is one alone, or it is not known who."""
    asked = run.examples.experts if run.examples is not None and len(run.teachers.get("experts", [])) > 1 else ()
    return (
        "the teacher" if not asked else f"expert {asked[0]}" if len(asked) == 1 else f"the mean of {len(asked)} experts"
    )


def expert_sizes(run: Run) -> tuple[int, ...]:
    """Bytes of the network of each expert of a run; empty if it does not tell."""
    sizes = [expert.get("bytes") for expert in run.teachers.get("experts", [])]
    return () if None in sizes else tuple(sizes)


def map_entries(run: Run) -> dict[str, int]:
    """How many entries the feature map of one image has, of each label spec of a run that holds such."""
    members, groups = run.plan.get("members", []), run.plan.get("groups", [])
    shapes = [(group["recipe"].get("features", ""), group["members"]) for group in groups]
    found = {members[i]["labels"]: shape for shape, places in shapes if shape for i in places}
    return {labels: math.prod(map(int, shape.split("x"))) for labels, shape in found.items()}


def read_run(folder: str | os.PathLike) -> Run:
    """A run folder: its results, and the other artefacts as far as they are there and whole.

    Raises:
      DataError: there are no results, or they are damaged; says so if the run has not finished.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise errors.DataError(f"no run folder at {folder}")
    if not os.path.lexists(folder / "results.csv") and any((folder / name).exists() for name in _BEGUN):
        said = "has not finished: it has no results.csv; run the same command again"
        raise errors.DataError(f"the run in {folder} {said}")
    rows, damaged = read_results(folder), list[str]()
    texts = {name: _whole(read_json, folder / f"{name}.json", {}, damaged) for name in _TEXTS}
    teachers = _whole(read_teachers, folder / "teachers.json", {}, damaged)
    examples = _whole(read_examples, folder / "examples.npz", None, damaged)
    sets = _whole(read_sets, folder / "sets.json", {}, damaged)
    return Run(folder, rows, **texts, teachers=teachers, examples=examples, damaged=tuple(damaged), sets=sets)


def _whole(read: Callable[[Path], T], path: Path, instead: T, damaged: list[str]) -> T:
    """What a file says that decides no number; if it is damaged, `instead`, with a warning and its name in `damaged`."""
    try:
        return read(path)
    except errors.DataError as problem:
        log.warning("the report goes on without %s: %s", path.name, problem)
        damaged.append(path.name)
        return instead


def read_teachers(path: Path) -> dict[str, Any]:
    """What a run tells of its experts; empty if there is no such file.

    Raises:
      DataError: the file is damaged, or not what a run writes.
    """
    found = read_json(path)
    try:
        records = [record for expert in found.get("experts", []) for record in expert["history"]]
        numbers = [record.get(name) for record in records for name in ("val_accuracy", "label_entropy")]
        if not all(value is None or math.isfinite(value) for value in numbers):
            raise ValueError("a number is not finite")
        if not all(type(size := expert.get("bytes", 1)) is int and size > 0 for expert in found.get("experts", [])):
            raise ValueError("bytes of an expert are no size")
        teacher, resolved = found.get("teacher", {}), found.get("resolved", {})
        texts = [teacher.get("key", ""), *(teacher.get("models") or []), *resolved.values()]
        if {type(record["epoch"]) for record in records} - {int} or {type(text) for text in texts} - {str}:
            raise TypeError("an epoch is no integer, or a name no text")
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as problem:
        said = f"{type(problem).__name__}: {plain(str(problem))}"
        raise errors.DataError(f"{path} does not hold the experts of a run ({said}); {_WAY_ON}") from None
    return found


def read_sets(path: Path) -> dict[str, Any]:
    """The records of the imported sets that a run read, by digest; empty if there is no such file.

    Raises:
      DataError: the file is damaged, or not what a run writes.
    """
    found = read_json(path)
    try:
        sizes = [(own.get("images", 1), *own.get("bytes", {}).values()) for own in found.values()]
        shapes = [(len(own["class_names"]), *own["image_shape"]) for own in found.values()]
        if not all(type(n) is int and 0 <= n <= _MOST_JSON_BYTES**2 for of in (*sizes, *shapes) for n in of):
            raise ValueError("bytes of a set are no size")
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        said = f"{type(problem).__name__}: {plain(str(problem))}"
        raise errors.DataError(f"{path} does not hold the imported sets of a run ({said}); {_WAY_ON}") from None
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object with its texts as they may be shown; empty if there is no such file.

    Raises:
      DataError: the file cannot be read, or is no JSON object.
    """
    try:
        found = files.unsealed(json.loads(files.read(path, _MOST_JSON_BYTES)))
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise errors.DataError(f"cannot read {path}: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:
        said = "not JSON" if isinstance(problem, _NO_JSON) else problem
        raise errors.DataError(f"cannot read {path}: {said}; {_WAY_ON}") from None
    if not isinstance(found, dict):
        raise errors.DataError(f"{path} should hold a JSON object, got {type(found).__name__}; {_WAY_ON}")
    return _printable(found)


def _printable(value: Any) -> Any:
    """A JSON value whose keys and texts are `plain`."""
    if isinstance(value, dict):
        return {plain(key): _printable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_printable(inner) for inner in value]
    return plain(value) if isinstance(value, str) else value


def read_examples(path: Path) -> Examples | None:
    """Images and labels that a run kept; None if it kept none.

    Raises:
      DataError: the file is damaged, or not what a run writes.
    """
    return archived(path, _MOST_EXAMPLES_BYTES, _examples)


def archived(path: Path, most: int, take: Callable[[Any], T]) -> T | None:
    """What is taken of the arrays of an `.npz` file of at most so many bytes; None if there is no such file.

    Raises:
      DataError: the file is damaged, or `take` finds in it what a run does not write.
    """
    try:
        with files.opened(path) as file:
            with zipfile.ZipFile(file) as archive:
                if (size := sum(entry.file_size for entry in archive.infolist())) > most:
                    raise ValueError(f"it unpacks to {size:,} bytes, the limit is {most:,}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return take(arrays)
    except FileNotFoundError:
        return None
    except Exception as problem:  # archives, compression and array headers each have errors of their own
        said = getattr(problem, "strerror", None) or str(problem)
        raise errors.DataError(f"cannot read {path}: {plain(said)}") from None


def _examples(z: Any) -> Examples:
    images, epochs, names = z["images"], z["epochs"], tuple(plain(str(name)) for name in z["class_names"])
    names = tuple(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names)
    if (images.dtype, epochs.dtype) != (np.uint8, np.int32):
        raise ValueError(f"expected uint8 images and int32 epochs, got {images.dtype} and {epochs.dtype}")
    if epochs.ndim != 1 or len(epochs) == 0 or epochs.min() < 0:
        raise ValueError("epochs should be a list of numbers from 0")
    probabilities, labels = _labels(z, "", np.float32, len(epochs), len(names))
    if images.ndim != 4 or len(images) != len(labels) or not images.size:
        raise ValueError("images and labels do not fit each other")
    kept = [split for split in ("train", "validation") if f"{split}_labels" in z]
    given = {s: LabelSample(*_labels(z, f"{s}_", np.float16, len(epochs), len(names))) for s in kept}
    experts = z["experts"] if "experts" in z else np.zeros(0, np.int32)
    if experts.dtype != np.int32 or experts.ndim != 1 or (experts < 0).any():
        raise ValueError("experts should be a list of numbers from 0")
    return Examples(images, labels, epochs, probabilities, names, **given, experts=tuple(experts.tolist()))


def _labels(z: Any, prefix: str, kind: type, epochs: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and true classes, if they are what they should be."""
    probabilities, labels = z[f"{prefix}probabilities"], z[f"{prefix}labels"]
    if (probabilities.dtype, labels.dtype) != (kind, np.int32):
        expected = f"{np.dtype(kind)} {prefix}probabilities and int32 {prefix}labels"
        raise ValueError(f"expected {expected}, got {probabilities.dtype} and {labels.dtype}")
    if labels.ndim != 1 or probabilities.shape != (epochs, len(labels), classes):
        raise ValueError(f"{prefix}probabilities, {prefix}labels, epochs and class_names do not fit each other")
    if probabilities.size == 0:
        raise ValueError(f"there are no {prefix}labels")
    low, high = probabilities.min(), probabilities.max()
    if not (0 <= low <= high < 1.001 and 0 <= labels.min() and labels.max() < classes):  # also refuses NaN
        raise ValueError(f"one of {prefix}labels or {prefix}probabilities is out of range")
    return probabilities, labels
