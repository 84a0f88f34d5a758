"""Distilled sets that are folders of pictures: class folders, as SRe2L, CV-DD and RDED write them, or one flat folder.

Pictures stand in the order in which torch's ImageFolder lists them: folders by name, then files by name. The class of a
folder is that of the data set whose name it has, else the number in its name, else its rank. Frames whose names
end in `_tNNN` are clips, as Video-DC writes them. Labels may be those of FKD, which make views of the pictures, or a table.

Reference: Yin et al. (2023), "Squeeze, Recover and Relabel", section 3.3; Cui et al. (2025), "Dataset Distillation via
Committee Voting"; Sun et al. (2024), "On the Diversity and Realism of Distilled Dataset", section 4.
"""

import collections
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import fkd, images
from jaxsoft.distilled.reading import tables
from jaxsoft.distilled.reading.found import Found
from jaxsoft.distilled.reading.options import Options

_MOST_BYTES = 1 << 32  # of all pixels of a set, as they are computed
_NUMBERED = re.compile(r"(\D{0,40}?)(\d{1,9})(?:-.*)?")  # the latter as `jaxsoft export` names folders
_NAMED = re.compile(r"class(\d{1,9})_id(\d{1,9})(?:_t(\d{1,9}))?")
_NAMES = 5  # that a message lists


class _Place(NamedTuple):
    """A file, and the folder of its class; "" in a flat folder."""

    path: Path
    folder: str

    @property
    def named(self) -> re.Match | None:
        """What its name says, as the field names files: class, number and frame."""
        return _NAMED.fullmatch(self.path.stem)


def is_pictures(folder: Path) -> bool:
    """Whether there are pictures in a folder, or in the folders in it."""
    return folder.is_dir() and any(map(_is_picture, itertools.chain(folder.glob("*"), folder.glob("*/*"))))


def read(
    folder: Path,
    class_names: Sequence[str] = (),
    channels: int = 3,
    options: Options | None = None,
) -> Found:
    """A folder of pictures as a set, in pixels.

    Args:
      class_names, channels: of the data set; grey pictures alone may be of 1 channel.
      options: `labels`, a folder of FKD, whose views are the images then, or a table, see `tables.read`; `epochs` and
        `draws` of FKD, see `fkd.replay`; `side` of the pictures, or of the views, 0 leaves them.

    Raises:
      DataError: there are no classes, or empty ones; there are links; pictures are damaged, too large or of
        several sizes; labels do not fit them. Names the file.
    """
    options = options or Options()
    labels, side = options.labels, options.side
    places, notes = _listed(folder, labels)
    views = labels if labels and labels.is_dir() else None
    table = tables.read(labels, _names(places, folder), class_names) if labels and not views else None
    numbers, told = _classes(places, table, class_names, folder)
    pixels = _decoded(places, 0 if views else side, channels)
    found = Found(
        system=_system(places), images=pixels, labels=numbers, rows=table and table.rows, space="pixels",
        classes=int(numbers.max()) + 1, files=tuple(place.path for place in places),
        notes=(*notes, told, *(table.notes if table else ())),
    )  # fmt: skip
    if any(place.named and place.named[3] for place in places):
        return _clips(found, places)
    if views:
        return _views(found, views, options)
    beside = [path for path in sorted(folder.parent.glob("*")) if labels is None and _has_epochs(path)]
    said = [f"labels of FKD lie beside: --labels={path} imports its views" for path in beside]
    return found._replace(notes=(*found.notes, *said), files=found.files + ((labels,) if labels else ()))


