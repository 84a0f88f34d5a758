"""Normalisation and pooling of feature maps, for one member.

Statistics take one pass (mean and mean square together) in float32 or wider, whatever the type of the map. Pooling is a
reshape and a reduction, which fuses with its neighbours where a window reduction and its gradient do not.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-5


def instance_norm(
    x: Float[Array, "B H W C"], scale: Float[Array, "C"], bias: Float[Array, "C"]
) -> Float[Array, "B H W C"]:
    """Standardise each channel of each image over its pixels, then scale and shift it.

    y = (x - mean) / sqrt(var + 1e-5) * scale + bias,  mean and var (biased) over (H, W)

    Args:
      x: feature maps.
      scale: factor of each channel.
      bias: offset of each channel.

    Returns:
      Maps of the same shape and type.

    Reference: Ulyanov et al. (2016), "Instance Normalization", equation 3.
    """
    return _affine(_standardize(x, (1, 2)), scale, bias, x.dtype)


def group_norm(
    x: Float[Array, "B H W C"], scale: Float[Array, "C"], bias: Float[Array, "C"], groups: int = 4
) -> Float[Array, "B H W C"]:
    """Standardise each group of neighbouring channels of each image together, then scale and shift each channel.

    Args:
      x: feature maps; `groups` divides the number of channels.
      scale: factor of each channel.
      bias: offset of each channel.
      groups: number of groups.

    Returns:
      Maps of the same shape and type.

    Reference: Wu and He (2018), "Group Normalization", section 3.1.
    """
    batch, height, width, channels = x.shape
    grouped = x.reshape(batch, height, width, groups, channels // groups)
    return _affine(_standardize(grouped, (1, 2, 4)).reshape(x.shape), scale, bias, x.dtype)


def layer_norm(
    x: Float[Array, "B H W C"], scale: Float[Array, "H W C"], bias: Float[Array, "H W C"]
) -> Float[Array, "B H W C"]:
    """Standardise each image over pixels and channels together, then scale and shift every element by its own numbers.

    Args:
      x: feature maps.
      scale: factor of each element, as in PyTorch's LayerNorm over (C, H, W).
      bias: offset of each element.

    Returns:
      Maps of the same shape and type.

    Reference: Ba et al. (2016), "Layer Normalization", equation 3.
    """
    return _affine(_standardize(x, (1, 2, 3)), scale, bias, x.dtype)


def avg_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Mean of each 2x2 window; an odd last row or column is dropped, as PyTorch does.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.arange(6.0).reshape(1, 2, 3, 1)).ravel().tolist()
    [2.0]
    """
    return _windows(x).mean(axis=(2, 4))


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Largest of each 2x2 window; an odd last row or column is dropped, as PyTorch does."""
    return _windows(x).max(axis=(2, 4))


def _standardize(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = x.mean(axes, keepdims=True)
    # Rounding can push the difference of two nearly equal numbers below zero.
    variance = jnp.maximum(jnp.square(x).mean(axes, keepdims=True) - jnp.square(mean), 0)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON)


def _affine(x: jax.Array, scale: jax.Array, bias: jax.Array, dtype: jnp.dtype) -> jax.Array:
    scale, bias = (jnp.expand_dims(p, range(x.ndim - p.ndim)) for p in (scale, bias))
    return (x * scale + bias).astype(dtype)


def _windows(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H // 2, 2, W // 2, 2, C]."""
    batch, height, width, channels = x.shape
    even = x[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(batch, height // 2, 2, width // 2, 2, channels)
