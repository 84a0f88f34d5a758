"""How others store distilled sets: one function a layout, found by what is in the files; names only help."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import archive, array, exported, tensors
from jaxsoft.distilled.reading import checked, exports, one_file, pictures, separate_files
from jaxsoft.distilled.reading.found import Found
from jaxsoft.distilled.reading.options import Options
from jaxsoft.types import Dataset


class Layout(NamedTuple):
    """A layout: whether what a file holds is of it, and the set that is in there."""

    fits: Callable[[Any], bool]
    read: Callable[[Any, Path, Options], Found]


_SEPARATE = Layout(separate_files.is_images, separate_files.images)
_DC = Layout(one_file.is_runs, one_file.runs)
_NCFM = Layout(one_file.is_pair, one_file.pair)
LAYOUTS = {
    **dict.fromkeys(("mtt", "datm", "ftd", "edf", "drupi", "paper", "images"), _SEPARATE),
    **dict.fromkeys(("dc", "dsa", "dm"), _DC),
    **dict.fromkeys(("ncfm", "idc"), _NCFM),
    "gift": Layout(one_file.is_gift, one_file.gift),
    "ddif": Layout(one_file.is_fields, one_file.of_fields),
    "rat_bptt": Layout(one_file.is_flat, one_file.flat),
    "arrays": Layout(one_file.is_named, one_file.named),
}
"""The layouts of files by their names; they are asked in this order."""
PICTURES = "pictures"
"""The name of all layouts that are folders of pictures."""

_ENDINGS = (".pt", ".pth", ".h5", ".hdf5", ".npz", ".safetensors")
_KNOWN = re.compile(r"images_(best|\d+)\.pt|res_.*\.pt|data(_\d+)?\.pt|.*synset.*\.pt|.*_image_syn\.pt|.*\.h5|.*\.hdf5")
_BESIDE_NAMES = re.compile(r"(labels|lr|features|images_zca)_.*|replay_buffer_.*")
_BESIDE_FOLDERS = {"entropy", "expert"}
_OF_RUN = ("results.csv", "manifest.json")
_MOST_FILES = 10_000
_NAMES = 5  # that a message lists


def recognised(path: Path, options: Options, dataset: Dataset | None = None) -> Found:
    """The set that is in a file or a folder.

    Args:
      path: a file, or a folder with the files of one set.
      options: `format` names the layout if it is not found by itself; `labels`, `run`, `factor` and `decode` say what
        files leave open.
      dataset: that it is of; pictures are read by its classes and channels, our own exports by its images.

    Raises:
      ConfigError: no layout has that name.
      DataError: a file is missing or damaged, or holds no set of a layout that is known, or one that cannot be, or can
        be meant in several ways: names these, and what decides.
    """
    if options.format not in (names := ("auto", PICTURES, *LAYOUTS)):
        raise errors.ConfigError(errors.unknown("format", options.format, names, "--format"))
    if all((path / name).is_file() for name in _OF_RUN):
        told = f"{path} is a run folder, and no set; jaxsoft export {path} --to=FOLDER takes one out of it"
        raise errors.DataError(errors.shown(told))
    if dataset and exported.is_export(path) and options.format == "auto":
        return exports.read(path, dataset)
    there = _candidates(path) if path.is_dir() and options.format != PICTURES else []
    if options.format == PICTURES or path.is_dir() and not there and pictures.is_pictures(path):
        names, channels = (dataset.class_names, dataset.image_shape[-1]) if dataset else ((), 3)
        return pictures.read(path, names, channels, options)
    file = _only(path, there) if path.is_dir() else path
    value = _value(file)
    with refusals.naming(f"{file} holds no distilled set"):
        layout = _layout(value, options.format)
        found = layout.read(value, file, options)
        if options.factor:
            found = one_file.unpacked(found, options.factor, options.decode)
        found = checked.consistent(found)
    return found._replace(files=(file, *found.files))


def _layout(value: Any, name: str) -> Layout:
    if name != "auto":
        if not LAYOUTS[name].fits(value):
            raise ValueError(f"it is not as --format={name} wants it; {_shape(value)}")
        return LAYOUTS[name]
    for layout in LAYOUTS.values():
        if layout.fits(value):
            return layout
    raise ValueError(f"no layout is known that has {_shape(value)}; choices: {', '.join(LAYOUTS)}")


def _value(path: Path) -> Any:
    """What a file holds: arrays by name, or as its layout nests them."""
    if path.is_file() and path.suffix.lower() not in (*_ENDINGS, ".npy"):
        told = f"{path} is no file of arrays; wanted {', '.join(_ENDINGS)}, or a folder"
        raise errors.DataError(
            errors.shown(f"{told} (a table of labels is --labels=, beside the folder of its pictures)")
        )
    if path.suffix not in (".npy", ".npz"):
        return tensors.read(path)
    if path.suffix == ".npz":
        archive.zipped(path)  # what it would unpack to is bounded
    return array.read(path)


def _candidates(folder: Path) -> list[Path]:
    """Files that may hold a set: at the top of a folder, else, where it is none of pictures, below it."""
    with refusals.naming(f"{folder} cannot be read"):
        there = _sets(folder, folder.iterdir())
        return there or ([] if pictures.is_pictures(folder) else _sets(folder, folder.rglob("*")))


def _sets(folder: Path, places: Iterable[Path]) -> list[Path]:
    """Without files that lie beside a set; those of names that are known, if there are any."""
    found = []
    for count, path in enumerate(places):
        if count > _MOST_FILES:
            raise ValueError(f"more than {_MOST_FILES:,} files; wanted those of one set")
        is_of_it = not _BESIDE_NAMES.fullmatch(path.name) and not {*path.relative_to(folder).parts} & _BESIDE_FOLDERS
        if path.suffix.lower() in _ENDINGS and is_of_it:
            found.append(path)
    return sorted(path for path in found if _KNOWN.fullmatch(path.name)) or sorted(found)


def _only(folder: Path, there: list[Path]) -> Path:
    if not there:
        told = f"{folder} holds no distilled set: neither files of arrays ({', '.join(_ENDINGS)}) nor pictures"
        raise errors.DataError(errors.shown(told))
    if len(there) > 1:
        names = refusals.listed([str(path.relative_to(folder)) for path in there], _NAMES)
        raise errors.DataError(errors.shown(f"{folder} holds {len(there)} sets: {names}; wanted the path of one file"))
    return there[0]


def _shape(value: Any) -> str:
    """What a file holds, in a few words."""
    if isinstance(value, dict):
        return f"a dictionary with {refusals.listed([errors.quoted(name, 40) for name in value], _NAMES)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return f"a value of type {type(value).__name__}"
