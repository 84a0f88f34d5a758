"""What Python hands over instead of the text of a spec: a function or a network, known by name and by content.

`named` turns it into a path such as `object:Small_width_8_x1f2e3d4c5b6a`, which leads back to it as long as the process
lives; the same object built again, in this process or another, has the same path, and another object another one. The
digits stand for what runs: bytecode and constants, not comments; defaults, closures and arrays by content; globals and
helpers that are used, as they are now; classes with all their methods; of libraries the names. Bytecode is that of one
version of Python.
"""

import builtins
import dataclasses
import dis
import functools
import inspect
import operator
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from jaxsoft import errors, files, imports, sources

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range, slice)
_SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType)
_UNSAID = {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__annotations__"}
_UNSAID |= {"__name__", "__signature__", "_jit_info"} | {
    "__static_attributes__",
    "__signature__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__abstractmethods__",
    "_abc_impl",
}
_LONGEST = 40  # characters of a name before its digits
_HOW = "write a function that makes it, at the top of a module, and name that by its path, package.module:function"

Seen = dict[int, tuple[int, Any]]
"""What was told of already, by id, with its number; held, so that its id is its own."""


def named(value: Any, kind: str = "", where: str = "") -> Any:
    """The path of what Python handed over; anything else, as the text of a spec, stays as it is.

    Args:
      value: a function, or anything else that can be called; for a "model" also a pair of such; for an "augment" also a
        tuple of a number and such. A path that was given before is looked at again, as globals may have changed.
      kind: name of the setting.
      where: how messages name it.

    Raises:
      ConfigError: it holds something of which nothing tells whether it is still the same.
    """
    if isinstance(value, str):
        if type(value) is not str or value not in _given:
            return value
        value, kind = _given[value]
    parts = value if isinstance(value, tuple) and kind in ("model", "augment") else (value,)
    if not any(map(callable, parts)) or not all(callable(part) or isinstance(part, int) for part in parts):
        return value
    path = f"object:{_title(value)}_x{_digest(value, where)}"
    if path not in _given or _given[path][0] is not value:
        _given[path] = value, kind
        imports.give(path, _KINDS.get(kind, lambda own: own)(value))
    return path


_given: dict[str, tuple[Any, str]] = {}


def _network(value: Any) -> Callable[..., Any]:
    """A model as a path leads to it: a function of `num_classes`, which it need not look at."""
    names = _names(value)
    is_factory = bool({"rngs", "key"} & {*names})

    def network(num_classes: int) -> Any:
        if not isinstance(value, tuple) and "num_classes" in names:
            filled = functools.partial(value, num_classes=num_classes)
            return filled if is_factory else filled()
        return value() if isinstance(value, type) and not is_factory else value

    return network


def _augmentation(value: Any) -> Callable[[], Any]:
    return (lambda: value) if isinstance(value, tuple) else value


_KINDS: dict[str, Callable[[Any], Any]] = {"model": _network, "augment": _augmentation}


def _names(value: Any) -> tuple[str, ...]:
    """What a function or a class is called with; a class of flax.nnx hides it."""
    inner: Any = value.__init__ if isinstance(value, type) else value
    try:
        return tuple(inspect.signature(inner).parameters)
    except (TypeError, ValueError):
        return ()


def _title(value: Any) -> str:
    """The name of the function or class, with the numbers and words that were chosen for it."""
    if isinstance(value, tuple):
        value = next(part for part in value if callable(part))
    told: dict[str, Any] = {}
    if isinstance(value, functools.partial):
        value, told = value.func, value.keywords
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {f.name: getattr(value, f.name, None) for f in _fields(value)}
        told = {f.name: told[f.name] for f in _fields(value) if repr(told[f.name]) != repr(f.default)}
    name = getattr(value, "__name__", type(value).__name__)
    words = [name, *(f"{k}_{v}" for k, v in told.items() if type(v) in (bool, int, float, str))]
    return re.sub(r"\W+", "_", "_".join(words), flags=re.ASCII).lstrip("_0123456789")[:_LONGEST].rstrip("_") or "given"


def _digest(value: Any, where: str) -> str:
    try:
        return files.digest(_parts(value, {}))[:12]
    except RecursionError:
        what = "holds itself"
    except _Unknown as problem:
        of = type(problem.args[0])
        what = f"holds a {of.__module__}.{of.__qualname__}, which nothing tells from another one"
    except Exception as problem:  # of what a user's objects do when they are looked at
        what = f"cannot be looked through: {imports.located(problem)}"
    raise errors.ConfigError(f"{where}{': ' if where else ''}{_title(value)} {what}; {_HOW}") from None


class _Unknown(Exception):
    """Of this nothing tells whether it is the same."""


def _parts(value: Any, seen: Seen) -> Iterator[str | bytes]:
    """All that a value is made of, in an order that depends on nothing else."""
    kind = type(value)
    if kind in _PLAIN:
        yield f"{kind.__name__} {value!r};"
    elif isinstance(value, getattr(sys.modules.get("numpy"), "dtype", ())):
        yield f"dtype {value};"
    elif hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, (type, types.ModuleType)):
        yield from _array(value)
    elif name := _library_name(value):
        yield f"name {name};"
    elif isinstance(value, (set, frozenset)):
        yield f"({kind.__name__} {sorted(files.digest(_parts(item, {})) for item in value)})"
    elif isinstance(value, (tuple, list, dict, types.CodeType, types.MappingProxyType)):
        yield from _all(kind.__name__, _opened(value), seen)
    elif id(value) in seen:
        yield f"seen {seen[id(value)][0]};"
    else:
        seen[id(value)] = len(seen), value
        yield from _all(kind.__name__, _opened(value), seen)


