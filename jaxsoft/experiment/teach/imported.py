"""Teachers from elsewhere: networks that another program trained, kept in folders that say what they are.

A folder NAME has `teacher.json`, sealed, and `weights.safetensors`. It lies in `$JAXSOFT_TEACHERS`, else in `teachers`
below the folder of prepared data; a label spec may also give its path.
"""

import dataclasses
import functools
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from jaxsoft import config, data, errors, files, imports, models
from jaxsoft.config import values
from jaxsoft.data.normalize import Images, Normalizer
from jaxsoft.experiment.store import packing
from jaxsoft.experiment.store.folder import writing
from jaxsoft.labels.given import Told, with_labels
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.evaluate import answers
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

RECORD, WEIGHTS = "teacher.json", "weights.safetensors"
FORMAT = 1
_MOST_JSON, _MOST_BYTES = 1 << 24, 1 << 33
_FIELDS = {
    "model": str,
    "class_names": list,
    "image_shape": list,
    "mean": list,
    "std": list,
    "data": dict,
    "leaves": dict,
}


class Imported(NamedTuple):
    """A network that another program trained: what its record says, and what it is applied with."""

    record: Mapping[str, Any]
    variables: dict[str, Any]

    @property
    def recipe(self) -> Recipe:
        """Its network, in float32."""
        return Recipe(self.record["model"], len(self.record["class_names"]), 1, 1)

    @property
    def normalizer(self) -> Normalizer:
        """What it sees."""
        return standardizing(self.record["mean"], self.record["std"])

    def logits(self, images: Images) -> Float32[np.ndarray, "N K"]:
        """What it says about images, uint8 or float in [0, 1]."""
        stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], self.variables)
        ((said,),) = answers(self.recipe, self.normalizer, self.normalizer.store(images), [stacked])
        return said

    def sees(self, normalizer: Normalizer) -> tuple[Float32[np.ndarray, "C"], Float32[np.ndarray, "C"]]:
        """Scale and shift, by channel, from what others see, who do not whiten, to what it sees."""
        scale = self.normalizer.scale / normalizer.scale
        return scale, self.normalizer.shift - normalizer.shift * scale


def standardizing(mean: Sequence[float], std: Sequence[float]) -> Normalizer:
    """(x - mean) / std for each channel, with x in [0, 1]."""
    middle, width = (np.asarray(each, np.float64) for each in (mean, std))
    return Normalizer((1 / (255 * width)).astype(np.float32), (-middle / width).astype(np.float32))


def place(name: str, root: str = "") -> Path:
    """The folder that a name, or a path, stands for; ConfigError if it can be neither."""
    if "/" in name:
        return Path(values.path(name, "imported"))
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise errors.ConfigError(
            f"the name of a teacher has letters, digits, '_', '.' and '-', got {errors.quoted(name)}"
        )
    own = os.environ.get("JAXSOFT_TEACHERS")
    folder = Path(values.path(own, "JAXSOFT_TEACHERS")) if own else data.root_folder(root or None) / "teachers"
    return folder / name


def check_free(folder: Path) -> None:
    """Refuse a place that is taken: an import replaces nothing."""
    if os.path.lexists(folder):
        raise errors.ConfigError(f"there is a teacher in {folder} already; choose another name, or delete it first")


