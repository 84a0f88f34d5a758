"""Clips as what is done to images sees them: frame by frame."""

from collections.abc import Callable

import jax
from jaxtyping import Array


def by_frame(function: Callable[..., Array], images: int = 1) -> Callable[..., Array]:
    """A function whose first arguments are so many images, for clips too: all frames with the same other arguments."""

    def applied(*given: Array) -> Array:
        if given[0].ndim == 3:
            return function(*given)
        return jax.vmap(function, (*[0] * images, *[None] * (len(given) - images)))(*given)

    return applied
