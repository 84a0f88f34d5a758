"""A block of the ConvNet as one operation: convolution, instance norm, ReLU and pooling."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsoft.ops import conv, norm
from jaxsoft.ops.lowerings import Geometry

_MOST_INPUTS = 30  # of a window, for `narrow`


def conv_norm_relu_pool(
    x: Float[Array, "B H W C"], kernel: Float[Array, "h w C O"], scale: Float[Array, "O"], bias: Float[Array, "O"]
) -> Float[Array, "B H2 W2 O"]:
    """Convolution that keeps the size of the map, instance norm, ReLU and 2x2 average pooling.

    Equal to `norm.instance_norm_relu_pool(conv.conv2d(x, kernel, 1, h // 2), scale, bias)`, with its gradients of any
    order. Where a window has few inputs, a GPU computes all of it by one kernel and the gradient by another (`narrow`), at
    any batch: chosen by the bytes that these do not move, and timed by no device. So it is where `kernel` is asked for.
    """
    g = conv.geometry(x, kernel, 1, kernel.shape[0] // 2)
    if (g.own or g.lowering == "kernel") and math.prod(kernel.shape[:3]) <= _MOST_INPUTS:
        result: Any = _block(g, x, kernel, scale, bias)
        return result[0]
    return _parts(x, kernel, scale, bias)


def _parts(x: Array, kernel: Array, scale: Array, bias: Array) -> Array:
    return norm.instance_norm_relu_pool(conv.conv2d(x, kernel, 1, kernel.shape[0] // 2), scale, bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _block(g: Geometry, x: Array, kernel: Array, scale: Array, bias: Array) -> tuple[Array, Any]:
    """The result, and what only its gradient asks for."""
    from jaxsoft.ops import narrow  # Pallas takes a quarter of a second to import, and few need it

    return narrow.forward(g, x, kernel, scale, bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gradient(g: Geometry, *args: Any) -> tuple[Array, Array, Array]:
    """The gradient in the parameters, of (images, parameters, what is kept, gradient in the result)."""
    from jaxsoft.ops import narrow

    return narrow.gradient(g, *args)


def _block_forward(g: Geometry, *args: Array) -> tuple[tuple[Array, Any], tuple]:
    result: Any = _block(g, *args)
    return result, (*args, jax.lax.stop_gradient(result[1]))


def _block_backward(g: Geometry, kept: tuple, d: tuple[Array, Any]) -> tuple[Array, ...]:
    dx = _parts_backward(*kept[:4], d[0])[0]  # of the first layer, nobody asks for it
    return (dx, *_gradient(g, *kept, d[0]))


def _gradient_backward(g: Geometry, args: tuple, d: tuple) -> tuple:
    """Gradients of the gradient are those of its parts: what is kept is known by the images."""
    *own, kept, dy = args
    *d_own, d_dy = jax.vjp(lambda *a: _parts_backward(*a)[1:], *own, dy)[1](d)
    return (*d_own, jax.tree.map(jnp.zeros_like, kept), d_dy)


def _parts_backward(*args: Array) -> tuple[Array, ...]:
    """Of (images, parameters, gradient in the result), the gradients in all but the last."""
    return jax.vjp(_parts, *args[:4])[1](args[4])


_block.defvjp(_block_forward, _block_backward)
_gradient.defvjp(lambda g, *args: (_gradient(g, *args), args), _gradient_backward)
