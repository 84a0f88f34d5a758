"""Losses: what a network minimises, written for ONE image. A public function here is one: `name(logits, label, options)`.

It is given the logits [K] of an image, in float32 or wider, and by the names of its parameters what it wants of the
label: `row`, probabilities [K], or `label_logits` [K]; `true_class`, a whole number; `features` with `label_features`,
the student's feature map [h, w, c] and the label's. It gives a scalar, in nats where it is an information. The training
loop maps it over a batch and takes the mean. The module is the registry.

Where the target is fixed, `kl` and the cross-entropy of the same row differ by the row's entropy, and so have the same
gradient: they are one way to train.
"""

import math

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Int

from jaxsoft import errors
from jaxsoft.training import distances

_SHORTEST = 1e-8  # length below which a vector has no direction
_DISTANCES = {each.__name__: each for each in (distances.mse, distances.cosine, distances.mse_l2norm_channels)}


def soft_cross_entropy(logits: Float[Array, "*b K"], row: Float[Array, "*b K"]) -> Float[Array, "*b"]:
    """Cross-entropy of a prediction against a soft label as it stands, in nats.

      loss = -sum_k row_k log_softmax(logits)_k

    A row that was cut is not renormalised: its image then weighs less, by the mass that is missing.

    Args:
      logits: predictions [..., K].
      row: soft labels [..., K]; one-hot rows give the usual cross-entropy.

    Returns:
      Loss of each image [...], in float32 or wider.
    """
    return optax.softmax_cross_entropy(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), row)


def cross_entropy(logits: Float[Array, "K"], true_class: Int[Array, ""], smoothing: float = 0.0) -> Float[Array, ""]:
    """Cross-entropy against the true class, whatever the label says, in nats.

    The target is the class smoothed: 1 - smoothing + smoothing / K there, and smoothing / K elsewhere.
    """
    _require(0 <= smoothing <= 1, "cross_entropy: smoothing must be in [0, 1]", smoothing)
    hard = jax.nn.one_hot(true_class, logits.size, dtype=logits.dtype)
    return soft_cross_entropy(logits, (1 - smoothing) * hard + smoothing / logits.size)


def squared_error(logits: Float[Array, "K"], row: Float[Array, "K"]) -> Float[Array, ""]:
    """Brier score: sum_k (softmax(logits)_k - row_k)^2, without a unit, between 0 and 2 for rows that sum to 1.

    Reference: Brier (1950), "Verification of forecasts expressed in terms of probability".
    """
    return jnp.square(jax.nn.softmax(logits) - row).sum()


def kl(logits: Float[Array, "K"], row: Float[Array, "K"], t: float = 1.0, scaled: bool = False) -> Float[Array, ""]:
    """KL(q || p) in nats, q and p being label and prediction at temperature `t`: q ~ row^(1/t), p = softmax(logits / t).

    `scaled` multiplies by t^2, so that the gradient does not shrink with the temperature. Entries of zero stay zero; a row of
    zeros gives 0.

    Reference: Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network", section 2.
    """
    _require(t > 0, "kl: t must be above 0", t)
    some = row.max() > 0
    q = jnp.where(some, jax.nn.softmax(jnp.log(jnp.where(some, row, 1.0)) / t), 0.0)
    loss = (xlogy(q, q) - q * jax.nn.log_softmax(logits / t)).sum()
    return t * t * loss if scaled else loss


def mse(logits: Float[Array, "K"], label_logits: Float[Array, "K"]) -> Float[Array, ""]:
    """Mean squared difference of logits: sum_k (logits_k - label_logits_k)^2 / K.

    Reference: Ba and Caruana (2014), "Do Deep Nets Really Need to be Deep?", section 2.
    """
    return jnp.square(logits - label_logits).mean()


def mse_gt(
    logits: Float[Array, "K"], label_logits: Float[Array, "K"], true_class: Int[Array, ""], ce: float = 0.1
) -> Float[Array, ""]:
    """`mse` plus `ce` times the cross-entropy against the true class.

    Reference: Chen et al. (2024), "A Large-Scale Study on Video Action Dataset Condensation", evaluation.
    """
    _require(ce >= 0, "mse_gt: ce must be 0 or more", ce)
    return mse(logits, label_logits) + ce * cross_entropy(logits, true_class)


def cosine(logits: Float[Array, "K"], label_logits: Float[Array, "K"]) -> Float[Array, ""]:
    """1 - cos(logits, label_logits), between 0 and 2: scale does not matter, a constant that is added does."""
    return 1 - (_direction(logits) * _direction(label_logits)).sum()


def gift(
    logits: Float[Array, "K"],
    label_logits: Float[Array, "K"],
    true_class: Int[Array, ""],
    gamma: float = 0.1,
    alpha: float = 0.1,
) -> Float[Array, ""]:
    """`cosine` with a refined label: u(label_logits) + gamma u(s), where u has length 1 and s smooths the true class.

    s is 1 - alpha on the true class and alpha / (K - 1) elsewhere.

    Reference: Shang et al. (2025), "GIFT: Unlocking Full Potential of Labels in Distilled Dataset at Near-zero Cost".
    """
    _require(gamma >= 0, "gift: gamma must be 0 or more", gamma)
    _require(0 <= alpha <= 1, "gift: alpha must be in [0, 1]", alpha)
    return cosine(logits, _refined(label_logits, true_class, gamma, alpha))


def features(
    logits: Float[Array, "K"],
    row: Float[Array, "K"],
    features: Float[Array, "h w c"],
    label_features: Float[Array, "h w c"],
    weight: float = 0.1,
    distance: str = "mse",
) -> Float[Array, ""]:
    """Soft cross-entropy, and beside it how far a feature map of the student is from the one that the label holds.

      loss = soft_cross_entropy(logits, row) + weight * distance(features, label_features)

    A cross-entropy in nats and a term without a unit; `weight` is finite, 0 or more, `distance` one of mse, cosine and
    mse_l2norm_channels (`jaxsoft/training/distances.py`). Labels with features are `teacher(epoch=20, features=-1)`.

    Reference: Wang et al. (2024), "DRUPI: Dataset Reduction Using Privileged Information", whose code trains so with
    weights of 0.01 to 0.1. Its distance `mmd_rbf` compares the sets of a batch, and is no function of one image.
    """
    if not 0 <= weight < math.inf:
        raise errors.ConfigError(f"features: weight must be finite and 0 or more, got {weight!r}")
    if distance not in _DISTANCES:
        told = f"{', '.join(_DISTANCES)}, which compare the maps of one image"
        raise errors.ConfigError(f"features: distance expects one of {told}; got {distance!r}")
    return soft_cross_entropy(logits, row) + weight * _DISTANCES[distance](features, label_features)


def _refined(
    label_logits: Float[Array, "K"], true_class: Int[Array, ""], gamma: float, alpha: float
) -> Float[Array, "K"]:
    """What GIFT makes of label logits; a label of zeros says nothing, and what is left is the smoothed class."""
    hard = jax.nn.one_hot(true_class, label_logits.size, dtype=label_logits.dtype)
    smoothed = (1 - alpha) * hard + alpha / (label_logits.size - 1) * (1 - hard)
    return _direction(label_logits) + gamma * _direction(smoothed)


def _direction(vector: Float[Array, "K"]) -> Float[Array, "K"]:
    """The vector at length 1; 0 stays 0, and has a finite gradient."""
    return vector / jnp.sqrt(jnp.maximum(jnp.square(vector).sum(), _SHORTEST**2))


def _require(holds: bool, rule: str, got: float) -> None:
    if not holds:
        raise errors.ConfigError(f"{rule}, got {got!r}")
