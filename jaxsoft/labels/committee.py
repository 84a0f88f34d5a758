"""Committees: experts whose logits are summed, each with a weight of its own; of which prior, and what it gives.

Reference: Cui et al. (2025), "Dataset Distillation via Committee Voting", section 3: weights by prior performance, and, to
compare with, equal and random ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int
from scipy.special import softmax

from jaxsoft import errors, rng
from jaxsoft.labels.sources import TAU
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.rng import Stream
from jaxsoft.types import History


def weights(prior: Sequence[int | float], tau: float = TAU) -> Float64[np.ndarray, "n"]:
    """The weight of each expert, softmax(prior / tau); they sum to 1.

    Args:
      prior: of each expert, an accuracy in percent.
      tau: temperature, in points; large ones make weights equal.

    >>> weights((50.0, 60.0)).round(3).tolist()
    [0.269, 0.731]
    """
    return softmax(np.asarray(prior, np.float64) / tau)


def random_weights(image: Int[Array, ""], view: Int[Array, ""], n: int) -> Float[Array, "n"]:
    """Weights drawn anew for a view of an image, known by its position in train: n uniform numbers over their sum."""
    drawn = jax.random.uniform(rng.key(0, Stream.POOL, image, view), (n,))
    return drawn / drawn.sum()


def weighed(logits: Float[Array, "n *b K"], weights: Float[Array, "n"] | Float[Array, "n *b"]) -> Float[Array, "*b K"]:
    """The weighted sum of experts' logits, as they stand: those of an expert with large ones count for more."""
    return (logits * weights.reshape(*weights.shape, *[1] * (logits.ndim - weights.ndim))).sum(0)


def alone(spec: LabelSpec) -> tuple[LabelSpec, ...]:
    """The same labels of each expert of a committee alone.

    >>> [str(one) for one in alone(LabelSpec.parse("committee(2, epoch=5)|temperature(20)"))]
    ['teacher(epoch=5)|temperature(20)', 'teacher(expert=1, epoch=5)|temperature(20)']
    """
    one = replace(bare(spec), pool="logits", epoch=spec.epoch)
    return tuple(replace(one, experts=(expert,)) for expert in spec.experts)


def bare(spec: LabelSpec) -> LabelSpec:
    """A spec without its epoch and its prior: the same program serves all of them, and is compiled once."""
    return replace(spec, epoch=None, prior="", tau=TAU)


def judged_by(spec: LabelSpec, histories: Mapping[int, History] | Sequence[History]) -> LabelSpec:
    """Turn the prior `experts` into their validation accuracies at the epoch, in percent; other specs stay as they are.

    Raises:
      ConfigError: these are not known.
    """
    if spec.prior != "experts":
        return spec
    known = [[r["val_accuracy"] for r in histories[e] if r["epoch"] == spec.epoch] for e in spec.experts]
    if [None] in known or [] in known:
        raise errors.ConfigError(f"label spec '{spec}' weighs experts by validation accuracies that are not known")
    return replace(spec, prior=tuple(100.0 * accuracy for (accuracy,) in known))


def fixed_weights(spec: LabelSpec) -> Float[Array, "n"] | None:
    """The weight of each expert of a committee whose prior is in numbers; None where none is fixed.

    Raises:
      ConfigError: the prior of the committee is not in numbers yet.
    """
    if spec.pool != "prior":
        return None
    if not isinstance(spec.prior, tuple):
        raise errors.ConfigError(f"label spec '{spec}' has no prior in numbers yet: {spec.prior} give it")
    return jnp.asarray(weights(spec.prior, spec.tau), jnp.float32)


def drawn(
    spec: LabelSpec, fixed: Float[Array, "n"] | None, images: Int[Array, "*N"], views: Int[Array, "*N"]
) -> Float[Array, "n *N"] | Float[Array, "n"] | None:
    """The weights of experts for views of images: drawn where the committee is `random`, else those that are fixed."""
    if spec.pool != "random":
        return fixed
    draw = jax.vmap(random_weights, (0, 0, None), 1) if images.ndim else random_weights
    return draw(images, views, len(spec.experts))
