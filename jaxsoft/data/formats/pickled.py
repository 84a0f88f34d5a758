"""Python pickles of plain values and arrays, read without executing them.

A pickle is a program. Of its instructions only those are carried out that build dictionaries, lists, tuples, text, bytes,
whole numbers and NumPy arrays of numbers; what it would import stays a name, so nothing that it names is ever called.
What it builds may refer to itself, and is small where it is small on the disk; it is unfolded into plain values last, to a
depth and a number that are bounded.
"""

import contextlib
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_DTYPES = {*(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "b1", "f2", "f4", "f8"}
_PACKAGES = "numpy.core", "numpy._core"
_OPCODES = {code[0]: name for name, code in vars(pickle).items() if isinstance(code, bytes) and len(code) == 1}
_CARRIED_OUT = (
    "PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET NONE NEWTRUE NEWFALSE "
    "BININT BININT1 BININT2 LONG1 BINSTRING SHORT_BINSTRING BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 "
    "EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE APPEND APPENDS SETITEM SETITEMS "
    "GLOBAL STACK_GLOBAL REDUCE BUILD"
).split()
_DEEPEST, _MOST_VALUES = 64, 1_000_000  # of what a pickle may hold


def load(data: bytes) -> Any:
    """The value of a pickle, text of Python 2 as one character a byte; ValueError if it is damaged, or more than plain."""
    with refusing():
        return unfolded(Reader(io.BytesIO(data)).load(), len(data))


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Whatever goes wrong inside, where a pickle is carried out, is a ValueError that says what is wrong with it."""
    try:
        yield
    except ValueError:
        raise
    except KeyError as problem:
        (code,) = problem.args
        raise ValueError(f"it holds more than plain values ({_OPCODES.get(code, code)} is refused)") from None
    except Exception as problem:  # a damaged one may raise nearly anything
        reason = "it is cut short" if isinstance(problem, EOFError) else "it is damaged"
        raise ValueError(reason) from None


def array(value: Any) -> np.ndarray:
    """A value of `load` that is an array of numbers; ValueError if it is none."""
    if not isinstance(value, np.ndarray):
        raise ValueError("it holds no array of numbers where one is wanted")
    return value


class Named(str):
    """The name of something that a pickle would import; `make` gives what stands for a call of it."""

    make: Callable[..., Any] | None

    def __call__(self, *given: Any) -> Any:
        if self.make is None:
            raise ValueError(f"it would call {self}, which is refused")
        return self.make(*given)


class Made:
    """What a pickle would construct, and the state that it would have; `value` makes of it what it stands for."""

    state: Any = None

    def build(self, state: Any) -> None:
        """Take the state that a pickle gives."""
        self.state = state

    def value(self) -> Any:
        """What it stands for, once the whole pickle is read."""
        raise ValueError("it is damaged")


class _Dtype(Made):
    def __init__(self, name: Any, *_: Any):
        if name not in _DTYPES:
            raise ValueError(f"it holds an array that is not of numbers ({str(name)[:20]!r})")
        self.name = name

    def of_numpy(self) -> np.dtype:
        order = self.state[1]
        if order not in ("<", ">", "|"):
            raise ValueError("it is damaged")
        return np.dtype(order + self.name)


class _Array(Made):
    def __init__(self, kind: Any, *_: Any):
        if kind != "numpy.ndarray":
            raise ValueError(f"it would construct {kind!r:.60}, which is refused")

    def value(self) -> np.ndarray:
        _, shape, dtype, by_columns, content = self.state
        content = content.encode("latin-1") if isinstance(content, str) else content
        return np.frombuffer(content, dtype.of_numpy()).reshape(shape, order="F" if by_columns else "C")


class Dict(dict):
    """A dictionary of a pickle: the hash of nested tuples as keys would exhaust the stack."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) not in (str, bytes, int):
            raise ValueError("it is damaged")
        super().__setitem__(key, value)


def _scalar(dtype: _Dtype, content: bytes | str) -> Any:
    content = content.encode("latin-1") if isinstance(content, str) else content
    (number,) = np.frombuffer(content, dtype.of_numpy())
    return number.item()


def _encoded(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise ValueError("it would call _codecs.encode, which is refused")
    return text.encode("latin-1")


class Reader(pickle._Unpickler):  # the one in Python: that in C cannot be narrowed, and reserves what a length claims
    """Carries out what builds plain values. `calls`: what a name stands for when it is called; None is only named."""

    stack: list[Any]
    append: Callable[[Any], None]
    memo: dict[int, Any]
    read: Callable[[int], bytes]
    calls: dict[str, Callable[..., Any] | None] = {
        **{f"{package}.multiarray._reconstruct": _Array for package in _PACKAGES},
        **{f"{package}.multiarray.scalar": _scalar for package in _PACKAGES},
        "numpy.ndarray": None,
        "numpy.dtype": _Dtype,
        "_codecs.encode": _encoded,
    }

    def __init__(self, file: io.BytesIO):
        super().__init__(file, encoding="latin-1")
        self._most = file.getbuffer().nbytes

    def find_class(self, module_name: str, global_name: str) -> Any:
        """The name itself."""
        name = f"{module_name}.{global_name}"
        if name not in self.calls:
            raise ValueError(f"it would import {name:.200}, which is refused")
        named = Named(name)
        named.make = self.calls[name]
        return named

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Made):
            raise ValueError("it would set attributes, which is refused")
        self.stack[-1].build(state)

    def _put(self) -> None:
        place = int.from_bytes(self.read(4), "little")
        if place > self._most:  # every place is written by an instruction of its own
            raise ValueError("it is damaged")
        self.memo[place] = self.stack[-1]

    dispatch: dict[int, Any] = {
        code: pickle._Unpickler.dispatch[code] for code, name in _OPCODES.items() if name in _CARRIED_OUT
    }
    dispatch[pickle.EMPTY_DICT[0]] = lambda self: self.append(Dict())
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.LONG_BINPUT[0]] = _put


def carrying_out(*names: str) -> dict[int, Any]:
    """Instructions of a reader that carries out more of Python's own, by their names."""
    more = {code: pickle._Unpickler.dispatch[code] for code, name in _OPCODES.items() if name in names}
    return Reader.dispatch | more


def unfolded(value: Any, size: int) -> Any:
    """Plain values of their own, in the place of what a pickle of `size` bytes built.

    ValueError if they would be nested too deep, or far more than its bytes: each that is there takes one at least.
    """
    return _unfold(value, iter(range(min(_MOST_VALUES, 1_000 + 10 * size))), _DEEPEST)


def _unfold(value: Any, budget: Iterator[int], depth: int) -> Any:
    if next(budget, None) is None or depth < 0:
        raise ValueError(f"it would unfold to too many values, or to values nested deeper than {_DEEPEST}")
    if isinstance(value, dict):
        return {key: _unfold(each, budget, depth - 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_unfold(each, budget, depth - 1) for each in value)
    if isinstance(value, Named):
        raise ValueError(f"it holds {value} where a value is wanted")
    return value.value() if isinstance(value, Made) else value
