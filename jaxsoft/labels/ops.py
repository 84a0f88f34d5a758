"""Label treatments: one function per treatment of one soft label, found by their names in a label spec.

Every function maps `row`, K non-negative weights, to such a row. The arguments after it are what the user writes in
the spec; they are static, and a ConfigError outside of the range given. `true_class` (of the image) and `key` (the
image's own randomness) are keyword-only and come from the label bank. Rows sum to 1, except after `topk` and
`drop_class`, which cut on purpose; `renormalize` mends that. A row of zeros, which says nothing, stays a row of zeros
wherever a treatment would divide by its sum.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxsoft import errors


def hard(row: Float[Array, "K"], *, true_class: Int[Array, ""]) -> Float[Array, "K"]:
    """The one-hot row of the true class, whatever the row was."""
    return jax.nn.one_hot(true_class, row.size, dtype=row.dtype)


def temperature(row: Float[Array, "K"], t: float) -> Float[Array, "K"]:
    """Softmax at another temperature, the logits divided by `t`: `softmax(log(row) / t) = power(row, 1 / t)`.

    The logits are needed up to a constant only, so a row of probabilities is enough. Entries of zero stay zero.
    `t`, 1e-6 to 1e6, softens above 1 and sharpens below. The paper's code multiplies by its `temp`, see `power`.

    >>> [f"{p:.3f}" for p in temperature(jnp.array([0.8, 0.2]), t=0.5)]
    ['0.941', '0.059']

    Reference: Hinton et al. 2015, section 2.
    """
    _require(1e-6 <= t <= 1e6, "temperature: t must be in [1e-6, 1e6]", t)
    return power(row, 1 / t)


def power(row: Float[Array, "K"], p: float) -> Float[Array, "K"]:
    """Raise every weight to a power and divide by the sum: `row_i^p / sum_j row_j^p`. Entries of zero stay zero.

    `p`, 1e-6 to 1e6, is an inverse temperature, the `temp` of the paper's code.
    """
    _require(1e-6 <= p <= 1e6, "power: p must be in [1e-6, 1e6]", p)
    some = row.max() > 0
    logs = p * jnp.log(jnp.where(some, row, 1.0))  # in logarithms, so that a large power does not underflow
    return jnp.where(some, jax.nn.softmax(logs), 0.0)


def smooth(row: Float[Array, "K"], amount: float = 0.1) -> Float[Array, "K"]:
    """Mix with the uniform row: `(1 - amount) row + amount / K`, 0 <= `amount` <= 1; after `hard`, label smoothing.

    Reference: Szegedy et al. 2016, section 7.
    """
    _require(0 <= amount <= 1, "smooth: amount must be in [0, 1]", amount)
    return (1 - amount) * row + amount / row.size


def mix(row: Float[Array, "K"], amount: float, *, true_class: Int[Array, ""]) -> Float[Array, "K"]:
    """Mix with the true class: `(1 - amount) row + amount onehot(true_class)`, 0 <= `amount` <= 1."""
    _require(0 <= amount <= 1, "mix: amount must be in [0, 1]", amount)
    return (1 - amount) * row + amount * hard(row, true_class=true_class)


def topk(row: Float[Array, "K"], k: int) -> Float[Array, "K"]:
    """Keep the `k` largest weights and zero the rest, without renormalising; of equal weights the lower class stays.

    The sum of the row then is the mass that was kept. `k` is in 1..K.

    >>> topk(jnp.array([0.5, 0.25, 0.25]), k=2).tolist()
    [0.5, 0.25, 0.0]

    Reference: Qin et al. 2024 (data-knowledge scaling).
    """
    _require(1 <= k <= row.size, f"topk: k must be in 1..{row.size}, the number of classes", k)
    _, kept = jax.lax.top_k(row, k)
    return jnp.zeros_like(row).at[kept].set(row[kept])


def renormalize(row: Float[Array, "K"]) -> Float[Array, "K"]:
    """Divide by the sum, so that a row that was cut sums to 1 again."""
    total = row.sum()
    return row / jnp.where(total > 0, total, 1.0)


def swap(row: Float[Array, "K"], i: int) -> Float[Array, "K"]:
    """Exchange the `i`-th largest weight, i in 1..K-1, with the smallest; the entropy stays.

    Of equal weights the lower class is larger.

    Reference: Qin et al. 2024 (swap test).
    """
    _require(1 <= i < row.size, f"swap: i must be in 1..{row.size - 1}, the number of classes less one", i)
    order = jnp.argsort(row, descending=True, stable=True)
    one, last = order[i - 1], order[-1]
    return row.at[one].set(row[last]).at[last].set(row[one])


def shuffle(row: Float[Array, "K"], *, key: Key[Array, ""]) -> Float[Array, "K"]:
    """Permute all weights but the largest: the same entropy and the same first guess, no structure."""
    others = jnp.arange(row.size - 1)
    others += others >= row.argmax()
    return row.at[others].set(row[jax.random.permutation(key, others)])


def drop_class(row: Float[Array, "K"], c: int, *, true_class: Int[Array, ""]) -> Float[Array, "K"]:
    """Zero class `c` in the rows of all other classes' images, without renormalising; its own images keep their rows.

    Nothing but the images of class `c`, the subject class in 0..K-1, then speaks of it: the label side of the zero-shot
    study.

    Reference: Qin et al. 2024 (zero-shot).
    """
    _require(0 <= c < row.size, f"drop_class: c must be in 0..{row.size - 1}, the classes", c)
    return jnp.where(true_class == c, row, row.at[c].set(0.0))


def _require(holds: bool, rule: str, got: Any) -> None:
    """Refuse a static argument: the row's shape is known while tracing."""
    if not holds:
        raise errors.ConfigError(f"{rule}, got {got!r}")
