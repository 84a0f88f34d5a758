"""Banks: the experts' logits, computed once, and the finished label rows that treatments make of them."""

import functools
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import errors, files
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label


@dataclass(frozen=True)
class LogitBank:
    """The logits of every expert at every kept epoch for every kept image; no experts at all suffice for hard labels."""

    logits: Float32[np.ndarray, "E P N K"]  # expert, epoch, image, class
    epochs: tuple[int, ...]  # the teacher epochs kept, in the order of the second axis
    image_ids: Int32[np.ndarray, "N"]  # the images' positions in the train split
    classes: Int32[np.ndarray, "N"]  # their true classes


def label_rows(spec: LabelSpec, bank: LogitBank, form: str = "row") -> Float[Array, "N K"]:
    """The finished label of every image in the bank, as a `row` or as `label_logits`.

    A row depends on the image's identity, class and logits, never on its position or its neighbours. It sums to 1,
    unless the spec cuts it on purpose.

    Raises:
      ConfigError: the epoch is not known, or the bank does not hold what the spec asks for.
    """
    if spec.needs_teacher and spec.epoch is None:
        raise errors.ConfigError(f"label spec '{spec}' has no epoch yet; resolve it, or give it a teacher_epoch")
    if missing := [expert for expert in spec.experts if expert >= len(bank.logits)]:
        raise errors.ConfigError(f"expert={missing[0]} but there are {len(bank.logits)} experts, counted from 0")
    if spec.epoch is None:
        logits = np.zeros((1, *bank.logits.shape[2:]), np.float32)
    elif spec.epoch in bank.epochs:
        logits = bank.logits[list(spec.experts), bank.epochs.index(spec.epoch)]
    else:
        kept = ", ".join(map(str, bank.epochs))
        raise errors.ConfigError(f"epoch={spec.epoch} is not kept; epochs kept: {kept}")
    # Without its epoch a spec is the same program for all epochs: compiled once.
    return _rows(replace(spec, epoch=None), form, logits, bank.classes, bank.image_ids)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _rows(
    spec: LabelSpec, form: str, logits: Float[Array, "n N K"], classes: Int[Array, "N"], image_ids: Int[Array, "N"]
) -> Float[Array, "N K"]:
    def row(logits: Float[Array, "n K"], true_class: Int[Array, ""], image_id: Int[Array, ""]) -> Float[Array, "K"]:
        return spec.finish(pooled(spec, logits), true_class, image_id).form(form)

    return jax.vmap(row, in_axes=(1, 0, 0))(logits, classes, image_ids)


def pooled(spec: LabelSpec, logits: Float[Array, "n *N K"]) -> Label:
    """What experts say together, before anything is done to it."""
    if spec.pool == "probabilities":
        return Label(jax.nn.softmax(logits).mean(0))
    mean = logits.mean(0)
    return Label(jax.nn.softmax(mean), mean)


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    return files.digest(
        part
        for name, array in sorted(arrays.items())
        for part in (f"{name} {array.dtype.str} {array.shape};", np.ascontiguousarray(array).data)
    )
