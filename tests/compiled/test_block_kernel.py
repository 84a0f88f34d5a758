"""What the kernels of a block of few input channels leave in memory on a GPU."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsoft import target
from jaxsoft.ops import block, conv

IMAGES, SIDE, CHANNELS = 16, 16, 32


def temporary_bytes(lowering, device):
    """Of the result and its gradient in the parameters."""

    def learn(x, dy, *parameters):
        y, pull = jax.vjp(lambda *p: block.conv_norm_relu_pool(x, *p), *parameters)
        return y, pull(dy)

    place = NamedSharding(Mesh(np.array([device]), ("d",)), PartitionSpec())
    result, parameters = (IMAGES, SIDE // 2, SIDE // 2, CHANNELS), ((3, 3, 3, CHANNELS), (CHANNELS,), (CHANNELS,))
    maps = [jax.ShapeDtypeStruct(s, jnp.bfloat16, sharding=place) for s in ((IMAGES, SIDE, SIDE, 3), result)]
    parameters = [jax.ShapeDtypeStruct(s, jnp.float32, sharding=place) for s in parameters]
    with conv.exactly(lowering), target.aimed(target.named("h100")):
        compiled = jax.jit(learn).lower(*maps, *parameters).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_the_response_of_the_convolution_is_never_in_memory(h100):
    response = IMAGES * SIDE**2 * CHANNELS * 2
    assert temporary_bytes("kernel", h100) < response < temporary_bytes("map", h100)
