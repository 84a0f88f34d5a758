"""Losses: what a network minimises, written for ONE image. A public function here is one: `name(logits, row, options)`.

It is given the logits [K] of an image and its label row [K], in float32 or wider, and gives a scalar, in nats where it is
an information. The training loop maps it over a batch and takes the mean. The module is the registry.
"""

import math

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxsoft import errors
from jaxsoft.training import distances


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


def squared_error(logits: Float[Array, "K"], row: Float[Array, "K"]) -> Float[Array, ""]:
    """Brier score: sum_k (softmax(logits)_k - row_k)^2, without a unit, between 0 and 2 for rows that sum to 1.

    Reference: Brier (1950), "Verification of forecasts expressed in terms of probability".
    """
    return jnp.square(jax.nn.softmax(logits) - row).sum()


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
        raise errors.ConfigError(f"features: weight expects a finite number of 0 or more, got {weight!r}")
    if distance not in _DISTANCES:
        told = f"{', '.join(_DISTANCES)}, which compare the maps of one image"
        raise errors.ConfigError(f"features: distance expects one of {told}; got {distance!r}")
    return soft_cross_entropy(logits, row) + weight * _DISTANCES[distance](features, label_features)


_DISTANCES = {each.__name__: each for each in (distances.mse, distances.cosine, distances.mse_l2norm_channels)}
