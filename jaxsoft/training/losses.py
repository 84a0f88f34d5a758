"""Losses: what a network minimises, written for ONE image. A public function here is one: `name(logits, row, options)`.

It is given the logits [K] of an image and its label row [K], in float32 or wider, and gives a scalar, in nats where it is
an information. The training loop maps it over a batch and takes the mean. The module is the registry.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


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
