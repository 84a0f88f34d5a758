"""Python pickles of plain values and arrays, read without executing them.

A pickle is a program. This one walks its instructions and carries out those that build dictionaries, lists, tuples, text,
bytes, whole numbers and NumPy arrays of whole numbers; anything else is refused, so nothing that a file names is ever called.
"""

import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

_RECONSTRUCT = {f"{package}.multiarray _reconstruct" for package in ("numpy.core", "numpy._core")}
_DTYPES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_MARK = object()


class _Named(str):
    """The name of something that a pickle would import; it stays a name."""


class _Made(list):
    """What a pickle would construct: the kind, then what it is made of."""


def load(data: bytes) -> Any:
    """The value that a pickle describes; text of Python 2 stays as it was read, one character a byte.

    Args:
      data: the whole file.

    Raises:
      ValueError: the pickle is damaged, or holds anything but plain values.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for instruction, argument, _ in pickletools.genops(data):
            _step(instruction.name, argument, stack, memo)
        (value,) = stack
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError):
        raise ValueError("it is damaged") from None
    return value


def array(value: Any) -> np.ndarray:
    """The array of whole numbers that a value of `load` stands for; ValueError if it stands for none."""
    try:
        kind, (_, shape, (_, dtype, (_, order, *_)), by_columns, content) = value
        if (kind, dtype in _DTYPES, order in ("<", ">", "|")) != ("array", True, True):
            raise ValueError
        content = content.encode("latin-1") if isinstance(content, str) else content
        return np.frombuffer(content, order + dtype).reshape(shape, order="F" if by_columns else "C")
    except (ValueError, TypeError, IndexError, AttributeError):
        raise ValueError("it holds no array of whole numbers where one is wanted") from None


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Carry out one instruction."""
    if name in _IGNORED:
        return
    if name in _VALUES:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name in _EMPTY:
        stack.append(_EMPTY[name]())
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
        memo[len(memo) if argument is None else argument] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in _BUILD:
        _BUILD[name](stack, argument)
    else:
        raise ValueError(f"it holds more than plain values ({name} is refused)")


def _marked(stack: list[Any]) -> list[Any]:
    """Take what lies above the last mark."""
    above: list[Any] = []
    while (value := stack.pop()) is not _MARK:
        above.append(value)
    return above[::-1]


def _tuple(stack: list[Any], count: int) -> None:
    stack[-count:] = [tuple(stack[-count:])]


def _set_items(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not dict or not all(type(key) in (str, bytes) for key in items[::2]):
        raise ValueError("it is damaged")
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _extend(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not list:
        raise ValueError("it is damaged")
    stack[-1].extend(items)


def _import(stack: list[Any], name: str) -> None:
    if name not in {*_RECONSTRUCT, "numpy ndarray", "numpy dtype", "_codecs encode"}:
        raise ValueError(f"it would import {name.replace(' ', '.')}, which is refused")
    stack.append(_Named(name))


def _call(stack: list[Any]) -> None:
    """What would be called: an empty array, a type, or bytes written as text."""
    given, function = stack.pop(), stack.pop()
    if not isinstance(function, _Named) or type(given) is not tuple:
        raise ValueError("it is damaged")
    if function in _RECONSTRUCT and given[0] == "numpy ndarray":
        stack.append(_Made(["array"]))
    elif function == "numpy dtype" and type(given[0]) is str:
        stack.append(_Made(["dtype", given[0]]))
    elif function == "_codecs encode" and type(given[0]) is str and given[1] == "latin1":
        stack.append(given[0].encode("latin-1"))
    else:
        raise ValueError(f"it would call {function.replace(' ', '.')}, which is refused")


def _give_state(stack: list[Any]) -> None:
    state, made = stack.pop(), stack[-1]
    if not isinstance(made, _Made) or type(state) is not tuple:
        raise ValueError("it is damaged")
    made.append(state)


_BUILD: dict[str, Callable[[list[Any], Any], None]] = {
    "TUPLE1": lambda stack, _: _tuple(stack, 1),
    "TUPLE2": lambda stack, _: _tuple(stack, 2),
    "TUPLE3": lambda stack, _: _tuple(stack, 3),
    "TUPLE": lambda stack, _: stack.append(tuple(_marked(stack))),
    "APPEND": lambda stack, _: _extend(stack, [stack.pop()]),
    "APPENDS": lambda stack, _: _extend(stack, _marked(stack)),
    "SETITEM": lambda stack, _: _set_items(stack, [stack.pop(-2), stack.pop()]),
    "SETITEMS": lambda stack, _: _set_items(stack, _marked(stack)),
    "GLOBAL": _import,
    "STACK_GLOBAL": lambda stack, _: _import(stack, f"{stack.pop(-2)} {stack.pop()}"),
    "REDUCE": lambda stack, _: _call(stack),
    "BUILD": lambda stack, _: _give_state(stack),
}