def keep(folder: Path, record: Mapping[str, Any], variables: Any) -> dict[str, Any]:
    """Make the folder of a teacher, whole or not at all; returns its record, with the digest by which labels know it.

    Raises:
      ConfigError: there is one already. CheckpointError: it cannot be written.
    """
    check_free(folder)
    packed, leaves = packing.pack(variables)
    whole = {"format": FORMAT, **record, "leaves": leaves}
    whole["digest"] = _digest(whole)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            staged.mkdir()
            files.replace(staged / WEIGHTS, packed.tobytes())
            files.replace(staged / RECORD, (json.dumps(files.seal(whole), indent=2) + "\n").encode())
            os.rename(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return whole


def recorded(name: str, root: str = "") -> dict[str, Any]:
    """The record of a teacher.

    Raises:
      ConfigError: there is no teacher of this name. CheckpointError: the record was altered.
    """
    folder = place(name, root)
    if not (folder / RECORD).is_file():
        known = sorted(path.parent.name for path in folder.parent.glob(f"*/{RECORD}"))
        told = f"those there: {', '.join(known)}" if known else "`jaxsoft teacher import FILE --as=NAME` makes one"
        raise errors.ConfigError(f"there is no teacher {name!r} in {folder.parent}; {told}")
    try:
        found = files.unseal(json.loads(files.read(folder / RECORD, _MOST_JSON)))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}; this version reads {FORMAT}")
        if {key: type(found.get(key)) for key in _FIELDS} != _FIELDS or found["digest"] != _digest(found):
            raise ValueError("it is not what was saved")
        if imports.is_outside(found["model"]):  # nothing of a folder that came from elsewhere runs
            raise ValueError(f"its network is {found['model']}, which is none of jaxsoft's own")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as problem:
        told = errors.shown(getattr(problem, "strerror", None) or errors.first_line(problem))
        raise errors.CheckpointError(f"cannot read {folder / RECORD}: {told}; import it again") from None
    return found


def read(name: str, root: str = "", digest: str = "") -> Imported:
    """A teacher, once every leaf of it is known to be as it was imported; `digest` is the one that is wanted, if any.

    Raises:
      ConfigError, CheckpointError: as `recorded`; or the weights were altered, or are of another import.
    """
    record, folder = recorded(name, root), place(name, root)
    if digest not in ("", record["digest"]):
        raise errors.CheckpointError(f"the teacher in {folder} is {record['digest']} now; wanted {digest}")
    shape, classes = record["image_shape"], len(record["class_names"])
    init = functools.partial(models.build(record["model"], classes).init, jax.random.key(0))
    try:
        like = jax.eval_shape(init, jax.ShapeDtypeStruct((1, *shape), jnp.float32))
        packed = np.frombuffer(files.read(folder / WEIGHTS, _MOST_BYTES), np.uint8)
        return Imported(record, packing.unpack(packed, record["leaves"], like))
    except Exception as problem:  # bytes that are no safetensors raise an error of their own
        told = errors.shown(getattr(problem, "strerror", None) or errors.first_line(problem))
        raise errors.CheckpointError(f"cannot read {folder / WEIGHTS}: {told}; import it again") from None


def known(settings: config.Settings) -> config.Settings:
    """The settings, with the digest of its weights for every label spec that names a teacher.

    Raises:
      ConfigError: there is no such teacher, or it is another one by now.
    """

    def found(text: str, spec: LabelSpec) -> str:
        if not spec.imported:
            return text
        digest = recorded(spec.imported, settings.data.root)["digest"]
        if spec.weights not in ("", digest):
            raise errors.ConfigError(f"the teacher {spec.imported!r} is {digest} now; '{text}' wants {spec.weights}")
        return Told.of(text, dataclasses.replace(spec, weights=digest))

    return with_labels(settings, found)


def check(spec: LabelSpec, of: config.Data, dataset: Dataset) -> None:
    """Refuse labels of a teacher of other images: another data set, other classes, or another size; or of whitened views."""
    there = recorded(spec.imported, of.root)
    if spec.views and of.normalize.startswith("zca"):
        told = f"with config.data.normalize={of.normalize} a view is whitened, and the teacher {spec.imported!r}"
        raise errors.ConfigError(f"{told} sees none such; wanted standardize or none, or labels without views")
    own = {"data set": dataset.name, "size": list(dataset.image_shape), "classes": list(dataset.class_names)}
    for what, was in zip(own, (there["data"]["name"], there["image_shape"], there["class_names"])):
        if was != own[what]:
            told = f"is of the {what} {str(was):.80}; this run is of {str(own[what]):.80}"
            raise errors.ConfigError(f"the teacher {spec.imported!r} {told}; import it with --data={dataset.name}")


def _digest(record: Mapping[str, Any]) -> str:
    """What tells one teacher from another: its network, what that sees, and its weights."""
    own = [record["model"], record["mean"], record["std"], record["leaves"]]
    return "x" + files.digest([json.dumps(own, sort_keys=True)])[:12]
