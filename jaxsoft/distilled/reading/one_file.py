"""Layouts of one file that holds everything: DC and DM, IDC and NCFM, GIFT, DDiF, RaT-BPTT, and arrays by name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import errors
from jaxsoft.distilled import fields
from jaxsoft.distilled.reading import checked, packed
from jaxsoft.distilled.reading.found import Found
from jaxsoft.distilled.reading.options import Options

_NAME = re.compile(r"[\w.+-]{1,64}")
_OF_IMAGES = ("images", "image", "data", "x", "x_train")
_OF_LABELS = ("labels", "label", "targets", "target", "y", "y_train")
_OF_ROWS = {"rows": "", "soft_labels": "", "probabilities": "probabilities", "logits": "logits"}
_OF_RATE = ("learning_rate", "lr", "syn_lr")


def is_runs(value: Any) -> bool:
    """Whether it is a file of DC, DSA or DM: a list of runs, each of images and labels."""
    return isinstance(value, dict) and isinstance(value.get("data"), (list, tuple))


def runs(value: Any, path: Path, options: Options) -> Found:
    """One of the runs; Zhao et al. (2021), "Dataset Condensation with Gradient Matching", and its successors."""
    there, run = value["data"], 0 if options.run is None else options.run
    if options.run is None and len(there) != 1:
        raise errors.DataError(errors.shown(f"{path} holds {len(there)} runs; wanted --run=0 to {len(there) - 1}"))
    if not 0 <= run < len(there):
        raise errors.DataError(errors.shown(f"--run={run}: {path} holds {len(there)} runs, counted from 0"))
    if type(there[run]) not in (list, tuple) or len(there[run]) != 2:
        raise ValueError(f"run {run} is no list of images and labels")
    images, labels = there[run]
    told = (f"run {run} of {len(there)}",) if len(there) > 1 else ()
    return _labelled(Found("DC / DSA / DM", checked.images(images), notes=told), labels)


def is_pair(value: Any) -> bool:
    """Whether it is a file of IDC or NCFM: images and classes, as a list of two."""
    two = type(value) in (list, tuple) and len(value) == 2
    return two and all(isinstance(part, np.ndarray) for part in value) and value[0].ndim == 4


def pair(value: Any, path: Path, options: Options) -> Found:
    """Images in [0, 1] and their classes; `recognised` decodes them."""
    found = Found("NCFM / IDC", checked.in_unit_range(checked.images(value[0])), space="pixels")
    if np.asarray(value[1]).dtype.kind not in "iu":
        raise ValueError("its targets are no whole numbers, which in this layout they are")
    found = _labelled(found, value[1])
    if options.factor:
        return found
    factor = packed.seen_factor(np.asarray(found.images, np.float32))
    if not factor:
        told = "nothing tells whether several images are packed into one"
        raise errors.DataError(errors.shown(f"{path}: {told}; wanted --factor=2 as NCFM packs them, or --factor=1"))
    said = f"seams show {factor} x {factor} images in one" if factor > 1 else "no seams show several images in one"
    return unpacked(found._replace(notes=(f"{said}; --factor= decides otherwise",)), factor, options.decode)


def unpacked(found: Found, factor: int, way: str) -> Found:
    """A set whose images are cut out of those that hold several."""
    if factor == 1 or found.images is None:
        return found
    images = found.images.astype(np.float32) / (255 if found.images.dtype == np.uint8 else 1)
    images, of = packed.decode(images, factor, way or "single")
    told = f"{len(found.images):,} stored images hold {len(images):,} (factor {factor}, {way or 'single'})"
    own = {name: part[of] for name in ("labels", "rows") if (part := getattr(found, name)) is not None}
    return found._replace(images=images, notes=(*found.notes, told), **own)


def is_gift(value: Any) -> bool:
    """Whether it is a file of GIFT's benchmark: a dictionary with `dataset` and `data`."""
    return isinstance(value, dict) and {"dataset", "data"} <= value.keys()


