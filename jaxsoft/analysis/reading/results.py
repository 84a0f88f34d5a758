"""The table of a run read back as rows, whoever wrote it: what means the same is read, what does not is refused."""

import csv
import functools
import io
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import errors, files, spec
from jaxsoft.types import Row

REQUIRED = (
    "member", "dataset", "fingerprint", "model", "seed", "subset_seed", "ipc", "labels", "teacher_epoch",
    "learning_rate", "weight_decay", "steps", "protocol", "val_accuracy", "test_accuracy", "status",
)  # fmt: skip
_OPTIONAL = ("teacher_epoch", "val_accuracy")
_COUNTERS = re.compile(r"|index|level_0|Unnamed: ?\d+")
"""Names of columns in which a data frame counts its rows; they say nothing of members."""
_BLANK, _NOTHING = ("",), ("", "nan", "NaN", "<NA>", "None")
"""How an empty field is written, and one of numbers by whoever writes them."""
_EXACT = 2**53  # up to here a float says which integer was meant
_MOST_BYTES = 2**32


@functools.lru_cache(4096)
def plain(text: str) -> str:
    """Text from outside as any report or figure may show it: what does not print, and the mark of code, are escaped.

    >>> plain("cat`\\n")
    'cat\\\\x60\\\\n'
    """
    return errors.shown(text).replace("`", "\\x60")


def read_results(path: str | os.PathLike) -> list[Row]:
    """Rows of a results.csv, typed: integers, floats, text, None for an empty field.

    Args:
      path: the file, or the run folder that holds it. It may have gone through a spreadsheet or a data frame: columns in
        another order, further ones, `3.0` for an integer, `nan` for an empty field.

    Raises:
      DataError: the file is missing, empty or malformed; names the line and the column.
    """
    path = Path(path)
    path = path / "results.csv" if path.is_dir() else path
    header, *lines = _fields(path)
    if missing := [name for name in REQUIRED if name not in header]:
        raise errors.DataError(f"{path} lacks the columns {', '.join(missing)}; is it a results.csv of a run?")
    if doubled := [name for name in header if header.count(name) > 1]:
        raise errors.DataError(f"{path} has the column {plain(doubled[0])} twice")
    if not lines:
        raise errors.DataError(f"{path} holds no finished member yet")
    for number, fields in enumerate(lines, 2):
        if len(fields) != len(header):
            raise errors.DataError(f"{path} line {number} has {len(fields)} fields, the header has {len(header)}")
    texts = {name: column for name, column in zip(header, zip(*lines)) if not _COUNTERS.fullmatch(name)}
    columns = {name: _column(name, column, path) for name, column in texts.items()}
    _check(columns, path)
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def join_results(tables: Sequence[Sequence[Row]], names: Sequence[object], mix: bool = False) -> list[Row]:
    """Rows of several runs, which have `names`, as one; a member that several runs hold is taken once.

    Raises:
      ConfigError: without `mix`, when the runs differ in data or protocol; names what differs.
    """
    for column in () if mix else ("dataset", "fingerprint", "protocol"):
        found = [sorted({row[column] for row in rows}) for rows in tables]
        if any(values != found[0] for values in found):
            shown = "; ".join(f"{name}: {', '.join(v[:12] for v in values)}" for name, values in zip(names, found))
            raise errors.ConfigError(
                f"the runs differ in {column} ({shown}); --mix (in Python mix=True) joins them all the same"
            )
    columns = dict.fromkeys(column for rows in tables for row in rows for column in row)
    rows = {row["member"]: {column: row.get(column) for column in columns} for rows in tables for row in rows}
    return list(rows.values())


def _fields(path: Path) -> list[list[str]]:
    """The lines of the table, taken apart; at least a header."""
    try:
        text = files.read(path, _MOST_BYTES).decode("utf-8-sig")
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except FileNotFoundError:
        raise errors.DataError(f"no results at {path}; give a run folder that holds a results.csv") from None
    except UnicodeDecodeError:
        raise errors.DataError(f"{path} is not UTF-8 text, not a table of results") from None
    except (OSError, csv.Error) as problem:
        raise errors.DataError(f"cannot read {path}: {getattr(problem, 'strerror', problem)}") from None
    while found and not found[-1]:  # blank lines at the end
        found.pop()
    if not found:
        raise errors.DataError(f"{path} is empty, not a table of results")
    return found


def _column(name: str, texts: Sequence[str], path: Path) -> list[Any]:
    """The values of one column; each text is read once, however many lines hold it."""
    kind = _FRACTION if name.endswith("_accuracy") else _KINDS.get(name, _FURTHER)
    known: dict[str, Any] = dict.fromkeys(kind.nothing)
    for text in dict.fromkeys(texts):
        try:
            known[text] = None if text in known else kind.read(text)
        except (ValueError, errors.ConfigError):
            said = f"{name} expects {kind.expected}, got {plain(text)!r}"
            raise errors.DataError(f"{path} line {texts.index(text) + 2}: {said}") from None
    return [known[text] for text in texts]


def _check(columns: dict[str, list[Any]], path: Path) -> None:
    """What a member must have, and that it is there once."""
    for name in (name for name in REQUIRED if name not in _OPTIONAL):
        for line, (value, status) in enumerate(zip(columns[name], columns["status"]), 2):
            if value is None and (name != "test_accuracy" or status == "done"):
                raise errors.DataError(f"{path} line {line}: {name} is empty")
    if (least := min(columns["ipc"])) < 1:
        line = columns["ipc"].index(least) + 2
        raise errors.DataError(f"{path} line {line}: ipc expects an integer >= 1, got {least}")
    if len(set(columns["member"])) < len(columns["member"]):
        raise errors.DataError(f"{path} holds a member twice")


class _Kind(NamedTuple):
    """How a text of a column is read, ValueError for none; what the column expects; how an empty field is written."""

    read: Callable[[str], Any]
    expected: str = "text"
    nothing: Sequence[str] = _NOTHING


def _number(text: str, holds: Callable[[float], bool] = math.isfinite) -> float:
    if not holds(value := float(text)):
        raise ValueError
    return value


def _integer(text: str) -> int:
    """An integer, also as a data frame with gaps writes it: 3.0."""
    if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        return int(text)
    return int(_number(text, lambda value: abs(value) <= _EXACT and value.is_integer()))


def _labels(text: str) -> str:
    spec.parse(text)
    return plain(text)


def _further(text: str) -> float | str:
    """A column that we do not know: a number where it is one, else text."""
    try:
        return _number(text)
    except ValueError:
        return plain(text)


def _one_of(*choices: str) -> _Kind:
    return _Kind(lambda text: choices[choices.index(text)], " or ".join(choices), _BLANK)


_TEXT, _FURTHER = _Kind(plain, nothing=_BLANK), _Kind(_further)
_FRACTION = _Kind(functools.partial(_number, holds=lambda value: 0 <= value <= 1), "a fraction from 0 to 1")
_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(("member", "dataset", "fingerprint", "model"), _TEXT),
    **dict.fromkeys(("device", "select", "loss", "optimizer", "augment", "accuracy_by_class"), _Kind(plain)),
    **dict.fromkeys(("seed", "subset_seed", "ipc", "teacher_epoch", "steps"), _Kind(_integer, "an integer")),
    **dict.fromkeys(("wave", "first_bad_step", "without"), _Kind(_integer, "an integer")),
    **dict.fromkeys(("learning_rate", "weight_decay"), _Kind(_number, "a number")),
    "labels": _Kind(_labels, "a label spec", _BLANK),
    "status": _one_of("done", "failed"),
    "protocol": _one_of("sealed", "paper", "both"),
}
