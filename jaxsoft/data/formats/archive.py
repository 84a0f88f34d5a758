"""Published files, in a folder or still packed; nothing of an archive is ever written to disk."""

import gzip
import io
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
from jaxsoft.data import refusals

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
            raise refusals.unreadable(f"{self.path}: {name} cannot be read", problem) from None


def locate(where: Path, folder: str, packed: str) -> Path | None:
    """Find `folder` or the archive `packed` in `where`, or `where` being one of them."""
    itself = (where,) if where.name in (folder, packed) else ()
    return next((path for path in (where / folder, where / packed, *itself) if path.exists()), None)


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
        raise refusals.unreadable(f"{path} cannot be read as an archive", problem) from None


def _folder(path: Path) -> Files:
    skip = len(str(path)) + 1
    names = (f"{base}/{name}"[skip:].replace(os.sep, "/") for base, _, found in os.walk(path) for name in found)
    return Files(path, frozenset(names), lambda name: system.read(path / name, _MAX_FILE_BYTES))


def _zip(path: Path, top: str) -> Files:
    pack = zipfile.ZipFile(path)
    infos = pack.infolist()
    _bound_count(path, len(infos))
    _bound(path, max((info.file_size for info in infos), default=0), _MAX_FILE_BYTES)
    links = (stat.S_ISLNK(info.external_attr >> 16) for info in infos)
    inner = [_inner(path, info.filename, top, link) for info, link in zip(infos, links)]
    members = {name: info for name, info in zip(inner, infos) if name and not info.is_dir()}
    _bound(path, sum(info.file_size for info in members.values()), _MAX_ZIP_BYTES)
    return Files(path, frozenset(members), lambda name: pack.read(members[name]))


def _tar(path: Path, top: str) -> Files:
    """Unpacked into memory whole, so that its headers are bounded too and its checksum is compared."""
    with gzip.open(path) as packed:
        content = packed.read(_most(path, _MAX_TAR_BYTES) + 1)
    _bound(path, len(content), _MAX_TAR_BYTES)
    members = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as pack:
        for count, info in enumerate(pack, 1):
            _bound_count(path, count)
            if info.size < 0:  # the next header would be this one, for ever
                raise ValueError("a file of negative size")
            plain = info.isfile() and not info.issparse()
            name = _inner(path, info.name, top, link=not (plain or info.isdir()))
            if name and plain:
                members[name] = slice(info.offset_data, info.offset_data + info.size)
    return Files(path, frozenset(members), lambda name: content[members[name]])


def _inner(path: Path, member: str, top: str, link: bool) -> str:
    """The member's path below `top`, "" for what lies elsewhere."""
    parts = PurePosixPath(member.replace("\\", "/")).parts
    if link or ".." in parts or member.startswith(("/", "\\")) or ":" in member:
        raise errors.DataError(f"{path} holds {member!r}: links, '..' and absolute paths are refused")
    return "/".join(parts[1:]) if parts[:1] == (top,) else ""


def _most(path: Path, limit: int) -> int:
    return min(limit, _MAX_RATIO * path.stat().st_size)


def _bound(path: Path, total: int, limit: int) -> None:
    if total > _most(path, limit):
        raise errors.DataError(f"{path} would unpack to {total:,} bytes or more, which is implausible; refused")


def _bound_count(path: Path, count: int) -> None:
    if count > _MAX_FILES:
        raise errors.DataError(f"{path} holds more than {_MAX_FILES:,} files, which is implausible; refused")
