"""Anybody's images: a folder with one subfolder per class, or train and test folders that hold such folders."""

import collections
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxsoft import errors, files
from jaxsoft.data import classes, raw, refusals
from jaxsoft.data.formats import folders, images
from jaxsoft.data.sets import Published

LICENCE = "that of the images"
FILES = "one folder of images per class, or train/ and test/ that hold such folders (PNG, JPEG, WebP, TIFF and others)"

_MAX_BYTES = 1 << 26  # of one file
_FEW = 2  # images of a class that split into one to learn from and one to test on

Paths = dict[str, list[Path]]
"""Class name -> image files."""


def find(where: Path, argument: str) -> Path | None:
    """The folder itself, if an image lies below it; `read` says whether that is in class folders."""
    try:
        return where if where.is_dir() and folders.has_images(where) else None
    except errors.DataError:  # a folder that may not be looked into: `read` names it
        return where


def read(found: Path, resize: int | None) -> raw.Raw:
    """Train and test as the subfolders say (test before val); without them a fifth of each class becomes the test."""
    seen = folders.Listing(found)
    tree, *tests = _trees(found)
    train = seen.classes(tree)
    test = _test(found, tree, tests, train, seen) if tree != found else {}
    _check_classes(tree, train, seen)
    names = list(train)
    seen.remarks += _alike(names)
    part = _part(train, names, resize, seen)
    if test:
        splits = part, _part(test, names, resize, seen)
    else:
        if alone := _those(names, np.bincount(part.labels) == 1):
            told = f"classes with one image cannot be split into train and test: {alone}"
            raise errors.DataError(f"{told}; add images, or a test folder")
        seen.remarks.append(f"a fifth of each class of {errors.shown(tree.name)} is the test split")
        splits = raw.carve(part, classes.portion(part.labels, raw.TEST_SHARE))
    seen.remarks += _few(names, *(np.bincount(split.labels, minlength=len(names)) for split in splits))
    shown = tuple(map(errors.shown, names))
    source = f"image folder {errors.shown(found.resolve().name)}"
    return raw.Raw(shown, *splits, source, LICENCE, os.path.realpath(found), seen.notes)


def _trees(found: Path) -> list[Path]:
    """The folder that holds the class folders, one called train or the folder itself, and those that may be the test."""
    train, *tests = (_called(found, names) for names in (folders.TRAIN, folders.TEST, folders.VALIDATION))
    tests = [folder for folder in tests if folder]
    if train and any(folders.has_images(folder) for folder in folders.subfolders(train)):
        return [train, *tests]
    if train and tests and folders.has_images(train):
        raise errors.DataError(errors.shown(f"{train} holds no class folders, so its images have no labels"))
    return [found]


def _called(found: Path, names: set[str]) -> Path | None:
    """The one subfolder that has one of these names, in any case."""
    same = [folder for folder in folders.subfolders(found) if folder.name.lower() in names]
    if len(same) > 1:
        both = " and ".join(folder.name for folder in same[:2])
        raise errors.DataError(errors.shown(f"{found} holds both {both}; rename or remove one of them"))
    return same[0] if same else None


def _test(found: Path, tree: Path, tests: list[Path], train: Paths, seen: folders.Listing) -> Paths:
    """The labelled test split, or none; what lies beside the splits is left out."""
    chosen = {}
    for folder in tests:
        if chosen:
            unused = f"images of {folder.name}, which is not used, as validation is cut from the train images"
            seen.leave_all(unused, folder)
            continue
        chosen = _labelled(folder, train, seen)
        labels = "is the test split" if chosen else "has no folders of the train classes, so its images have no labels"
        seen.remarks.append(f"{errors.shown(folder.name)} {labels}")
    for folder in folders.subfolders(found):
        if folder not in (tree, *tests):
            seen.leave_all("images beside the train and test folders", folder)
    seen.leave_all(folders.IN_NO_CLASS, found, loose=True)
    return chosen


def _labelled(tree: Path, train: Paths, seen: folders.Listing) -> Paths:
    """Images by class; none where there is no folder, or only one and that is no class."""
    held = seen.classes(tree)
    strangers = [name for name in held if name not in train]
    if len(held) == len(strangers) == 1:
        seen.left[folders.IN_NO_CLASS] += held[strangers[0]]
        return {}
    if strangers:
        told = f"{tree} holds folders that are not among the {len(train)} classes of the train folder"
        raise errors.DataError(errors.shown(f"{told}: {refusals.listed(strangers)}"))
    return held


def _check_classes(tree: Path, train: Paths, seen: folders.Listing) -> None:
    """Refuse what is no set of labelled images; the line says what lies there instead."""
    splits = folders.TRAIN | folders.TEST | folders.VALIDATION
    if len(train) > 1 and not all(name.lower() in splits for name in train):
        return
    what = f"images of {len(train)} classes" + f" ({', '.join(train)})" * bool(train)
    raise errors.DataError("; ".join([errors.shown(f"{tree} holds {what}; wanted are {FILES}"), *seen.notes()]))


def _alike(names: list[str]) -> list[str]:
    """Classes whose names differ in case only are meant, or are not."""
    same = collections.defaultdict(list)
    for name in names:
        same[name.casefold()].append(errors.shown(name))
    return [f"{' and '.join(group)} are classes of their own" for group in same.values() if len(group) > 1]


def _few(names: list[str], train: Int[np.ndarray, "K"], test: Int[np.ndarray, "K"]) -> list[str]:
    """What will go wrong with classes that have hardly any images."""
    ills = {
        "one train image: validation, which takes one of each class, would leave none": train == 1,
        "two train images: one of them is for validation, so IPC is 1 at most": train == _FEW,
        "no test image: nothing is said of their accuracy": test == 0,
    }
    return [f"classes with {ill}: {few}" for ill, where in ills.items() if (few := _those(names, where))]


def _those(names: list[str], where: np.ndarray) -> str:
    return refusals.listed([errors.shown(names[k]) for k in np.flatnonzero(where)])


def _part(paths: Paths, names: list[str], resize: int | None, seen: folders.Listing) -> raw.Part:
    def image(path: Path) -> UInt8[np.ndarray, "H W C"]:
        with refusals.naming(f"{path} cannot be read"):
            data = files.read(path, _MAX_BYTES)
        return images.decode(data, str(path), resize, told=lambda what: seen.remark(what, path))

    labelled = [(path, k) for k, name in enumerate(names) for path in paths.get(name, ())]
    return raw.Part(np.array([k for _, k in labelled], np.int32), [path for path, _ in labelled], image)


TITLE = "your own images, one folder per class"
SETS = {"image_folder": Published(TITLE, "your own disk", LICENCE, FILES, None, find, read)}
