"""Feature maps of students beside those of labels: which are compared, and what makes them comparable.

Of equal shape they are compared as they are. Another shape is resized to that of the label's map, by means of whole
windows or else bilinearly, and a linear map of its channels, learned with the student, leads to the label's.
"""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

from jaxsoft import models
from jaxsoft.models._layers import torch_default, torch_default_bias

Shape = tuple[int, int, int]


class Projection(NamedTuple):
    """A 1x1 convolution from c channels to those of a label's map; trained beside the network, and no part of it."""

    kernel: Float[Array, "*M c C"]
    bias: Float[Array, "*M C"]


def text(shape: Shape) -> str:
    """A shape (height, width, channels) as it names the tables of a bank.

    >>> text((4, 4, 128)), shape("4x4x128")
    ('4x4x128', (4, 4, 128))
    """
    return "x".join(map(str, shape))


def shape(text: str) -> Shape:
    """The shape that `text` wrote."""
    height, width, channels = map(int, text.split("x"))
    return height, width, channels


def begin(model: Any, image_shape: tuple[int, ...], layer: int, wanted: str, key: Array) -> Projection | None:
    """The projection before the first step, uniform in +-1 / sqrt(c); None where the shapes are equal.

    Args:
      model, image_shape, layer: the student's network, and which of its maps is compared.
      wanted: the shape of the label's.
      key: of the member.
    """
    if (own := models.feature_shape(model, image_shape, layer)) == shape(wanted):
        return None
    channels, size = own[-1], shape(wanted)[-1]
    kernel, bias = jax.random.split(key)
    return Projection(torch_default(kernel, (channels, size)), torch_default_bias(channels)(bias, (size,)))


def projected(projection: Projection | None, maps: Float[Array, "B h w c"], wanted: str) -> Float[Array, "B H W C"]:
    """A student's maps in the shape of the label's."""
    if projection is None:
        return maps
    height, width, channels = shape(wanted)
    flat = _resized(maps, height, width).reshape(-1, maps.shape[-1])
    return (flat @ projection.kernel + projection.bias[None]).reshape(-1, height, width, channels)


def _resized(maps: Array, height: int, width: int) -> Array:
    count, h, w, channels = maps.shape
    if h % height or w % width:
        return jax.image.resize(maps, (count, height, width, channels), "linear")
    return maps.reshape(count, height, h // height, width, w // width, channels).mean((2, 4))
