"""Views: an augmented image with a box of another one in it (CutMix), made anew from numbers whenever it is needed.

A view is known by the seed of its subset, the slot of its image and its own number. Whoever labels it and whoever learns
from it make the same pixels; nothing but the label is stored.

Reference: Yun et al. (2019), "CutMix", section 3.1; Shen and Xing (2022), "A Fast Knowledge Distillation Framework",
section 3, for labels of views.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxsoft import rng
from jaxsoft.rng import Stream
from jaxsoft.training import augment

_OWN_DRAWS = 4  # the other image, the size of the box, its centre


def view(
    augmentation: augment.Augmentation,
    image_at: Callable[[Int[Array, ""]], Float[Array, "H W C"]],
    seed: Int[Array, ""],
    slots: Int[Array, ""],
    slot: Int[Array, ""],
    number: Int[Array, ""],
) -> Float[Array, "H W C"]:
    """One view of the image in a slot.

    Both images are augmented, each with its own numbers; a box of the other one is laid over the first. The box has an
    area drawn uniformly, of at most the whole image, and its centre anywhere.

    Args:
      augmentation: what either image goes through first.
      image_at: the image of a slot, as networks see it.
      seed: of the subset.
      slots: how many images the subset holds; the other image is one of them.
      slot: which image.
      number: which of its views.
    """
    u = jax.random.uniform(rng.key(seed, Stream.VIEW, slot, number), (_OWN_DRAWS + 2 * (augmentation.draws + 1),))
    own, other = u[_OWN_DRAWS:].reshape(2, -1)
    partner = jnp.floor(u[0] * slots).astype(jnp.int32)
    first, second = (
        augmentation.change(image_at(s), numbers[1:], numbers[0]) for s, numbers in ((slot, own), (partner, other))
    )
    height, width, _ = first.shape
    inside = augment.within(_box(u[1:_OWN_DRAWS], height, width), height, width)
    return jnp.where(inside[:, :, None], second, first)


def _box(u: Float[Array, "3"], height: int, width: int) -> Float[Array, "4"]:
    """Top, left, height and width in pixels; what lies outside the image is cut off."""
    size = jnp.sqrt(u[0]) * jnp.array([height, width])
    return jnp.concatenate([jnp.floor(u[1:] * jnp.array([height, width]) - size / 2), jnp.round(size)])
