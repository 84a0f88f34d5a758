"""What a network says of labelled images, and whether its classes are ours in another order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from scipy.stats import binom, entropy

from jaxsoft.data.classes import rank

CERTAIN = 1e-3  # how seldom chance may do as well
BETTER = 0.05  # how much another order of classes has to gain


class Measured(NamedTuple):
    """What a network says about labelled images.

    Attributes:
      images, correct: how many there are, and how many of them it is right about.
      chance: the share of the most frequent class.
      entropy: of its labels, in nats; mean.
      order: for each class of the network that of ours which it may mean, if that is far better; else none.
      reordered: the accuracy with that order, on images that it was not chosen on.
    """

    images: int
    correct: int
    chance: float
    entropy: float
    order: tuple[int, ...]
    reordered: float

    @property
    def accuracy(self) -> float:
        """A fraction."""
        return self.correct / self.images

    @property
    def is_at_chance(self) -> bool:
        """Whether always naming the most frequent class does as well more than once in a thousand times."""
        return bool(binom.sf(self.correct - 1, self.images, self.chance) > CERTAIN)


def measured(logits: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> Measured:
    """Compare logits with true classes; another order of the classes is sought on every second image of a class.

    >>> found = measured(np.eye(3)[[1, 2, 0] * 40] * 9.0, np.array([0, 1, 2] * 40))
    >>> found.accuracy, found.order, found.reordered
    (0.0, (2, 0, 1), 1.0)
    """
    said, classes = logits.argmax(1), logits.shape[1]
    right, chance = said == labels, float(np.bincount(labels).max() / len(labels))
    rest = rank(labels) % 2 == 1
    table = np.zeros((classes, classes), int)
    np.add.at(table, (said[~rest], labels[~rest]), 1)
    order = linear_sum_assignment(-table)[1]
    again = order[said[rest]] == labels[rest]
    least = max(chance, float(right[rest].mean()) if again.size else 1.0)
    is_better = again.size and again.mean() > least + BETTER and binom.sf(again.sum() - 1, again.size, least) < CERTAIN
    own = (tuple(order.tolist()), float(again.mean())) if is_better else ((), 0.0)
    return Measured(len(labels), int(right.sum()), chance, float(entropy(softmax(logits, 1), axis=1).mean()), *own)


def reordering(found: Measured, class_names: Sequence[str]) -> str:
    """What is said of another order of classes; nothing if none is far better."""
    if not found.order:
        return ""
    moved = [f"{ours} ({class_names[ours]}) is its {own}" for own, ours in enumerate(found.order) if own != ours]
    more = ", ..." if len(moved) > 4 else ""
    told = f"in another order of the classes it is right about {found.reordered:.1%}, and in this one about "
    return f"{told}{found.accuracy:.1%}: {', '.join(moved[:4])}{more}"
