"""Python pickles of plain values and arrays, read without executing them.

A pickle is a program. Of its instructions only those are carried out that build dictionaries, lists, tuples, text, bytes,
whole numbers and NumPy arrays of whole numbers; what it would import stays a name, so nothing that it names is ever called.
"""

import io
import pickle
from typing import Any

import numpy as np

_DTYPES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
_RECONSTRUCT = {f"{package}.multiarray._reconstruct" for package in ("numpy.core", "numpy._core")}
_NAMES = {*_RECONSTRUCT, "numpy.ndarray", "numpy.dtype", "_codecs.encode"}
_OPCODES = {code[0]: name for name, code in vars(pickle).items() if isinstance(code, bytes) and len(code) == 1}
_CARRIED_OUT = (
    "PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET NONE NEWTRUE NEWFALSE "
    "BININT BININT1 BININT2 LONG1 BINSTRING SHORT_BINSTRING BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 "
    "EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE APPEND APPENDS SETITEM SETITEMS "
    "GLOBAL STACK_GLOBAL REDUCE BUILD"
).split()


def load(data: bytes) -> Any:
    """The value of a pickle, text of Python 2 as one character a byte; ValueError if it is damaged, or more than plain."""
    try:
        return _Reader(io.BytesIO(data), encoding="latin-1").load()
    except ValueError:
        raise
    except KeyError as problem:
        (code,) = problem.args
        raise ValueError(f"it holds more than plain values ({_OPCODES.get(code, code)} is refused)") from None
    except Exception as problem:  # a damaged one may raise nearly anything
        reason = "it is cut short" if isinstance(problem, EOFError) else "it is damaged"
        raise ValueError(reason) from None


def array(value: Any) -> np.ndarray:
    """The array of whole numbers that a value of `load` stands for; ValueError if it stands for none."""
    try:
        _, shape, dtype, by_columns, content = value.state
        _, order, *_ = dtype.state
        if (value.kind, dtype.kind in _DTYPES, order in ("<", ">", "|")) != ("array", True, True):
            raise ValueError
        content = content.encode("latin-1") if isinstance(content, str) else content
        return np.frombuffer(content, order + dtype.kind).reshape(shape, order="F" if by_columns else "C")
    except (ValueError, TypeError, IndexError, AttributeError):
        raise ValueError("it holds no array of whole numbers where one is wanted") from None


class _Named(str):
    """The name of something that a pickle would import, and what calling it would make: an array, a type, or bytes."""

    def __call__(self, first: Any, second: Any = None, *_: Any) -> Any:
        if self in _RECONSTRUCT and first == "numpy.ndarray":
            return _Made("array")
        if self == "numpy.dtype" and type(first) is str:
            return _Made(first)
        if self == "_codecs.encode" and type(first) is str and second == "latin1":
            return first.encode("latin-1")
        raise ValueError(f"it would call {self}, which is refused")


class _Made:
    """What a pickle would construct, and the state that it would have."""

    def __init__(self, kind: str):
        self.kind = kind

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dict(dict):
    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) not in (str, bytes):  # the hash of nested tuples would exhaust the stack
            raise ValueError("it is damaged")
        super().__setitem__(key, value)


class _Reader(pickle._Unpickler):  # the one in Python: that in C cannot be narrowed, and reserves what a length claims
    dispatch: dict[int, Any] = {
        code: pickle._Unpickler.dispatch[code] for code, name in _OPCODES.items() if name in _CARRIED_OUT
    }
    dispatch[pickle.EMPTY_DICT[0]] = lambda self: self.append(_Dict())

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in _NAMES:
            raise ValueError(f"it would import {name}, which is refused")
        return _Named(name)
