"""Parts that architectures share, each written for one member: that many are trained at once concerns `ops` alone."""

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.initializers import variance_scaling
from jaxtyping import Array, Bool, Float

from jaxsoft import errors
from jaxsoft.ops import block, norm
from jaxsoft.ops.conv import conv2d

NORMS = ("batch", "layer", "instance", "group", "none")
DEEPEST = 200  # layers; each is traced and compiled by itself
FEATURES = "features"  # the collection of feature maps, in the order of the blocks
_GROUPS = 4

torch_default = variance_scaling(1 / 3, "fan_in", "uniform")
"""PyTorch's default for kernels: uniform in +-1 / sqrt(fan_in)."""


def torch_default_bias(fan_in: int) -> Callable[..., jax.Array]:
    """PyTorch's default for the bias beside a kernel of this fan-in: uniform in +-1 / sqrt(fan_in)."""
    bound = fan_in**-0.5
    return lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def check_choice(function: str, key: str, value: str, choices: Collection[str]) -> None:
    """Raise a ConfigError unless the value is one of the choices."""
    if value not in choices:
        raise errors.ConfigError(f"{function}: {key} expects one of {', '.join(choices)}, got {value!r}")


def check_positive(function: str, **sizes: int) -> None:
    """Raise a ConfigError unless every size is at least 1, and what is traced one by one at most `DEEPEST`."""
    for key, value in sizes.items():
        if value < 1:
            raise errors.ConfigError(f"{function}: {key} expects int >= 1, got {value}")
        if key in ("depth", "layers") and value > DEEPEST:
            raise errors.ConfigError(f"{function}: {key} expects int <= {DEEPEST}, got {value}")


class Conv(nn.Module):
    """Square convolution that keeps the size of the map, up to its stride."""

    features: int  # output channels
    window: int = 3  # side of the kernel, odd
    stride: int = 1
    bias: str = "add"  # or `keep` the parameter but skip the sum, which an instance norm would take back; or `none`
    kernel_init: Callable[..., jax.Array] = torch_default
    within: nn.Module | None = None  # of images and kernel: the operation that this convolution is a part of

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 O"]:
        fan_in = self.window**2 * x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (self.window, self.window, x.shape[-1], self.features))
        y = self.within(x, kernel) if self.within else conv2d(x, kernel, self.stride, self.window // 2)
        if self.bias == "none":
            return y
        bias = self.param("bias", torch_default_bias(fan_in), (self.features,))
        return (y + bias[None, None, None]).astype(x.dtype) if self.bias == "add" else y


class Dense(nn.Module):
    """x W + b."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B D"]) -> Float[Array, "B K"]:
        kernel = self.param("kernel", torch_default, (x.shape[-1], self.features))
        bias = self.param("bias", torch_default_bias(x.shape[-1]), (self.features,))
        wide = jnp.promote_types(x.dtype, jnp.float32)
        return jnp.matmul(x, kernel.astype(x.dtype), preferred_element_type=wide) + bias[None]


class Norm(nn.Module):
    """Normalisation that looks at one image at a time: layer, instance or group (of 4)."""

    kind: str

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        shape = x.shape[1:] if self.kind == "layer" else x.shape[3:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        if self.kind == "layer":
            return norm.layer_norm(x, scale, bias)
        if self.kind == "instance":
            if x.shape[1:3] == (1, 1):
                raise errors.ConfigError(
                    "norm=instance erases a map of 1x1 pixels; use larger images, fewer blocks or norm=group"
                )
            return norm.instance_norm(x, scale, bias)
        if x.shape[3] % _GROUPS:
            raise errors.ConfigError(f"norm=group needs channels in multiples of {_GROUPS}, got {x.shape[3]}")
        return norm.group_norm(x, scale, bias, _GROUPS)


class NormOfBlock(nn.Module):
    """Instance norm of a convolution's response, then ReLU and 2x2 average pooling; as one operation with it."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], kernel: Float[Array, "h w C O"]) -> Float[Array, "B H2 W2 O"]:
        scale = self.param("scale", nn.initializers.ones, kernel.shape[3:])
        bias = self.param("bias", nn.initializers.zeros, kernel.shape[3:])
        return block.conv_norm_relu_pool(x, kernel, scale, bias)


def sow_features(module: nn.Module, x: Array) -> None:
    """Tell the feature map after a block to who asks for it (`models.features`); costs nothing where nobody does.

    `sources` leaves these lines out of digests: what is told of a way changes no number on it.
    """
    if not module.is_initializing():
        module.sow(FEATURES, "maps", x)


def normalize(kind: str, name: str, x: Array, train: bool, mask: Bool[Array, "B"] | None) -> Array:
    """Apply a norm of `NORMS` inside a compact module, as the submodule `name`.

    Batch norm has PyTorch's momentum (.1 there, .9 here) and epsilon; its running variance is the biased one.
    """
    if kind == "none":
        return x
    if kind == "batch":
        real = None if mask is None else mask[:, None, None, None]
        batch_norm = nn.BatchNorm(not train, momentum=0.9, epsilon=norm.EPSILON, dtype=x.dtype, name=name)
        return batch_norm(x, mask=real)
    return Norm(kind, name=name)(x)
