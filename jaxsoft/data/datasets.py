"""The front door of the images: `prepare` once, `load` as often as needed, `verify` when in doubt.

A dataset is a module of this package that defines

- `TITLE`, `SOURCE`, `LICENCE`: what it is, where from, on which terms;
- `FILES`: what a user has to place where `find` looks ("" when the images travel with a library);
- `SIDE`: the images' side in pixels, None when it is the user's choice;
- `find(where, argument)`: the published files below `where`, or None; `argument` is what follows the colon of `tfds:mnist`;
- `read(found, resize)`: a `raw.Raw`, the images still to be decoded.
"""

import hashlib
import importlib
import os
import pkgutil
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Bool

from jaxsoft import errors, types
from jaxsoft.data import arrays, classes, formats, prepared, tfds

_TFDS_NAME = r"[\w-]+(/\w[\w.+-]*)*(:\d+\.\d+\.\d+)?"  # set, config, version


def load(
    name: str,
    root: str | Path | None = None,
    *,
    validation: float = 0.1,
    resize: int | None = None,
    limit: int | None = None,
) -> types.Dataset:
    """Open a prepared dataset and cut its three splits.

    Args:
      name: a dataset, such as cifar10, digits or tfds:mnist (`names()` lists them).
      root: folder of the prepared sets; default `$JAXSOFT_DATA`, else `~/.cache/jaxsoft/data`.
      validation: share of the published train images of each class to carve off, at least 1 image unless 0.
      resize: side in pixels that the images were prepared with, where that is a choice.
      limit: keep only the first so many train images of each class, after a fixed shuffle.

    Returns:
      The dataset; images are memory maps, or copies where classes differ in size. Nothing of it can be written to.

    Raises:
      ConfigError, DataError: wrong settings; a dataset that is absent, not prepared or damaged, and what to do.

    >>> digits = load("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), digits.image_shape
    (1168, 129, 500, (8, 8, 1))
    """
    _check(validation, limit)
    name = _canonical(name)
    whole = _open(name, root, resize)
    in_train, in_validation = _cut(whole, validation, limit)
    loaded = types.Dataset(
        name=name,
        class_names=tuple(whole.manifest.class_names),
        train=_rows(whole.train, in_train),
        validation=_rows(whole.train, in_validation),
        test=_frozen(whole.test),
        fingerprint=_fingerprint(whole, in_train, in_validation),
        source=whole.manifest.source,
        licence=whole.manifest.licence,
    )
    return arrays.vouched(loaded)


