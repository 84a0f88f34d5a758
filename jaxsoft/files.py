"""Files: ours are replaced whole or not at all, and never through a link; of others' only regular ones are opened."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def replace(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, also when the power fails.

    The bytes go to a new file beside it, made exclusively, whose name no one can know before; then that takes the
    place of the old one. A link in its place is replaced, not followed.

    Raises:
      OSError: the folder cannot be written; an earlier file is intact.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sync(folder: Path) -> None:
    """Make new names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def opened(path: str | os.PathLike) -> BinaryIO:
    """A regular file for reading, links followed; whatever else has the name is refused before it can hang or never end.

    Raises:
      OSError: it is missing, cannot be read, or is a folder, a pipe, a socket or a device; `strerror` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no file")
        raise OSError(0, f"it is {kind}, not a regular file", os.fspath(path))
    return open(descriptor, "rb")


def read(path: str | os.PathLike, most: int) -> bytes:
    """The content of a regular file of at most so many bytes.

    Raises:
      OSError: as `opened`, or the file is larger.
    """
    with opened(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(0, f"it holds more than the {most:,} bytes that are plausible", os.fspath(path))
    return content


def expanded(text: str) -> Path:
    """A path as a user writes it: `~` is the home folder."""
    return Path(text).expanduser()
