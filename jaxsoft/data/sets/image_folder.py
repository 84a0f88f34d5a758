"""Anybody's images: a folder of class folders, or of splits that hold class folders; all else is left out and told."""

import collections
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors, files
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import images
from jaxsoft.data.prepared import MANIFEST
from jaxsoft.data.sets import Published

LICENCE = "that of the images"
FILES = "one folder of images per class, or train/, val/ and test/ that hold such folders (PNG, JPEG, WebP, TIFF and others)"

_TRAIN = {"train", "training"}
_TEST = {"test", "testing"}
_VALIDATION = {"val", "valid", "validation"}
_SYSTEM = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information", "__pycache__"}
_SPLITS: tuple[str, ...] = ("train", "test", "validation")
_LEFT_OUT = "left out: "
_IN_NO_CLASS = "images that lie in no class folder"
_OTHER = "files that are no images"
_UNREAD = "images of kinds that are not read"
_KINDS = dict.fromkeys(images.UNREAD, _UNREAD) | dict.fromkeys(images.ENDINGS, "")  # by ending; all else is no image
_NAMES = 5  # of each reason

Paths = dict[str, list[Path]]
"""Class name -> image files."""


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
        """The images below a folder, see `_files`; other files are left out, and the images too if there is a reason."""
        found = []
        for path, reason in _files(folder, loose):
            if reason or unused:
                self.tell(f"{_LEFT_OUT}{reason or unused}", path)
            else:
                found.append(path)
        return sorted(found)

    def classes(self, tree: Path) -> dict[str, list[Path]]:
        """The images of each class folder of a tree, which may be a link, at any depth; numbers come in their order."""
        self.images(tree, _IN_NO_CLASS, loose=True)
        found, here = {}, Path(os.path.realpath(tree))
        for folder in _subfolders(tree):
            real = os.path.realpath(folder)  # links may make one folder two classes, or lead back to where they lie
            other = self.root if here.is_relative_to(real) else self._real.setdefault(real, folder)
            if other != folder:
                raise errors.DataError(errors.shown(f"{folder} is a link to the same images as {other}; remove one"))
            if (folder / MANIFEST).is_file() and not _has_images(folder):
                continue  # prepared by us; a class may have any name, also that of our folders
            inner = {path.name.lower() for path in _subfolders(folder)}
            if inner & _TRAIN and inner & (_TEST | _VALIDATION):
                self.images(folder, f"images of {folder.name}, which has train and test folders of its own")
            elif paths := self.images(folder):
                found[folder.name] = paths
            else:
                self.tell(f"{_LEFT_OUT}folders without an image", folder)
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


PartOf = Callable[[Paths, list[str], Listing], raw.Part]
"""A split of class names, from the image files of each, and who remembers what there is to say."""


def find(where: Path, argument: str) -> Path | None:
    """The folder itself, if an image lies below it; `read` says whether that is in class folders."""
    try:
        return where if where.is_dir() and _has_images(where) else None
    except errors.DataError:  # a folder that may not be looked into: `read` names it
        return where


def read(found: Path, resize: int | None) -> raw.Raw:
    """Splits as the subfolders say; without a test val becomes it, and without both a fifth of each class."""
    return read_as("image", found, lambda paths, names, seen: _part(paths, names, resize, seen))


def read_as(what: str, found: Path, part_of: PartOf) -> raw.Raw:
    """The same of what a class folder's images are parts of, `what` they make and how."""
    seen = Listing(found)
    tree, *others = _trees(found)
    paths = seen.classes(tree)
    labelled = _labelled(tree, others, paths, seen) if tree != found else []
    splits = _TRAIN | _TEST | _VALIDATION
    if len(paths) < 2 or all(name.lower() in splits for name in paths):
        what = f"images of {len(paths)} classes" + f" ({', '.join(paths)})" * bool(paths)
        raise errors.DataError("; ".join([errors.shown(f"{tree} holds {what}; wanted are {FILES}"), *seen.notes()]))
    names = tuple(map(errors.shown, paths))
    spellings = collections.defaultdict(list)
    for name in names:
        spellings[name.casefold()].append(name)
    seen.remarks += [f"{' and '.join(same)} are classes of their own" for same in spellings.values() if len(same) > 1]
    train, *rest = (part_of(some, list(paths), seen) for some in (paths, *(own for _, own in labelled)))
    sources = [tree, *(folder for folder, _ in labelled)]
    if not rest:
        if alone := _those(names, np.bincount(train.labels) == 1):
            told = f"classes with one {what} cannot be split into train and test: {alone}"
            raise errors.DataError(f"{told}; add {what}s, or a test folder")
        train, *rest = raw.carve(train)
    parts = dict(zip(_SPLITS, (train, *rest)))
    seen.remarks[:0] = [_found(names, parts, sources, what)]
    seen.remarks += _ills(names, parts, what)
    held = parts.get("validation", train.take(np.arange(0)))
    whole = dataclasses.replace(train, labels=np.r_[train.labels, held.labels], items=[*train.items, *held.items])
    source = f"{what} folder {errors.shown(found.resolve().name)}"
    origin = os.path.realpath(found)
    return raw.Raw(names, whole, rest[0], source, LICENCE, origin, seen.notes, len(held.items))


def _found(names: Sequence[str], parts: Mapping[str, raw.Part], sources: Sequence[Path], what: str) -> str:
    """The one line that says which folder became which split."""
    where = [errors.shown(source.name or source.resolve().name) for source in sources]
    train, test, validation = (f"{len(parts[s].items):,}" if s in parts else "" for s in _SPLITS)
    told = f"{len(names)} classes; train: {train} {what}s of {where[0]}; "
    told += f"validation: {validation} of {where[2]}; " if validation else "validation: cut from train; "
    return told + (f"test: {test} of {where[1]}" if where[1:] else f"test: {test} of {where[0]}, a fifth of each class")


