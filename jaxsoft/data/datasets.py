"""The front door of the images: `prepare` once, `load` as often as needed, `verify` when in doubt."""

import dataclasses
import numbers
import os
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxsoft import errors, files, imports, types
from jaxsoft.config import values
from jaxsoft.data import arrays, classes, own, prepared, refusals, sets
from jaxsoft.data.encoded import Encoded, taken
from jaxsoft.data.formats import images
from jaxsoft.data.sets import tfds

_MAX_FRAMES = 1 << 10  # of a clip
_TFDS_NAME = rf"[\w-]+(/\w[\w.+-]*)*(:{tfds.VERSION})?"  # set, config, version


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
      name: a dataset, such as cifar10, digits or tfds:mnist (`names()` lists them); or `package.module:function` with its
        arguments, if any: your own, which returns a `Dataset`, or images and labels as `Dataset.from_arrays` takes them.
      root: folder of the prepared sets; default `$JAXSOFT_DATA`, else `~/.cache/jaxsoft/data`.
      validation: share of the published train images of each class to carve off, at least 1 image unless 0. A validation
        split that the set has of its own is used whole, or left out if 0.
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
    _check(name, validation, limit)
    if _is_function(name):
        if resize is not None:
            raise errors.ConfigError(f"resize={resize} cannot be: images of {name} are of the size that it gives them")
        return own.from_function(name, validation, limit)
    return _published(_Asked(name, root, resize), validation, limit)


def _check(name: Any, validation: Any, limit: Any) -> None:
    """Refuse what cannot be an argument of `load`."""
    if not isinstance(name, str):
        raise errors.ConfigError(f"name expects the name of a dataset, such as digits, got {errors.quoted(name)}")
    if not isinstance(validation, (int, float, np.floating)) or not 0 <= validation < 1:
        raise errors.ConfigError(f"validation expects a share in [0, 1), got {errors.quoted(validation)}")
    if limit is not None and (not isinstance(limit, numbers.Integral) or limit < 1):
        raise errors.ConfigError(f"limit expects int >= 1 images per class, got {errors.quoted(limit)}")


def _published(asked: "_Asked", validation: float, limit: int | None) -> types.Dataset:
    """A prepared set, with its splits cut."""
    whole = asked.open()
    manifest, in_train, in_validation = whole.manifest, *_cut(whole, validation, limit)
    digests = [digest for _, digest in sorted(manifest.digests.items())]
    splits = [np.packbits(rows).tobytes() for rows in (in_train, in_validation)]
    loaded = types.Dataset(
        asked.name,
        tuple(manifest.class_names),
        train=_rows(whole.train, in_train),
        validation=_rows(whole.train, in_validation),
        test=_rows(whole.test, np.ones(len(whole.test), bool)),
        fingerprint=files.digest([repr(whole.train.images.shape), *digests, *splits]),
        source=manifest.source,
        licence=manifest.licence,
    )
    return arrays.vouched(loaded)


