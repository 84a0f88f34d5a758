"""The results: an append-only log of finished members, the one source of truth, and the table derived from it.

A record is one line that is JSON by itself and says its own length and CRC-32, so a torn or altered line is noticed:

    {"crc":"d1f0a7c3","len":52,"row":{"member":"3f2a...","ipc":1,"test_accuracy":0.31}}
"""

import contextlib
import csv
import errno
import io
import json
import logging
import math
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxsoft import errors, files
from jaxsoft.experiment.machine import processes
from jaxsoft.experiment.store.folder import write_file
from jaxsoft.types import Row

COLUMNS = (
    "member", "dataset", "fingerprint", "model", "seed", "subset_seed", "select", "without", "ipc", "labels",
    "teacher_epoch", "learning_rate", "weight_decay", "steps", "loss", "optimizer", "augment", "protocol", "val_accuracy",
    "test_accuracy", "paper_accuracy", "accuracy_by_class", "status", "first_bad_step", "wave", "device", "version", "commit",
)  # fmt: skip
"""The columns of results.csv. Wall times stay in the log: the table must not differ between two equal runs."""

LOG = "results.jsonl"

log = logging.getLogger(__name__)


class ResultsLog:
    """The log of one run, or of one of its processes; nobody else writes it.

    Opening mends what a kill or a bad disk left: a torn last record is cut off, altered records are set aside in
    `<name>.corrupt` with a warning. Their members count as unfinished. When the file is removed, replaced or cut while
    it is open, what it held is written again.

    Args:
      path: the log, `results.jsonl`; created if it does not exist.
      finished: members that have a record in another log.

    Attributes:
      finished: keys of the members that have a record, failed ones included.
      on_rows: called with rows once they are on the disk; may be set.

    Raises:
      CheckpointError: the log cannot be read or written.
    """

    def __init__(self, path: Path, finished: Collection[str] = ()):
        self.path = path.absolute()
        with errors.writing(self.path):
            self._open()
        self.finished = self._records.keys() | set(finished)
        self.on_rows: Callable[[Sequence[Row]], None] = lambda rows: None

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows; when this returns they are on the disk.

        Members that the log holds already are left out, so a wave that is run again doubles nothing. Numbers that are
        not finite become null.

        Raises:
          CheckpointError: the disk is full or gone; the log is as it was before.
        """
        new = {row["member"]: _record(row) for row in rows if row["member"] not in self.finished}
        with errors.writing(self.path):
            self._write(b"".join(new.values()))
            self._records |= new
            self.finished |= new.keys()
            if not self._is_there():
                self._restore()
        self.on_rows([row for row in rows if row["member"] in new])

    def read(self) -> list[Row]:
        """All records, in the order in which they were appended; CheckpointError if the file is gone for good."""
        return list(self.rows())

    def rows(self) -> Iterator[Row]:
        """The same, one after the other."""
        with errors.writing(self.path):
            if not self._is_there() or sum(1 for _ in rows(self.path)) < len(self._records):
                self._restore()
            yield from rows(self.path)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self) -> None:
        os.close(files.own(self.path))  # no link, and no device
        self._records = _mended(self.path)
        self._file = files.own(self.path)
        files.sync(self.path.parent)
        self._size = os.fstat(self._file).st_size

    def _write(self, batch: bytes) -> None:
        """Add bytes, all of them or none."""
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, batch) < len(batch):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError:
            with contextlib.suppress(OSError):  # if this fails too, the torn record is cut off at the next opening
                os.ftruncate(self._file, before)
            raise
        self._size += len(batch)

    def _is_there(self) -> bool:
        """Whether the file of this name is ours, with all that was written."""
        with contextlib.suppress(FileNotFoundError):
            there = self.path.lstat()
            return os.path.samestat(there, os.fstat(self._file)) and there.st_size >= self._size
        return False

    def _restore(self) -> None:
        """Write again what somebody took away."""
        log.warning("%s was removed, replaced or altered while in use; what it held is written again", self.path)
        known, before = self._records, self._file
        self._open()
        os.close(before)
        self._write(b"".join(record for member, record in known.items() if member not in self._records))
        self._records = known | self._records


def rows(path: Path) -> Iterator[Row]:
    """All whole records of a log, in the order in which they were appended, one after the other."""
    with files.opened(path) as file:
        yield from (row for line in file if (row := _row(line)))


def read(path: Path) -> list[Row]:
    """The same, all at once."""
    return list(rows(path))


def log_of(path: Path, process: int | str) -> Path:
    """The log beside a run's own, of another process than the first, which may not append to one file; `*` for all."""
    return path.with_name(f"{path.stem}.process-{process}{path.suffix}")


