"""From published files to a set that is kept: read, told apart, checked against a data set, mapped to its pixels.

What files do not say is inferred, or told by the user; either is shown, and kept with the set.
"""

import functools
import hashlib
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Shaped

from jaxsoft import errors, files
from jaxsoft.data import refusals
from jaxsoft.data.formats.images import ENDINGS
from jaxsoft.distilled import fields
from jaxsoft.distilled.inference import class_order, kinds, spaces
from jaxsoft.distilled.kept import KIND, ipc_of
from jaxsoft.distilled.reading import checked, layouts
from jaxsoft.distilled.reading.found import Found
from jaxsoft.distilled.reading.options import Options
from jaxsoft.types import Dataset

_GIVEN, _SAID, _INFERRED = "given", "said by the files", "inferred"
_OWN = "jaxsoft"
_NO_LICENCE = "not said by the files"


class Asked(NamedTuple):
    """A network of images of a data set, which may be asked about a set.

    Attributes:
      words: who it is.
      ask: gives logits [N, K] for images [N, H, W, C], uint8 or float in units of [0, 1], which they may leave.
    """

    words: str
    ask: Callable[[Shaped[np.ndarray, "N H W C"]], Float32[np.ndarray, "N K"]]


class Imported(NamedTuple):
    """A set that was imported: the record of its folder, and what its user should know, in lines."""

    record: dict[str, Any]
    lines: tuple[str, ...]


class Fact(NamedTuple):
    """Something that importing has to know: what it is, how it is known, and what there is to say of it."""

    value: Any
    how: str
    lines: tuple[str, ...] = ()


def import_set(
    source: Path,
    folder: Path,
    dataset: Dataset,
    options: Options | None = None,
    asking: Callable[[], Asked | str] = lambda: "no network was given",
) -> Imported:
    """Keep what files hold as a set of a data set.

    Args:
      source: a file, or a folder of them.
      folder: of the set, which is made.
      dataset: that it was distilled from.
      options: what its user says of it.
      asking: gives a network, by which the order of classes is checked, or says why there is none; called last.

    Raises:
      ConfigError: what is not said can be meant in several ways; names them, and the flag that decides. Or it is no set
        of this data set, or the place is taken.
      DataError: the files cannot be read, or hold no such set.
    """
    options = options or Options()
    KIND.check_free(folder)
    found, images, decoder = _decoded(layouts.recognised(source, options, dataset), options, dataset)
    kind = _kind(found, options, dataset)
    labels, rows = _labels(found, len(images), kind.value, options, dataset)
    _check(source, images, labels, dataset)
    space = _space(images, found, options, dataset)
    to_pixels = functools.partial(spaces.to_pixels, space=space.value, dataset=dataset)
    pixels = to_pixels(images)
    asking = (lambda: "an export knows its classes") if found.system == _OWN else asking
    order = _order(pixels, labels, options, dataset, asking)
    facts = {"labels": kind, "space": space, "order of classes": order}
    soft = {} if rows is None else {"logits" if kind.value == "logits" else "rows": rows}
    own, decoding = fields.kept(found.fields, decoder, to_pixels) if found.fields else ({"images": pixels}, {})
    record = _record(found, facts, labels, options, dataset) | ({"decoder": decoding} if decoding else {})
    return Imported(KIND.keep(folder, record, {**own, "labels": labels, **soft}), tuple(_lines(record, facts, folder)))


