"""Banks: the experts' logits, computed once, and the finished label rows that treatments make of them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import errors, files
from jaxsoft.labels import treatments
from jaxsoft.labels.committee import bare, drawn, fixed_weights, weighed
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
    return _in_stages(_rows, spec, form, (logits, fixed_weights(spec)), bank.classes, bank.image_ids)


def finished(
    spec: LabelSpec, form: str, label: Label, classes: Int[np.ndarray, "N"], image_ids: Int[np.ndarray, "N"]
) -> Array:
    """What the operations of a spec make of the labels of N images, as a `row` or as `label_logits`."""
    spec = replace(spec, experts=spec.experts[:1] and (0,), pool="logits")  # whose labels these are no longer matters
    return _in_stages(_finish, spec, form, label, classes, image_ids)


def _in_stages(
    start: Callable[..., Array], spec: LabelSpec, form: str, given: Any, *whose: Int[np.ndarray, "N"]
) -> Array:
    """Run the programs of a spec, the first being `start`; between them is what is done to all rows at once."""
    spec = bare(spec)  # the same programs for all epochs and priors: compiled once
    (_, which), *others = treatments.stages(spec.operations)
    made = start(spec, which, "row" if others else form, given, *whose)
    for turn, (at_once, which) in enumerate(others, 1):
        label = treatments.treated(at_once, Label(made), {})
        made = _finish(spec, which, "row" if turn < len(others) else form, label, *whose)
    return made


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _rows(
    spec: LabelSpec,
    which: range,
    form: str,
    given: tuple[Float[Array, "n N K"], Float[Array, "n"] | None],
    classes: Int[Array, "N"],
    image_ids: Int[Array, "N"],
) -> Float[Array, "N K"]:
    logits, fixed = given

    def row(logits: Float[Array, "n K"], true_class: Int[Array, ""], image_id: Int[Array, ""]) -> Float[Array, "K"]:
        said = pooled(spec, logits, drawn(spec, fixed, image_id, jnp.int32(0)))
        return spec.finish(said, true_class, image_id, which).form(form)

    return jax.vmap(row, in_axes=(1, 0, 0))(logits, classes, image_ids)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _finish(
    spec: LabelSpec, which: range, form: str, label: Label, classes: Int[Array, "N"], image_ids: Int[Array, "N"]
) -> Float[Array, "N K"]:
    return jax.vmap(functools.partial(spec.finish, which=which))(label, classes, image_ids).form(form)


def pooled(
    spec: LabelSpec, logits: Float[Array, "n *N K"], weights: Float[Array, "n"] | Float[Array, "n *N"] | None = None
) -> Label:
    """What experts say together, before anything is done to it; weights are those of a committee."""
    if spec.pool == "probabilities":
        return Label(jax.nn.softmax(logits).mean(0))
    mean = logits.mean(0) if weights is None else weighed(logits, weights)
    return Label(jax.nn.softmax(mean), mean)


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    return files.digest(
        part
        for name, array in sorted(arrays.items())
        for part in (f"{name} {array.dtype.str} {array.shape};", np.ascontiguousarray(array).data)
    )
