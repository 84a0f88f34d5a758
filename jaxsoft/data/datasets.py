"""The front door of the images: `prepare` once, `load` as often as needed, `verify` when in doubt."""

import dataclasses
import numbers
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxsoft import errors, files, types
from jaxsoft.data import arrays, classes, own, prepared, refusals, sets
from jaxsoft.data.asked import Asked, is_function, root_folder, state_of
from jaxsoft.data.encoded import WAY_ON, Encoded, taken

_MAX_FRAMES = 1 << 10  # of a clip


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
    if is_function(name):
        if resize is not None:
            raise errors.ConfigError(f"resize={resize} cannot be: images of {name} are of the size that it gives them")
        return own.from_function(name, validation, limit)
    return _published(Asked(name, root, resize), validation, limit)


def _check(name: Any, validation: Any, limit: Any) -> None:
    """Refuse what cannot be an argument of `load`."""
    if not isinstance(name, str):
        raise errors.ConfigError(f"name expects the name of a dataset, such as digits, got {errors.quoted(name)}")
    if not isinstance(validation, (int, float, np.floating)) or not 0 <= validation < 1:
        raise errors.ConfigError(f"validation expects a share in [0, 1), got {errors.quoted(validation)}")
    if limit is not None and (not isinstance(limit, numbers.Integral) or limit < 1):
        raise errors.ConfigError(f"limit expects int >= 1 images per class, got {errors.quoted(limit)}")


def _published(asked: Asked, validation: float, limit: int | None) -> types.Dataset:
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
    asked = Asked(name, root, resize)
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
    asked = Asked(name, root, resize)
    whole = asked.open()  # which compares every byte of what was prepared
    for images_of in (whole.train.images, whole.test.images):
        if isinstance(images_of, Encoded) and (changed := images_of.changed()):
            told = f"{len(changed):,} of {len(images_of):,} images: {refusals.listed(changed, separator='; ')}"
            raise errors.DataError(f"{asked.name}: {told}; {WAY_ON}")
    held = whole.manifest.held
    counts = f"{len(whole.train) - held:,} train" + f", {held:,} validation" * bool(held)
    counts += f" and {len(whole.test):,} test images of {len(whole.manifest.class_names)} classes"
    return f"{asked.name}: {counts} are as they were prepared"


def available(root: str | Path | None = None) -> list[tuple[str, str, str]]:
    """Every dataset as (name, state, description); sets that were prepared under further names come last, named as
    `jaxsoft data verify` takes them, with `--resize` of those that have a side of one's choice, which are listed so alone.

    States: built in, prepared, half prepared (run `prepare` again), files found (run `prepare`), absent.
    """
    where, known, listed = root_folder(root), sets.published(), []
    prepared_here = [path.parent for path in sorted(where.glob(f"*/{prepared.MANIFEST}"))]
    sided = {path.name.rpartition("-")[0] for path in prepared_here if path.name.endswith("px")}
    for folder in [where / name for name in known] + [path for path in prepared_here if path.name not in known]:
        one = known.get(folder.name)
        state, title = (state_of(one, folder, where, ""), one.title) if one else ("prepared", f"prepared in {folder}")
        if folder.name in sided and state in ("absent", "files found"):
            continue  # it is listed with its side
        origin = errors.shown(prepared.origin(folder))
        listed.append((folder.name if one else _as_asked(folder), state, title + f", from {origin}" * bool(origin)))
    return listed


def _as_asked(folder: Path) -> str:
    """The words by which a prepared folder is asked for."""
    side = re.search(r"-(\d+)px$", folder.name)
    name = errors.shown(str(prepared.glimpse(folder).get("name", folder.name)))
    return f"{name} --resize={side[1]}" if side else name


def names() -> list[str]:
    """The datasets there are."""
    return list(sets.published())


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
