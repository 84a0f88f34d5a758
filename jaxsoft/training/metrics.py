"""Numbers that describe predictions and labels. Entropies and divergences are in nats."""

import jax.numpy as jnp
from jax.scipy import special
from jaxtyping import Array, Bool, Float, Int


def correct_count(
    logits: Float[Array, "B K"], labels: Int[Array, "B"], mask: Bool[Array, "B"] | None = None
) -> Int[Array, ""]:
    """How many images are predicted correctly: the sum over batches divided by the images is the accuracy.

    Args:
      logits: predictions [B, K]; of equal logits the lower class is predicted.
      labels: true classes [B].
      mask: which images of a padded batch are real [B]; all of them when absent.

    Returns:
      A count, scalar integer.
    """
    correct = logits.argmax(-1) == labels
    return (correct if mask is None else correct & mask).sum()


def entropy(probabilities: Float[Array, "*rows K"]) -> Float[Array, "*rows"]:
    """Shannon entropy `-sum_k p_k log p_k`, with 0 log 0 = 0.

    Args:
      probabilities: rows [..., K] that sum to 1.

    Returns:
      Entropy of each row [...] in nats, between 0 and log K.

    >>> import jax
    >>> float(entropy(jax.numpy.array([0.5, 0.5, 0.0])))
    0.6931471824645996
    """
    return special.entr(probabilities).sum(-1)


def js_divergence(p: Float[Array, "*rows K"], q: Float[Array, "*rows K"]) -> Float[Array, "*rows"]:
    """Jensen-Shannon divergence: how far two labels lie from their mean.

      JS(p, q) = KL(p || m) / 2 + KL(q || m) / 2,  m = (p + q) / 2

    Args:
      p: rows [..., K] that sum to 1.
      q: rows [..., K] that sum to 1.

    Returns:
      Divergence of each pair [...] in nats, between 0 (equal) and log 2 (nothing in common).

    Reference: Lin 1991.
    """
    middle = (p + q) / 2
    return (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum(-1) / 2


def masked_mean(values: Float[Array, "B"], mask: Bool[Array, "B"]) -> Float[Array, ""]:
    """Mean over the real images of a padded batch; what the padding holds, NaN included, does not count.

    Args:
      values: one number per image [B].
      mask: which of them are real [B].

    Returns:
      The mean, scalar; 0 when no image is real.
    """
    return jnp.where(mask, values, 0.0).sum() / jnp.maximum(mask.sum(), 1)
