"""Any image classification set of TensorFlow Datasets that was prepared as array_record; read without TensorFlow."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import images
from jaxsoft.data.sets import Published

TITLE = "any image classification set of TensorFlow Datasets, as tfds:mnist or tfds:mnist:3.0.1"
SOURCE = "https://www.tensorflow.org/datasets/catalog/overview"
LICENCE = "see the set's page in the catalogue"
FILES = (
    f"what this command writes: {errors.install('prepare')} && "
    "tfds build {argument} --file_format=array_record --data_dir={root}"
)

VERSION = r"\d+\.\d+\.\d+"
_CHANNELS = {1: "L", 3: "RGB"}  # and what Pillow calls them


def find(where: Path, argument: str) -> Path | None:
    """The version that is asked for, else the newest, below `where`, or `where` itself; DataError if there are only others."""
    name, _, version = argument.partition(":")
    if is_prepared(where) and set(name.split("/")) <= set(where.resolve().parts):
        paths = [where]
    else:
        paths = [path for path in (where / name).glob("*.*.*") if re.fullmatch(VERSION, path.name)]
    paths = sorted(paths, key=lambda path: [part.zfill(9) for part in path.name.split(".")])
    versions = {path.resolve().name: path for path in paths if is_prepared(path)}
    if version and versions and version not in versions:
        raise errors.DataError(f"no version {version} of {name} in {where}; there is {', '.join(versions)}")
    return versions.get(version or next(reversed(versions), ""))


def is_prepared(folder: Path) -> bool:
    """Whether TensorFlow Datasets wrote this folder."""
    return (folder / "dataset_info.json").exists() and (folder / "features.json").exists()


def read(found: Path, resize: int | None) -> raw.Raw:
    """Train, and test (or a labelled validation split; else a fifth of each class)."""
    builder = _open(found)
    features, splits = builder.info.features, builder.info.splits
    image, label = _features(found, features)
    read_as = image, label, _CHANNELS[features[image].shape[-1]], resize
    train = _part(found, builder, "train", *read_as)
    there = [split for split in ("test", "validation") if split in splits and splits[split].num_examples]
    tests = (_part(found, builder, split, *read_as) for split in there)
    test = next((part for part in tests if part.labels.min() >= 0), None)  # unlabelled test splits hold -1
    train, test = (train, test) if test else raw.carve(train)
    page = f"https://www.tensorflow.org/datasets/catalog/{builder.name} ({builder.info.full_name})"
    return raw.Raw(tuple(features[label].names), train, test, page, LICENCE)


def _open(found: Path) -> Any:
    """The set's reader, after checking that it can be read without TensorFlow."""
    import tensorflow_datasets as reader  # slow to import, and only these sets need it

    with refusals.naming(f"{found} cannot be read as a TensorFlow Datasets folder"):
        builder = reader.builder_from_directory(found)
        stored, splits = getattr(builder.info.file_format, "value", None), builder.info.splits
    if stored != "array_record" or "train" not in splits:
        raise errors.DataError(f"{found} is {stored}, splits {sorted(splits)}; wanted array_record and a train split")
    return builder


def _features(found: Path, features: Any) -> tuple[str, str]:
    """Names of the one image and the one class label, if the image is one that is read."""
    kinds = {key: type(feature).__name__ for key, feature in getattr(features, "items", dict)()}
    if [list(kinds.values()).count(kind) for kind in ("Image", "ClassLabel")] != [1, 1]:
        there = ", ".join(f"{key} ({kind})" for key, kind in sorted(kinds.items())) or features
        told = f"{found} is no image classification set: its features are {there}"
        raise errors.DataError(f"{told}; wanted one Image and one ClassLabel")
    names = {kind: key for key, kind in kinds.items()}
    image = features[names["Image"]]
    dtype = np.dtype(image.np_dtype)  # `dtype` asks TensorFlow
    if dtype != np.uint8:  # the bytes of others stand for something else, such as a float in four channels
        raise errors.DataError(f"{found}: {names['Image']} is {dtype.name}; only images of uint8 are read")
    if len(image.shape) != 3 or image.shape[-1] not in _CHANNELS:
        raise errors.DataError(f"{found}: {names['Image']} has shape {image.shape}; only 1 or 3 channels are read")
    return names["Image"], names["ClassLabel"]


def _part(found: Path, builder: Any, split: str, image: str, label: str, mode: str, resize: int | None) -> raw.Part:
    """One split, its images still packed: they are decoded as those of every other set."""
    with refusals.naming(f"{found}: {split} cannot be read"):
        source = _packed(builder, split, image)
        labels = np.array([source[i][label] for i in range(len(source))], np.int32)

    def pixels(i: int) -> UInt8[np.ndarray, "H W C"]:
        name = f"{found}: {split} image {i}"
        with refusals.naming(f"{name} cannot be read"):
            data = source[i][image]
        return images.decode(data, name, resize, mode)

    return raw.Part(labels, range(len(source)), pixels, lambda i: f"{split}:{i}")


def _packed(builder: Any, split: str, image: str) -> Any:
    from tensorflow_datasets import decode

    return builder.as_data_source(split=split, decoders={image: decode.SkipDecoding()})


def stored(folder: Path) -> Callable[[str], bytes]:
    """What gives the bytes of an image by split and number, as `train:17`."""
    return functools.partial(_bytes, folder)


def _bytes(folder: Path, place: str) -> bytes:
    split, _, number = place.partition(":")
    with refusals.naming(f"{folder}: {split} image {number} cannot be read"):
        source, image = _source(folder, split)
        return source[int(number)][image]


@functools.lru_cache(maxsize=4)
def _source(folder: Path, split: str) -> tuple[Any, str]:
    builder = _open(folder)
    image, _ = _features(folder, builder.info.features)
    return _packed(builder, split, image), image


SETS = {"tfds": Published(TITLE, SOURCE, FILES, None, find, read, stored=stored)}
