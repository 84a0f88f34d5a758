"""Run folders read back: the results, and what else a run left behind. Nothing here knows how students are trained."""

import csv
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, Int32, UInt8

from jaxsoft import errors
from jaxsoft.types import Row

REQUIRED = (
    "member", "dataset", "fingerprint", "model", "seed", "subset_seed", "ipc", "labels", "teacher_epoch",
    "learning_rate", "weight_decay", "steps", "protocol", "val_accuracy", "test_accuracy", "status",
)  # fmt: skip
_TEXTS = ("member", "dataset", "fingerprint", "model", "labels", "protocol", "status", "device")
_TEXTS += ("select", "accuracy_by_class")
_INTEGERS = ("seed", "subset_seed", "ipc", "teacher_epoch", "steps", "wave", "first_bad_step", "without")
_FLOATS = ("learning_rate", "weight_decay")
_CHOICES = {"status": ("done", "failed"), "protocol": ("sealed", "paper", "both")}
_OPTIONAL = ("teacher_epoch", "val_accuracy", "wave", "first_bad_step", "device")
_MAX_EXAMPLES_BYTES = 256 * 2**20


@dataclass(frozen=True)
class LabelSample:
    """The probabilities of K classes that the teacher gave to N images after each of P epochs, and the true classes."""

    probabilities: Float16[np.ndarray, "P N K"]
    labels: Int32[np.ndarray, "N"]


@dataclass(frozen=True)
class Examples:
    """A few real images n, and the probabilities of K classes that the teacher gave them after each of P epochs.

    `train` and `validation` are the labels of many images of these splits, at the same epochs; older runs have none.
    """

    images: UInt8[np.ndarray, "n H W C"]
    labels: Int32[np.ndarray, "n"]
    epochs: Int32[np.ndarray, "P"]
    probabilities: Float32[np.ndarray, "P n K"]
    class_names: tuple[str, ...]
    train: LabelSample | None = None
    validation: LabelSample | None = None


@dataclass(frozen=True)
class Run:
    """One run folder. What the run did not leave is empty, or None."""

    folder: Path
    rows: list[Row]
    config: dict[str, Any]
    plan: dict[str, Any]
    env: dict[str, Any]
    timing: dict[str, Any]
    teachers: dict[str, Any]
    examples: Examples | None


def read_results(path: str | os.PathLike) -> list[Row]:
    """Rows of a results.csv, typed: integers, floats, text, None for an empty field.

    Args:
      path: the file, or the run folder that holds it.

    Raises:
      DataError: the file is missing, empty or malformed; names the line and the column.
    """
    path = Path(path)
    path = path / "results.csv" if path.is_dir() else path
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file, strict=True)
    except FileNotFoundError:
        raise errors.DataError(f"no results at {path}; give a run folder that holds a results.csv") from None
    except ValueError as problem:  # nothing to unpack, or not UTF-8
        what = "not UTF-8 text" if isinstance(problem, UnicodeDecodeError) else "empty"
        raise errors.DataError(f"{path} is {what}, not a table of results") from None
    except (OSError, csv.Error) as problem:
        raise errors.DataError(f"cannot read {path}: {problem}") from None
    if missing := [name for name in REQUIRED if name not in header]:
        raise errors.DataError(f"{path} lacks the columns {', '.join(missing)}; is it a results.csv of a run?")
    rows = [_row(header, fields, f"{path} line {number}") for number, fields in enumerate(lines, 2)]
    if not rows:
        raise errors.DataError(f"{path} holds no finished member yet")
    if len({row["member"] for row in rows}) < len(rows):
        raise errors.DataError(f"{path} holds a member twice")
    return rows


def join_results(tables: Sequence[Sequence[Row]], names: Sequence[object], mix: bool = False) -> list[Row]:
    """Rows of several runs as one; a member that several runs hold is taken once.

    Args:
      tables: rows of each run.
      names: of each run, for the message.
      mix: join runs of different data or protocols all the same.

    Raises:
      ConfigError: without `mix`, when the runs differ in data or protocol; names what differs.
    """
    for column in () if mix else ("dataset", "fingerprint", "protocol"):
        found = [sorted({row[column] for row in rows}) for rows in tables]
        if any(values != found[0] for values in found):
            shown = "; ".join(f"{name}: {', '.join(v[:12] for v in values)}" for name, values in zip(names, found))
            raise errors.ConfigError(f"the runs differ in {column} ({shown}); mix=True joins them all the same")
    columns = dict.fromkeys(column for rows in tables for row in rows for column in row)
    rows = {row["member"]: {column: row.get(column) for column in columns} for rows in tables for row in rows}
    return list(rows.values())


