"""Anybody's images: a folder of PNG or JPEG files with one subfolder per class."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import classes, raw

TITLE = "your own PNG or JPEG images, one folder per class"
SOURCE = "your own disk"
LICENCE = "that of the images"
FILES = "one folder of PNG or JPEG images per class (or train/ and test/ that hold such folders)"
SIDE = None

_TEST_SHARE = 0.2
_ENDINGS = (".png", ".jpg", ".jpeg")
_TRAIN = ("train",)
_TEST = ("test", "val", "valid", "validation")


def find(where: Path, argument: str) -> Path | None:
    """The folder itself, if it holds images in class folders."""
    tree = _inner(where, _TRAIN) or where
    return where if any(_images(folder) for folder in _class_folders(tree)) else None


def read(found: Path, resize: int | None) -> raw.Raw:
    """Train and test as the subfolders say (test before val); without them a fifth of each class becomes the test."""
    tree, test_tree = _inner(found, _TRAIN) or found, _inner(found, _TEST)
    names = tuple(folder.name for folder in _class_folders(tree))
    train = _part(tree, names, resize)
    if tree == found or test_tree is None:
        train, test = raw.carve(train, classes.portion(train.labels, _TEST_SHARE))
    else:
        test = _part(test_tree, names, resize)
    return raw.Raw(names, train, test, f"image folder {found.resolve().name}", LICENCE)


def _part(tree: Path, names: tuple[str, ...], resize: int | None) -> raw.Part:
    strangers = sorted({folder.name for folder in _class_folders(tree)} - set(names))
    if strangers:
        raise errors.DataError(f"{tree / strangers[0]} is not among the {len(names)} classes of the train folder")
    paths = [(path, k) for k, name in enumerate(names) for path in _images(tree / name)]
    labels = np.array([k for _, k in paths], np.int32)

    def image(path: Path) -> UInt8[np.ndarray, "H W C"]:
        try:
            return raw.decode(path.read_bytes(), str(path), resize)
        except OSError as problem:
            raise raw.unreadable(f"{path} cannot be read", problem) from None

    return raw.Part(labels, [path for path, _ in paths], image)


def _inner(where: Path, names: tuple[str, ...]) -> Path | None:
    return next((where / name for name in names if (where / name).is_dir()), None)


def _class_folders(tree: Path) -> list[Path]:
    """Visible subfolders in sorted order, without what `prepare` writes beside them."""
    if not tree.is_dir():
        return []
    folders = (path for path in tree.iterdir() if path.is_dir())
    return sorted(path for path in folders if not path.name.startswith((".", "image_folder")))


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS and path.name[0] != ".")
