"""The ConvNet for clips: convolutions over time, height and width, each computed as one convolution of images."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from jaxsoft import errors
from jaxsoft.models._layers import (
    Dense,
    Norm,
    check_choice,
    check_positive,
    sow_features,
    torch_default,
    torch_default_bias,
)
from jaxsoft.ops.conv import conv2d
from jaxsoft.ops.pool import avg_pool

_NORMS = ("instance", "group", "none")
_WINDOW = 3


def convnet3d(num_classes: int, depth: int = 3, width: int = 64, norm: str = "instance") -> nn.Module:
    """A C3D of equal blocks, for clips [B, T, H, W, C]: 3x3x3 convolution, norm, ReLU and average pooling.

    Args:
      depth: number of blocks, 1 to 200; each halves height and width, all but the first halve time too while there are
        two frames.
      width: channels of every block.
      norm: instance, group (of 4 groups), each over time and place, or none.

    Reference: Tran et al. (2015), "Learning Spatiotemporal Features with 3D Convolutional Networks", section 3.
    """
    check_positive("convnet3d", num_classes=num_classes, depth=depth, width=width)
    check_choice("convnet3d", "norm", norm, _NORMS)
    return ConvNet3D(num_classes, depth, width, norm)


class ConvNet3D(nn.Module):
    """See `convnet3d`."""

    num_classes: int
    depth: int
    width: int
    norm: str
    is_of_clips = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T H W C"], train: bool = False, mask: Bool[Array, "B"] | None = None
    ) -> Float[Array, "B K"]:
        if min(x.shape[2:4]) < 2**self.depth:
            told = f"leaves nothing of {x.shape[2]}x{x.shape[3]} pixels; the largest possible depth is"
            raise errors.ConfigError(f"convnet3d: depth={self.depth} {told} {min(x.shape[2:4]).bit_length() - 1}")
        for i in range(self.depth):
            x = Conv3D(self.width, self.norm != "instance", name=f"conv{i}")(x)
            if self.norm != "none":
                rows = x.reshape(x.shape[0], -1, *x.shape[3:])  # frames below each other: statistics are of all
                x = Norm(self.norm, name=f"norm{i}")(rows).reshape(x.shape)
            x = _pool(nn.relu(x), in_time=i > 0)
            sow_features(self, x)
        return Dense(self.num_classes, name="classifier")(x.reshape(x.shape[0], -1))


class Conv3D(nn.Module):
    """Convolution of 3x3x3 that keeps the size of the map.

    The frames before and after lie beside each frame as further channels, and one convolution of images does it all.
    """

    features: int  # output channels
    has_bias: bool = True  # an instance norm would take it back

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W O"]:
        batch, frames, height, width, channels = x.shape
        kernel = self.param("kernel", torch_default, (_WINDOW, _WINDOW, _WINDOW, channels, self.features))
        padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
        near = jnp.concatenate([padded[:, t : t + frames] for t in range(_WINDOW)], axis=-1)
        flat = kernel.transpose(1, 2, 0, 3, 4).reshape(_WINDOW, _WINDOW, _WINDOW * channels, self.features)
        y = conv2d(near.reshape(-1, *near.shape[2:]), flat, padding=_WINDOW // 2, frames=frames)
        y = y.reshape(batch, frames, height, width, -1)
        if not self.has_bias:
            return y
        bias = self.param("bias", torch_default_bias(_WINDOW**3 * channels), (self.features,))
        return (y + bias[None, None, None, None]).astype(x.dtype)


def _pool(x: Float[Array, "B T H W C"], in_time: bool) -> Float[Array, "B T2 H2 W2 C"]:
    """Mean of each 2x2 window, or of each 2x2x2 one where there are two frames; what is odd at an end is dropped."""
    y = avg_pool(x.reshape(-1, *x.shape[2:]))
    y = y.reshape(*x.shape[:2], *y.shape[1:])
    if not in_time or x.shape[1] < 2:
        return y
    return y[:, : x.shape[1] // 2 * 2].reshape(len(y), -1, 2, *y.shape[2:]).mean(2)