def read_run(folder: str | os.PathLike) -> Run:
    """A run folder: its results, and the other artefacts as far as they are there.

    Raises:
      DataError: there are no results, or an artefact is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise errors.DataError(f"no run folder at {folder}")
    names = ("config", "plan", "env", "timing", "teachers")
    documents = {name: _read_json(folder / f"{name}.json") for name in names}
    _check_teachers(documents["teachers"], folder / "teachers.json")
    return Run(folder, read_results(folder), **documents, examples=read_examples(folder / "examples.npz"))


def _row(header: list[str], fields: list[str], where: str) -> Row:
    if len(fields) != len(header):
        raise errors.DataError(f"{where} has {len(fields)} fields, the header has {len(header)}")
    row = {column: _value(column, text, f"{where}: {column}") for column, text in zip(header, fields)}
    done = row["status"] == "done"
    for column in REQUIRED:
        if row[column] is None and column not in _OPTIONAL and (done or column != "test_accuracy"):
            raise errors.DataError(f"{where}: {column} is empty")
    if row["ipc"] < 1:
        raise errors.DataError(f"{where}: ipc expects an integer >= 1, got {row['ipc']}")
    return row


def _value(column: str, text: str, where: str) -> Any:
    if text == "":
        return None
    if text not in _CHOICES.get(column, (text,)):
        raise errors.DataError(f"{where} expects {' or '.join(_CHOICES[column])}, got {text!r}")
    if column in _TEXTS:
        return text
    if column in _INTEGERS:
        return _number(int, "an integer", text, where)
    if column.endswith("_accuracy"):
        value = _number(float, "a fraction from 0 to 1", text, where)
        if not 0 <= value <= 1:  # also refuses NaN
            raise errors.DataError(f"{where} expects a fraction from 0 to 1, got {text!r}")
        return value
    if column in _FLOATS:
        return _number(float, "a number", text, where)
    try:
        return float(text)
    except ValueError:
        return text


def _number(kind: type, name: str, text: str, where: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise errors.DataError(f"{where} expects {name}, got {text!r}") from None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise errors.DataError(f"cannot read {path}: {problem}") from None
    if not isinstance(found, dict):
        raise errors.DataError(f"{path} should hold a JSON object, got {type(found).__name__}")
    return found


def _check_teachers(found: dict[str, Any], path: Path) -> None:
    """An expert's history is a list of epochs, each with numbers or null."""
    try:
        for expert in found.get("experts", []):
            for record in expert["history"]:
                int(record["epoch"])
                [float(record[name]) for name in ("val_accuracy", "label_entropy") if record.get(name) is not None]
        dict(found.get("resolved", {}))
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as problem:
        raise errors.DataError(
            f"{path} does not hold the experts of a run ({type(problem).__name__}: {problem})"
        ) from None


def read_examples(path: Path) -> Examples | None:
    """Images and labels that a run kept; None if it kept none.

    Raises:
      DataError: the file is damaged, or not what a run writes.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_EXAMPLES_BYTES:
            raise ValueError(f"it unpacks to {size:,} bytes, the limit is {_MAX_EXAMPLES_BYTES:,}")
        with np.load(path, allow_pickle=False) as z:
            return _examples(z)
    except Exception as problem:  # damage can surface anywhere in the zip and array readers
        raise errors.DataError(f"cannot read {path}: {problem}") from None


def _examples(z: Any) -> Examples:
    images, epochs, names = z["images"], z["epochs"], tuple(str(name) for name in z["class_names"])
    if (images.dtype, epochs.dtype) != (np.uint8, np.int32):
        raise ValueError(f"expected uint8 images and int32 epochs, got {images.dtype} and {epochs.dtype}")
    probabilities, labels = _labels(z, "", np.float32, len(epochs), len(names))
    if images.ndim != 4 or len(images) != len(labels):
        raise ValueError("images and labels do not fit each other")
    kept = [split for split in ("train", "validation") if f"{split}_labels" in z]
    given = {s: LabelSample(*_labels(z, f"{s}_", np.float16, len(epochs), len(names))) for s in kept}
    return Examples(images, labels, epochs, probabilities, names, **given)


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