def prepare(
    name: str,
    root: str | Path | None = None,
    source: str | Path | None = None,
    progress: prepared.Progress | None = None,
    *,
    resize: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Decode the published files once, into arrays that `load` maps; an interrupted run is simply started again.

    Args:
      name: the dataset; nothing is to be done for one that travels with a library.
      root: folder of the prepared sets; default as for `load`.
      source: where the published files lie; default `root`.
      progress: called with (images done, images in all).
      resize: side in pixels, where that is a choice: the shorter side is scaled to it and the centre cut out.
      say: called with a line for each thing that a user should know, such as which files were left out.

    Returns:
      The folder that holds the prepared images.

    Raises:
      ConfigError: an unknown name, or a resize that does not apply.
      DataError: the files are absent or damaged, or the disk is full.
    """
    name = _canonical(name)
    module, folder, where = _module(name, resize), _folder(name, root, resize), _root(source or root)
    found = module.find(where, _argument(name))
    if found is None:
        raise errors.DataError(f"no files of {name} in {where}; place there {_files(name, module, where)}")
    if not module.FILES:
        return found
    written = prepared.write(module.read(found, resize), folder, name, progress)
    if say:
        for note in written.notes:
            say(note)
    return folder


def verify(name: str, root: str | Path | None = None, *, resize: int | None = None) -> str:
    """Compare every byte of a prepared dataset with the digests taken when it was prepared.

    Returns:
      One line for the user: how many images were found to be what they were.

    Raises:
      ConfigError: an unknown name.
      DataError: the dataset is not prepared, or the message names what differs.
    """
    loaded = load(name, root, validation=0.0, resize=resize)  # which compares every byte
    counts = f"{len(loaded.train):,} train and {len(loaded.test):,} test images of {loaded.num_classes} classes"
    return f"{loaded.name}: {counts} are as they were prepared"


def available(root: str | Path | None = None) -> list[tuple[str, str, str]]:
    """Every dataset as (name, state, description); sets that were prepared under further names come last.

    States: built in, prepared, half prepared (run `prepare` again), files found (run `prepare`), absent.
    """
    where, modules = _root(root), _modules()
    rows = [(name, _state(name, root, None), module.TITLE + _from(where / name)) for name, module in modules.items()]
    further = (path.parent for path in sorted(where.glob(f"*/{prepared.MANIFEST}")) if path.parent.name not in modules)
    return rows + [(folder.name, "prepared", f"prepared in {folder}{_from(folder)}") for folder in further]


def _from(folder: Path) -> str:
    origin = prepared.origin(folder)
    return f", from {errors.shown(origin)}" if origin else ""


def names() -> list[str]:
    """The datasets there are: the modules of this package that follow the rules above."""
    return list(_modules())


def _modules() -> dict[str, ModuleType]:
    found = (m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name != Path(__file__).stem)
    modules = {name: importlib.import_module(f"jaxsoft.data.{name}") for name in found}
    return {name: module for name, module in modules.items() if hasattr(module, "TITLE")}


def _canonical(name: str) -> str:
    """One name for each dataset, however it is written."""
    return f"tfds:{tfds.canonical(_argument(name))}" if name.startswith("tfds:") else name


def _argument(name: str) -> str:
    return name.partition(":")[2]


def _module(name: str, resize: int | None) -> ModuleType:
    """The dataset's module, once name and resize are known to make sense."""
    modules = _modules()
    stem, colon, argument = name.partition(":")
    if stem not in modules:
        raise errors.ConfigError(errors.unknown("dataset", name, modules, "jaxsoft data list"))
    if (stem == "tfds") != bool(re.fullmatch(_TFDS_NAME, argument)) or bool(colon) != bool(argument):
        example = "only tfds takes a name after a colon, as tfds:mnist or tfds:mnist:3.0.1"
        raise errors.ConfigError(f"cannot read dataset {name!r}; {example}")
    side = modules[stem].SIDE
    if resize is not None and (side or not 1 <= resize <= formats.MAX_SIDE):
        most = f"it expects int >= 1 and <= {formats.MAX_SIDE}"
        rule = f"images of {name} are {side} pixels wide as published" if side else most
        raise errors.ConfigError(f"resize={resize} cannot be: {rule}")
    return modules[stem]


def _root(root: str | Path | None) -> Path:
    """The folder of prepared sets; a machine without a home folder keeps them with its temporary files."""
    if root or os.environ.get("JAXSOFT_DATA"):
        return Path(root or os.environ["JAXSOFT_DATA"]).expanduser()
    home = Path(os.path.expanduser("~"))
    return home / ".cache" / "jaxsoft" / "data" if home.is_dir() else Path(tempfile.gettempdir()) / "jaxsoft" / "data"


def _folder(name: str, root: str | Path | None, resize: int | None) -> Path:
    return _root(root) / (re.sub(r"[:/]", "-", name) + (f"-{resize}px" if resize else ""))


def _files(name: str, module: ModuleType, where: Path) -> str:
    what = module.FILES.format(argument=_argument(name), root=shlex.quote(str(where)))
    return f"{what} (from {module.SOURCE})"


def _state(name: str, root: str | Path | None, resize: int | None) -> str:
    """How far a dataset is; the words of `available`."""
    module, folder = _modules()[name.partition(":")[0]], _folder(name, root, resize)
    if not module.FILES:
        return "built in"
    if (folder / prepared.MANIFEST).exists():
        return "prepared"
    if any(folder.glob("*.npy*")):
        return "half prepared"
    return "files found" if module.find(_root(root), _argument(name)) else "absent"


def _open(name: str, root: str | Path | None, resize: int | None) -> prepared.Prepared:
    """The whole dataset; one that is not prepared is refused with the command that prepares it."""
    module, folder = _module(name, resize), _folder(name, root, resize)
    where, state = _root(root), _state(name, root, resize)
    if state == "built in":
        return prepared.hold(module.read(folder, resize), name)
    command = f"run: jaxsoft data prepare {name} --root {shlex.quote(str(where))}" + (
        f" --resize {resize}" * bool(resize)
    )
    if state == "prepared":
        return prepared.read(folder, name, command)
    if state == "half prepared":
        raise errors.DataError(f"{name} is only half prepared in {where}; {command}")
    if state == "files found":
        raise errors.DataError(f"{name} is not prepared in {where} (its files are there); {command}")
    files = _files(name, module, where)
    raise errors.DataError(f"{name} not found in {where}; {command}, after placing there {files}")


def _check(validation: float, limit: int | None) -> None:
    if not 0 <= validation < 1:
        raise errors.ConfigError(f"validation expects a share in [0, 1), got {validation}")
    if limit is not None and limit < 1:
        raise errors.ConfigError(f"limit expects int >= 1 images per class, got {limit}")


def _cut(whole: prepared.Prepared, validation: float, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Which stored rows are train and which validation: the first and the last of each class."""
    labels, class_names = whole.train.labels, whole.manifest.class_names
    held = classes.portion(labels, validation) if validation else np.zeros(len(class_names), int)
    kept = np.bincount(labels) - held
    if not kept.all():
        empty = int(np.argmin(kept))
        name = class_names[empty]
        raise errors.ConfigError(f"validation={validation} leaves class {empty} ({name}) without train images")
    ranks = classes.rank(labels)
    return ranks < np.minimum(kept, limit or len(labels))[labels], ranks >= kept[labels]


def _rows(split: types.Split, chosen: Bool[np.ndarray, "N"]) -> types.Split:
    """The chosen rows: a slice when they follow one another, which copies nothing."""
    rows = np.flatnonzero(chosen)
    together = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    pick = slice(rows[0], rows[-1] + 1) if together else rows
    return _frozen(types.Split(split.images[pick], split.labels[pick]))


def _frozen(split: types.Split) -> types.Split:
    """The split, its arrays read-only: the fingerprint stands for what they hold."""
    for array in (split.images, split.labels):
        array.flags.writeable = False
    return split


def _fingerprint(whole: prepared.Prepared, *splits: Bool[np.ndarray, "N"]) -> str:
    """SHA-256 over the shape, the digests of pixels and labels, and who is in which split."""
    hasher = hashlib.sha256(repr(whole.train.images.shape).encode())
    for array in sorted(whole.manifest.digests):
        hasher.update(whole.manifest.digests[array].encode())
    for chosen in splits:
        hasher.update(np.packbits(chosen).tobytes())
    return hasher.hexdigest()
