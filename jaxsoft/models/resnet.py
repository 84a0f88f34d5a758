"""Residual networks with torchvision's layout, so that its weights load by a change of names."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.initializers import variance_scaling
from jaxtyping import Array, Bool, Float

from jaxsoft.models._layers import NORMS, Conv, Dense, check_choice, check_positive, normalize, sow_features
from jaxsoft.ops.pool import max_pool_of_three

STEMS = ("small", "imagenet")
_kaiming_fan_out = variance_scaling(2.0, "fan_out", "normal")


def resnet18(num_classes: int, norm: str = "batch", stem: str = "small", width: int = 64) -> nn.Module:
    """ResNet-18: two basic blocks in each of four stages.

    Args:
      norm: batch, layer, instance, group (of 4 groups) or none.
      stem: `imagenet` divides the image by four before the first stage (7x7 convolution and 3x3 max pooling, both of
        stride 2); `small` keeps it (3x3 convolution), for images of 8 to 64 pixels.
      width: channels of the first stage.

    Reference: He et al. (2016), "Deep Residual Learning for Image Recognition", table 1.
    """
    return _resnet("resnet18", num_classes, norm, stem, width, (2, 2, 2, 2), False)


def resnet50(num_classes: int, norm: str = "batch", stem: str = "small", width: int = 64) -> nn.Module:
    """ResNet-50: three, four, six and three bottleneck blocks, with the stride in their 3x3 convolution.

    Arguments and the reference are those of `resnet18`.
    """
    return _resnet("resnet50", num_classes, norm, stem, width, (3, 4, 6, 3), True)


def _resnet(
    name: str, num_classes: int, norm: str, stem: str, width: int, blocks: tuple[int, ...], bottleneck: bool
) -> nn.Module:
    check_positive(name, num_classes=num_classes, width=width)
    check_choice(name, "norm", norm, NORMS)
    check_choice(name, "stem", stem, STEMS)
    return ResNet(num_classes, norm, stem, blocks, bottleneck, width)


class ResNet(nn.Module):
    """See `resnet18`. `blocks` counts the blocks of each stage; a stage halves the map and doubles the channels."""

    num_classes: int
    norm: str
    stem: str
    blocks: Sequence[int]
    bottleneck: bool
    width: int = 64

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = False, mask: Bool[Array, "B"] | None = None
    ) -> Float[Array, "B K"]:
        large = self.stem == "imagenet"
        window, stride = (7, 2) if large else (3, 1)
        x = Conv(self.width, window, stride, "none", _kaiming_fan_out, name="conv1")(x)
        x = nn.relu(normalize(self.norm, "norm1", x, train, mask))
        if large:
            x = max_pool_of_three(x)
        for stage, count in enumerate(self.blocks):
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                name = f"layer{stage + 1}_{i}"
                x = Block(self.width * 2**stage, stride, self.norm, self.bottleneck, name=name)(x, train, mask)
            sow_features(self, x)
        return Dense(self.num_classes, name="classifier")(jnp.mean(x, axis=(1, 2)))


class Block(nn.Module):
    """Two 3x3 convolutions, or a 3x3 one between two 1x1 ones (bottleneck), and the way around them."""

    features: int
    stride: int
    norm: str
    bottleneck: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool, mask: Bool[Array, "B"] | None) -> jax.Array:
        def conv_norm(x: jax.Array, features: int, window: int, stride: int, suffix: str) -> jax.Array:
            x = Conv(features, window, stride, "none", _kaiming_fan_out, name=f"conv{suffix}")(x)
            return normalize(self.norm, f"norm{suffix}", x, train, mask)

        if self.bottleneck:
            features = 4 * self.features
            y = nn.relu(conv_norm(x, self.features, 1, 1, "1"))
            y = nn.relu(conv_norm(y, self.features, 3, self.stride, "2"))
            y = conv_norm(y, features, 1, 1, "3")
        else:
            features = self.features
            y = nn.relu(conv_norm(x, features, 3, self.stride, "1"))
            y = conv_norm(y, features, 3, 1, "2")
        if self.stride != 1 or x.shape[-1] != features:
            x = conv_norm(x, features, 1, self.stride, "_around")
        return nn.relu(x + y)