def open_log(path: Path) -> ResultsLog:
    """The log of this process. The first one's is that of the run, and takes in what was left by others."""
    if not processes.is_first():
        return ResultsLog(log_of(path, jax.process_index()), finished={row["member"] for row in read(path)})
    log = ResultsLog(path)
    _merge(log)
    for other in processes.others():  # a shared file system may remember for a while that a file was not there
        ResultsLog(log_of(path, other)).close()
    return log


def gather(log: ResultsLog, members: Collection[str]) -> None:
    """Wait until every process has trained its share; then the first takes in what the others have logged.

    Raises:
      CheckpointError: a member has no record.
      Interrupted: another process has ended.
    """
    if not processes.is_first():
        log.close()
    processes.barrier("students")
    if processes.is_first():
        _merge(log)
        if missing := len(set(members) - log.finished):
            raise errors.CheckpointError(f"{log.path}: {missing} members have no record; run the same commands again")


def _merge(log: ResultsLog) -> None:
    """Move the records of other processes into this log."""
    for path in sorted(log.path.parent.glob(log_of(log.path, "*").name)):
        with contextlib.closing(ResultsLog(path)) as other:
            log.append(other.read())
        path.unlink()


def write_csv(rows: Iterable[Row], path: Path, columns: Sequence[str] = COLUMNS, order: Sequence[str] = ()) -> None:
    """Write the table that analysis reads, whole or not at all: equal rows give equal bytes.

    Args:
      rows: one per member, in any order; what is not in `columns` is left out.
      path: the table.
      columns: the header; a value that a row lacks, or None, is an empty field. Floats are written as `repr`.
      order: member keys in the plan's order; other members follow by key.
    """
    position = {member: i for i, member in enumerate(order)}
    rows = sorted(rows, key=lambda row: (position.get(row["member"], len(position)), row["member"]))
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_plain(row.get(column)) for column in columns] for row in rows)
    write_file(path, text.getvalue().encode())


def _mended(path: Path) -> dict[str, bytes]:
    """The whole records of a log by member; altered ones are set aside, a torn one is cut off."""
    with files.opened(path) as file:
        lines = list(file)
    rows = {line: _row(line) for line in lines}
    whole = {row["member"]: line for line, row in rows.items() if row}
    bad = [line for line in lines if not rows[line] and line.endswith(b"\n")]
    if bad:
        aside = path.with_name(f"{path.name}.corrupt")
        log.warning("%s: %d altered records set aside in %s; their members run again", path, len(bad), aside.name)
        with open(files.own(aside), "ab") as file:
            file.write(b"".join(bad))
            file.flush()
            os.fsync(file.fileno())
        write_file(path, b"".join(whole.values()))
    elif lines and not lines[-1].endswith(b"\n"):
        log.warning("%s: the last record is torn and was cut off; its member runs again", path)
        os.truncate(path, sum(map(len, lines[:-1])))
    return whole


def _record(row: Row) -> bytes:
    payload = json.dumps({k: _plain(v) for k, v in row.items()}, separators=(",", ":"), allow_nan=False).encode()
    return b'{"crc":"%08x","len":%d,"row":%s}\n' % (zlib.crc32(payload), len(payload), payload)


def _row(line: bytes) -> Row | None:
    """The row of a record, or None if the record is not, byte for byte, how that row is written."""
    try:
        row = json.loads(line)["row"]
        return row if isinstance(row["member"], str) and _record(row) == line else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """A value as JSON knows it: array scalars become numbers, what is not finite becomes None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
