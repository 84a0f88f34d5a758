"""Networks that were not written with `conv2d`, computed by it: of a traced function, the convolutions are exchanged.

Under `vmap` over kernels a plain convolution becomes a grouped one, which is slow on every backend (see `conv`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import Array

from jaxsoft.ops.conv import conv2d

_OPENED = ("jit", "pjit", "closed_call", "checkpoint", "remat2", "scan", "while", "cond")


def by_conv2d(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of trees of arrays, with every convolution that `conv2d` can compute computed by `conv2d`.

    These are convolutions of images in any layout, with equal strides on both axes and without groups or dilation, also
    inside of jit, checkpoint, scan, cond and while. Others stay as they are, as do functions with gradients of their
    own. What is multiplied has the precision that `conv2d` has, whatever the call asked for.
    """

    def call(*args: Any) -> Any:
        traced, result = jax.make_jaxpr(function, return_shape=True)(*args)
        done = _evaluate(traced.jaxpr, traced.consts, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(result), done)

    return call


def _evaluate(jaxpr: Jaxpr, consts: Sequence[Any], *args: Any) -> list[Any]:
    known: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args)))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, Literal) else known[v]

    for equation in jaxpr.eqns:
        known.update(zip(equation.outvars, _step(equation, [read(v) for v in equation.invars])))
    return [read(v) for v in jaxpr.outvars]


def _step(equation: Any, values: list[Any]) -> Sequence[Any]:
    primitive, params = equation.primitive, equation.params
    if _is_convolution(equation) and _fits(values[0], values[1], params):
        return [_convolve(values[0], values[1], params)]
    if primitive.name in _OPENED and any(map(_convolves, _inner(params))):
        params = {name: _exchanged(value) for name, value in params.items()}
    bound = primitive.get_bind_params(params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # newer versions of JAX give no functions
    with equation.ctx.manager:
        done = primitive.bind(*functions, *values, **params)
    return done if primitive.multiple_results else [done]


def _fits(x: Array, k: Array, p: dict[str, Any]) -> bool:
    whole = (*p["lhs_dilation"], *p["rhs_dilation"], p["feature_group_count"], p["batch_group_count"])
    even = len(p["window_strides"]) == 2 and len(set(p["window_strides"])) == 1 and np.min(p["padding"]) >= 0
    alike = x.dtype == k.dtype and p["preferred_element_type"] in (None, x.dtype)
    return even and alike and set(whole) == {1} and jnp.issubdtype(x.dtype, jnp.floating)


def _convolve(x: Array, k: Array, p: dict[str, Any]) -> Array:
    images, kernel, response = p["dimension_numbers"]  # where each keeps (image or output, channel, height, width)
    x = x.transpose(images[0], *images[2:], images[1])
    pads = p["padding"]
    padding = pads[0][0] if len({zeros for pair in pads for zeros in pair}) == 1 else 0
    if not padding:
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    y = conv2d(x, k.transpose(*kernel[2:], kernel[1], kernel[0]), p["window_strides"][0], padding)
    return y.transpose(np.argsort((response[0], *response[2:], response[1])))


def _exchanged(value: Any) -> Any:
    """A parameter of a call, with the convolutions of the functions in it exchanged."""
    if isinstance(value, tuple):
        return tuple(map(_exchanged, value))
    if not isinstance(value, (ClosedJaxpr, Jaxpr)):
        return value
    jaxpr, consts = (value.jaxpr, value.consts) if isinstance(value, ClosedJaxpr) else (value, ())
    avals: list[Any] = [v.aval for v in jaxpr.invars]
    types = (jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals)
    done = jax.make_jaxpr(partial(_evaluate, jaxpr, consts))(*types)
    return done if isinstance(value, ClosedJaxpr) else done.jaxpr


def _convolves(jaxpr: Jaxpr) -> bool:
    return any(_is_convolution(e) or any(map(_convolves, _inner(e.params))) for e in jaxpr.eqns)


def _is_convolution(equation: Any) -> bool:
    return equation.primitive.name == "conv_general_dilated"


def _inner(params: dict[str, Any]) -> Iterator[Jaxpr]:
    for value in params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, (ClosedJaxpr, Jaxpr)):
                yield one.jaxpr if isinstance(one, ClosedJaxpr) else one
