"""Files: ours are replaced whole or not at all, and never through a link; of others' only regular ones are opened."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

_KINDS = {"d": "a folder", "p": "a named pipe", "s": "a socket", "c": "a device", "b": "a device"}  # as `ls` has them
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_STAGED = re.compile(r"\.report\.[0-9a-z_]{8}\.tmp")


def replace(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, also when the power fails; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


def replace_all(folder: Path, written: Mapping[str, bytes]) -> None:
    """Replace files of a folder, by their paths in it: all or none (OSError), unless the very renaming is interrupted."""
    with tempfile.TemporaryDirectory(prefix=".report.", suffix=".tmp", dir=folder) as place:
        staged = {name: Path(place) / str(i) for i, name in enumerate(written)}
        for name, content in written.items():
            replace(staged[name], content)
        for name, path in staged.items():
            os.replace(path, folder / name)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """A file to write into and to read again, which takes the place of another one, or of a link, when all is written.

    It is made exclusively beside that, under a name that no one can know before.

    Raises:
      OSError: the folder cannot be written; an earlier file is intact.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def is_temporary(name: str) -> bool:
    """Whether it is a name that we give to what is not yet in place: a file, or the folder of a report.

    >>> is_temporary(".plan.json.0123abcd.tmp"), is_temporary(".mine.tmp")
    (True, False)
    """
    return bool(_TEMPORARY.fullmatch(name) or _STAGED.fullmatch(name))


def sweep(folder: Path) -> None:
    """Remove what a killed process was about to put in place in a folder, or raise OSError; links are not followed."""
    for leftover in [path for path in folder.iterdir() if is_temporary(path.name)]:
        if leftover.is_symlink() or not leftover.is_dir():
            leftover.unlink()
        elif _STAGED.fullmatch(leftover.name):
            shutil.rmtree(leftover)


def sync(folder: Path) -> None:
    """Make new names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def opened(path: str | os.PathLike) -> BufferedReader:
    """A regular file for reading, links followed; whatever else has the name is refused before it can hang or never end.

    Raises:
      OSError: it is missing, cannot be read, or is a folder, a pipe, a socket or a device; `strerror` says which.
    """
    return open(_regular(path, os.O_RDONLY), "rb")


def own(path: str | os.PathLike) -> int:
    """The descriptor of a file that we alone write, from then on at its end; made if there is none.

    Raises:
      OSError: it cannot be written, or is a link or no regular file: what it leads to is not ours.
    """
    if os.path.islink(path):
        raise OSError(0, "it is a link; what it leads to is left alone", os.fspath(path))
    return _regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)


def _regular(path: str | os.PathLike, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = _KINDS.get(stat.filemode(mode)[0], "no file")
        raise OSError(0, f"it is {kind}, not a regular file", os.fspath(path))
    return descriptor


def read(path: str | os.PathLike, most: int) -> bytes:
    """The content of a regular file of at most so many bytes; OSError as `opened`, or if it is larger."""
    with opened(path) as file:  # told how much to read, a buffer of all that would be made for each small file
        content = b"" if (size := os.fstat(file.fileno()).st_size) > most else file.read()
    if max(size, len(content)) > most:
        raise OSError(0, f"it holds more than the {most:,} bytes that are plausible", os.fspath(path))
    return content


def digest(parts: Iterable[str | bytes | bytearray | memoryview]) -> str:
    """SHA-256 in hex over parts, one after the other; text counts as UTF-8.

    >>> digest(["a", b"bc"]) == digest(["abc"])
    True
    """
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part.encode() if isinstance(part, str) else part)
    return hasher.hexdigest()


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of JSON with its own SHA-256, which tells whether it was altered since."""
    return {**record, "sha256": digest([json.dumps(record, sort_keys=True)])}


def unsealed(found: Any) -> Any:
    """What a file of JSON says; an object that carries a seal goes through `unseal`. Earlier versions wrote none."""
    return unseal(found) if isinstance(found, dict) and "sha256" in found else found


def unseal(sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The record that was sealed; ValueError if it was altered since."""
    record = {key: value for key, value in sealed.items() if key != "sha256"}
    if seal(record)["sha256"] != sealed.get("sha256"):
        raise ValueError("the record is not what was saved")
    return record