def prepare(
    name: str,
    root: str | Path | None = None,
    source: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    resize: int | None = None,
    frames: int | None = None,
    encoded: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Decode the published files once, into arrays that `load` maps; an interrupted run is simply started again.

    Args:
      name: the dataset; nothing is to be done for one that travels with a library.
      root: folder of the prepared sets; default as for `load`.
      source: where the published files lie; default `root`.
      progress: called with (images done, images in all).
      resize: side in pixels, where that is a choice: the shorter side is scaled to it and the centre cut out.
      frames: of each clip, spread evenly, where that is a choice; not given, clips must have equally many.
      encoded: whether images stay in the files that they are in, which must stay where they are: what is prepared is an
        index, and an image is decoded when it is read, see `Encoded`. `resize` is then the side that networks see.
      say: called with a line for each thing that a user should know, such as which files were left out.

    Returns:
      The folder that holds the prepared images.

    Raises:
      ConfigError, DataError: an unknown name, a resize or frames that do not apply; files absent or damaged, the disk full.
    """
    asked = _Asked(name, root, resize)
    if frames is not None and (not asked.known.has_frames or not 1 <= frames <= _MAX_FRAMES):
        rule = f"expects int in 1..{_MAX_FRAMES}" if asked.known.has_frames else "is for video"
        raise errors.ConfigError(f"frames={frames} cannot be: it {rule}")
    where = root_folder(source or root)
    if source and not where.exists():
        raise errors.DataError(f"there is no folder {where}")
    found = asked.known.find(where, asked.argument)
    if found is None:
        raise errors.DataError(f"no files of {asked.name} in {where}; place there {asked.files(where)}")
    if not asked.known.files:
        return found
    kept = asked.kept(found) if encoded else None
    given = (resize, frames) if asked.known.has_frames else (None if encoded else resize,)
    published = asked.known.read(found, *given)
    if encoded:
        published = dataclasses.replace(published, origin=os.path.realpath(found))
    written = prepared.write(published, asked.folder, asked.name, progress, kept)
    if say:
        for note in written.notes:
            say(note)
    return asked.folder


def verify(name: str, root: str | Path | None = None, *, resize: int | None = None) -> str:
    """Compare every byte of a prepared dataset with its digests, also of files that images stay in; errors as `load`.

    Returns:
      One line for the user: what it holds.
    """
    asked = _Asked(name, root, resize)
    whole = asked.open()  # which compares every byte of what was prepared
    for images_of in (whole.train.images, whole.test.images):
        if isinstance(images_of, Encoded) and (changed := images_of.changed()):
            told = f"{len(changed):,} of {len(images_of):,} images: {refusals.listed(changed, separator='; ')}"
            raise errors.DataError(f"{asked.name}: {told}")
    held = whole.manifest.held
    counts = f"{len(whole.train) - held:,} train" + f", {held:,} validation" * bool(held)
    counts += f" and {len(whole.test):,} test images of {len(whole.manifest.class_names)} classes"
    return f"{asked.name}: {counts} are as they were prepared"


def available(root: str | Path | None = None) -> list[tuple[str, str, str]]:
    """Every dataset as (name, state, description); sets that were prepared under further names come last.

    States: built in, prepared, half prepared (run `prepare` again), files found (run `prepare`), absent.
    """
    where, known, listed = root_folder(root), sets.published(), []
    prepared_here = (path.parent for path in sorted(where.glob(f"*/{prepared.MANIFEST}")))
    for folder in [where / name for name in known] + [path for path in prepared_here if path.name not in known]:
        one = known.get(folder.name)
        state, title = (_state(one, folder, where, ""), one.title) if one else ("prepared", f"prepared in {folder}")
        origin = errors.shown(prepared.origin(folder))
        listed.append((folder.name, state, title + f", from {origin}" * bool(origin)))
    return listed


def names() -> list[str]:
    """The datasets there are."""
    return list(sets.published())


class _Asked:
    """A dataset that a user asked for, once its name and side are known to make sense."""

    def __init__(self, name: str, root: str | Path | None, resize: int | None):
        stem, colon, argument = name.partition(":")
        self.argument = re.sub(f"/({tfds.VERSION})$", r":\1", argument) if stem == "tfds" else argument
        self.name, self.resize, self.root = stem + colon + self.argument, resize, root_folder(root)
        self.folder = self.root / (re.sub(r"[:/]", "-", self.name) + (f"-{resize}px" if resize else ""))
        known = sets.published()
        if _is_function(name):
            raise errors.ConfigError(f"{name} names a function: there is nothing to prepare or to verify")
        if stem not in known:
            folder = f"; a folder of images: jaxsoft data prepare image_folder --source={shlex.quote(name)}"
            hint = folder if name and Path(name).exists() else ""
            raise errors.ConfigError(errors.unknown("dataset", name, known, "jaxsoft data list") + hint)
        if (stem == "tfds") != bool(re.fullmatch(_TFDS_NAME, self.argument)) or bool(colon) != bool(argument):
            example = "only tfds takes a name after a colon, as tfds:mnist or tfds:mnist:3.0.1"
            raise errors.ConfigError(f"cannot read dataset {self.name!r}; {example}")
        self.known = known[stem]
        if resize is not None and (self.known.side or not 1 <= resize <= images.MAX_SIDE):
            published = f"images of {self.name} are {self.known.side} pixels wide as published"
            rule = published if self.known.side else f"it expects int >= 1 and <= {images.MAX_SIDE}"
            raise errors.ConfigError(f"resize={resize} cannot be: {rule}")

    def kept(self, found: Path) -> prepared.Kept:
        """How images stay in the files that were found; ConfigError if they cannot, or their side is not given."""
        if self.known.stored is None:
            able = [name for name, one in sets.published().items() if one.stored]
            raise errors.ConfigError(
                f"encoded=True cannot be: {self.name} is decoded once; {', '.join(able)} can be kept"
            )
        if not self.resize:
            raise errors.ConfigError("encoded=True expects resize, the side in pixels that networks see, such as 224")
        return prepared.Kept(self.known.stored(found), self.resize)

    def _read(self, whole: prepared.Prepared) -> prepared.Prepared:
        """The dataset with images, where it holds entries of files."""
        if not (shown := whole.manifest.encoded):
            return whole
        assert self.known.stored is not None
        stored, origin = self.known.stored(Path(whole.manifest.origin)), whole.manifest.origin

        def images_of(name: str, split: types.Split) -> types.Split:
            index = self.folder / f"{name}_images.npy"
            return types.Split(Encoded(index, stored, shown["side"], origin), split.labels)

        return whole._replace(train=images_of("train", whole.train), test=images_of("test", whole.test))

    def files(self, where: Path) -> str:
        """What is to be placed in a folder, and where it comes from."""
        what = self.known.files.format(argument=self.argument, root=shlex.quote(str(where)))
        return f"{what} (from {self.known.source})"

    def _sides(self) -> list[str]:
        """The sides with which this set is prepared."""
        stem = self.folder.name.removesuffix(f"-{self.resize}px")
        found = (path.parent.name[len(stem) + 1 : -2] for path in self.root.glob(f"{stem}-*px/{prepared.MANIFEST}"))
        return sorted(filter(str.isdecimal, found), key=int)

    def open(self) -> prepared.Prepared:
        """The whole dataset; one that is not prepared is refused with the command that prepares it."""
        state = _state(self.known, self.folder, self.root, self.argument)
        command = f"run: jaxsoft data prepare {self.name} --root {shlex.quote(str(self.root))}"
        command += f" --resize {self.resize}" * bool(self.resize)
        if state == "built in":
            return prepared.hold(self.known.read(self.folder, self.resize), self.name)
        if state == "prepared":
            return self._read(prepared.read(self.folder, self.name, command))
        if sides := self._sides():
            ask = f"ask for that (--resize={sides[0]}, in a run --config.data.resize={sides[0]})"
            there = f"is prepared in {self.root} with resize={' and '.join(sides)}"
            raise errors.DataError(f"{self.name} {there}, not {self.resize or 'without'}; {ask}, or {command}")
        stays = "; or add --source=DIR, and --encoded to leave them in their files"
        refusal = {
            "half prepared": f"is only half prepared in {self.root}; {command}",
            "files found": f"is not prepared in {self.root} (its files are there); {command}",
            "absent": f"not found in {self.root}; {command}, after placing there {self.files(self.root)}"
            + stays * (self.known.stored is not None and bool(self.resize)),
        }
        raise errors.DataError(f"{self.name} {refusal[state]}")


def _is_function(name: str) -> bool:
    """Whether a name is the path of a user's function."""
    return imports.is_outside(name) and name.partition(":")[0] not in sets.published()


def root_folder(root: str | Path | None = None) -> Path:
    """The folder of prepared sets; a machine without a home folder keeps them with its temporary files."""
    if root or os.environ.get("JAXSOFT_DATA"):
        return Path(values.path(str(root or os.environ["JAXSOFT_DATA"]), "root" if root else "JAXSOFT_DATA"))
    home = Path(os.path.expanduser("~"))
    return home / ".cache" / "jaxsoft" / "data" if home.is_dir() else Path(tempfile.gettempdir()) / "jaxsoft" / "data"


def _state(known: sets.Published, folder: Path, root: Path, argument: str) -> str:
    """How far a dataset is; the words of `available`."""
    if not known.files:
        return "built in"
    if (folder / prepared.MANIFEST).exists():
        return "prepared"
    if any(folder.glob("*.npy*")):
        return "half prepared"
    return "files found" if known.find(root, argument) else "absent"


def _cut(whole: prepared.Prepared, validation: float, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Which stored rows are train and which validation: the first and the last of each class, or the set's own."""
    if count := whole.manifest.held:
        labels = whole.train.labels[:-count]
        in_train = classes.rank(labels) < (limit or len(labels))
        return np.r_[in_train, np.zeros(count, bool)], np.r_[
            np.zeros(len(labels), bool), np.full(count, validation > 0)
        ]
    labels = whole.train.labels
    held = classes.portion(labels, validation) if validation else 0
    kept = np.bincount(labels) - held
    if not kept.all():
        empty = int(np.argmin(kept))
        told = (
            f"validation={validation} leaves class {empty} ({whole.manifest.class_names[empty]}) without train images"
        )
        raise errors.ConfigError(told)
    ranks = classes.rank(labels)
    return ranks < np.minimum(kept, limit or len(labels))[labels], ranks >= kept[labels]


def _rows(split: types.Split, chosen: Bool[np.ndarray, "N"]) -> types.Split:
    """The chosen rows, read-only, as the fingerprint stands for what they hold; no copies when they follow one another."""
    rows = np.flatnonzero(chosen)
    together = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    pick = slice(rows[0], rows[-1] + 1) if together else rows
    picked = types.Split(taken(split.images, pick), split.labels[pick])
    for array in (picked.images, picked.labels):
        array.flags.writeable = False
    return picked
