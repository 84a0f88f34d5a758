"""Banks: the experts' logits, computed once, and the finished label rows that treatments make of them."""

import functools
import hashlib
import os
import pathlib
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import errors, files
from jaxsoft.labels.spec import LabelSpec


@dataclass(frozen=True)
class LogitBank:
    """The logits of every expert at every kept epoch for every kept image; no experts at all suffices for hard labels.

    Attributes:
      logits: expert, epoch, image, class [E, P, N, K].
      epochs: the teacher epochs kept, [P] of them, in the order of the second axis.
      image_ids: the images' positions in the train split [N].
      classes: the images' true classes [N].
    """

    logits: Float32[np.ndarray, "E P N K"]
    epochs: tuple[int, ...]
    image_ids: Int32[np.ndarray, "N"]
    classes: Int32[np.ndarray, "N"]

    def cell(self, expert: int, epoch: int) -> Float32[np.ndarray, "N K"]:
        """The logits of one expert at one epoch [N, K].

        Raises:
          ConfigError: the bank does not hold this expert or this epoch.
        """
        if not 0 <= expert < len(self.logits):
            raise errors.ConfigError(f"expert={expert} but there are {len(self.logits)} experts, counted from 0")
        if epoch not in self.epochs:
            raise errors.ConfigError(f"epoch={epoch} is not kept; epochs kept: {', '.join(map(str, self.epochs))}")
        return self.logits[expert, self.epochs.index(epoch)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bank with its SHA-256; an interrupted save leaves what was there.

        Raises:
          CheckpointError: it cannot be written.
        """
        arrays = self._arrays()
        try:
            with files.replacing(pathlib.Path(path)) as file:
                np.savez(file, allow_pickle=False, sha256=np.array(digest(arrays)), **arrays)
        except OSError as problem:
            raise errors.CheckpointError(f"cannot write the logit bank {path}: {problem.strerror}") from problem

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LogitBank":
        """Read a bank and compare its SHA-256.

        Raises:
          CheckpointError: the file is missing, unreadable, or not what was saved.
        """
        try:
            with files.opened(path) as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            saved, epochs = str(arrays.pop("sha256")), tuple(arrays.pop("epochs").tolist())
            bank = cls(epochs=epochs, classes=arrays.pop("labels"), **arrays)
            now = digest(bank._arrays())
        except Exception as problem:  # damage can surface anywhere in the zip and array readers
            reason = f"{type(problem).__name__}: {problem}".splitlines()[0]
            raise errors.CheckpointError(f"cannot read the logit bank {path} ({errors.shown(reason)})") from None
        if saved != now:
            raise errors.CheckpointError(f"the logit bank {path} is corrupt: its SHA-256 differs from the one saved")
        if problem := bank._problem():
            raise errors.CheckpointError(f"the logit bank {path} is none: {problem}")
        return bank

    def _problem(self) -> str:
        """What does not fit together, if anything: who computes a digest may still have written nonsense."""
        if (self.logits.dtype, self.image_ids.dtype, self.classes.dtype) != (np.float32, np.int32, np.int32):
            return "logits expect float32, image_ids and labels int32"
        if self.logits.ndim != 4 or self.logits.shape[1:3] != (len(self.epochs), len(self.image_ids)):
            return f"logits of shape {self.logits.shape} for {len(self.epochs)} epochs"
        if self.classes.shape != (len(self.image_ids),) or len({*self.epochs}) < len(self.epochs):
            return "labels, images and epochs that do not fit each other"
        if self.classes.size and not 0 <= self.classes.min() <= self.classes.max() < self.logits.shape[3]:
            return f"labels that are not in 0..{self.logits.shape[3] - 1}"
        return "" if np.isfinite(self.logits).all() else "logits that are not finite"

    def _arrays(self) -> dict[str, np.ndarray]:
        epochs = np.asarray(self.epochs, np.int32)
        return {"logits": self.logits, "epochs": epochs, "image_ids": self.image_ids, "labels": self.classes}


def label_rows(spec: LabelSpec, bank: LogitBank) -> Float[Array, "N K"]:
    """The finished label of every image in the bank.

    A row depends on the image's identity, class and logits, never on its position or its neighbours.

    Args:
      spec: what the labels are; its epoch must be known.
      bank: logits, identities and classes of N images.

    Returns:
      Soft labels [N, K]; rows sum to 1 unless the spec cuts them on purpose.

    Raises:
      ConfigError: the epoch is not known, or the bank does not hold what the spec asks for.
    """
    if spec.needs_teacher and spec.epoch is None:
        raise errors.ConfigError(f"label spec '{spec}' has no epoch yet; resolve it, or give it a teacher_epoch")
    cells = [bank.cell(expert, spec.epoch) for expert in spec.experts if spec.epoch is not None]
    logits = np.stack(cells) if cells else np.zeros((1, *bank.logits.shape[2:]), np.float32)
    # Without its epoch a spec is the same program for all epochs: compiled once.
    return _rows(replace(spec, epoch=None), logits, bank.classes, bank.image_ids)


@functools.partial(jax.jit, static_argnums=0)
def _rows(
    spec: LabelSpec, logits: Float[Array, "n N K"], classes: Int[Array, "N"], image_ids: Int[Array, "N"]
) -> Float[Array, "N K"]:
    def row(logits: Float[Array, "n K"], true_class: Int[Array, ""], image_id: Int[Array, ""]) -> Float[Array, "K"]:
        pooled = jax.nn.softmax(logits.mean(0)) if spec.pool == "logits" else jax.nn.softmax(logits).mean(0)
        return spec.treat(pooled, true_class, image_id)

    return jax.vmap(row, in_axes=(1, 0, 0))(logits, classes, image_ids)


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
