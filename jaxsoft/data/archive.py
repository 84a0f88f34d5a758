"""Published files, in a folder or still packed; nothing of an archive is ever written to disk."""

import gzip
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jaxsoft import errors
from jaxsoft import files as system
from jaxsoft.data import raw

_MAX_TAR_BYTES = 1 << 30  # a tar is read into memory
_MAX_ZIP_BYTES = 1 << 38
_MAX_FILE_BYTES = 1 << 30  # of one file, which is read into memory
_MAX_FILES = 1 << 21
_MAX_RATIO = 200  # unpacked over packed; images hardly shrink, so more than this is a bomb
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Files:
    """The files below a folder, by their path in it."""

    path: Path
    names: frozenset[str]
    fetch: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """The content of one file; DataError when it is missing or damaged."""
        if name not in self.names:
            raise errors.DataError(f"{self.path} lacks {name}")
        try:
            return self.fetch(name)
        except _UNREADABLE as problem:
            raise raw.unreadable(f"{self.path}: {name} cannot be read", problem) from None


def locate(where: Path, folder: str, packed: str) -> Path | None:
    """Find `folder` or the archive `packed` in `where`, or `where` being one of them."""
    choices = (where / folder, where / packed)
    if where.name in (folder, packed):
        choices += (where,)
    return next((path for path in choices if path.exists()), None)


def files(path: Path, top: str) -> Files:
    """List a folder, a `.zip` or a `.tar.gz`.

    Args:
      path: the folder, or the archive that holds it.
      top: name of the folder inside the archive.

    Raises:
      DataError: the archive is damaged or no regular file, or holds a link, an absolute path, `..`, or implausibly many
        files or bytes.
    """
    if path.is_dir():
        return _folder(path)
    try:
        system.opened(path).close()  # a pipe or a device would hang
        return _zip(path, top) if path.suffix == ".zip" else _tar(path, top)
    except _UNREADABLE as problem:
        raise raw.unreadable(f"{path} cannot be read as an archive", problem) from None


def _folder(path: Path) -> Files:
    skip = len(str(path)) + 1
    names = (f"{base}/{name}"[skip:].replace(os.sep, "/") for base, _, found in os.walk(path) for name in found)
    return Files(path, frozenset(names), lambda name: system.read(path / name, _MAX_FILE_BYTES))


def _zip(path: Path, top: str) -> Files:
    pack = zipfile.ZipFile(path)
    members = {}
    _bound_count(path, len(pack.infolist()))
    for info in pack.infolist():
        _bound(path, info.file_size, _MAX_FILE_BYTES)
        link = stat.S_ISLNK(info.external_attr >> 16)
        if name := _inner(path, info.filename, top, link=link, folder=info.is_dir()):
            members[name] = info
    _bound(path, sum(info.file_size for info in members.values()), _MAX_ZIP_BYTES)
    return Files(path, frozenset(members), lambda name: pack.read(members[name]))


def _tar(path: Path, top: str) -> Files:
    members: dict[str, bytes] = {}
    with gzip.open(path) as unpacked:
        stream = _Bounded(path, unpacked)
        with tarfile.open(fileobj=stream, mode="r|") as pack:  # pyright: ignore[reportArgumentType, reportCallIssue]
            for count, info in enumerate(pack, 1):
                _bound_count(path, count)
                _bound(path, info.size, _MAX_TAR_BYTES)
                if name := _inner(path, info.name, top, link=not (info.isfile() or info.isdir()), folder=info.isdir()):
                    content = pack.extractfile(info)
                    assert content is not None  # because it is a file
                    members[name] = content.read()
        while stream.read(1 << 20):  # to the end, where the checksum is
            pass
    return Files(path, frozenset(members), members.__getitem__)


class _Bounded:
    """An unpacked stream that is refused once it has given more than is plausible, headers of a tar included."""

    def __init__(self, path: Path, stream: gzip.GzipFile):
        self.path, self.stream, self.given = path, stream, 0

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.given += len(content)
        _bound(self.path, self.given, _MAX_TAR_BYTES)
        return content


def _inner(path: Path, member: str, top: str, *, link: bool, folder: bool) -> str | None:
    """The member's path below `top`, None for folders and for what lies elsewhere."""
    parts = PurePosixPath(member.replace("\\", "/")).parts
    if link or ".." in parts or member.startswith(("/", "\\")) or ":" in member:
        raise errors.DataError(f"{path} holds {member!r}: links, '..' and absolute paths are refused")
    return None if folder or parts[:1] != (top,) else "/".join(parts[1:])


def _bound(path: Path, total: int, limit: int) -> None:
    if total > min(limit, _MAX_RATIO * path.stat().st_size):
        raise errors.DataError(f"{path} would unpack to {total:,} bytes or more, which is implausible; refused")


def _bound_count(path: Path, count: int) -> None:
    if count > _MAX_FILES:
        raise errors.DataError(f"{path} holds more than {_MAX_FILES:,} files, which is implausible; refused")