def _kind(found: Found, options: Options, dataset: Dataset) -> Fact:
    """What the labels are."""
    classes = dataset.num_classes
    seen = found.classes or (classes if found.rows is None else found.rows.shape[1])
    if seen != classes:
        raise errors.ConfigError(f"the set is of {seen} classes; {dataset.name} has {classes}; wanted --dataset=NAME")
    if options.kind not in ("", *kinds.KINDS):
        raise errors.ConfigError(f"--kind={errors.shown(options.kind)}; choices: {', '.join(kinds.KINDS)}")
    if found.rows is None:
        if options.kind not in ("", "hard"):
            raise errors.ConfigError(f"--kind={options.kind}: the files hold no label rows, only classes; wanted hard")
        if found.labels is None:
            return Fact("hard", _INFERRED)
        return Fact("hard", _GIVEN if options.kind else _SAID)
    if options.kind or found.kind:
        own = options.kind or found.kind
        return Fact(own, _GIVEN if options.kind else _SAID, _odd(found.rows) if own == "probabilities" else ())
    labels = found.rows.argmax(axis=1) if found.labels is None else found.labels
    kind, lines = kinds.infer_kind(found.rows, labels)
    return Fact(kind, _INFERRED, lines)


def _odd(rows: Float32[np.ndarray, "N K"]) -> tuple[str, ...]:
    """What is said of probabilities that are none."""
    sums = rows.sum(axis=1)
    if rows.min() >= 0 and kinds.sum_to_one(rows).all():
        return ()
    told = f"entries from {rows.min():.4g} to {rows.max():.4g}, rows sum to {sums.min():.4g} to {sums.max():.4g}"
    return (f"{told}: they are taken as they are, the weights of a cross-entropy",)


def _labels(
    found: Found, count: int, kind: str, options: Options, dataset: Dataset
) -> tuple[Int32[np.ndarray, "N"], Float32[np.ndarray, "N K"] | None]:
    """The class of each image, and its row if labels are soft, in the order of the data set's classes."""
    classes = dataset.num_classes
    if found.labels is not None:
        own = found.labels
    elif found.rows is not None:
        own = found.rows.argmax(axis=1)
    else:
        own = class_major(count, classes, dataset.name)
    if not 0 <= own.min() <= own.max() < classes:
        told = f"classes run from {own.min()} to {own.max()}; {dataset.name} has 0 to {classes - 1}"
        raise errors.DataError(f"{found.system}: {told}")
    rows = None if kind == "hard" else found.rows
    if options.classes:
        own, rows = _renamed(own, rows, options.classes, classes)
    return own.astype(np.int32), rows


def class_major(count: int, classes: int, name: str) -> Int32[np.ndarray, "N"]:
    """The classes of images that lie class by class, as many of each."""
    if (found := checked.class_major(count, classes)) is None:
        told = f"{count} images without labels are no whole number for each of the {classes} classes of {name}"
        raise errors.ConfigError(f"{told}; wanted --labels=FILE, or another --dataset")
    return found


def _renamed(labels: np.ndarray, rows: np.ndarray | None, order: tuple[int, ...], classes: int) -> tuple[Any, Any]:
    """Labels and rows when class c of the set is class order[c] of the data set."""
    if sorted(order) != list(range(classes)):
        told = f"--classes expects each of 0 to {classes - 1} once, got {','.join(map(str, order))}"
        raise errors.ConfigError(told)
    places = np.asarray(order)
    return places[labels], None if rows is None else rows[:, np.argsort(places)]


def _decoded(found: Found, options: Options, dataset: Dataset) -> tuple[Found, np.ndarray, dict[str, np.ndarray]]:
    """The same with its images, which fields are decoded to, and how."""
    if found.images is not None:
        return found, found.images, {}
    sides, own = (options.side,) * 2 if options.side else dataset.image_shape[:2], found.fields or {}
    how = fields.decoder(own, sides, options.w0, options.w0_initial)
    told = fields.told(own, how, dataset.num_classes)
    return found._replace(notes=(*found.notes, *told)), fields.decode(own, how), how


def _check(source: Path, images: np.ndarray, labels: np.ndarray, dataset: Dataset) -> None:
    """Refuse a set that is none of the data set."""
    who = errors.shown(str(source))
    if images.shape[1:] != dataset.image_shape:
        own, wanted = (refusals.size(shape) for shape in (images.shape[1:], dataset.image_shape))
        told = f"{who}: images are {own}; those of {dataset.name} are {wanted}"
        ways = "another --dataset, the same one in another size (--resize=), or --side= for pictures and fields"
        raise errors.ConfigError(f"{told}; wanted {ways}")
    refusals.check_classes(labels, dataset.class_names, f"{who}, as a set of {dataset.name}")
    if not np.isfinite(images).all():
        row = int(np.argmin(np.isfinite(images).reshape(len(images), -1).all(axis=1)))
        raise errors.DataError(f"{who}: image {row} has a pixel that is no finite number")


