"""The operations of a label spec as calls: found by name, their arguments bound, applied to a row; a user's too."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jaxsoft import errors, imports
from jaxsoft import spec as language
from jaxsoft.labels import ops
from jaxsoft.spec import Call

_SUPPLIED = ("row", "true_class", "key")  # by the label bank, to an operation


def operation(name: str) -> Callable[..., Any]:
    """The function that an operation of a label spec names.

    Raises:
      ConfigError: there is none.
    """
    return language.find(name, language.public_functions(ops), "label operation", "jaxsoft/labels/ops.py")


def bound(call: Call, text: str) -> Call:
    """An operation as a spec `text` has it, with all arguments by position, defaults too; those of a user by name."""
    function = operation(call.name)
    given = language.bind(call, function, _SUPPLIED, text)
    if imports.is_outside(call.name):  # its defaults may be what no spec can say
        language.check_takes(call.name, function, "label operation", ("row",))
        return Call(call.name, (), given)
    parameters = language.parameters(function).values()
    return Call(call.name, tuple(given.get(p.name, p.default) for p in parameters if p.name not in _SUPPLIED))


def treated(call: Call, row: Array, supplied: Mapping[str, Any]) -> Array:
    """What an operation makes of a row; of a user's it is checked that it is a row again."""
    function = operation(call.name)
    if not imports.is_outside(call.name):
        return function(row, *call.args, **supplied)
    with imports.telling(call.name):
        made = jnp.asarray(function(row, **call.kwargs, **supplied))
    if made.shape != row.shape or not jnp.issubdtype(made.dtype, jnp.floating):
        told = f"{len(row)} floats, got {made.dtype} of shape {made.shape}"
        raise errors.ConfigError(f"{call.name} should return {told}")
    return made
