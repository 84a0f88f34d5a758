"""Mixing: what a view has of a second image. A way to mix is a function `name(first, second, u, options)` of two
augmented images and of three uniform numbers, which are the same whatever the way, so that views differ in it alone.
Two clips are mixed frame by frame, with the same numbers.

Reference: Yun et al. (2019), "CutMix", section 3.1; Zhang et al. (2018), "mixup", section 2.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import betaincinv

from jaxsoft import errors, imports, spec
from jaxsoft.training import augment, frames

DRAWS = 3  # uniform numbers that mixing is given
CUTMIX, NONE = "cutmix", "none"
Mix = Callable[[Float[Array, "H W C"], Float[Array, "H W C"], Float[Array, "3"]], Float[Array, "H W C"]]
_QUANTILES = 1025  # of a beta distribution, between which it is taken as linear


def none(first: Float[Array, "H W C"], second: Float[Array, "H W C"], u: Float[Array, "3"]) -> Float[Array, "H W C"]:
    """The first image alone."""
    return first


def cutmix(first: Float[Array, "H W C"], second: Float[Array, "H W C"], u: Float[Array, "3"]) -> Float[Array, "H W C"]:
    """A box of the second image over the first: its area uniform, at most the whole image, and its centre anywhere."""
    return paste(first, second, _box(u, *first.shape[:2]))


def mixup(
    first: Float[Array, "H W C"], second: Float[Array, "H W C"], u: Float[Array, "3"], alpha: float = 0.8
) -> Float[Array, "H W C"]:
    """A mean of both images, weighted by a share from Beta(`alpha`, `alpha`), 0.01 <= `alpha` <= 100; 1 is uniform.

    The default is that of FKD and SRe2L.
    """
    if not 0.01 <= alpha <= 100:
        raise errors.ConfigError(f"mixup: alpha must be in [0.01, 100], got {alpha}")
    return blend(first, second, _beta(u[0], alpha))


def paste(first: Float[Array, "H W C"], second: Float[Array, "H W C"], box: Float[Array, "4"]) -> Float[Array, "H W C"]:
    """The second image inside of a box (top, left, height and width in pixels), the first outside of it."""
    return jnp.where(augment.within(box, *first.shape[:2])[:, :, None], second, first)


def blend(
    first: Float[Array, "H W C"], second: Float[Array, "H W C"], share: Float[Array, ""]
) -> Float[Array, "H W C"]:
    """`share` of the first image, and of the second what is missing to 1."""
    return share * first + (1 - share) * second


WAYS = {way.__name__: way for way in (none, cutmix, mixup)}
_KNOWN = WAYS, "way to mix", "jaxsoft/training/mixing.py"
_GIVEN = ("first", "second", "u")


@imports.cached
def build(text: str) -> Mix:
    """The way to mix that a spec names, such as `mixup(0.4)`, tried on shapes.

    Raises:
      ConfigError: the name or an argument is unknown or out of range, or a user's own function returns something else.
    """
    mix = spec.resolve(text, *_KNOWN, _GIVEN)
    image = jax.ShapeDtypeStruct((8, 8, 3), jnp.float32)
    made = jax.eval_shape(mix, image, image, jax.ShapeDtypeStruct((DRAWS,), jnp.float32))
    if (made.shape, made.dtype) != (image.shape, image.dtype):
        raise errors.ConfigError(f"{text} should return an image as it is given, got {made.dtype} of {made.shape}")
    return frames.by_frame(mix, images=2)


def canonical(text: str) -> str:
    """The one spelling of a way to mix: `mixup(0.8)` is `mixup`.

    Raises:
      ConfigError: as `build`.
    """
    build(text)
    call, way = spec.parse_one(text), function(text)
    usual = {name: p.default for name, p in spec.parameters(way).items()}
    given = {name: value for name, value in spec.bind(call, way, _GIVEN).items() if value != usual[name]}
    return str(spec.Call(call.name, (), given))


def function(text: str) -> Callable:
    """What a spec of a way to mix names."""
    return spec.find(spec.parse_one(text).name, *_KNOWN)


def _beta(u: Float[Array, ""], alpha: float) -> Float[Array, ""]:
    """A number from Beta(alpha, alpha), of a uniform one: linear between quantiles that lie closer towards 0 and 1."""
    parts = _QUANTILES - 1
    quantiles = betaincinv(alpha, alpha, np.sin(np.pi / 2 * np.linspace(0, 1, _QUANTILES)) ** 2)
    at = 2 / np.pi * jnp.arcsin(jnp.sqrt(u)) * parts  # the grid is even: no search, which would be a loop
    below = jnp.clip(jnp.floor(at), 0, parts - 1)
    low, high = (jnp.asarray(quantiles, at.dtype)[below.astype(jnp.int32) + i] for i in (0, 1))
    return low + (at - below) * (high - low)


def _box(u: Float[Array, "3"], height: int, width: int) -> Float[Array, "4"]:
    """Top, left, height and width in pixels; what lies outside the image is cut off."""
    size = jnp.sqrt(u[0]) * jnp.array([height, width])
    return jnp.concatenate([jnp.floor(u[1:] * jnp.array([height, width]) - size / 2), jnp.round(size)])
