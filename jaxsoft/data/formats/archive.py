"""Published files, in a folder or still packed; nothing of an archive is ever written to disk."""

import functools
import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jaxsoft import errors
from jaxsoft import files as system
from jaxsoft.data import refusals

_MAX_BYTES = 1 << 38
_MAX_FILE_BYTES = 1 << 30  # of one file, or of a tar, which are read into memory
_MAX_FILES = 1 << 21
_MAX_RATIO = 200  # unpacked over packed; images hardly shrink, so more than this is a bomb


@dataclass(frozen=True)
class Files:
    """The files below a folder: how each is read, by its path in it; of an archive, how large each is."""

    path: Path
    contents: Mapping[str, Callable[[], bytes]]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """The content of one file; DataError when it is missing or damaged."""
        if name not in self.contents:
            raise errors.DataError(f"{self.path} lacks {name}")
        with refusals.naming(f"{self.path}: {name} cannot be read"):
            return self.contents[name]()


def locate(where: Path, folder: str, packed: str) -> Path | None:
    """Find `folder` or the archive `packed` in `where`, or `where` being one of them."""
    itself = (where,) if where.name in (folder, packed) else ()
    return next((path for path in (where / folder, where / packed, *itself) if path.exists()), None)


def files(path: Path, top: str) -> Files:
    """List a folder, or what lies below the folder `top` in a `.zip` or a `.tar.gz`.

    Raises:
      DataError: the archive is damaged or no regular file, or holds a link, an absolute path, `..`, or implausibly many
        files or bytes.
    """
    if path.is_dir():
        below = (Path(base, name) for base, _, found in os.walk(path) for name in found)
        read = functools.partial(system.read, most=_MAX_FILE_BYTES)
        return Files(path, {file.relative_to(path).as_posix(): functools.partial(read, file) for file in below})
    return _archive(path, top, _zip if path.suffix == ".zip" else _tar)


def zipped(path: Path) -> Files:
    """List a zip of whatever name, whole; DataError as `files`, and for two files of one name."""
    return _archive(path, "", _zip)


def _archive(path: Path, top: str, entries: "Callable[[Path], Iterable[_Entry]]") -> Files:
    with refusals.naming(f"{path} cannot be read as an archive"):
        system.opened(path).close()  # a pipe or a device would hang
        found = list(_inner(path, top, entries(path)))
        return Files(path, {name: read for name, _, read in found}, {name: size for name, size, _ in found})


_Entry = tuple[str, int, bool, Callable[[], bytes] | None]
"""Of an archive: its name and size, whether it is a file or a folder and not a link or worse, how a file is read."""


def _zip(path: Path) -> Iterator[_Entry]:
    pack = zipfile.ZipFile(path)
    if len({*pack.namelist()}) < len(pack.namelist()):
        raise ValueError("two files of one name")
    for info in pack.infolist():
        read = None if info.is_dir() else functools.partial(pack.read, info)
        yield info.filename, info.file_size, not stat.S_ISLNK(info.external_attr >> 16), read


def _tar(path: Path) -> Iterator[_Entry]:
    """Unpacked into memory whole, so that its headers are bounded too and its checksum is compared."""
    with gzip.open(path) as packed:
        content = packed.read(min(_MAX_FILE_BYTES, _MAX_RATIO * path.stat().st_size) + 1)
    _bound(path, len(content), _MAX_FILE_BYTES)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as pack:
        for info in pack:
            if info.size < 0:  # the next header would be this one, for ever
                raise ValueError("a file of negative size")
            place = slice(info.offset_data, info.offset_data + info.size)
            read = None if info.isdir() else functools.partial(content.__getitem__, place)
            yield info.name, info.size, info.isdir() or info.isfile() and not info.issparse(), read


def _inner(path: Path, top: str, entries: Iterable[_Entry]) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """The files below `top`, or all without it: path in it, size, and how each is read; an archive that holds what no published one does is refused."""
    total = 0
    for count, (name, size, plain, read) in enumerate(entries, 1):
        total += size
        _bound(path, size, _MAX_FILE_BYTES)
        _bound(path, total, _MAX_BYTES)
        if count > _MAX_FILES:
            raise errors.DataError(f"{path} holds more than {_MAX_FILES:,} files, which is implausible; refused")
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not plain or ".." in parts or name.startswith(("/", "\\")) or ":" in name:
            raise errors.DataError(f"{path} holds {name!r}: links, '..' and absolute paths are refused")
        if parts[: bool(top)] == (top,) * bool(top) and read:
            yield "/".join(parts[bool(top) :]), size, read


def _bound(path: Path, total: int, limit: int) -> None:
    if total > min(limit, _MAX_RATIO * path.stat().st_size):
        raise errors.DataError(f"{path} would unpack to {total:,} bytes or more, which is implausible; refused")