def _space(images: np.ndarray, found: Found, options: Options, dataset: Dataset) -> Fact:
    """In which space images are."""
    if options.space or found.space:
        return Fact(options.space or found.space, _GIVEN if options.space else _SAID)
    verdict = spaces.infer_space(images, dataset, found.system)
    return Fact(verdict.space, _INFERRED, verdict.lines)


def _order(
    pixels: np.ndarray, labels: np.ndarray, options: Options, dataset: Dataset, asking: Callable[[], Asked | str]
) -> Fact:
    """Whether a network sees the classes that the labels say."""
    given = Fact("renamed" if options.classes else "kept", _GIVEN if options.classes else "not checked")
    asked = asking()
    if isinstance(asked, str):
        return given._replace(lines=(f"nobody was asked: {asked}",))
    verdict = class_order.check_order(pixels, labels, dataset, asked.ask)
    lines = tuple(f"{asked.words}: {line}" for line in verdict.lines)
    return Fact(given.value, _GIVEN if options.classes else "checked", lines)


def _record(
    found: Found, facts: Mapping[str, Fact], labels: np.ndarray, options: Options, dataset: Dataset
) -> dict[str, Any]:
    """What the folder says of the set."""
    counts = np.bincount(labels, minlength=dataset.num_classes)
    return {
        "system": found.system,
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "class_names": list(dataset.class_names),
        "image_shape": list(dataset.image_shape),
        "kind": facts["labels"].value,
        "ipc": int(counts.min()),
        "images": len(labels),
        "images_per_class": counts.tolist(),
        "space": facts["space"].value,
        "learning_rate": found.learning_rate,
        "licence": options.licence or _NO_LICENCE,
        "told": {name: {"value": fact.value, "how": fact.how, "lines": [*fact.lines]} for name, fact in facts.items()},
        "notes": [*found.notes],
        "bytes": _bytes(found),
        "source": [{"file": path.name, **_file(path)} for path in found.files],
    }


def _bytes(found: Found) -> dict[str, int]:
    """Of the files as they are published: of all of them, of images and of labels, without what holds them together."""
    sizes = {path: path.stat().st_size for path in found.files}
    pictures = sum(size for path, size in sizes.items() if path.suffix.lower() in ENDINGS)
    whole, of_labels = sum(sizes.values()), found.rows if found.rows is not None else found.labels
    decoded = sum(array.nbytes for array in (found.fields or {"": found.images}).values())
    rows = 0 if of_labels is None else of_labels.nbytes
    return {
        "images": pictures or min(whole, decoded),
        "labels": found.label_bytes or (whole - pictures if pictures else rows),
        "files": whole,
    }


def _file(path: Path) -> dict[str, Any]:
    with files.opened(path) as content:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def _lines(record: Mapping[str, Any], facts: Mapping[str, Fact], folder: Path) -> list[str]:
    """What is said of a set that was imported."""
    size, each = refusals.size(record["image_shape"]), ipc_of(record)
    what = f"{record['images']:,} images of {size}, {each} in each of {len(record['class_names'])} classes"
    lines = [f"{record['system']}: {what} of {record['data']['name']}", *record["notes"]]
    for name, fact in facts.items():
        lines += [f"{name}: {fact.value} ({fact.how})", *(f"  {line}" for line in fact.lines)]
    if record["learning_rate"]:
        lines.append(f"learning rate of the student, as the files have it: {record['learning_rate']:.6g}")
    named = f"config.select and label specs name it: distilled({folder.name!r})"
    return [*lines, f"kept in {folder}; {named}", f"next: jaxsoft compare {shlex.quote(folder.name)}"]
