"""Anybody's images: a folder with one subfolder per class, or train and test folders that hold such folders."""

import collections
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors, files
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import folders, images
from jaxsoft.data.sets import Published

LICENCE = "that of the images"
FILES = "one folder of images per class, or train/ and test/ that hold such folders (PNG, JPEG, WebP, TIFF and others)"

_MAX_BYTES = 1 << 26  # of one file

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
    paths = seen.classes(tree)
    test_paths = _test(tree, tests, paths, seen) if tree != found else {}
    splits = folders.TRAIN | folders.TEST | folders.VALIDATION
    if len(paths) < 2 or all(name.lower() in splits for name in paths):
        what = f"images of {len(paths)} classes" + f" ({', '.join(paths)})" * bool(paths)
        raise errors.DataError("; ".join([errors.shown(f"{tree} holds {what}; wanted are {FILES}"), *seen.notes()]))
    names = tuple(map(errors.shown, paths))
    spellings = collections.defaultdict(list)
    for name in names:
        spellings[name.casefold()].append(name)
    seen.remarks += [f"{' and '.join(same)} are classes of their own" for same in spellings.values() if len(same) > 1]
    train, test = (_part(some, list(paths), resize, seen) for some in (paths, test_paths))
    if not test_paths:
        if alone := _those(names, np.bincount(train.labels) == 1):
            told = f"classes with one image cannot be split into train and test: {alone}"
            raise errors.DataError(f"{told}; add images, or a test folder")
        seen.remarks.append(f"a fifth of each class of {errors.shown(tree.name)} is the test split")
        train, test = raw.carve(train)
    train_counts, test_counts = (np.bincount(part.labels, minlength=len(names)) for part in (train, test))
    ills = {
        "one train image: validation, which takes one of each class, would leave none": train_counts == 1,
        "two train images: one of them is for validation, so IPC is 1 at most": train_counts == 2,
        "no test image: nothing is said of their accuracy": test_counts == 0,
    }
    seen.remarks += [f"classes with {ill}: {few}" for ill, where in ills.items() if (few := _those(names, where))]
    source = f"image folder {errors.shown(found.resolve().name)}"
    return raw.Raw(names, train, test, source, LICENCE, os.path.realpath(found), seen.notes)


def _trees(found: Path) -> list[Path]:
    """The folder that holds the class folders, one called train or the folder itself, and those that may be the test."""
    called = []
    for names in (folders.TRAIN, folders.TEST, folders.VALIDATION):
        called.append([folder for folder in folders.subfolders(found) if folder.name.lower() in names])
        if len(called[-1]) > 1:
            both = " and ".join(folder.name for folder in called[-1][:2])
            raise errors.DataError(errors.shown(f"{found} holds both {both}; rename or remove one of them"))
    train, tests = called[0], called[1] + called[2]
    if any(folders.has_images(folder) for tree in train for folder in folders.subfolders(tree)):
        return train + tests
    if train and tests and folders.has_images(train[0]):
        raise errors.DataError(errors.shown(f"{train[0]} holds no class folders, so its images have no labels"))
    return [found]


def _test(tree: Path, tests: list[Path], train: Paths, seen: folders.Listing) -> Paths:
    """The labelled test split, or none; what lies beside the splits is left out."""
    chosen: Paths = {}
    for folder in tests:
        if chosen:
            unused = f"images of {folder.name}, which is not used, as validation is cut from the train images"
            seen.images(folder, unused)
            continue
        held = seen.classes(folder)
        strangers = [name for name in held if name not in train]
        if len(held) == len(strangers) == 1:  # a folder such as images/, which is no class
            seen.tell(f"{folders.LEFT_OUT}{folders.IN_NO_CLASS}", *held[strangers[0]])
        elif strangers:
            told = f"{folder} holds folders that are not among the {len(train)} classes of the train folder"
            raise errors.DataError(errors.shown(f"{told}: {refusals.listed(strangers)}"))
        else:
            chosen = held
        labels = "is the test split" if chosen else "has no folders of the train classes, so its images have no labels"
        seen.remarks.append(f"{errors.shown(folder.name)} {labels}")
    for folder in folders.subfolders(seen.root):
        if folder not in (tree, *tests):
            seen.images(folder, "images beside the train and test folders")
    seen.images(seen.root, folders.IN_NO_CLASS, loose=True)
    return chosen


def _those(names: Sequence[str], where: np.ndarray) -> str:
    return refusals.listed([*itertools.compress(names, where)])


def _part(paths: Paths, names: list[str], resize: int | None, seen: folders.Listing) -> raw.Part:
    def image(path: Path) -> UInt8[np.ndarray, "H W C"]:
        with refusals.naming(f"{path} cannot be read"):
            data = files.read(path, _MAX_BYTES)
        return images.decode(data, str(path), resize, told=lambda what: seen.tell(what, path))

    labelled = [(path, k) for k, name in enumerate(names) for path in paths.get(name, ())]
    return raw.Part(np.array([k for _, k in labelled], np.int32), [path for path, _ in labelled], image)


TITLE = "your own images, one folder per class"
SETS = {"image_folder": Published(TITLE, "your own disk", FILES, None, find, read)}
