"""Labels of a set in a table beside its images: .csv, .npy or .npz."""

import collections
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from jaxsoft import errors, files
from jaxsoft.data import refusals
from jaxsoft.data.formats import array

_MOST_TEXT = 1 << 26  # bytes
_CLASS = {"class", "label", "target", "class_id", "label_id"}
_INDEX = {"", "index", "unnamed: 0"}
_KINDS = "wanted .csv, .npy or .npz with a row for each image"


class Table(NamedTuple):
    """What a table says of N images, in their order: label rows as they stand there, or classes, or both."""

    rows: Float32[np.ndarray, "N K"] | None
    labels: Int[np.ndarray, "N"] | None
    notes: tuple[str, ...] = ()


def read(path: Path, names: Sequence[str], class_names: Sequence[str] = ()) -> Table:
    """The labels of images.

    Text has a line for each image, with commas, semicolons or tabs between numbers: one for each class, or the number of the
    class. A first column may name the files; else lines are in the order of the names. A header may be there: a column
    `class` or `label` has class numbers, and columns that are called after the classes may stand in any order.

    Args:
      names: of the images, in their order; a file may be named by its path or by its last part.
      class_names: of the data set.

    Raises:
      DataError: the table is damaged, or is not of these images; names the line.
    """
    if path.suffix.lower() in (".npy", ".npz"):
        return _of_array(path, len(names))
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise errors.DataError(errors.shown(f"{path} is no table of labels; {_KINDS}, or a folder of FKD"))
    lines = _lines(path)
    header = lines.pop(0) if len(lines) == len(names) + 1 else []
    if len(lines) != len(names):
        told = f"{path} has {len(lines):,} lines; wanted {len(names):,}, one for each image, and a header or none"
        raise errors.DataError(errors.shown(told))
    heads = [name.strip() for name in header]
    if not _is_number(lines[0][0]):
        order = _order(path, [line[0] for line in lines], names)
        lines, heads = [lines[n][1:] for n in order], heads[1:]
    elif heads and heads[0].casefold() in _INDEX and [line[0] for line in lines] == [*map(str, range(len(lines)))]:
        lines, heads = [line[1:] for line in lines], heads[1:]
    return _of_numbers(path, _numbers(path, lines, bool(header)), heads, class_names)


def _of_array(path: Path, count: int) -> Table:
    found = array.one(path)
    if found.ndim not in (1, 2) or len(found) != count or found.dtype.kind not in "iuf" or not found.size:
        told = f"{path} holds {found.dtype.name} {refusals.size(found.shape)}; wanted {count} rows of numbers"
        raise errors.DataError(errors.shown(told))
    return _of_numbers(path, found.reshape(count, -1), [], ())


def _lines(path: Path) -> list[list[str]]:
    """The cells of all lines that are not empty, as many in each."""
    with refusals.naming(f"cannot read {path}", _KINDS):
        text = files.read(path, _MOST_TEXT).decode("utf-8-sig")
        first = text.partition("\n")[0]
        rows = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count), strict=True))
        found = [row for row in rows if any(cell.strip() for cell in row)]
        if not found:
            raise ValueError("it is empty")
        if odd := [n for n, row in enumerate(found, 1) if len(row) != len(found[0])]:
            raise ValueError(f"line {odd[0]} has {len(found[odd[0] - 1])} cells, and line 1 has {len(found[0])}")
        return found


def _order(path: Path, told: list[str], names: Sequence[str]) -> list[int]:
    """For each image the line that names it."""
    short = [name.rpartition("/")[2] for name in names]
    times = collections.Counter(short)
    known = {name: n for n, name in enumerate(short) if times[name] == 1} | {name: n for n, name in enumerate(names)}
    where = [known.get(name.strip().removeprefix("./")) for name in told]
    if None in where:
        raise errors.DataError(
            errors.shown(f"{path} names {told[where.index(None)]!r:.80}, which is no image of the folder")
        )
    places = [n for n in where if n is not None]
    (twice, times), *_ = collections.Counter(places).most_common(1)
    if times > 1:
        raise errors.DataError(errors.shown(f"{path} names {names[twice]!r:.80} twice"))
    return np.argsort(places).tolist()


def _numbers(path: Path, lines: list[list[str]], has_header: bool) -> np.ndarray:
    """All cells as numbers, float64 [N, M]."""
    if not lines[0]:
        raise errors.DataError(errors.shown(f"{path} has names of files alone; {_KINDS}"))
    for n, line in enumerate(lines, 1 + has_header):
        if bad := [cell for cell in line if not _is_number(cell)]:
            raise errors.DataError(errors.shown(f"{path}: {bad[0]!r:.60} of line {n} is no number"))
    return np.array([[float(cell) for cell in line] for line in lines])


def _of_numbers(path: Path, numbers: np.ndarray, heads: list[str], class_names: Sequence[str]) -> Table:
    """Rows and classes of columns."""
    with np.errstate(over="ignore"):  # what float32 does not hold is refused
        rows = numbers.astype(np.float32)
    if (bad := ~np.isfinite(rows).all(1)).any():
        raise errors.DataError(errors.shown(f"{path}: row {bad.argmax()} holds what is no finite number"))
    own, labels = [plain(head) for head in heads], None
    of_class = [0] if rows.shape[1] == 1 else [n for n, head in enumerate(own) if head in _CLASS]
    if len(of_class) == 1:
        labels, rows = _whole(path, numbers[:, of_class[0]]), np.delete(rows, of_class, 1)
        own = [head for n, head in enumerate(own) if n not in of_class]
    if not rows.shape[1]:
        return Table(None, labels)
    wanted = [plain(name) for name in class_names]
    if own == wanted or sorted(own) != sorted(wanted):
        return Table(rows, labels)
    told = "columns of labels are sorted by the names of classes"
    return Table(rows[:, [own.index(name) for name in wanted]], labels, (told,))


def _whole(path: Path, column: np.ndarray) -> Int[np.ndarray, "N"]:
    wrong = (column != np.floor(column)) | (column < 0) | (column >= 1 << 31)
    if wrong.any():
        told = f"{path}: row {wrong.argmax()} has the class {column[wrong.argmax()]:g}; wanted whole numbers from 0"
        raise errors.DataError(errors.shown(told))
    return column.astype(np.int64)


def plain(name: str) -> str:
    """The name of a class, however it is written."""
    return name.casefold().replace(" ", "_")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
