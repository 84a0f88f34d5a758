"""Layouts of images in one file and labels in others: MTT and its successors, the original paper, images alone."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import tensors
from jaxsoft.distilled.inference import kinds
from jaxsoft.distilled.reading import checked, tables
from jaxsoft.distilled.reading.found import Found
from jaxsoft.distilled.reading.options import Options

_TRIO = re.compile(r"images_(zca_)?(best|\d{1,9})\.pt")
_PAPER = re.compile(r"ipc(\d{1,9})_(\w{1,64})_image_syn\.pt")


def is_images(value: Any) -> bool:
    """Whether a file holds one array, and so can be of images."""
    return isinstance(value, np.ndarray)


def images(value: Any, path: Path, options: Options) -> Found:
    """Images, with the labels that are given, or that lie beside them by the names of files, or without any."""
    own = checked.images(value, channels_last=path.suffix in (".npy", ".npz"))
    if match := _TRIO.fullmatch(path.name):
        return _trio(own, path.parent, match[2], bool(match[1]), options.labels)
    if match := _PAPER.fullmatch(path.name):
        found = Found("sunnytqin/no-distillation", own)
        return _labelled(found, options.labels or _of_an_epoch(path, match[1], match[2]), "probabilities")
    return _labelled(Found("images", own), options.labels)


def _trio(own: checked.Images, folder: Path, step: str, is_unwhitened: bool, given: Path | None) -> Found:
    """Images of MTT, FTD, DATM, EDF or DRUPI at a step, or at the best one; the labels of DATM and after it are logits.

    Reference: Cazenavette et al. (2022), "Dataset Distillation by Matching Training Trajectories"; Guo et al. (2024),
    "Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching".
    """
    found = Found("MTT", own, space="pixels" if is_unwhitened else "")
    rate, features, labels = (folder / f"{name}_{step}.pt" for name in ("lr", "features", "labels"))
    if rate.exists():
        found = found._replace(learning_rate=_read(rate, checked.learning_rate), files=(rate,))
    if features.exists():
        found = found._replace(notes=(f"{features.name}, feature maps of one architecture, is left out",))
    pixels = sorted(path.name for path in folder.glob("images_zca_*.pt"))
    if pixels and not is_unwhitened:
        told = f"{refusals.listed(pixels, 3)}: images of a step as pixels; give that file to import these"
        found = found._replace(notes=(*found.notes, told))
    if is_unwhitened and not labels.exists():
        labels = folder / "labels_best.pt"
    found = _labelled(found, given or (labels if labels.exists() else None), "logits")
    if found.rows is None:
        return found
    if not given and labels.name != f"labels_{step}.pt":
        told = f"{folder} has learned labels of another step than {step}"
        raise errors.DataError(errors.shown(f"{told}; wanted --labels={labels} if they belong together"))
    return found._replace(system="DATM / FTD / EDF / DRUPI")


def _of_an_epoch(path: Path, ipc: str, selection: str) -> Path | None:
    """The labels of images of the study that jaxsoft reproduces: probabilities of an expert at an epoch.

    Reference: Qin et al. (2024), "A Label is Worth a Thousand Images in Dataset Distillation".
    """
    start = f"{path.resolve().parent.name}_{selection}_ipc{ipc}_epoch"
    places = (path.parent / "entropy", path.parent.parent / "entropy")
    there = [each for place in places for each in sorted(place.glob("*.pt")) if each.name.startswith(start)]
    if len(there) > 1:
        told = f"{path} has labels of {len(there)} epochs ({refusals.listed([each.name for each in there], 3)})"
        raise errors.DataError(errors.shown(f"{told}; wanted --labels=FILE with one of them"))
    return there[0] if there else None


def _labelled(found: Found, path: Path | None, kind: str = "") -> Found:
    """A set with the labels of a file; without them images lie class by class, and with label rows they do too.

    Args:
      kind: of label rows in this layout; it is left open where they are of another kind, as their sums tell.
    """
    if path is None:
        told = "no labels beside the images: they follow each other class by class"
        return found._replace(notes=(*found.notes, told))
    images: Any = found.images
    classes, rows = _labels(path, len(images))
    if rows is None or (kind == "logits") == ((rows >= 0).all() and kinds.sum_to_one(rows).all()):
        kind = ""
    if classes is None and rows is not None:
        classes = checked.class_major(len(rows), rows.shape[1])
    return found._replace(labels=classes, rows=rows, kind=kind, files=(*found.files, path))


def _labels(path: Path, count: int) -> tuple[Any, Any]:
    """Classes and label rows of a file: a tensor, or a table."""
    if path.suffix.lower() in (".pt", ".pth", ".safetensors"):
        return _read(path, checked.labels)
    table = tables.read(path, [str(n) for n in range(count)])
    return table.labels, table.rows


def _read(path: Path, part: Any) -> Any:
    with refusals.naming(f"{path} does not fit its set"):
        return part(tensors.read(path))
