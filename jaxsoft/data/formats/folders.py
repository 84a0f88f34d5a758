"""What lies in a folder of images: the files that are read, class by class, and by reason all that is left out."""

import collections
import os
from collections.abc import Iterator
from pathlib import Path

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import images
from jaxsoft.data.prepared import MANIFEST

TRAIN = {"train", "training"}
TEST = {"test", "testing"}
VALIDATION = {"val", "valid", "validation"}
LEFT_OUT = "left out: "
IN_NO_CLASS = "images that lie in no class folder"

_SYSTEM = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information", "__pycache__"}
_OTHER = "files that are no images"
_UNREAD = "images of kinds that are not read"
_NAMES = 5  # of each reason


class Listing:
    """The files below one folder, told apart once, and what there is to say of them."""

    def __init__(self, root: Path):
        self.root = root
        self.remarks: list[str] = []
        self._told: dict[str, set[Path]] = {}  # of which files there is something to say
        self._real: dict[str, Path] = {}

    def tell(self, what: str, *paths: Path) -> None:
        """Remember what there is to say of files; called by threads."""
        self._told.setdefault(what, set()).update(paths)

    def images(self, folder: Path, unused: str = "", loose: bool = False) -> list[Path]:
        """The images below a folder, see `files`; other files are left out, and the images too if there is a reason."""
        found = []
        for path, reason in files(folder, loose):
            if reason or unused:
                self.tell(f"{LEFT_OUT}{reason or unused}", path)
            else:
                found.append(path)
        return sorted(found)

    def classes(self, tree: Path) -> dict[str, list[Path]]:
        """The images of each class folder of a tree, at any depth; classes that are called by numbers come in their order.

        Class folders may be links; linked folders inside them are left out.

        Raises:
          DataError: a folder cannot be read, or two class folders are one and the same.
        """
        self.images(tree, IN_NO_CLASS, loose=True)
        found, here = {}, Path(os.path.realpath(tree))
        for folder in subfolders(tree):
            real = os.path.realpath(folder)  # links may make one folder two classes, or lead back to where they lie
            other = self.root if here.is_relative_to(real) else self._real.setdefault(real, folder)
            if other != folder:
                raise errors.DataError(errors.shown(f"{folder} is a link to the same images as {other}; remove one"))
            if (folder / MANIFEST).is_file() and not has_images(folder):
                continue  # prepared by us; a class may have any name, also that of our folders
            inner = {path.name.lower() for path in subfolders(folder)}
            if inner & TRAIN and inner & (TEST | VALIDATION):
                self.images(folder, f"images of {folder.name}, which has train and test folders of its own")
            elif paths := self.images(folder):
                found[folder.name] = paths
            else:
                self.tell(f"{LEFT_OUT}folders without an image", folder)
        numbers = all(name.isascii() and name.isdecimal() for name in found)
        return {name: found[name] for name in sorted(sorted(found), key=int if numbers else None)}

    def notes(self) -> list[str]:
        """The remarks, and a line for each thing to say of files: how many there are, and the first of their names."""
        lines = list(self.remarks)
        for what, paths in sorted(self._told.items()):
            names = [errors.shown(os.path.relpath(path, self.root)) for path in sorted(paths)]
            endings = collections.Counter(path.suffix.lower() or "no ending" for path in sorted(paths))
            most = ", ".join(f"{count:,} {errors.shown(ending)}" for ending, count in endings.most_common(_NAMES))
            kinds = f", of them {most}" if what.endswith((_OTHER, _UNREAD)) else ""
            lines.append(f"{errors.shown(what)}: {len(paths):,}{kinds} ({refusals.listed(names, _NAMES)})")
        return lines


def files(folder: Path, loose: bool = False) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, at any depth, with the reason why it is no image to be read; "" for those that are.

    With `loose`, only those that lie in it directly or in its hidden folders.
    """
    pending = [(folder, "")]
    while pending:  # a loop, because folders may be nested deeper than functions
        current, passed = pending.pop()
        for entry in _entries(current):
            reason = passed or _hidden(entry)
            if loose and not reason and os.path.isdir(entry.path):
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append((current / entry.name, reason))
            else:
                yield current / entry.name, reason or _kind(entry)


def subfolders(tree: Path) -> list[Path]:
    """Visible folders, and links to folders, in sorted order."""
    return sorted(tree / e.name for e in _entries(tree) if os.path.isdir(e.path) and not _hidden(e))


def has_images(folder: Path) -> bool:
    """Whether an image lies anywhere below a folder, also one of a kind that is not read."""
    return any(reason in ("", _UNREAD) for _, reason in files(folder))


def _hidden(entry: os.DirEntry) -> str:
    """Why neither a file nor what lies in a folder is looked at."""
    if entry.name.lower() in _SYSTEM:
        return "files of the system"
    return "hidden files" if entry.name.startswith(".") else ""


def _kind(entry: os.DirEntry) -> str:
    """Why a file that is looked at is not read."""
    if os.path.isdir(entry.path):
        return "linked folders inside class folders, which are not followed"
    ending = os.path.splitext(entry.name)[1].lower()
    if ending in images.ENDINGS:
        return ""
    return _UNREAD if ending in images.UNREAD else _OTHER


def _entries(folder: Path) -> list[os.DirEntry]:
    with refusals.naming(f"{folder} cannot be read"), os.scandir(folder) as found:
        return list(found)