def _listed(folder: Path, labels: Path | None) -> tuple[list[_Place], list[str]]:
    """The pictures of all classes in order, and a line for files that are none."""
    with refusals.naming(f"{folder} cannot be read"):
        inner = sorted(path for path in folder.iterdir() if _is_visible(path))
    flat = [_Place(path, "") for path in inner if _is_picture(path)]
    found, other = [], [path for path in inner if path.is_file() and not _is_picture(path) and path != labels]
    for part in [path for path in inner if path.is_dir() and path != labels and not _has_epochs(path)]:
        _check_own(part)
        there = sorted(path for path in part.rglob("*") if path.is_file() and _is_visible(path))
        pictures = [_Place(path, part.name) for path in there if _is_picture(path)]
        if not pictures:
            raise errors.DataError(errors.shown(f"{part} holds no pictures; remove it if it is no class"))
        other += [path for path in there if not _is_picture(path)]
        found += pictures
    if flat and found:
        raise errors.DataError(errors.shown(f"{folder} holds pictures beside class folders; wanted one or the other"))
    if not (places := found or flat):
        raise errors.DataError(
            errors.shown(f"{folder} holds no pictures; wanted a folder of PNG or JPEG for each class")
        )
    for place in places:
        _check_own(place.path)
    names = [errors.shown(path.relative_to(folder).as_posix()) for path in other]
    return places, [f"left out: {refusals.listed(names, _NAMES)}"] if names else []


def _check_own(path: Path) -> None:
    """Refuse a link: what it leads to may be anywhere, or be there twice."""
    if path.is_symlink():
        raise errors.DataError(errors.shown(f"{path} is a link; `cp -rL` copies a folder with what links lead to"))


def _classes(
    places: list[_Place], table: tables.Table | None, class_names: Sequence[str], folder: Path
) -> tuple[Int[np.ndarray, "N"], str]:
    """The class of each picture, and by what it is known."""
    if places[0].folder:
        by, told = _numbered(sorted({place.folder for place in places}), class_names)
        _check_names(places, by)
        numbers = np.array([by[place.folder] for place in places])
        if table and table.labels is not None and (other := table.labels != numbers).any():
            n = int(other.argmax())
            told = (
                f"{places[n].path} is of class {numbers[n]} by its folder, and {table.labels[n]} in the table of labels"
            )
            raise errors.DataError(errors.shown(told))
        return numbers, told
    if table and table.labels is not None:
        return table.labels, "classes are those of the table of labels"
    if table and table.rows is not None:
        return table.rows.argmax(1), "classes are the largest entries of the label rows"
    if all(named := [place.named for place in places]):
        return np.array([int(match[1]) for match in named if match]), "classes are the numbers in the names of files"
    told = f"{folder} has no class folders, so nothing tells the classes of its pictures"
    raise errors.DataError(
        errors.shown(f"{told}; wanted a folder for each class, or --labels=FILE with a row for each")
    )


def _numbered(folders: list[str], class_names: Sequence[str]) -> tuple[dict[str, int], str]:
    """The class of each folder, and by what: names of the data set, numbers, or ranks."""
    known = {tables.plain(name): k for k, name in enumerate(class_names)}
    if all(tables.plain(name) in known for name in folders):
        return {name: known[tables.plain(name)] for name in folders}, "classes are known by the names of folders"
    matches = [_NUMBERED.fullmatch(name) for name in folders]
    numbers = [int(match[2]) for match in matches if match]
    prefixes = {match[1] for match in matches if match}
    is_counted = len(set(numbers)) == len(folders) and len(prefixes) == 1
    if is_counted and max(numbers) < (len(class_names) or len(folders)):
        return dict(zip(folders, numbers)), "classes are the numbers in the names of folders"
    told = f"classes are the ranks of folders by name: {refusals.listed([errors.shown(f) for f in folders], _NAMES)}"
    return {name: k for k, name in enumerate(folders)}, told


def _check_names(places: list[_Place], by: dict[str, int]) -> None:
    """Refuse files whose own names tell another class than their folder."""
    for place in places:
        number = _NUMBERED.fullmatch(place.folder)
        if (named := place.named) and int(named[1]) not in (by[place.folder], int(number[2]) if number else -1):
            told = f"{place.path} is of class {int(named[1])} by its name, and its folder is class {by[place.folder]}"
            raise errors.DataError(errors.shown(told))


def _decoded(places: list[_Place], side: int, channels: int) -> UInt8[np.ndarray, "N H W C"]:
    """All pictures; the size of the first is that of all, and is checked before more are read."""
    first = _picture(places[0].path, side, channels)
    if len(places) * first.size > _MOST_BYTES:
        told = f"{len(places):,} pictures of {refusals.size(first.shape)} are more than {_MOST_BYTES >> 30} GiB"
        raise errors.DataError(f"{told}; --side= makes them smaller")
    found = np.empty((len(places), *first.shape), np.uint8)
    for n, place in enumerate(places):
        picture = _picture(place.path, side, channels)
        if picture.shape != first.shape:
            sizes = " and ".join(refusals.size(shape) for shape in (first.shape, picture.shape))
            told = f"{place.path} is of another size than {places[0].path} ({sizes})"
            raise errors.DataError(errors.shown(f"{told}; --side= makes them one"))
        found[n] = picture
    return found


