"""What a network tells on its way from an image to logits, to who asks: feature maps, and what its last layer is given."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxsoft import errors
from jaxsoft.models._adapt import Network, Variables
from jaxsoft.models._layers import FEATURES

_NONE = "the network tells no feature maps; one of flax.linen can, by self.sow('features', 'maps', x) after each block"


def features(
    model: nn.Module | Network,
    variables: Variables,
    images: Float[Array, "B *S C"],
    layer: int = -1,
    mutable: Sequence[str] = (),
    **options: Any,
) -> tuple[Float[Array, "B K"], Float[Array, "B h w c"], Variables]:
    """Logits, the feature map after one block, and the new state, of a network that is applied once.

    Networks of this package tell a map after each block: a ConvNet after its pooling, a ResNet after each stage, a
    perceptron its hidden layers. One of a user's own sows maps into the collection `features`, under one name in their
    order; of several names that of the first in the alphabet comes first.

    Args:
      model, variables, images: as `model.apply` takes them, with `options` such as `train` and `mask`.
      layer: which map, counted as Python does; -1 is the last.
      mutable: what is changed of the variables in training.

    Returns:
      The map in float32 or wider; units of a layer without places are [B, 1, 1, units].

    Raises:
      ConfigError: the network tells no maps, not so many, or none of the form [B, ..., c].
    """
    if isinstance(model, Network) and not model.tells_features:
        raise errors.ConfigError(_NONE)
    asked = {**variables, FEATURES: {}}
    logits, state = model.apply(asked, images, mutable=[*mutable, FEATURES], **options)
    maps = jax.tree.leaves(state.get(FEATURES, {}))
    if not maps:
        raise errors.ConfigError(_NONE)
    if not -len(maps) <= layer < len(maps):
        told = (
            f"features={layer} but the network tells {len(maps)} feature maps, 0 to {len(maps) - 1}, or -1 for the last"
        )
        raise errors.ConfigError(told)
    found = maps[layer]
    if not 2 <= found.ndim <= 4 or len(found) != len(images):
        raise errors.ConfigError(f"a feature map expects [{len(images)}, height, width, channels], got {found.shape}")
    found = found.reshape(len(found), *[1] * (4 - found.ndim), *found.shape[1:])
    wide = found.astype(jnp.promote_types(found.dtype, jnp.float32))
    return logits, wide, {name: state[name] for name in mutable}


def embeddings(model: nn.Module | Network, variables: Variables, images: Float[Array, "B *S C"]) -> Float[Array, "B D"]:
    """What the last layer of a network of this package, its `classifier`, is given; in float32."""
    given = []

    def seen(call: Any, args: Any, options: Any, context: Any) -> Any:
        given.extend(args[:1] if context.module.name == "classifier" else [])
        return call(*args, **options)

    with nn.intercept_methods(seen):
        model.apply(variables, images)
    return given[-1].astype(jnp.float32)


def feature_shape(model: nn.Module | Network, image_shape: tuple[int, ...], layer: int = -1) -> tuple[int, int, int]:
    """Height, width and channels of a feature map of one image, without computing anything.

    Raises:
      ConfigError: as `features`.
    """

    def told(key: Array, images: Array) -> Array:
        return features(model, dict(model.init(key, images)), images, layer)[1]

    key, images = jax.eval_shape(lambda: (jax.random.key(0), jnp.zeros((1, *image_shape))))
    _, height, width, channels = jax.eval_shape(told, key, images).shape
    return height, width, channels
