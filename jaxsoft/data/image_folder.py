"""Anybody's images: a folder with one subfolder per class, or train and test folders that hold such folders."""

import collections
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxsoft import errors, files
from jaxsoft.data import classes, listing, raw

TITLE = "your own images, one folder per class"
SOURCE = "your own disk"
LICENCE = "that of the images"
FILES = "one folder of images per class, or train/ and test/ that hold such folders (PNG, JPEG, WebP, TIFF and others)"
SIDE = None

_TEST_SHARE = 0.2
_MAX_BYTES = 1 << 26  # of one file
_FEW = 2  # images of a class that split into one to learn from and one to test on

Images = dict[str, list[Path]]


def find(where: Path, argument: str) -> Path | None:
    """The folder itself, if an image lies below it; `read` says whether that is in class folders."""
    try:
        return where if where.is_dir() and listing.has_images(where) else None
    except errors.DataError:  # a folder that may not be looked into: `read` names it
        return where


def read(found: Path, resize: int | None) -> raw.Raw:
    """Train and test as the subfolders say (test before val); without them a fifth of each class becomes the test."""
    seen = listing.Listing(found)
    tree = _train_folder(found)
    train = seen.classes(tree)
    test, remarks = _test(found, tree, train, seen) if tree != found else ({}, [])
    _check_classes(tree, train, remarks + seen.notes())
    names = list(train)
    remarks += _alike(names)
    part = _part(train, names, resize, seen)
    if test:
        splits = part, _part(test, names, resize, seen)
    else:
        remarks.append(f"a fifth of each class of {errors.shown(tree.name)} is the test split")
        splits = raw.carve(part, _held(part.labels, names))
    counts = [np.bincount(split.labels, minlength=len(names)) for split in splits]
    remarks += _few(names, *counts)
    shown = tuple(map(errors.shown, names))
    source, origin = f"image folder {errors.shown(found.resolve().name)}", os.path.realpath(found)
    return raw.Raw(shown, *splits, source, LICENCE, origin, lambda: remarks + seen.notes())


def _train_folder(found: Path) -> Path:
    """The folder that holds the class folders: one called train that does, else the folder itself."""
    tree = _split(found, listing.TRAIN)
    if tree and any(listing.has_images(folder) for folder in listing.subfolders(tree)):
        return tree
    tests = [folder for names in (listing.TEST, listing.VALIDATION) if (folder := _split(found, names))]
    if tree and tests and listing.has_images(tree):
        raise errors.DataError(errors.shown(f"{tree} holds no class folders, so its images have no labels"))
    return found


def _split(found: Path, names: set[str]) -> Path | None:
    """The one subfolder that has one of these names, in any case."""
    folders = [folder for folder in listing.subfolders(found) if folder.name.lower() in names]
    if len(folders) > 1:
        both = " and ".join(folder.name for folder in folders[:2])
        raise errors.DataError(errors.shown(f"{found} holds both {both}; rename or remove one of them"))
    return folders[0] if folders else None


def _test(found: Path, tree: Path, train: Images, seen: listing.Listing) -> tuple[Images, list[str]]:
    """The labelled test split, or none, and what there is to say of it; what lies beside the splits is left out."""
    chosen, remarks = {}, []
    tests = [folder for names in (listing.TEST, listing.VALIDATION) if (folder := _split(found, names))]
    for folder in tests:
        name = errors.shown(folder.name)
        if chosen:
            unused = f"images of {folder.name}, which is not used, as validation is cut from the train images"
            seen.leave_all(unused, folder)
            continue
        chosen = _labelled(folder, train, seen)
        labels = "is the test split" if chosen else "has no folders of the train classes, so its images have no labels"
        remarks.append(f"{name} {labels}")
    for folder in listing.subfolders(found):
        if folder not in (tree, *tests):
            seen.leave_all("images beside the train and test folders", folder)
    seen.leave_loose(found)
    return chosen, remarks


def _labelled(tree: Path, train: Images, seen: listing.Listing) -> Images:
    """Images by class; none where there is no folder, or only one and that is no class."""
    held = seen.classes(tree)
    strangers = [name for name in held if name not in train]
    if len(held) == len(strangers) == 1:
        for path in held[strangers[0]]:
            seen.leave(listing.IN_NO_CLASS, path)
        return {}
    if strangers:
        told = f"{tree} holds folders that are not among the {len(train)} classes of the train folder"
        raise errors.DataError(errors.shown(f"{told}: {raw.listed(strangers)}"))
    return held


def _check_classes(tree: Path, train: Images, notes: list[str]) -> None:
    """Refuse what is no set of labelled images; the line says what lies there instead."""
    splits = listing.TRAIN | listing.TEST | listing.VALIDATION
    if len(train) > 1 and not all(name.lower() in splits for name in train):
        return
    what = f"images of {len(train)} classes" + f" ({', '.join(train)})" * bool(train)
    raise errors.DataError("; ".join([errors.shown(f"{tree} holds {what}; wanted are {FILES}"), *notes]))


def _held(labels: Int[np.ndarray, "N"], names: list[str]) -> Int[np.ndarray, "K"]:
    """How many images of each class become the test split; a class of one image cannot be split."""
    alone = [errors.shown(names[k]) for k in np.flatnonzero(np.bincount(labels) == 1)]
    if alone:
        some = raw.listed(alone)
        raise errors.DataError(
            f"classes with one image cannot be split into train and test: {some}; add images, or a test folder"
        )
    return classes.portion(labels, _TEST_SHARE)


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
    found = {ill: [errors.shown(names[k]) for k in np.flatnonzero(where)] for ill, where in ills.items()}
    return [f"classes with {ill}: {raw.listed(few)}" for ill, few in found.items() if few]


def _part(images: Images, names: list[str], resize: int | None, seen: listing.Listing) -> raw.Part:
    paths = [(path, k) for k, name in enumerate(names) for path in images.get(name, ())]
    labels = np.array([k for _, k in paths], np.int32)

    def image(path: Path) -> UInt8[np.ndarray, "H W C"]:
        try:
            data = files.read(path, _MAX_BYTES)
        except OSError as problem:
            raise raw.unreadable(f"{path} cannot be read", problem) from None
        return raw.decode(data, str(path), resize, told=lambda what: seen.remark(what, path))

    return raw.Part(labels, [path for path, _ in paths], image)
