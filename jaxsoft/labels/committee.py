"""Committees: experts whose logits are summed, each with a weight of its own.

Reference: Cui et al. (2025), "Dataset Distillation via Committee Voting", section 3: weights by prior performance, and, to
compare with, equal and random ones.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Float64, Int
from scipy.special import softmax

from jaxsoft import rng
from jaxsoft.rng import Stream

POOLS = "prior", "equal", "random"
"""How the experts of a committee are weighed."""
WHOSE = "students", "experts"
"""Whose validation accuracies may be the prior."""
TAU = 10.0


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
