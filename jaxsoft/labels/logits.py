"""What is done to the logits of a label, K numbers of which its row is the softmax: by name in a label spec, as in `ops`.

A function of `logits` gives such logits again; where `ops` has its namesake, that is the same for rows. A function of a
`row` makes logits of it. After any other operation a label has a row alone. The arguments after the first are what the
user writes in the spec.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def temperature(logits: Float[Array, "K"], t: float) -> Float[Array, "K"]:
    """The logits divided by `t`, 1e-6 to 1e6; see `ops.temperature`."""
    return logits / t


def power(logits: Float[Array, "K"], p: float) -> Float[Array, "K"]:
    """The logits times `p`, 1e-6 to 1e6; see `ops.power`."""
    return p * logits


def centre(logits: Float[Array, "K"]) -> Float[Array, "K"]:
    """The logits less their mean: the same label, but not to losses that compare logits as they stand."""
    return logits - logits.mean()


def log(row: Float[Array, "K"]) -> Float[Array, "K"]:
    """The logarithms of a row, which are its logits up to a constant; no entry of the row may be 0.

    >>> from jaxsoft.labels.spec import LabelSpec
    >>> LabelSpec.parse("hard|smooth(0.1)|log").has_logits
    True
    """
    return jnp.log(row)


def as_logits(row: Float[Array, "K"]) -> Float[Array, "K"]:
    """The numbers of a row taken as if they were logits, as code does that applies a softmax to stored probabilities."""
    return row
