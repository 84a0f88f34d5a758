"""The ConvNet of dataset distillation: equal blocks of convolution, norm, activation and pooling, then a linear layer."""

import jax
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from jaxsoft import errors
from jaxsoft.models._layers import (
    NORMS,
    Conv,
    Dense,
    NormOfBlock,
    check_choice,
    check_positive,
    normalize,
    sow_features,
)
from jaxsoft.ops import pool

ACTIVATIONS = {"relu": nn.relu, "sigmoid": nn.sigmoid, "leaky_relu": nn.leaky_relu}
POOLINGS = {"avg": pool.avg_pool, "max": pool.max_pool, "none": lambda x: x}


def convnet(
    num_classes: int,
    depth: int = 3,
    width: int = 128,
    norm: str = "instance",
    activation: str = "relu",
    pooling: str = "avg",
) -> nn.Module:
    """The paper's ConvNet; its D3 is `convnet(depth=3)`, its D4 `convnet(depth=4)`.

    Args:
      depth: number of blocks, 1 to 200; each halves the image unless pooling is `none`.
      width: channels of every block.
      norm: batch, layer, instance, group (of 4 groups) or none.
      activation: relu, sigmoid or leaky_relu (slope .01).
      pooling: avg, max (2x2) or none.

    Reference: Gidaris and Komodakis (2018), "Dynamic Few-Shot Visual Learning without Forgetting", as used by Zhao et al.
    (2021), "Dataset Condensation with Gradient Matching".
    """
    check_positive("convnet", num_classes=num_classes, depth=depth, width=width)
    check_choice("convnet", "norm", norm, NORMS)
    check_choice("convnet", "activation", activation, ACTIVATIONS)
    check_choice("convnet", "pooling", pooling, POOLINGS)
    return ConvNet(num_classes, depth, width, norm, activation, pooling)


class ConvNet(nn.Module):
    """See `convnet`."""

    num_classes: int
    depth: int
    width: int
    norm: str
    activation: str
    pooling: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = False, mask: Bool[Array, "B"] | None = None
    ) -> Float[Array, "B K"]:
        self._check_size(x)
        bias = "keep" if self.norm == "instance" else "add"
        usual = (self.norm, self.activation, self.pooling) == ("instance", "relu", "avg")
        for i in range(self.depth):
            within = NormOfBlock(name=f"norm{i}") if usual else None
            x = Conv(self.width, bias=bias, within=within, name=f"conv{i}")(x)
            if usual:
                sow_features(self, x)
                continue
            x = normalize(self.norm, f"norm{i}", x, train, mask)
            x = POOLINGS[self.pooling](ACTIVATIONS[self.activation](x))
            sow_features(self, x)
        return Dense(self.num_classes, name="classifier")(x.reshape(x.shape[0], -1))

    def _check_size(self, x: jax.Array) -> None:
        side = min(x.shape[1:3])
        if self.pooling != "none" and side < 2**self.depth:
            raise errors.ConfigError(
                f"convnet: depth={self.depth} halves the image {self.depth} times and leaves nothing of {x.shape[1]}x"
                f"{x.shape[2]} pixels; the largest possible depth is {side.bit_length() - 1}"
            )
