"""Where labels come from: a public function is a source, found by its name in a label spec; it gives fields of `LabelSpec`.

Its arguments are what the user writes. Sources whose network says logits give these too; see `LabelSpec.has_logits`.
"""

import math
from typing import Any

from jaxsoft import errors
from jaxsoft.training import mixing

Fields = dict[str, Any]
_UNSET: Any = None
POOLS = "prior", "equal", "random"
"""How the experts of a committee are weighed."""
WHOSE = "students", "experts"
"""Whose validation accuracies may be the prior."""
TAU = 10.0
"""The temperature of a committee where none is said, in points."""


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
    mix: str = "",
    online: bool = False,
    statistics: str = "running",
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
      mix: what a view has of another image: `cutmix`, `mixup` or `none` of `jaxsoft/training/mixing.py`, with arguments
        as in "mixup(0.4)". If not given, `cutmix` with `views`, and `none` with `online`.
      online: whether the expert is asked at every step, of the very pixels that the student sees: those of its
        augmentation, and with a `mix` of a new view in each epoch.
      statistics: what batch norm goes by: `running` averages, or those of a `batch`: the images of a subset, or their
        views of one number, are asked about in batches as large as a student's, in an order drawn from the seed of the
        subset, each in two halves. An image then has another label in every subset.
      features: the label holds the expert's feature map of the image after this block too, counted as Python does, -1
        the last. What is done to rows leaves it as it is; a loss such as `features` compares the student's own to it.

    Raises:
      ConfigError: an argument is out of range, more than one says when, or features are to be of views or online.
    """
    _require(expert >= 0, "teacher: expert must be 0 or more", expert)
    seen = _seen(views, mix, online, statistics)
    told = (
        "teacher: feature maps are of images as they are; with features, wanted neither views nor online nor statistics"
    )
    shown = f"views={views}, online={str(online).lower()}, statistics={statistics}"
    _require(features is None or not (views or online or statistics != "running"), told, shown)
    when: Fields = {"epoch": epoch, "accuracy": accuracy, "entropy": entropy}
    return {"experts": (expert,), "features": features, **when, **seen}


def teachers(
    n: int = 3,
    pool: str = "logits",
    epoch: int = _UNSET,
    accuracy: float = _UNSET,
    entropy: float = _UNSET,
    views: int = 0,
    mix: str = "",
    online: bool = False,
    statistics: str = "running",
) -> Fields:
    """The experts 0..n-1 pooled: the softmax of their mean logits, or the mean of their probabilities.

    What is not told here is as for `teacher`; accuracy and entropy are means over the experts.

    Args:
      n: how many experts, 1 to 1000.
      pool: `logits` or `probabilities`.
    """
    experts = _first(n, "teachers")
    _require(pool in ("logits", "probabilities"), "teachers: pool must be logits or probabilities", pool)
    pooled: Fields = {"experts": experts, "pool": pool if n > 1 else "logits"}
    return pooled | {"epoch": epoch, "accuracy": accuracy, "entropy": entropy} | _seen(views, mix, online, statistics)


def committee(
    n: int = 3,
    pool: str = "prior",
    prior: str | tuple = "students",
    tau: float = TAU,
    epoch: int = _UNSET,
    accuracy: float = _UNSET,
    entropy: float = _UNSET,
    views: int = 0,
    mix: str = "",
    statistics: str = "running",
) -> Fields:
    """The softmax of a weighted sum of the logits of the experts 0..n-1, with weights softmax(prior / tau).

    Equal weights are `teachers(n)`, and a committee of one is its expert: results call them so. What is not told here is
    as for `teachers`.

    Args:
      n: how many experts, 1 to 1000.
      pool: `prior`; `equal`; or `random`, for each image, or view, n uniform numbers divided by their sum.
      prior: an accuracy in percent for each expert, such as (56.4, 42.3, 52.5); or whose validation accuracies: those of
        the `experts` themselves, or of `students` of the subset, trained on the same labels of each expert alone.
      tau: in points, above 0; the larger, the more equal are the weights.

    Raises:
      ConfigError: an argument is out of range or has no effect.

    Reference: Cui et al. (2025), "Dataset Distillation via Committee Voting", section 3.
    """
    experts = _first(n, "committee")
    _require(pool in POOLS, "committee: pool must be prior, equal or random", pool)
    _require(0 < tau < math.inf, "committee: tau must be above 0 points", tau)
    idle = prior if prior != "students" else tau if tau != TAU else None
    _require(pool == "prior" or idle is None, f"committee: pool={pool} has neither prior nor tau", idle)
    own: Fields = {"prior": _prior(prior, n), "tau": tau} if pool == "prior" else {}
    when = {"epoch": epoch, "accuracy": accuracy, "entropy": entropy}
    asked = {"experts": experts, **when, **_seen(views, mix, False, statistics)}
    return asked if pool == "equal" or n == 1 else {"pool": pool, **own, **asked}


def imported(name: str, weights: str = "", views: int = 0, mix: str = "") -> Fields:
    """The softmax of the logits of a network that another program trained, as `jaxsoft teacher import` keeps it.

    Its views are those of `teacher`.

    Args:
      name: of the teacher, or the path of its folder.
      weights: the digest of network and weights, by which results know it; if given, the folder must hold these.
    """
    _require(name != "", "imported: a teacher must be named", name)
    return {"imported": name, "weights": weights, **_seen(views, mix, False, "running")}


def distilled(name: str, logits: bool = False, weights: str = "") -> Fields:
    """The labels of an imported set, by slot: the j-th image of a class has that of the set's j-th image of the class.

    They go with the set's own images, and as well with as many others.

    Args:
      name: of the set, or the path of its folder, as `jaxsoft import` keeps it.
      logits: whether they are logits, of which the softmax is taken; the set says so.
      weights: the digest of the set, by which results know it; if given, the folder must hold this.
    """
    _require(name != "", "distilled: a set must be named", name)
    return {"distilled": name, "is_logits": logits, "weights": weights}


def _prior(prior: Any, n: int) -> Any:
    """A prior in its one spelling, if it is one of n experts."""
    if not isinstance(prior, tuple):
        _require(prior in WHOSE, "committee: prior must be students, experts or percents", prior)
        return prior
    fits = len(prior) == n and all(type(p) in (int, float) and 0 <= p <= 100 for p in prior)
    _require(fits, f"committee: prior must be {n} percents in 0..100, one for each expert", prior)
    return tuple(int(p) if p == int(p) else p for p in prior)


def _first(n: int, source: str) -> tuple[int, ...]:
    """The experts 0..n-1."""
    _require(1 <= n <= 1000, f"{source}: n must be in 1..1000", n)
    return tuple(range(n))


def _seen(views: int, mix: str, online: bool, statistics: str) -> Fields:
    """Of what a label is, if not of the image as it is; the usual way to mix is not told."""
    _require(not (views and online), "give one of views and online", f"views={views} and online=true")
    _require(not mix or bool(views) or online, "mix is of views, give views= or online=true", f"mix={mix}")
    _require(statistics in ("running", "batch"), "statistics must be running or batch", statistics)
    told = "statistics=batch are those of label batches, which online labels have none of; leave one of them out"
    _require(not (online and statistics == "batch"), told, "online=true")
    usual = mixing.CUTMIX if views else mixing.NONE
    mix = mixing.canonical(mix or usual)
    return {"views": views, "mix": "" if mix == usual else mix, "online": online, "statistics": statistics}


def _require(holds: bool, rule: str, got: Any) -> None:
    if not holds:
        raise errors.ConfigError(f"{rule}, got {got!r}")
