"""Committees: experts whose logits are summed, each with a weight of its own.

Reference: Cui et al. (2025), "Dataset Distillation via Committee Voting", section 3: weights by prior performance, and, to
compare with, equal and random ones.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Float64
from scipy.special import softmax

POOLS = "prior", "equal", "random"
"""How the experts of a committee are weighed."""
SOURCES = "students", "experts"
"""Whose validation accuracies may be the prior."""
TAU = 10.0


def weights(prior: Sequence[float], tau: float = TAU) -> Float64[np.ndarray, "n"]:
    """The weight of each expert, softmax(prior / tau); they sum to 1.

    Args:
      prior: of each expert, an accuracy in percent.
      tau: temperature, in points; large ones make weights equal.

    >>> weights((50.0, 60.0)).round(3).tolist()
    [0.269, 0.731]
    """
    return softmax(np.asarray(prior, np.float64) / tau)


def random_weights(key: Array, n: int) -> Float[Array, "n"]:
    """Weights drawn anew: n uniform numbers, divided by their sum."""
    drawn = jax.random.uniform(key, (n,))
    return drawn / drawn.sum()


def weighed(logits: Float[Array, "n *b K"], weights: Float[Array, "n"]) -> Float[Array, "*b K"]:
    """The weighted sum of experts' logits, as they stand: those of an expert with large ones count for more."""
    return (logits * weights.reshape(-1, *[1] * (logits.ndim - 1))).sum(0)
