"""Teachers from elsewhere: networks that another program trained, kept in folders that say what they are.

A folder NAME has `teacher.json`, sealed, and `weights.safetensors`; where it lies `jaxsoft/sealed.py` tells.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from jaxsoft import config, errors, imports, models, sealed
from jaxsoft.data import normalize
from jaxsoft.data.normalize import Images, Normalizer
from jaxsoft.labels.given import Told, with_labels
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.evaluate import answers
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

KIND = sealed.Kind(
    "teacher",
    "teacher.json",
    "weights.safetensors",
    "JAXSOFT_TEACHERS",
    "teachers",
    {
        "model": str,
        "class_names": list,
        "image_shape": list,
        "mean": list,
        "std": list,
        "data": dict,
        "leaves": dict,
    },
    ("model", "mean", "std"),
    "jaxsoft teacher import FILE --as=NAME",
)


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
        return normalize.affine(self.record["mean"], self.record["std"])

    def logits(self, images: Images) -> Float32[np.ndarray, "N K"]:
        """What it says about images, uint8 or float in [0, 1]."""
        stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], self.variables)
        ((said,),) = answers(self.recipe, self.normalizer, self.normalizer.store_beyond(images), [stacked])
        return said

    def sees(self, normalizer: Normalizer) -> tuple[Float32[np.ndarray, "C"], Float32[np.ndarray, "C"]]:
        """Scale and shift, by channel, from what others see, who do not whiten, to what it sees."""
        scale = self.normalizer.scale / normalizer.scale
        return scale, self.normalizer.shift - normalizer.shift * scale


def recorded(name: str, root: str = "", digest: str = "") -> dict[str, Any]:
    """The record of a teacher; errors as `sealed.Kind.recorded`, and a CheckpointError if it names code of others."""
    found = KIND.recorded(name, root, digest)
    if imports.is_outside(found["model"]):  # nothing of a folder that came from elsewhere runs
        told = f"its network is {found['model']}, which is none of jaxsoft's own"
        raise errors.CheckpointError(f"cannot read {KIND.place(name, root) / KIND.record}: {told}")
    return found


def read(name: str, root: str = "", digest: str = "") -> Imported:
    """A teacher, once every leaf of it is known to be as it was imported; `digest` is the one that is wanted, if any.

    Raises:
      ConfigError, CheckpointError: as `recorded`; or the weights were altered.
    """
    record = recorded(name, root, digest)
    shape, classes = record["image_shape"], len(record["class_names"])
    init = functools.partial(models.build(record["model"], classes).init, jax.random.key(0))
    like = jax.eval_shape(init, jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return Imported(record, KIND.unpacked(KIND.place(name, root), record, like))


def known(settings: config.Settings) -> config.Settings:
    """The settings, with the digest of its weights for every label spec that names a teacher.

    Raises:
      ConfigError: there is no such teacher, or it is another one by now.
    """

    def found(text: str, spec: LabelSpec) -> str:
        if not spec.imported:
            return text
        digest = recorded(spec.imported, settings.data.root, spec.weights)["digest"]
        return Told.of(text, dataclasses.replace(spec, weights=digest))

    return with_labels(settings, found)


def check(spec: LabelSpec, of: config.Data, dataset: Dataset) -> None:
    """Refuse labels of a teacher of other images: another data set, other classes, or another size; or of whitened views."""
    there = recorded(spec.imported, of.root)
    if spec.views and of.normalize.startswith("zca"):
        told = f"with config.data.normalize={of.normalize} a view is whitened, and the teacher {spec.imported!r}"
        raise errors.ConfigError(f"{told} sees none such; wanted standardize or none, or labels without views")
    KIND.check_data(spec.imported, there, dataset)
