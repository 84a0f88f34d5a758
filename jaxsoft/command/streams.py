"""Standard output and standard error that never take a command down, and show what comes from outside escaped."""

import io
import logging
import os
import select
import sys
from typing import Any

from jaxsoft import errors


def prepare() -> None:
    """Make both streams of this process such ones; what was closed is open again, to nowhere.

    Else the next file that is opened would take the place of a closed stream, and libraries would write into it.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(free)
    sys.stdout, sys.stderr = _stream(sys.stdout, 1), _stream(sys.stderr, 2)
    handler = logging.StreamHandler()
    handler.setFormatter(_Shown())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("absl").setLevel(logging.ERROR)


class _Drain(io.FileIO):
    """A stream whose reader may go, or whose disk may be full: what cannot be written is dropped, and said once."""

    told = False

    def write(self, data: Any, /) -> int:
        try:
            while (written := super().write(data)) is None:  # it does not block, and its reader is slow
                select.select([], [self], [])
            return written
        except OSError as problem:
            if not self.told and not isinstance(problem, BrokenPipeError):  # who closes a pipe has seen enough
                self.told = True
                if self.fileno() != 2:
                    print(f"jaxsoft: standard output cannot be written: {problem.strerror}", file=sys.stderr)
            return len(data)


class _Shown(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return errors.lines(super().format(record))


def _stream(earlier: object, descriptor: int) -> io.TextIOWrapper:
    """The same descriptor in the same encoding; what that cannot say is escaped, which is no reason to fail."""
    is_text = isinstance(earlier, io.TextIOWrapper)
    drain = _Drain(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(drain),
        encoding=earlier.encoding if is_text else "utf-8",
        errors="backslashreplace",
        line_buffering=descriptor == 2 or drain.isatty(),
        write_through=is_text and earlier.write_through,
    )
