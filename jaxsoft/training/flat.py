"""Parameters as one vector, so that an update is a few operations and not a few for each layer.

There are two orders of it. Stored are the arrays as they are. A kernel of a convolution [h, w, I, O] may be turned to
[O, h, w, I] instead, as the library of a GPU wants it: then kernels are parts of the vector, and their gradients parts
of its gradient, as they stand.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxsoft import target

_KERNEL_AXES = 4  # at least; of clips one more


def ravel(params: Any, turned: bool = False) -> tuple[Float[Array, "P"], Callable[[Float[Array, "P"]], Any]]:
    """A tree of parameters as one vector [P], and the way back from such a vector."""
    if not turned:
        return ravel_pytree(params)
    vector, unravel = ravel_pytree(_moved(params, -1, 0))
    return vector, lambda vector: _moved(unravel(vector), 0, -1)


def reordered(memory: Any, params: Any, was_turned: bool, turned: bool) -> Any:
    """What an optimizer keeps, its vectors [P] brought from one order of the parameters to the other."""
    if was_turned == turned:
        return memory
    vector, unravel = ravel(params, was_turned)
    return jax.tree.map(lambda a: ravel(unravel(a), turned)[0] if a.shape == vector.shape else a, memory)


def apart(tree: Any) -> Any:
    """The same arrays; what a GPU's compiler makes of them it makes again, where it would write to memory what others read."""
    return jax.tree.map(jax.lax.optimization_barrier, tree) if target.platform() == "gpu" else tree


def _moved(params: Any, source: int, destination: int) -> Any:
    return jax.tree.map(lambda a: jnp.moveaxis(a, source, destination) if a.ndim >= _KERNEL_AXES else a, params)
