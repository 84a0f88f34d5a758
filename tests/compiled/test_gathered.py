"""Convolutions by kernels of our own, compiled for a chip that is not here: windows are never in memory."""

import functools

import account
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from jaxsoft import target
from jaxsoft.ops import conv

MEMBERS, IMAGES, SIDE, CHANNELS = 2, 10, 16, 32


def gradients(x, k):
    """Of a loss whose gradient is no constant: all three maps."""
    return jax.grad(lambda x, k: jnp.sum(conv.conv2d(x, k, 1, 1).astype(jnp.float32) ** 2), (0, 1))(x, k)


def compiled(device, lowering, dtype):
    shape = functools.partial(jax.ShapeDtypeStruct, dtype=dtype, sharding=SingleDeviceSharding(device))
    x, k = shape((MEMBERS, IMAGES, SIDE, SIDE, CHANNELS)), shape((MEMBERS, 3, 3, CHANNELS, CHANNELS))
    with target.aimed(target.named("h100")), conv.exactly(lowering):
        return account.kernels(jax.jit(jax.vmap(gradients)).lower(x, k).compile().as_text())


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_windows_are_gathered_and_never_written(h100, dtype):
    """Neither is anything else of their size; by patches they are, which shows that this test can see them."""
    windows = 9 * MEMBERS * IMAGES * SIDE * SIDE * CHANNELS
    for lowering, written in (("kernel", False), ("patches", True)):
        largest = max(size for one in compiled(h100, lowering, dtype) for _, size in account.shapes(one.kind))
        assert (largest >= windows) == written, lowering
