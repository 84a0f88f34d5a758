"""Distances between feature maps, for losses that compare a student's with those that labels hold.

All are of ONE image's maps but the last, which compares sets of images: no loss of students can be that one, as those
are functions of one image, whatever else is in its batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_BANDWIDTHS = 10, 15, 20, 50
_LEAST = 1e-24  # square of the smallest norm that is divided by


def mse(x: Float[Array, "h w c"], y: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Mean of squared differences over all entries."""
    return jnp.square(x - y).mean()


def cosine(x: Float[Array, "h w c"], y: Float[Array, "h w c"]) -> Float[Array, ""]:
    """One less the cosine of the maps as vectors, in [0, 2]; 1 for a map of zeros."""
    return 1 - (_unit(x.ravel()) * _unit(y.ravel())).sum()


def mse_l2norm_channels(x: Float[Array, "h w c"], y: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Mean of squared differences between maps whose channels at each place have norm 1; zeros stay zeros."""
    return mse(_unit(x), _unit(y))


def mmd_rbf(x: Float[Array, "N h w c"], y: Float[Array, "N h w c"]) -> Float[Array, ""]:
    """Squared maximum mean discrepancy of two sets of maps, under a sum of Gaussian kernels on them as vectors.

      k(a, b) = sum over s in 10, 15, 20, 50 of exp(-|a - b|^2 / (2 s))

    Reference: Gretton et al. (2012), "A kernel two-sample test", equation 5.
    """
    x, y = (a.reshape(len(a), -1) for a in (x, y))
    return _kernel(x, x).mean() + _kernel(y, y).mean() - 2 * _kernel(x, y).mean()


def _kernel(x: Array, y: Array) -> Array:
    squares = jnp.square(x[:, None] - y[None]).sum(-1)
    return sum((jnp.exp(squares / (-2 * s)) for s in _BANDWIDTHS), jnp.zeros_like(squares))


def _unit(x: Array) -> Array:
    """Divided by its norm over the last axis; a vector of zeros stays one, with a gradient of zero."""
    square = jnp.square(x).sum(-1, keepdims=True)
    return x * jnp.where(square > _LEAST, jax.lax.rsqrt(jnp.maximum(square, _LEAST)), 0)
