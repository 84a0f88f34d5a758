"""The operations of a label spec as calls: found by name, their arguments bound, applied to a label; a user's too.

A label is a row, and logits of which the row is the softmax as long as all that is done to it is defined on these.
"""

import functools
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxsoft import errors, imports, rng
from jaxsoft import spec as language
from jaxsoft.labels import logits as on_logits
from jaxsoft.labels import ops, storing
from jaxsoft.spec import Call

_SUPPLIED = ("row", "rows", "logits", "true_class", "key")  # by the label bank, to an operation
_ON_ROWS, _ON_LOGITS = language.public_functions(ops), language.public_functions(on_logits)
_AT_ONCE = language.public_functions(storing)


class Label(NamedTuple):
    """What stands for one image, or for N: weights [*N, K], and where there are such, logits [*N, K] of the same label."""

    row: Any  # arrays of JAX or of NumPy, or their shapes
    logits: Any = None

    def form(self, name: str) -> Any:
        """The `row` or the `label_logits`, as a loss calls them."""
        if name == "row":
            return self.row
        assert self.logits is not None
        return self.logits


def operation(name: str) -> Callable[..., Any]:
    """The function that an operation of a label spec names; of rows where there is one of logits too.

    Raises:
      ConfigError: there is none.
    """
    return language.find(name, {**_ON_LOGITS, **_ON_ROWS, **_AT_ONCE}, "label operation", "jaxsoft/labels/ops.py")


def is_operation(name: str) -> bool:
    """Whether a name of this package is that of an operation."""
    return name in _ON_ROWS or name in _ON_LOGITS or is_at_once(name)


def is_at_once(name: str) -> bool:
    """Whether an operation is done to the rows of many images at once, outside of a program."""
    return name in _AT_ONCE


def stages(operations: Sequence[Call]) -> list[tuple[Any, range]]:
    """What is done in turn: an operation on many rows at once, none at the start; then which operations on each row."""
    cuts = [i for i, call in enumerate(operations) if is_at_once(call.name)]
    ranges = map(range, (0, *(i + 1 for i in cuts)), (*cuts, len(operations)))
    return list(zip((None, *(operations[i] for i in cuts)), ranges))


def reads(name: str) -> str:
    """What an operation maps: the `row` of a label, its `logits`, `both`, or the `rows` of many."""
    if name in _ON_ROWS and name in _ON_LOGITS:
        return "both"
    return next(iter(language.parameters(operation(name))))


def leaves_logits(name: str, there: bool) -> bool:
    """Whether a label has logits after an operation, of which it had some before or not."""
    return name in _ON_LOGITS and (there or reads(name) == "row") or (there and reads(name) == "logits")


def taken(call: Call) -> Collection[str]:
    """The names of what an operation takes."""
    return language.parameters(operation(call.name))


def leave_logits(operations: Sequence[Call], there: bool) -> bool:
    """Whether a label has logits after operations in turn, of which it had some before or not."""
    return functools.reduce(lambda there, call: leaves_logits(call.name, there), operations, there)


def check_logits(operations: Sequence[Call], there: bool, text: str) -> None:
    """Refuse what is done to logits where there are none; before all of the operations of a spec `text` some are `there`."""
    for call in operations:
        if reads(call.name) == "logits" and not there:
            raise errors.ConfigError(
                f"{call.name} is done to logits, and '{text}' has none before it; `log` makes some of a row"
            )
        there = leaves_logits(call.name, there)


def bound(call: Call, text: str) -> Call:
    """An operation as a spec `text` has it, with all arguments by position, defaults too; those of a user by name."""
    function = operation(call.name)
    given = language.bind(call, function, _SUPPLIED, text)
    if imports.is_outside(call.name):  # its defaults may be what no spec can say
        if reads(call.name) != "logits":
            language.check_takes(call.name, function, "label operation", ("row",))
        return Call(call.name, (), given)
    parameters = language.parameters(function).values()
    return Call(call.name, tuple(given.get(p.name, p.default) for p in parameters if p.name not in _SUPPLIED))


