"""A multilayer perceptron on the pixels."""

from flax import linen as nn
from jaxtyping import Array, Bool, Float

from jaxsoft.models._layers import Dense, check_positive, sow_features


def mlp(num_classes: int, hidden: int = 128, layers: int = 2) -> nn.Module:
    """Dense layers with ReLU between them.

    Args:
      hidden: units of each layer but the last.
      layers: number of weight matrices, 1 to 200; 1 is softmax regression.
    """
    check_positive("mlp", num_classes=num_classes, hidden=hidden, layers=layers)
    return MLP(num_classes, hidden, layers)


class MLP(nn.Module):
    """See `mlp`."""

    num_classes: int
    hidden: int
    layers: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = False, mask: Bool[Array, "B"] | None = None
    ) -> Float[Array, "B K"]:
        x = x.reshape(x.shape[0], -1)
        for i in range(self.layers - 1):
            x = nn.relu(Dense(self.hidden, name=f"dense{i}")(x)).astype(x.dtype)
            sow_features(self, x)
        return Dense(self.num_classes, name="classifier")(x)