def _ills(names: Sequence[str], parts: Mapping[str, raw.Part], what: str) -> list[str]:
    """What is wrong with classes of hardly any images or clips."""
    counts = {split: np.bincount(part.labels, minlength=len(names)) for split, part in parts.items()}
    one, two = (counts["train"] == few for few in (1, 2))
    ills = {f"no test {what}: nothing is said of their accuracy": counts["test"] == 0}
    if "validation" in parts:
        ills |= {f"no validation {what}: they have no say in what is chosen": counts["validation"] == 0}
    else:
        ills |= {
            f"one train {what}: validation, which takes one of each class, would leave none": one,
            f"two train {what}s: one of them is for validation, so IPC is 1 at most": two,
        }
    return [f"classes with {ill}: {few}" for ill, where in ills.items() if (few := _those(names, where))]


def _trees(found: Path) -> list[Path]:
    """The folder that holds the class folders, one called train or the folder itself, and those that may be the test."""
    called = []
    for names in (_TRAIN, _TEST, _VALIDATION):
        called.append([folder for folder in _subfolders(found) if folder.name.lower() in names])
        if len(called[-1]) > 1:
            both = " and ".join(folder.name for folder in called[-1][:2])
            raise errors.DataError(errors.shown(f"{found} holds both {both}; rename or remove one of them"))
    train, tests = called[0], called[1] + called[2]
    if any(_has_images(folder) for tree in train for folder in _subfolders(tree)):
        return train + tests
    if train and tests and _has_images(train[0]):
        raise errors.DataError(errors.shown(f"{train[0]} holds no class folders, so its images have no labels"))
    return [found]


def _labelled(tree: Path, others: list[Path], train: Paths, seen: Listing) -> list[tuple[Path, Paths]]:
    """The labelled splits beside the train folder: the test, then validation; what lies beside them is left out."""
    found: list[tuple[Path, Paths]] = []
    for folder in others:
        held = seen.classes(folder)
        strangers = [name for name in held if name not in train]
        if held and not strangers:
            found.append((folder, held))
        elif len(held) > 1:
            told = f"{folder} holds folders that are not among the {len(train)} classes of the train folder"
            raise errors.DataError(errors.shown(f"{told}: {refusals.listed(strangers)}"))
        else:
            for paths in held.values():  # of a folder such as images/, which is no class
                seen.tell(f"{_LEFT_OUT}{_IN_NO_CLASS}", *paths)
            told = "has no folders of the train classes, so its images have no labels"
            seen.remarks.append(f"{errors.shown(folder.name)} {told}")
    for folder in _subfolders(seen.root):
        if folder not in (tree, *others):
            seen.images(folder, "images beside the folders of splits")
    seen.images(seen.root, _IN_NO_CLASS, loose=True)
    return found


def _those(names: Sequence[str], where: np.ndarray) -> str:
    return refusals.listed([*itertools.compress(names, where)])


def _part(paths: Paths, names: list[str], resize: int | None, seen: Listing) -> raw.Part:
    labelled = [(path, k) for k, name in enumerate(names) for path in paths.get(name, ())]
    items = [path for path, _ in labelled]
    labels = np.array([k for _, k in labelled], np.int32)
    return raw.Part(
        labels, items, lambda path: pixels(path, resize, seen), lambda path: os.path.relpath(path, seen.root)
    )


def stored(folder: Path) -> Callable[[str], bytes]:
    """What gives the bytes of a file below a folder; DataError if it cannot be read."""
    return functools.partial(_bytes, folder)


def _bytes(folder: Path, place: str) -> bytes:
    with refusals.naming(f"{folder}: {place} cannot be read"):
        return files.read(folder / place, images.MAX_BYTES)


def pixels(path: Path, resize: int | None, seen: Listing) -> UInt8[np.ndarray, "H W C"]:
    """One image file, decoded; what there is to say of it is told. DataError if it cannot be read."""
    return images.read(path, resize, lambda what: seen.tell(what, path))


def _files(folder: Path, loose: bool = False) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, or loose in it and hidden, with the reason why it is not read; "" for images that are."""
    pending = [(folder, "")]
    while pending:  # a loop, because folders may be nested deeper than functions
        current, passed = pending.pop()
        for entry in _entries(current):
            path, reason, is_folder = current / entry.name, passed or _hidden(entry), os.path.isdir(entry.path)
            if loose and is_folder and not reason:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append((path, reason))
            elif is_folder and not reason:
                yield path, "linked folders inside class folders, which are not followed"
            else:
                yield path, reason or _KINDS.get(path.suffix.lower(), _OTHER)


def _subfolders(tree: Path) -> list[Path]:
    """Visible folders, and links to folders, in sorted order."""
    return sorted(tree / e.name for e in _entries(tree) if os.path.isdir(e.path) and not _hidden(e))


def _has_images(folder: Path) -> bool:
    """Whether an image lies anywhere below a folder, also one of a kind that is not read."""
    return any(reason in ("", _UNREAD) for _, reason in _files(folder))


def _hidden(entry: os.DirEntry) -> str:
    """Why neither a file nor what lies in a folder is looked at."""
    if entry.name.lower() in _SYSTEM:
        return "files of the system"
    return "hidden files" if entry.name.startswith(".") else ""


def _entries(folder: Path) -> list[os.DirEntry]:
    with refusals.naming(f"{folder} cannot be read"), os.scandir(folder) as found:
        return list(found)


TITLE = "your own images, one folder per class"
SETS = {"image_folder": Published(TITLE, "your own disk", FILES, None, find, read, stored=stored)}