def tidied(call: Call) -> Call:
    """2.0 is written 2, so that one meaning has one text."""

    def tidy(value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value

    return Call(call.name, tuple(map(tidy, call.args)), {name: tidy(value) for name, value in call.kwargs.items()})


def treated(call: Call, label: Label, supplied: Mapping[str, Any]) -> Label:
    """What an operation makes of a label; of many where it is done at once."""
    if is_at_once(call.name):
        return Label(_AT_ONCE[call.name](np.asarray(label.row), *call.args))
    if imports.is_outside(call.name):
        if reads(call.name) == "row":
            return Label(_own(call, label.row, supplied))
        logits = _own(call, label.form("label_logits"), supplied)
        return Label(jax.nn.softmax(logits), logits)
    row = getattr(ops, call.name)(label.row, *call.args, **supplied) if call.name in _ON_ROWS else None
    if not leaves_logits(call.name, label.logits is not None):
        assert row is not None
        return Label(row)
    before = label.row if reads(call.name) == "row" else label.logits
    logits = _ON_LOGITS[call.name](before, *call.args)
    return Label(jax.nn.softmax(logits) if row is None else row, logits)


def finished(
    operations: Sequence[Call], which: range, label: Label, true_class: Int[Array, ""], image_id: Int[Array, ""]
) -> Label:
    """Apply some of the operations of a spec to the label of one image.

    Operations that are random depend on the image's identity and on their turn among all, on nothing else.
    """
    keys = (rng.key(0, rng.Stream.LABEL, image_id, turn) for turn in itertools.count())
    for place, call in enumerate(operations):
        wanted = taken(call)
        supplied = {"true_class": true_class} if "true_class" in wanted else {}
        supplied |= {"key": next(keys)} if "key" in wanted else {}
        label = treated(call, label, supplied) if place in which else label
    return label


def check(operations: Sequence[Call], has_logits: bool, num_classes: int, text: str) -> None:
    """Try operations on labels of K classes, with logits or without, so that a bad argument is found before any is made.

    Raises:
      ConfigError: an argument of the spec `text` is out of range; or logits are not finite.
    """
    scalar, row = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((num_classes,), jnp.float32)
    label = Label(row, row if has_logits else None)
    try:
        for at_once, which in stages(operations):
            label = treated(at_once, Label(np.zeros(num_classes, np.float32)), {}) if at_once else label
            label = jax.eval_shape(functools.partial(finished, operations, which), label, scalar, scalar)
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"{problem} (in '{text}')") from None
    if any(call.name == "log" for call in operations):
        _check_finite(operations, jnp.linspace(-1, 1, num_classes), text)


def _check_finite(operations: Sequence[Call], logits: Float[Array, "K"], text: str) -> None:
    """Refuse the logarithm of rows that hold 0."""
    given, some = Label(jax.nn.softmax(logits), logits), jnp.int32(0)
    label = finished(operations, range(len(operations)), given, some, some)
    if label.logits is not None and not jnp.isfinite(label.logits).all():
        way = "smooth the row before, as in 'hard|smooth(0.1)|log', or take its numbers as they are, `as_logits`"
        raise errors.ConfigError(f"label spec '{text}' takes the logarithm of 0; {way}")


def _own(call: Call, values: Array, supplied: Mapping[str, Any]) -> Array:
    """What an operation of a user's makes of a row or of logits, if it is such again."""
    with imports.telling(call.name):
        made = jnp.asarray(operation(call.name)(values, **call.kwargs, **supplied))
    if made.shape != values.shape or not jnp.issubdtype(made.dtype, jnp.floating):
        told = f"{len(values)} floats, got {made.dtype} of shape {made.shape}"
        raise errors.ConfigError(f"{call.name} should return {told}")
    return made
