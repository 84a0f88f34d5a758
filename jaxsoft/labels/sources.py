"""Where labels come from: a public function is a source, found by its name in a label spec; it gives fields of `LabelSpec`.

Its arguments are what the user writes. Sources whose network says logits give these too; see `LabelSpec.has_logits`.
"""

from typing import Any

from jaxsoft import errors

Fields = dict[str, Any]
_UNSET: Any = None


def hard() -> Fields:
    """The one-hot row of the true class; needs no teacher."""
    return {}


def learned() -> Fields:
    """Labels learned for the subset by gradient descent through the training of students (`config.learned`)."""
    return {"is_learned": True}


def array(file: str, logits: bool = False, rows: str = "") -> Fields:
    """Rows of another teacher, of one's own, in a file of NumPy: one for each training image, in their order.

    Args:
      file: .npy, or .npz of one array, [N, K]; sought beside the config, then in the current folder.
      logits: whether the rows are logits, of which the softmax is taken; else they are probabilities.
      rows: the digest of the rows, by which results know them; if given, the file must hold these.
    """
    _require(file != "", "array: a file must be named", file)
    return {"file": file, "is_logits": logits, "rows": rows}


def teacher(
    expert: int = 0,
    epoch: int = _UNSET,
    accuracy: float = _UNSET,
    entropy: float = _UNSET,
    views: int = 0,
    features: int = _UNSET,
) -> Fields:
    """The softmax of one expert's logits.

    Args:
      expert: which expert, from 0.
      epoch: index into its trajectory, 0 is the initialisation; or
      accuracy: the first epoch whose validation accuracy (a fraction) is at least this; or
      entropy: the first epoch whose mean label entropy (nats) is at most this. None of them leaves the epoch open.
      views: how many augmented views of each image are labelled, one after the other epoch by epoch; the student sees
        the view that the label is of. 0: one label, of the image as it is.
      features: the label holds the expert's feature map of the image after this block too, counted as Python does, -1
        the last. What is done to rows leaves it as it is; a loss such as `features` compares the student's own to it.

    Raises:
      ConfigError: an argument is out of range, more than one says when, or there are both views and features.
    """
    _require(expert >= 0, "teacher: expert must be 0 or more", expert)
    when: Fields = {"epoch": epoch, "accuracy": accuracy, "entropy": entropy}
    return {"experts": (expert,), "views": views, "features": features} | when


def teachers(
    n: int = 3,
    pool: str = "logits",
    epoch: int = _UNSET,
    accuracy: float = _UNSET,
    entropy: float = _UNSET,
    views: int = 0,
) -> Fields:
    """The experts 0..n-1 pooled: the softmax of their mean logits, or the mean of their probabilities.

    Args:
      n: how many experts, 1 to 1000.
      pool: `logits` or `probabilities`.
      epoch, accuracy, entropy, views: as for `teacher`; accuracy and entropy are means over the experts.
    """
    _require(1 <= n <= 1000, "teachers: n must be in 1..1000", n)
    _require(pool in ("logits", "probabilities"), "teachers: pool must be logits or probabilities", pool)
    pooled: Fields = {"experts": tuple(range(n)), "pool": pool if n > 1 else "logits"}
    return pooled | {"views": views, "epoch": epoch, "accuracy": accuracy, "entropy": entropy}


def _require(holds: bool, rule: str, got: Any) -> None:
    if not holds:
        raise errors.ConfigError(f"{rule}, got {got!r}")