def gift(value: Any, path: Path, options: Options) -> Found:
    """Images and classes, or label rows; Shang et al. (2025), "GIFT"."""
    name = value["dataset"]
    if type(name) is not str or not _NAME.fullmatch(name):
        raise ValueError(f"its dataset is {errors.quoted(name, 60)}, which is no name of one")
    if "label" not in value:
        raise ValueError("it lacks 'label'")
    images = checked.images(value["data"])
    found = _labelled(Found("GIFT bench", images), value["label"])
    told = (f"the file says that the data set is {name}",)
    if found.rows is not None:
        return found._replace(notes=told)
    return found._replace(images=checked.in_unit_range(images), space="pixels", notes=told)


def is_fields(value: Any) -> bool:
    """Whether it is a file of DDiF: a dictionary with fields `nf`."""
    return isinstance(value, dict) and "nf" in value


def of_fields(value: Any, path: Path, options: Options) -> Found:
    """Fields and their labels; Shin et al. (2025), "Distilling Dataset into Neural Field"."""
    if "label" not in value:
        raise ValueError("it lacks 'label'")
    rate = checked.learning_rate(value["syn_lr"]) if value.get("syn_lr") is not None else None
    stacked = fields.stacked(value["nf"])
    fields.dimensions(stacked)
    return _labelled(Found("DDiF", None, fields=stacked, learning_rate=rate), value["label"])


def is_flat(value: Any) -> bool:
    """Whether it is a file of RaT-BPTT: flat images `data` in HDF5, or weights of that name in a checkpoint."""
    own = _weights(value) or value
    return isinstance(own, dict) and isinstance(own.get("data"), np.ndarray) and own["data"].ndim == 2


def flat(value: Any, path: Path, options: Options) -> Found:
    """Images and, where labels were learned, their rows.

    Reference: Feng et al. (2024), "Embarrassingly Simple Dataset Distillation".
    """
    own = _weights(value) or value
    found = Found("RaT-BPTT", checked.flat_images(own["data"]))
    if own.get("label") is None:
        return found._replace(notes=("no labels in the file: images follow each other class by class",))
    found = _labelled(found, own["label"])
    if found.rows is None:
        return found
    told = "label rows as they were learned: nothing made them sum to 1"
    return found._replace(labels=checked.class_major(len(found.rows), found.rows.shape[1]), notes=(told,))


def is_named(value: Any) -> bool:
    """Whether it is a dictionary of arrays, one of them images."""
    return isinstance(value, dict) and any(name in value for name in _OF_IMAGES)


def named(value: Any, path: Path, options: Options) -> Found:
    """Arrays by name, as numpy.savez keeps them; images with their channels first or last."""
    found = Found("arrays", checked.images(_one(value, _OF_IMAGES), channels_last=True))
    if any(name in value for name in _OF_LABELS):
        found = _labelled(found, _one(value, _OF_LABELS))
    if any(name in value for name in _OF_ROWS):
        _, rows = checked.labels(_one(value, tuple(_OF_ROWS)))
        found = found._replace(rows=rows, kind=next(kind for name, kind in _OF_ROWS.items() if name in value))
    if any(name in value for name in _OF_RATE):
        found = found._replace(learning_rate=checked.learning_rate(_one(value, _OF_RATE)))
    return found


def _one(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    there = [name for name in names if name in value]
    if len(there) != 1:
        raise ValueError(f"it holds {' and '.join(there)}; wanted one of them")
    return value[there[0]]


def _labelled(found: Found, value: Any) -> Found:
    labels, rows = checked.labels(value)
    return found._replace(labels=labels, rows=rows)


def _weights(value: Any) -> dict[str, Any]:
    """Of a checkpoint the images and labels that it holds as weights of modules `data` and `label`."""
    if not isinstance(value, dict) or not isinstance(value.get("model_state_dict"), dict):
        return {}
    states = {**value["model_state_dict"], **(value.get("label_state_dict") or {})}
    found = {str(name).split(".")[-2]: array for name, array in states.items() if str(name).endswith(".weight")}
    return found if "data" in found else {}