def _picture(path: Path, side: int, channels: int) -> UInt8[np.ndarray, "H W C"]:
    picture = images.read(path, side or None)
    if channels != 1:
        return picture
    if (picture != picture[..., :1]).any():
        raise errors.DataError(errors.shown(f"{path} is in colour; the images of the data set have 1 channel"))
    return picture[..., :1]


def _clips(found: Found, places: list[_Place]) -> Found:
    """Frames as clips, [N, T, H, W, C], in the order of their names; each clip has all frames from 0 on."""
    clips, frames = collections.defaultdict(list), []
    for n, place in enumerate(places):
        if not (named := place.named) or not named[3]:
            raise errors.DataError(errors.shown(f"{place.path} is no frame of a clip, and others are"))
        clips[place.folder, int(named[1]), int(named[2])].append(n)
        frames.append(int(named[3]))
    length = len(next(iter(clips.values())))
    for (folder, k, clip), rows in clips.items():
        if [frames[n] for n in rows] != list(range(length)):
            told = (
                f"clip {clip} of class {k} in {folder or 'the folder'} has frames {[frames[n] for n in rows][:_NAMES]}"
            )
            raise errors.DataError(errors.shown(f"{told}; wanted 0 to {length - 1}, as the first clip has"))
    order = np.array([*clips.values()])
    if found.rows is not None or found.labels is None or found.images is None:
        raise errors.DataError("label rows of frames are not read; wanted clips without --labels=")
    told = f"{len(order)} clips of {length} frames"
    return found._replace(images=found.images[order], labels=found.labels[order[:, 0]], notes=(*found.notes, told))


def _views(found: Found, labels: Path, options: Options) -> Found:
    """The views that labels of FKD tell of, epoch by epoch: as many slots of a class as it has images in all epochs."""
    pixels, classes, epochs, side = found.images, found.labels, options.epochs, options.side
    assert pixels is not None and classes is not None
    count, height, _, channels = pixels.shape
    times = epochs or len(list(labels.glob("epoch_*")))
    each = 4 * count * (side or height) ** 2 * channels
    if times * each > _MOST_BYTES:
        told = f"{times} epochs of views would take {times * each / 2**30:.3g} GiB of memory"
        raise errors.DataError(f"{told}; --epochs={max(1, _MOST_BYTES // each)} takes as many as fit")
    views = fkd.replay(labels, pixels, classes, side=side, epochs=range(epochs), draws=options.draws)
    times = len(views.logits)
    a_class = np.bincount(classes)
    few, most = a_class[a_class > 0].min(), a_class.max()
    images_of = f"{few}" if few == most else f"{few} to {most}"
    told = f"{images_of} images a class in {times} views = {few * times} slots a class"
    return found._replace(
        images=np.rint(views.images * 255).astype(np.uint8).reshape(-1, *views.images.shape[2:]),
        labels=np.tile(classes, times),
        rows=views.logits.reshape(times * count, -1),
        kind="logits",
        files=found.files + tuple(sorted(labels.glob("epoch_*/batch_*.tar"))),
        notes=(*found.notes, f"{told}; labels of FKD of {labels}"),
    )


def _system(places: list[_Place]) -> str:
    """Whose way to name folders and files it is."""
    if not all(place.named for place in places):
        return "image folder"
    if all(place.named and place.named[3] for place in places):
        return "Video-DC"
    return "SRe2L / CV-DD" if places[0].folder.startswith("new") else "RDED"


def _names(places: list[_Place], folder: Path) -> list[str]:
    return [place.path.relative_to(folder).as_posix() for place in places]


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name != "__MACOSX"


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in images.ENDINGS and path.is_file()


def _has_epochs(path: Path) -> bool:
    """Whether it is a folder of labels of FKD."""
    return path.is_dir() and next(path.glob("epoch_*/batch_*.tar"), None) is not None
