"""Label treatments: one function per treatment of one soft label, found by their names in a label spec.

Every function maps a row of K non-negative weights to such a row. The arguments after `row` are what the user writes in
the spec and are static; `label` (the image's true class) and `key` (the image's own randomness) are keyword-only and come
from the label bank. Rows sum to 1, except after `topk` and `drop_class`, which cut on purpose; `renormalize` mends that.
A row of zeros, which says nothing, stays a row of zeros wherever a treatment would divide by its sum.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxsoft import errors


def hard(row: Float[Array, "K"], *, label: Int[Array, ""]) -> Float[Array, "K"]:
    """The one-hot row of the true class, whatever the row was.

    Args:
      row: weights; only the number of classes matters.
      label: the true class.

    Returns:
      Weights [K].
    """
    return jax.nn.one_hot(label, row.size, dtype=row.dtype)


def temperature(row: Float[Array, "K"], t: float) -> Float[Array, "K"]:
    """Softmax at another temperature: the logits divided by `t`.

      temperature(row, t) = softmax(log(row) / t) = power(row, 1 / t)

    The logits are needed up to a constant only, so a row of probabilities is enough. Entries of zero stay zero.

    Args:
      row: weights.
      t: temperature in [1e-6, 1e6]; above 1 softens, below 1 sharpens. The paper's code multiplies by its `temp`, see `power`.

    Returns:
      Weights [K] that sum to 1.

    Raises:
      ConfigError: `t` is outside [1e-6, 1e6].

    >>> [f"{p:.3f}" for p in temperature(jnp.array([0.8, 0.2]), t=0.5)]
    ['0.941', '0.059']

    Reference: Hinton et al. 2015, section 2.
    """
    _require(1e-6 <= t <= 1e6, "temperature", t=t, rule="in [1e-6, 1e6]")
    return power(row, 1 / t)


def power(row: Float[Array, "K"], p: float) -> Float[Array, "K"]:
    """Raise every weight to a power and divide by the sum: `row_i^p / sum_j row_j^p`.

    Args:
      row: weights. Entries of zero stay zero.
      p: exponent in [1e-6, 1e6], an inverse temperature; the `temp` of the paper's code.

    Returns:
      Weights [K] that sum to 1.

    Raises:
      ConfigError: `p` is outside [1e-6, 1e6].
    """
    _require(1e-6 <= p <= 1e6, "power", p=p, rule="in [1e-6, 1e6]")
    some = row.max() > 0
    logs = p * jnp.log(jnp.where(some, row, 1.0))  # in logarithms, so that a large power does not underflow
    return jnp.where(some, jax.nn.softmax(logs), 0.0)


def smooth(row: Float[Array, "K"], amount: float = 0.1) -> Float[Array, "K"]:
    """Mix with the uniform row: `(1 - amount) row + amount / K`. `hard|smooth(0.1)` is label smoothing.

    Args:
      row: weights.
      amount: share of the uniform row, in [0, 1].

    Returns:
      Weights [K].

    Raises:
      ConfigError: `amount` is outside [0, 1].

    Reference: Szegedy et al. 2016, section 7.
    """
    _require(0 <= amount <= 1, "smooth", amount=amount, rule="in [0, 1]")
    return (1 - amount) * row + amount / row.size


def mix(row: Float[Array, "K"], amount: float, *, label: Int[Array, ""]) -> Float[Array, "K"]:
    """Mix with the true class: `(1 - amount) row + amount onehot(label)`. For the uniform row see `smooth`.

    Args:
      row: weights.
      amount: share of the hard label, in [0, 1].
      label: the true class.

    Returns:
      Weights [K].

    Raises:
      ConfigError: `amount` is outside [0, 1].
    """
    _require(0 <= amount <= 1, "mix", amount=amount, rule="in [0, 1]")
    return (1 - amount) * row + amount * hard(row, label=label)


def topk(row: Float[Array, "K"], k: int) -> Float[Array, "K"]:
    """Keep the `k` largest weights and zero the rest, without renormalising; of equal weights the lower class stays.

    Args:
      row: weights.
      k: how many to keep, in 1..K.

    Returns:
      Weights [K], at most `k` of them above zero; their sum is the mass that was kept.

    Raises:
      ConfigError: `k` is outside 1..K.

    >>> topk(jnp.array([0.5, 0.25, 0.25]), k=2).tolist()
    [0.5, 0.25, 0.0]

    Reference: Qin et al. 2024 (data-knowledge scaling).
    """
    _require(1 <= k <= row.size, "topk", k=k, rule=f"in 1..{row.size}, the number of classes")
    _, kept = jax.lax.top_k(row, k)
    return jnp.zeros_like(row).at[kept].set(row[kept])


def renormalize(row: Float[Array, "K"]) -> Float[Array, "K"]:
    """Divide by the sum, so that a row that was cut sums to 1 again.

    Args:
      row: weights.

    Returns:
      Weights [K] that sum to 1.
    """
    total = row.sum()
    return row / jnp.where(total > 0, total, 1.0)


def swap(row: Float[Array, "K"], i: int) -> Float[Array, "K"]:
    """Exchange the `i`-th largest weight with the smallest; the entropy stays. Of equal weights the lower class is larger.

    Args:
      row: weights.
      i: rank in 1..K-1; 1 is the largest.

    Returns:
      Weights [K], a permutation of `row`.

    Raises:
      ConfigError: `i` is outside 1..K-1.

    Reference: Qin et al. 2024 (swap test).
    """
    _require(1 <= i < row.size, "swap", i=i, rule=f"in 1..{row.size - 1}, the number of classes less one")
    order = jnp.argsort(row, descending=True, stable=True)
    one, last = order[i - 1], order[-1]
    return row.at[one].set(row[last]).at[last].set(row[one])


def shuffle(row: Float[Array, "K"], *, key: Key[Array, ""]) -> Float[Array, "K"]:
    """Permute all weights but the largest: the same entropy and the same first guess, no structure.

    Args:
      row: weights.
      key: the image's own randomness.

    Returns:
      Weights [K], a permutation of `row`.
    """
    others = jnp.arange(row.size - 1)
    others += others >= row.argmax()
    return row.at[others].set(row[jax.random.permutation(key, others)])


def drop_class(row: Float[Array, "K"], c: int, *, label: Int[Array, ""]) -> Float[Array, "K"]:
    """Zero class `c` in the rows of all other classes' images, without renormalising; its own images keep their rows.

    Nothing but the images of class `c` then speaks of it: the label side of the zero-shot study.

    Args:
      row: weights.
      c: the subject class, in 0..K-1.
      label: the true class of the image.

    Returns:
      Weights [K]; without the mass of class `c` unless `label` is `c`.

    Raises:
      ConfigError: `c` is outside 0..K-1.

    Reference: Qin et al. 2024 (zero-shot).
    """
    _require(0 <= c < row.size, "drop_class", c=c, rule=f"in 0..{row.size - 1}, the classes")
    return jnp.where(label == c, row, row.at[c].set(0.0))


def _require(holds: bool, name: str, *, rule: str, **argument: Any) -> None:
    """Refuse a static argument; the row's shape is known while tracing, so this needs no data."""
    if not holds:
        ((key, value),) = argument.items()
        raise errors.ConfigError(f"{name}: {key} must be {rule}, got {value!r}")
