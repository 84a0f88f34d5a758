"""Label smoothing of a given softness: what labels are measured against that may be no more than soft."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import elementwise
from scipy.special import entr


def smooth_to(
    classes: Int[np.ndarray, "S"], entropy: Float[np.ndarray, "S"], num_classes: int
) -> Float[np.ndarray, "S K"]:
    """Smoothed true classes whose entropies are given: `hard|smooth(a)`, with an amount of its own for every image.

    Args:
      classes: the true class of each image.
      entropy: in nats, for each image; what lies outside [0, log K] is taken for the nearer end.
      num_classes: K, at least 2.

    >>> smooth_to(np.array([0, 1]), np.array([0.0, np.log(2)]), 2).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """

    def softness(amount: Any) -> Any:
        rest = amount / num_classes
        return entr(1 - amount + rest) + (num_classes - 1) * entr(rest)

    wanted = np.clip(np.asarray(entropy, float), 0.0, softness(1.0))  # rounded as the search rounds, to have a root
    ends = np.zeros_like(wanted), np.ones_like(wanted)
    amount = elementwise.find_root(lambda amount, goal: softness(amount) - goal, ends, args=(wanted,)).x
    return (1 - amount)[:, None] * np.eye(num_classes)[classes] + amount[:, None] / num_classes
