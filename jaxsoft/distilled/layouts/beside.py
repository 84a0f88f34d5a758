"""Layouts of one file of images, and of labels in files beside it: MTT and its successors, the original paper, images alone."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import tensors
from jaxsoft.distilled import tables
from jaxsoft.distilled.found import Found
from jaxsoft.distilled.layouts import parts
from jaxsoft.distilled.options import Options

_TRIO = re.compile(r"images_(zca_)?(best|\d{1,9})\.pt")
_PAPER = re.compile(r"ipc(\d{1,9})_(\w{1,64})_image_syn\.pt")
_SUM = 1e-3  # by how much a row of probabilities may miss 1


def is_images(value: Any) -> bool:
    """Whether a file holds one array, and so can be of images."""
    return isinstance(value, np.ndarray)


def images(value: Any, path: Path, options: Options) -> Found:
    """Images, and what lies beside them by the names of the files; or labels that are given; or images alone."""
    own = parts.images(value, channels_last=path.suffix in (".npy", ".npz"))
    if options.labels:
        return _with_labels(Found("images", own), _given(options.labels, len(own)), options.labels)
    if match := _TRIO.fullmatch(path.name):
        return _trio(own, path.parent, bool(match[1]), match[2])
    if match := _PAPER.fullmatch(path.name):
        return _paper(own, path, match[1], match[2])
    return _alone(Found("images", own))


def _trio(own: parts.Images, folder: Path, is_unwhitened: bool, step: str) -> Found:
    """Images of MTT, FTD, DATM, EDF or DRUPI at a step, or at the best one.

    Reference: Cazenave et al. (2022), "Dataset Distillation by Matching Training Trajectories"; Guo et al. (2024), "Towards
    Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching", whose labels are learned logits.
    """
    found = Found("MTT", own, space="pixels" if is_unwhitened else "")
    beside = {name: folder / f"{name}_{step}.pt" for name in ("labels", "lr", "features")}
    if is_unwhitened and not beside["labels"].exists():
        beside["labels"] = folder / "labels_best.pt"
    if beside["lr"].exists():
        found = found._replace(learning_rate=_read(beside["lr"], parts.learning_rate), files=(beside["lr"],))
    if beside["features"].exists():
        told = f"{beside['features'].name}, feature maps of one architecture, is left out"
        found = found._replace(notes=(told,))
    pixels = sorted(path.name for path in folder.glob("images_zca_*.pt"))
    if pixels and not is_unwhitened:
        told = f"{refusals.listed(pixels, 3)}: images of a step as pixels; give that file to import these"
        found = found._replace(notes=(*found.notes, told))
    if not beside["labels"].exists():
        return _alone(found)
    found = _with_labels(found, _read(beside["labels"], parts.labels), beside["labels"])
    if found.rows is None:
        return found
    if beside["labels"].name != f"labels_{step}.pt":
        told = f"{folder} has learned labels of another step than {step}; wanted --labels={beside['labels']}"
        raise errors.DataError(errors.shown(f"{told} if they belong together"))
    return found._replace(system="DATM / FTD / EDF / DRUPI", kind="" if _sum_to_one(found.rows) else "logits")


def _paper(own: parts.Images, path: Path, ipc: str, selection: str) -> Found:
    """Images of the study that jaxsoft reproduces, and probabilities of an expert at an epoch.

    Reference: Qin et al. (2024), "A Label is Worth a Thousand Images in Dataset Distillation".
    """
    found, name = Found("sunnytqin/no-distillation", own), f"{path.resolve().parent.name}_{selection}_ipc{ipc}_epoch"
    places = (path.parent / "entropy", path.parent.parent / "entropy")
    there = [each for place in places for each in sorted(place.glob("*.pt")) if each.name.startswith(name)]
    if len(there) > 1:
        told = f"{path} has labels of {len(there)} epochs ({refusals.listed([each.name for each in there], 3)})"
        raise errors.DataError(errors.shown(f"{told}; wanted --labels=FILE with one of them"))
    if not there:
        return _alone(found)
    return _with_labels(found, _read(there[0], parts.labels), there[0])._replace(kind="probabilities")


def _alone(found: Found) -> Found:
    told = "no labels beside the images: they follow each other class by class"
    return found._replace(notes=(*found.notes, told))


def _with_labels(found: Found, labels: tuple[Any, Any], path: Path) -> Found:
    """A set with classes, or with label rows of images that lie class by class."""
    classes, rows = labels
    if classes is None:
        classes = parts.class_major(len(rows), rows.shape[1])
    return found._replace(labels=classes, rows=rows, files=(*found.files, path))


def _given(path: Path, count: int) -> tuple[Any, Any]:
    """Labels of a file that a user names: a tensor, or a table."""
    if path.suffix.lower() in (".pt", ".pth", ".safetensors", ".h5", ".hdf5"):
        return _read(path, parts.labels)
    table = tables.read(path, [str(n) for n in range(count)])
    return table.labels, table.rows


def _read(path: Path, part: Any) -> Any:
    with refusals.naming(f"{path} does not fit its set"):
        return part(tensors.read(path))


def _sum_to_one(rows: np.ndarray) -> bool:
    return bool((rows >= 0).all() and (np.abs(rows.sum(1) - 1) < _SUM).all())
