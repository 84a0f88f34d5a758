"""What soft labels know beside the true class: how much of it, in how many directions, and whether it is so.

Labels are probabilities [N, K] of N images with true classes [N]. Entropies are in nats.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float, Int

from jaxsoft.analysis.statistics.inference import FEWEST, Estimate, with_error

GROUPS = 20
"""Groups of images of the jackknife."""
BINS = 15


def entropies(probabilities: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N"]:
    """Shannon entropy of each label, -sum_k p_k log p_k, from 0 to log K nats."""
    return scipy.special.entr(probabilities.astype(np.float64)).sum(-1)


def top_mass(probabilities: Float[np.ndarray, "N K"], k: int) -> Float[np.ndarray, "N"]:
    """The probability that the k most likely classes of each label hold together."""
    return np.sort(probabilities.astype(np.float64), -1)[:, -k:].sum(-1)


def effective_rank(probabilities: Float[np.ndarray, "N K"]) -> float:
    """In how many directions labels differ: exp(-sum_i q_i log q_i), q_i = s_i / sum_j s_j.

    The s_i are the singular values of the labels less their mean. Those that the rounding of the array's own type would
    give by itself are left out: nearly equal labels in half precision would else seem to differ in every direction.
    From 1 to min(N, K) - 1; 0 if all labels are equal.

    Reference: Roy and Vetterli, "The effective rank" (2007), definition 1.
    """
    exact = probabilities.astype(np.float64)
    centred = exact - exact.mean(0)
    gram = centred.T @ centred if len(centred) > centred.shape[1] else centred @ centred.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))  # singular values, sooner
    rounding = math.sqrt(float(np.mean(np.spacing(probabilities).astype(np.float64) ** 2)) / 12)
    values = values[values > rounding * sum(map(math.sqrt, probabilities.shape))]
    return float(np.exp(scipy.stats.entropy(values))) if len(values) else 0.0


def class_means(
    values: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"], how: str = "mean"
) -> Float[np.ndarray, "K K"]:
    """The mean label of each true class, one a row, or its standard errors (`sem`); NaN of too few images."""
    of_classes = pd.DataFrame(values.astype(np.float64)).groupby(labels).agg(how)
    return of_classes.reindex(range(values.shape[1])).to_numpy()


def predictions(probabilities: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    """One-hot rows of the most likely classes; their `class_means` are the confusion matrix, rows summing to 1."""
    return np.eye(probabilities.shape[1])[probabilities.argmax(-1)]


def is_at_chance(probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> bool:
    """Whether an expert is right no more often than the share of the largest class, and three binomial deviations.

    Of few images that is much: up to 49 % of 12 images of six classes.
    """
    share = np.bincount(labels).max() / len(labels)
    right = (probabilities.argmax(-1) == labels).mean()
    return bool(right <= share + 3 * math.sqrt(share * (1 - share) / len(labels)))


def off_diagonal(classes: int) -> Bool[np.ndarray, "K K"]:
    """Where a class-by-class matrix speaks of other classes than the true one."""
    return ~np.eye(classes, dtype=bool)


def alignment(
    values: Float[np.ndarray, "N K"],
    labels: Int[np.ndarray, "N"],
    others: Float[np.ndarray, "M K"],
    other_labels: Int[np.ndarray, "M"],
) -> float:
    """Pearson correlation of two class-by-class matrices of means over their off-diagonal entries.

      r = cov(A, B) / sqrt((var A - a) (var B - b)),  a and b: mean squared standard errors of the entries of A and B

    Of few images the matrices are noisy, which pulls the plain correlation towards 0, and the more so the fewer errors
    a teacher makes; r is corrected for it, and a little above 1 at times; NaN where noise explains all that varies.
    The two sets of images must not overlap, or their noise would correlate too. Classes with fewer than two images on a
    side are left out.

    Reference: Spearman, "The proof and measurement of association between two things" (1904).
    """
    sides = (values, labels), (others, other_labels)
    means, errors = (np.array([class_means(*side, how) for side in sides]) for how in ("mean", "sem"))
    noise = errors**2
    there = off_diagonal(values.shape[1]) & np.isfinite(noise).all(0)
    if there.sum() < 3:
        return math.nan
    covariance = np.cov(means[:, there], ddof=0)
    signal = np.diag(covariance) - noise[:, there].mean(1)
    # A difference of equal numbers is rounding, not signal.
    if (signal <= 1e-9 * np.diag(covariance)).any():
        return math.nan
    return float(covariance[0, 1] / np.sqrt(signal.prod()))


def calibration_error(probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"], bins: int = BINS) -> float:
    """Expected calibration error: sum_b (n_b / N) |accuracy_b - confidence_b| over bins of equal numbers of images.

    It is above 0 by chance for a calibrated teacher too, by up to 0.4 sqrt(bins / N). Images are in the order of their
    largest probability, which is the confidence.

    Reference: Guo et al., "On calibration of modern neural networks" (2017); Nixon et al. (2019) for equal masses.
    """
    confidence = probabilities.max(-1).astype(np.float64)
    gap = (probabilities.argmax(-1) == labels) - confidence
    parts = np.array_split(gap[np.argsort(confidence, kind="stable")], bins)
    return sum(abs(float(part.sum())) for part in parts) / len(labels)


def brier(probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Brier score of each image, sum_k (p_k - [k is true])^2: from 0 to 2; its mean judges accuracy and calibration."""
    truth = np.eye(probabilities.shape[1])[labels]
    return ((probabilities.astype(np.float64) - truth) ** 2).sum(-1)


def jackknife(
    statistic: Callable[..., float],
    *samples: tuple[Float[np.ndarray, "_ K"], Int[np.ndarray, "_"]],
    groups: int = GROUPS,
) -> Estimate:
    r"""A statistic with its 95 % interval over images, by leaving out one group of images at a time.

      se^2 = (G - 1) / G sum_g (s_g - mean s)^2,  interval s +- t_{0.975, G-1} se

    Not a bootstrap: images drawn twice look like structure, which moves ranks and correlations of matrices.

    Args:
      statistic: called with the arrays of all samples in turn, (probabilities, labels, probabilities, ...).
      samples: independent sets of images, of which the smallest gives n. A group has its share of every class of each.
      groups: G.

    Reference: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 11; Kott (2001) for groups.
    """
    n = min(len(labels) for _, labels in samples)
    groups = min(groups, n)
    whole = statistic(*(array for sample in samples for array in sample))
    if groups < FEWEST:
        return Estimate(whole, math.nan, math.nan, math.nan, n)
    # Ranks in the order of classes deal the images of every class out to all groups.
    turns = [scipy.stats.rankdata(labels, "ordinal") % groups for _, labels in samples]
    left = np.array([statistic(*(a[t != g] for s, t in zip(samples, turns) for a in s)) for g in range(groups)])
    return with_error(whole, float(left.std() * math.sqrt(groups - 1)), groups)._replace(n=n)
