"""Scores of the field for distilled sets: how much of an accuracy is owed to images, how much to labels and augmentation.

Each takes the accuracies of runs, as fractions of 1, and gives one value a run: `published` has what papers report of
them, `inference.estimate` an interval.

Reference: Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation" (2025).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxsoft import errors

Runs = Float[np.ndarray, "..."]
"""One value a run, the last axis, of one set or of several."""
Given = float | Runs  # or one for all runs


class LabelScores(NamedTuple):
    """HLR, what a set lacks with hard labels, a fraction; IOR, what it has over random images, a fraction; LRS, in [0, 1]."""

    hlr: Runs
    ior: Runs
    lrs: Runs


class AugmentationScores(NamedTuple):
    """What a set has over random images with augmentation and without, fractions; ARS, in [0, 1]."""

    augmented: Runs
    plain: Runs
    ars: Runs


def label_scores(real_hard: Given, own_hard: Given, own: Given, random: Given, weight: float = 0.5) -> LabelScores:
    """Hard-label recovery, improvement over random, and the label-robust score that weighs both.

    HLR = real_hard - own_hard, IOR = own - random, LRS = `score` of weight IOR - (1 - weight) HLR.

    Args:
      real_hard: accuracy with all real images and their true classes.
      own_hard: with the set's images and hard labels.
      own: with the set's images and whatever labels.
      random: with as many random real images and labels, loss and augmentation of that kind.
      weight: of IOR, in [0, 1]; published tables have 0.5.

    Raises:
      DataError: an accuracy is no fraction of 1.

    >>> [round(float(value), 3) for value in label_scores(0.85, 0.5, 0.65, 0.55)]
    [0.35, 0.1, 0.219]
    """
    real_hard, own_hard, own, random = map(_fractions, (real_hard, own_hard, own, random))
    hlr, ior = np.asarray(real_hard - own_hard), np.asarray(own - random)
    return LabelScores(hlr, ior, score(weight * ior - (1 - weight) * hlr))


def augmentation_scores(
    own: Given, random: Given, own_plain: Given, random_plain: Given, weight: float = 0.5
) -> AugmentationScores:
    """The improvement over random images with augmentation and without, and the augmentation-robust score.

    ARS = `score` of weight (own - random) + (1 - weight) (own_plain - random_plain), `plain` without augmentation.

    Raises:
      DataError: an accuracy is no fraction of 1.
    """
    own, random, own_plain, random_plain = map(_fractions, (own, random, own_plain, random_plain))
    augmented, plain = np.asarray(own - random), np.asarray(own_plain - random_plain)
    return AugmentationScores(augmented, plain, score(weight * augmented + (1 - weight) * plain))


def score(alpha: Given) -> Runs:
    """(e^alpha - e^-1) / (e - e^-1): from 0 at -1 to 1 at 1, for differences of fractions; 0.269 at 0.

    >>> [round(float(score(alpha)), 4) for alpha in (-1.0, 0.0, 1.0, -35.0)]  # the last of percentages
    [0.0, 0.2689, 1.0, -0.1565]
    """
    return np.asarray((np.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1)))


def published(values: Float[np.ndarray, "*sets R"]) -> tuple[Float[np.ndarray, "*sets"], Float[np.ndarray, "*sets"]]:
    """Mean and population standard deviation over runs, the last axis, as published tables have them."""
    return np.asarray(values.mean(-1)), np.asarray(values.std(-1))


def _fractions(accuracy: Given) -> Float[np.ndarray, "..."]:
    found = np.asarray(accuracy, float)
    if (wrong := found[(found < 0) | (found > 1)]).size:
        told = f"scores take accuracies as fractions of 1, got {wrong.flat[0]:g}"
        raise errors.DataError(f"{told}; a percentage is divided by 100 before")
    return found
