"""Views: an augmented image mixed with another one (CutMix, or see `mixing`), made anew from numbers whenever needed.

A view is known by the seed of its subset, the slot of its image and its own number. Whoever labels it and whoever learns
from it make the same pixels; nothing but the label is stored.

Reference: Shen and Xing (2022), "A Fast Knowledge Distillation Framework", section 3, for labels of views.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxsoft import rng
from jaxsoft.rng import Stream
from jaxsoft.training import augment, mixing

_OWN_DRAWS = 1 + mixing.DRAWS  # the other image, and how it is mixed


def draws(
    augmentation: augment.Augmentation, seed: Int[Array, ""], slot: Int[Array, ""], number: Int[Array, ""]
) -> Float[Array, "U"]:
    """The uniform numbers of one `view`: of a subset's seed, a slot and the number of the view."""
    return jax.random.uniform(rng.key(seed, Stream.VIEW, slot, number), (_OWN_DRAWS + 2 * (augmentation.draws + 1),))


def view(
    augmentation: augment.Augmentation,
    mix: mixing.Mix,
    image_at: Callable[[Int[Array, ""]], Float[Array, "*S C"]],
    slots: Int[Array, ""],
    slot: Int[Array, ""],
    u: Float[Array, "U"],
) -> Float[Array, "*S C"]:
    """One view of the image in a slot.

    Both images are augmented, each with its own numbers, then mixed.

    Args:
      augmentation: what either image goes through first.
      mix: what becomes of the two.
      image_at: the image of a slot, as networks see it.
      slots: how many images the subset holds; the other image is one of them.
      slot: which image.
      u: its uniform numbers, see `draws`.
    """
    own, other = u[_OWN_DRAWS:].reshape(2, -1)
    partner = jnp.floor(u[0] * slots).astype(jnp.int32)
    first, second = (
        augmentation.change(image_at(s), numbers[1:], numbers[0]) for s, numbers in ((slot, own), (partner, other))
    )
    return mix(first, second, u[1:_OWN_DRAWS])
