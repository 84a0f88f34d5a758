"""What students and experts minimise."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float


def soft_cross_entropy(logits: Float[Array, "B K"], rows: Float[Array, "B K"]) -> Float[Array, "B"]:
    """Cross-entropy of each prediction against its soft label as it stands.

      loss_b = -sum_k rows_bk log_softmax(logits_b)_k

    A row that was cut is not renormalised: its image then weighs less, by the mass that is missing.

    Args:
      logits: predictions [B, K].
      rows: soft labels [B, K]; one-hot rows give the usual cross-entropy.

    Returns:
      Loss of each image [B], in nats, and in float32 or wider.
    """
    return optax.softmax_cross_entropy(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), rows)


def masked_mean(values: Float[Array, "B"], mask: Bool[Array, "B"]) -> Float[Array, ""]:
    """Mean over the real images of a padded batch; what the padding holds, NaN included, does not count.

    Args:
      values: one number per image [B].
      mask: which of them are real [B].

    Returns:
      The mean, scalar; 0 when no image is real.
    """
    return jnp.where(mask, values, 0.0).sum() / jnp.maximum(mask.sum(), 1)
