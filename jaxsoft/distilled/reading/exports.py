"""Our own exports as distilled sets: images by their positions or as pixels, and labels out of their codec."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import array, exported
from jaxsoft.distilled.reading.found import Found
from jaxsoft.labels import codecs
from jaxsoft.types import Dataset


def read(folder: Path, dataset: Dataset) -> Found:
    """What `jaxsoft export` wrote, once every file is known to be as it was written.

    Args:
      dataset: whose train split positions are of. Pixels are taken where the export is of another one, or of images of an imported set.

    Raises:
      CheckpointError: there is no export, or it was altered. DataError: it is of other images, and has no pixels.
    """
    told = exported.read(folder)
    with refusals.naming(f"{folder / exported.RECORD} is no record of an export"):
        data, reached = told["data"], told["reached"]
        labels, rate = str(reached["labels"]), float(reached["learning_rate"])
        there = {name: folder / name for name in told["files"]}
        of_set = str(told["settings"]["select"]).startswith("distilled(")
    if is_of := data["fingerprint"] == dataset.fingerprint and not of_set:
        where = f"positions in the train split of {dataset.name}"
    else:
        own, now = data["fingerprint"], dataset.fingerprint
        where = "pixels of an imported set" if of_set else f"pixels of {data['name']} {own:.12}, not of {now:.12}"
        if exported.PIXELS not in there:
            told = f"{folder} has positions, and none of its {where}; `jaxsoft export --images` writes them"
            raise errors.DataError(errors.shown(told))
    with refusals.naming(f"{folder} holds no images of an export"):
        coded: Any = array.read(there[exported.LABELS]) if exported.LABELS in there else {}
        places = coded["images"] if coded else array.one(folder / exported.IMAGES).ravel()
        images, classes = _at(places, dataset) if is_of else _pixels(there[exported.PIXELS], places)
        rows = codecs.read(coded) if coded else None
        if rows is not None and len(rows) != len(images):
            raise ValueError(f"it has {len(rows)} label rows of {len(images)} images")
    how = f"stored as {coded['codec']}" if coded else "which are not stored; those of the set are hard"
    return Found(
        system="jaxsoft",
        images=images,
        labels=classes.astype(np.int64),
        rows=rows,
        kind="" if not coded else "logits" if codecs.hold_logits(coded) else "probabilities",
        space="pixels",
        learning_rate=rate,
        files=(folder / exported.RECORD, *there.values()),
        label_bytes=codecs.bytes_of(coded),
        notes=(f"{len(images)} images, known by {where}", f"labels are {labels}, {how}"),
    )


def _at(places: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Images and classes at positions of the train split; ValueError if there are no such."""
    count = len(dataset.train)
    is_plain = places.ndim == 1 and places.dtype.kind in "iu" and places.size
    if not is_plain or not 0 <= places.min() <= places.max() < count:
        raise ValueError(f"its positions are not all in the train split of {count:,} images")
    return dataset.train.images[places], dataset.train.labels[places]


def _pixels(path: Path, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same out of the export; ValueError if they are not those of the labels."""
    found: Any = array.read(path)
    images, classes = found["images"], found["classes"]
    if not np.array_equal(found["places"], places) or not len(images) == len(classes) == len(places):
        raise ValueError("its pixels are not those of its labels")
    if images.ndim != 4 or images.dtype not in (np.uint8, np.float32) or classes.dtype.kind not in "iu":
        raise ValueError(f"its pixels are {images.dtype} {list(images.shape)}")
    if not np.isfinite(images).all():
        raise ValueError("a pixel is no finite number")
    return images, classes
