"""Imported sets: folders that say of which data set they are, in which space their images were, and what their labels are.

A folder NAME has `set.json`, sealed, and `arrays.safetensors`: `images`, in pixels, or `fields/...` and `decoder/...` that
they are decoded from, `labels`, and `rows` or `logits` where labels are soft. Where it lies `jaxsoft/sealed.py` tells.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Shaped
from scipy.special import softmax

from jaxsoft import config, errors, sealed, spec
from jaxsoft.data import arrays, chosen, classes, select
from jaxsoft.distilled import fields
from jaxsoft.labels.given import Told, spec_of, with_labels
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.spec import Call
from jaxsoft.types import Dataset

KIND = sealed.Kind(
    "set",
    "set.json",
    "arrays.safetensors",
    "JAXSOFT_SETS",
    "sets",
    {"data": dict, "class_names": list, "image_shape": list, "kind": str, "ipc": int, "leaves": dict},
    ("class_names", "image_shape", "kind"),
    "jaxsoft import SOURCE --as=NAME",
)
NAME = "distilled"
"""The way to select, and the label source, that name a set."""


@dataclasses.dataclass(frozen=True, eq=False)
class DistilledSet:
    """An imported set.

    Attributes:
      record: what its folder says of it.
      arrays: `labels`, and `images`, fields, `rows` or `logits` where it has such.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @functools.cached_property
    def images(self) -> Shaped[np.ndarray, "N *S C"]:
        """Pixels: uint8, or float32 in units of [0, 1], which they may leave; those of fields are decoded once."""
        return fields.decoded(self.arrays)

    @property
    def labels(self) -> Int32[np.ndarray, "N"]:
        """The class of each image."""
        return self.arrays["labels"]

    @property
    def logits(self) -> Float32[np.ndarray, "N K"] | None:
        """Of its labels, if these are logits."""
        return self.arrays.get("logits")

    @functools.cached_property
    def rows(self) -> Float32[np.ndarray, "N K"]:
        """Its labels as probabilities: one-hot rows of the classes where they are hard."""
        if self.logits is not None:
            return softmax(self.logits, axis=1)
        return self.arrays.get("rows", np.eye(len(self.record["class_names"]), dtype=np.float32)[self.labels])

    @property
    def label(self) -> Label:
        """The same, with logits if there are."""
        return Label(self.rows, self.logits)

    def table(self, ipc: int) -> Int32[np.ndarray, "K ipc"]:
        """The places of the first images of each class; ConfigError if there are fewer of one."""
        names = self.record["class_names"]
        counts = np.bincount(self.labels, minlength=len(names))
        if ipc > counts.min():
            few = int(counts.argmin())
            told = f"ipc={ipc} but the set has {counts[few]} images of class {few} ({errors.shown(names[few])})"
            raise errors.ConfigError(f"{told}; the largest possible is {counts[few]}")
        by_class = np.split(np.argsort(self.labels, kind="stable"), np.cumsum(counts)[:-1])
        return np.stack([each[:ipc] for each in by_class]).astype(np.int32)

    def slots(self, given: Int32[np.ndarray, "n"]) -> Int32[np.ndarray, "n"]:
        """For images of these classes the place of the set's image in the same slot: of the class, in the same order."""
        ranks = classes.rank(given)
        return self.table(int(ranks.max(initial=0)) + 1)[given, ranks]


def read(name: str, root: str = "", digest: str = "") -> DistilledSet:
    """A set, once every array is known to be as it was imported; `digest` is the one that is wanted, if any.

    Raises:
      ConfigError: there is no set of this name, or it is another one. CheckpointError: it was altered.
    """
    record = KIND.recorded(name, root, digest)
    return DistilledSet(record, KIND.unpacked(KIND.place(name, root), record))


def known(settings: config.Settings) -> config.Settings:
    """The settings, with its digest for every label spec and selection that names a set.

    Raises:
      ConfigError: there is no such set, or it is another one by now.
    """

    def labels(text: str, own: LabelSpec) -> str:
        if not own.distilled:
            return text
        record = KIND.recorded(own.distilled, settings.data.root, own.weights)
        is_logits = record["kind"] == "logits"
        return Told.of(text, dataclasses.replace(own, weights=record["digest"], is_logits=is_logits))

    def way(text: str, key: str) -> str:
        try:
            if not (asked := _asked(text)):
                return text
            record = KIND.recorded(asked[0], settings.data.root, asked[1])
        except errors.ConfigError as problem:
            raise errors.ConfigError(f"config.{key}: {problem}") from None
        return str(Call(NAME, (asked[0],), {"digest": record["digest"]}))

    settings = with_labels(settings, labels)
    ways = tuple(way(text, "sweep.select") for text in settings.sweep.select)
    sweep = dataclasses.replace(settings.sweep, select=ways)
    return dataclasses.replace(settings, select=way(settings.select, "select"), sweep=sweep)


def beside(dataset: Dataset, settings: config.Settings) -> Dataset:
    """The dataset with the sets that settings name, by digest.

    Raises:
      ConfigError: a set is not there, or is not of such data. CheckpointError: it was altered.
    """
    ways = (settings.select, *settings.sweep.select)
    named = [asked for text in ways if (asked := _asked(text))]
    specs = map(spec_of, settings.sweep.labels)
    named += [(own.distilled, own.weights) for own in specs if own.distilled]
    found = {}
    for name, digest in named:
        own = read(name, settings.data.root, digest)
        KIND.check_data(name, own.record, dataset)
        found[own.record["digest"]] = own
    return arrays.vouched(dataclasses.replace(dataset, sets=found)) if found else dataset


def _asked(text: str) -> tuple[str, str] | None:
    """The set that a selection names, with the digest that it wants; None if it is another selection."""
    if isinstance(text, chosen.Indices) or (call := spec.parse_one(text)).name != NAME:
        return None
    asked = spec.bind(call, select.distilled, ("labels", "ipc", "key", "pool"))
    return asked["name"], asked.get("digest", "")


def load_set(name: str, root: str | os.PathLike | None = None) -> DistilledSet:
    """An imported set, of `jaxsoft import`.

    Args:
      name: of the set, or the path of its folder.
      root: folder of the prepared data; by default as for `load`. Sets lie in `sets` there, or where `$JAXSOFT_SETS` says.

    Raises:
      ConfigError: there is no set of this name. CheckpointError: it was altered.
    """
    return read(os.fspath(name), os.fspath(root or ""))


def verified(name: str, root: str = "") -> str:
    """One line for the user, once every array is known to be as it was imported; errors as `read`."""
    own = read(name, root)
    return f"{name}: {own.record['system']}, {_told(own.record)}: every array is as it was imported"


def listed(root: str = "") -> list[tuple[str, str, str]]:
    """Every imported set as (name, state, description); `imported`, or `damaged` and why."""
    found = []
    for name in KIND.names(root):
        try:
            record = KIND.recorded(name, root)
            found.append((name, "imported", f"a distilled set of {record['system']}, {_told(record)}"))
        except errors.JaxsoftError as problem:
            found.append((name, "damaged", str(problem)))
    return found


def ipc_of(record: Mapping[str, Any]) -> str:
    """The images of each class in words, such as `10`, or `5 to 7`."""
    most = max(record["images_per_class"])
    return f"{record['ipc']}" + f" to {most}" * (most > record["ipc"])


def _told(record: Mapping[str, Any]) -> str:
    return errors.shown(f"{ipc_of(record)} images of each class of {record['data']['name']}, labels: {record['kind']}")
