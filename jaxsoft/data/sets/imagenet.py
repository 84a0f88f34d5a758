"""ImageNet (ILSVRC2012) as folders: `train/<wnid>/*.JPEG`, and `val` as class folders too, or flat with a list.

A list names a file and its class on each line: `LOC_val_solution.csv` of Kaggle, or a `val.txt`, with wnids or with numbers of the
sorted wnids from 0. Its test images have no labels, so `val` is the test split. Any part of the classes will do.
"""

import os
import re
from pathlib import Path

import numpy as np

from jaxsoft import errors, files
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import images
from jaxsoft.data.sets import Published, image_folder

SOURCE = "https://image-net.org/challenges/LSVRC/2012"
LICENCE = "non-commercial research (terms of ImageNet)"
FILES = "its folder, with train/ and val/ that hold a folder for each wnid, or val/ flat beside LOC_val_solution.csv or val.txt"

_FOLDERS = ("", "ILSVRC2012", "imagenet", "ILSVRC/Data/CLS-LOC")
_LISTS = ("LOC_val_solution.csv", "val.txt", "val/val.txt")
_WNID = re.compile(r"n\d+")
_LINE = re.compile(r"(?:val/)?([\w-]+?)(?:\.JPEG)?[ ,\t]+(n?\d+)\b.*")
_MOST = 1 << 26  # bytes of a list


def find(where: Path, argument: str) -> Path | None:
    """The folder that holds train and val."""
    found = (where / name for name in _FOLDERS)
    return next((path for path in found if _wnids(path / "train") and (path / "val").is_dir()), None)


def read(found: Path, resize: int | None) -> raw.Raw:
    """Classes are the sorted wnids, by the names of `LOC_synset_mapping.txt` if it is there."""
    wnids = _wnids(found / "train")
    number = {wnid: k for k, wnid in enumerate(wnids)}
    train = {f"train/{wnid}/{name}": wnid for wnid in wnids for name in _files(found / "train" / wnid)}
    lines = (line.split(" ", 1) for line in _lines(found, ("LOC_synset_mapping.txt",)))
    words = {line[0]: line[1].split(",")[0] for line in lines if len(line) == 2}

    def part(classes: dict[str, str]) -> raw.Part:
        labels = np.array([number[wnid] for wnid in classes.values()], np.int32)
        return raw.Part(labels, list(classes), lambda place: images.read(found / place, resize), str)

    names = tuple(words.get(wnid, wnid) for wnid in wnids)
    return raw.Raw(names, part(train), part(_val(found, wnids)), SOURCE, LICENCE)


def _val(found: Path, wnids: list[str]) -> dict[str, str]:
    """Place -> wnid of the images of `val`."""
    if own := _wnids(found / "val"):
        if strangers := sorted({*own} - {*wnids}):
            raise errors.DataError(f"{found}/val: {strangers[0]} is not among the {len(wnids)} classes of train")
        return {f"val/{wnid}/{name}": wnid for wnid in own for name in _files(found / "val" / wnid)}
    there, known = {Path(name).stem: name for name in _files(found / "val")}, {}
    for line in _lines(found, _LISTS):
        if not (told := _LINE.fullmatch(line)) or told[1] not in there:
            continue  # a header, or an image of a class that is not here
        wnid = told[2] if _WNID.fullmatch(told[2]) else wnids[int(told[2])] if int(told[2]) < len(wnids) else ""
        if wnid in wnids:
            known[f"val/{there[told[1]]}"] = wnid
    if len(known) < len(there) or not known:
        told = f"of {len(there):,} images in {found}/val, {len(known):,} have a class"
        raise errors.DataError(errors.shown(f"{told}; wanted class folders, or {' or '.join(_LISTS[:2])} beside it"))
    return known


def _wnids(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with refusals.naming(f"{folder} cannot be read"), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _WNID.fullmatch(entry.name))


def _files(folder: Path) -> list[str]:
    with refusals.naming(f"{folder} cannot be read"), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if Path(entry.name).suffix.lower() in images.ENDINGS)


def _lines(found: Path, names: tuple[str, ...]) -> list[str]:
    """Of the first of these lists that lies beside train and val, or above them as Kaggle has it."""
    paths = (folder / name for name in names for folder in (found, *found.parents[:3]))
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return []
    with refusals.naming(f"{path} cannot be read"):
        return files.read(path, _MOST).decode(errors="replace").splitlines()


TITLE = "1.28 million photographs of any size, 1,000 classes"
SETS = {
    "imagenet": Published(TITLE, SOURCE, FILES, None, find, read, counts=(1000, 1281, 50), stored=image_folder.stored)
}