def _all(name: str, values: tuple[Any, ...], seen: Seen) -> Iterator[str | bytes]:
    yield f"({name} "
    for value in values:
        yield from _parts(value, seen)
    yield ")"


def _array(value: Any) -> Iterator[str | bytes]:
    import numpy as np  # settings are read without it

    try:
        array = np.asarray(value)
    except TypeError:  # a key of random numbers
        import jax

        array = np.asarray(jax.random.key_data(value))
    if array.dtype.hasobject:
        raise _Unknown(value)
    yield from (f"array {array.dtype} {array.shape} ", np.ascontiguousarray(array).tobytes(), ";")


def _opened(value: Any) -> tuple[Any, ...]:
    """What a value consists of; `_Unknown` of what does not say."""
    match value:
        case tuple():
            return type(value), *value
        case list():
            return type(value), *value
        case dict() | types.MappingProxyType():
            return type(value), *(part for pair in value.items() for part in pair)
        case types.CodeType():
            return _code(value)
        case types.FunctionType():
            return _function(value)
        case types.MethodType():
            return value.__func__, value.__self__
        case functools.partial():
            return value.func, value.args, value.keywords
        case property():
            return value.fget, value.fset, value.fdel
        case types.ModuleType():
            return (value.__name__,)
        case type():
            return value.__name__, value.__bases__, _own(value)
    if type(value).__module__ in ("typing", "types"):
        return (repr(value),)
    if hasattr(value, "__wrapped__"):  # of jit, lru_cache, staticmethod and the like
        return type(value), value.__wrapped__, _own(value)
    if dataclasses.is_dataclass(value):
        return type(value), {f.name: getattr(value, f.name, None) for f in _fields(value)}
    try:
        made = value.__reduce_ex__(2)  # as it would be pickled
    except TypeError:
        raise _Unknown(value) from None
    return (type(value), *(made[:3] if isinstance(made, tuple) else (made,)))


def _fields(value: Any) -> list[dataclasses.Field]:
    """Those of a dataclass; not what a module of flax.linen is told by the one that it is in."""
    return [f for f in dataclasses.fields(value) if f.name not in ("parent", "name")]


def _function(value: types.FunctionType) -> tuple[Any, ...]:
    """What a function does: its code, or of a library its name; defaults, closure, and the globals that it uses."""
    closure = [_content(cell) for cell in value.__closure__ or ()]
    own = value.__defaults__, value.__kwdefaults__, closure, _own(value)
    if not _is_own(value.__globals__.get("__name__", "")):
        return value.__globals__["__name__"], value.__code__.co_qualname, *own
    used, names = {}, {name for code in _codes(value.__code__) for name in code.co_names}
    for name in sorted(names & _globals(value.__code__)):
        if name in value.__globals__:
            used[name] = _members(value.__globals__[name], names)
        elif not hasattr(builtins, name):
            used[name] = "absent"
    return value.__code__, *own, used


def _own(value: Any) -> dict[str, Any]:
    """What a class or a function has been given; not what only describes it."""
    return {n: part for n, part in vars(value).items() if n not in _UNSAID and not isinstance(part, _SLOTS)}


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _code(code: types.CodeType) -> tuple[Any, ...]:
    """What code does, without lines, docstring and the names of what is local."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and (sys.version_info < (3, 13) or code.co_flags & 0x4000000):
        constants[0] = None  # the docstring
    takes = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    inputs = code.co_varnames[: takes[0] + takes[2]]
    return code.co_code, code.co_exceptiontable, code.co_names, *takes, inputs, code.co_flags & 0xFF, *constants


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _globals(code: types.CodeType) -> set[str]:
    """The names of globals that code reads."""
    steps = (step for own in _codes(code) for step in dis.get_instructions(own))
    return {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _members(value: Any, names: set[str]) -> Any:
    """A module of one's own as that of it which is used."""
    if not isinstance(value, types.ModuleType) or _library_name(value):
        return value
    return {name: _members(getattr(value, name), names) for name in sorted(names) if hasattr(value, name)}


def _library_name(value: Any) -> str:
    """Where a library defines it; of this package with a digest of its code. Empty for what is no library's."""
    if isinstance(value, types.ModuleType):
        return "" if _is_own(value.__name__) else value.__name__
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", getattr(value, "__name__", None))
    if not isinstance(module, str) or not isinstance(name, str) or _is_own(module) or "<" in name:
        return ""
    try:
        found = operator.attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        return ""
    here = sources.digest(value) if found is value and module.startswith("jaxsoft.") else ""
    return f"{module}:{name} {here}" if found is value else ""


def _is_own(module: str) -> bool:
    """Whether a module is a user's."""
    if module == "__main__" or module not in sys.modules:
        return True
    file = getattr(sys.modules[module], "__file__", None)
    return bool(file) and not imports.is_library(file)
