"""Whether a network that knows the data set sees in a set's images the classes that its labels say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import binom

from jaxsoft import errors
from jaxsoft.training.matching import BETTER, CERTAIN, Measured, measured, reordering
from jaxsoft.types import Dataset

Ask = Callable[[Any], Float[np.ndarray, "N K"]]
"""Gives logits of images, uint8 or float in [0, 1], for the data set's classes."""

FITS, REORDERED, REARRANGED, AT_CHANCE, UNTOLD = "fits", "another order", "rearranged", "at chance", "cannot be told"
_AS_THEY_ARE = "as they are"
_MOST = 2000  # validation images that the network is asked about


class Verdict(NamedTuple):
    """What a network says of a set.

    Attributes:
      verdict: `fits`, `another order`, `rearranged`, `at chance`, or `cannot be told`.
      accuracy: the share of the images that it sees in their class, as they are.
      known: the same of validation images; NaN if there are none.
      classes: for each class of the set that of the data set, if the order is another one.
      arrangement: of pixels, in which the images are seen, if it is another one.
      lines: what a user should know.
    """

    verdict: str
    accuracy: float
    known: float
    classes: tuple[int, ...]
    arrangement: str
    lines: tuple[str, ...]


def check_order(
    images: Shaped[np.ndarray, "N H W C"], labels: Int[np.ndarray, "N"], dataset: Dataset, ask: Ask
) -> Verdict:
    """What a network says of the classes of a set.

    Args:
      images: N >= 1, uint8 or floats in units of [0, 1]; what leaves [0, 1] is clipped before it is shown.
      labels: their classes, 0 to K - 1.
      dataset: that they are said to be of.
      ask: the network, taught on the data set.

    Raises:
      ConfigError: it sees other classes in them, or none; says what would fit, and how to go on.
    """
    found = seen(images, labels, dataset, ask)
    if found.verdict in (FITS, UNTOLD):
        return found
    ways = {
        REORDERED: f"--classes={','.join(map(str, found.classes))} takes that order",
        REARRANGED: "write the files again in that arrangement",
        AT_CHANCE: "usual reasons: another data set, another space of the images (--space), classes in another order",
    }
    raise errors.ConfigError(f"{found.lines[0]}; {ways[found.verdict]}; --no_order goes on without this check")


def seen(images: Shaped[np.ndarray, "N H W C"], labels: Int[np.ndarray, "N"], dataset: Dataset, ask: Ask) -> Verdict:
    """As `check_order`, but whatever is found is told and nothing refused."""
    pixels = images if images.dtype == np.uint8 else images.clip(0, 1).astype(np.float32)
    logits = {name: ask(each) for name, each in _arrangements(pixels).items()}
    own, known = measured(logits[_AS_THEY_ARE], labels), _known(dataset, ask)
    right = {name: each.argmax(axis=1) == labels for name, each in logits.items()}
    better = [name for name in right if _is_better(right[name], right[_AS_THEY_ARE])]
    told = f"a network that is right about {known:.1%} of validation images is right about {own.accuracy:.1%}"
    told += f" of the {own.images:,} images of the set"
    result = Verdict(FITS, own.accuracy, known, (), "", (told,))
    best = max(better, key=lambda name: right[name].mean(), default="")
    if best and not right[best].mean() < own.reordered:
        line = f"{told}, and about {right[best].mean():.1%} with {best}"
        return result._replace(verdict=REARRANGED, arrangement=best, lines=(line,))
    if own.order:
        line = f"{told}; {reordering(own, dataset.class_names)}"
        return result._replace(verdict=REORDERED, classes=tuple(np.argsort(own.order).tolist()), lines=(line,))
    if own.is_at_chance:
        return result._replace(**_doubted(own, known, told))
    return result


def _doubted(own: Measured, known: float, told: str) -> dict[str, Any]:
    """At chance, if a set that fits would hardly be seen so badly: half as well as photographs are."""
    told += f", which is no better than the {own.chance:.1%} of chance"
    if binom.cdf(own.correct, own.images, known / 2) < CERTAIN and known / 2 > own.chance:
        return {"verdict": AT_CHANCE, "lines": (told,)}
    return {"verdict": UNTOLD, "lines": (f"{told}; so few images, or such a network, cannot tell",)}


def _known(dataset: Dataset, ask: Ask) -> float:
    """The network's accuracy on validation images."""
    labels = np.asarray(dataset.validation.labels[:_MOST])
    if not len(labels):
        return float("nan")
    return measured(ask(np.asarray(dataset.validation.images[:_MOST])), labels).accuracy


def _arrangements(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The images as they are, and as they would be if pixels had been stored in another order."""
    found = {_AS_THEY_ARE: pixels}
    if pixels.shape[3] == 3:
        found["red and blue exchanged"] = pixels[..., ::-1]
    if pixels.shape[1] == pixels.shape[2]:
        found["rows and columns exchanged"] = pixels.swapaxes(1, 2)
    return {name: np.ascontiguousarray(each) for name, each in found.items()}


def _is_better(one: Bool[np.ndarray, "N"], other: Bool[np.ndarray, "N"]) -> bool:
    """Whether the first is right far more often, of the images that only one of the two is right about."""
    won, lost = int((one & ~other).sum()), int((other & ~one).sum())
    return won - lost > BETTER * len(one) and bool(binom.sf(won - 1, won + lost, 0.5) < CERTAIN)
