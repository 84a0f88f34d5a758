"""What all members read: images once, and every label that any of them needs."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxsoft.data.normalize import Normalizer


class Bank(NamedTuple):
    """Images, and finished labels of them; members hold places in it."""

    images: Shaped[Array, "N H W C"]  # as stored (uint8), or already whitened (float32)
    scale: Float[Array, "C"]  # the network sees images * scale + shift
    shift: Float[Array, "C"]
    rows: Float[Array, "R K"]  # labels: probabilities, or logits for members whose loss wants these
    classes: Int[Array, "N"] | None = None  # true classes of the images, where a loss wants them
    features: dict[str, Float[Array, "F ..."]] | None = (
        None  # feature maps of labels [F, h, w, c], by shape, as `4x4x128`
    )

    def normalized(self, images: Shaped[Array, "*b H W C"]) -> Float[Array, "*b H W C"]:
        """Stored images as the network sees them."""
        scale, shift = (jnp.broadcast_to(a, images.shape) for a in (self.scale, self.shift))
        return images.astype(scale.dtype) * scale + shift

    def maps(
        self, shape: str, places: Int[Array, "N"] | None, slots: Int[Array, "B"]
    ) -> Float[Array, "B h w c"] | None:
        """The feature maps of labels in some slots, of a member that holds `places`; None where the shape is empty."""
        if not shape:
            return None
        assert self.features is not None and places is not None
        return self.features[shape][places[slots]]


def make_bank(normalizer: Normalizer, images: Any, rows: Any, classes: Any = None, features: Any = None) -> Bank:
    """Stored images and their labels with the map from stored images to what a network sees."""
    affine: tuple[Any, Any] = normalizer.affine
    return Bank(images, *affine, rows, classes, features)
