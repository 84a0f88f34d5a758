"""What a thing of Python consists of, told so that equal things tell the same in every process, and others do not.

Bytecode and constants, not comments; defaults, closures and arrays by content; globals, helpers and modules that are
used, as they are now; classes with all their methods; of libraries the names.
"""

import builtins
import contextlib
import copyreg
import dataclasses
import dis
import functools
import importlib
import importlib.util
import inspect
import operator
import sys
import types
from collections.abc import Iterator
from typing import Any

from jaxsoft import files, imports, sources

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range, slice)
_SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType)
_UNSAID = frozenset(
    "__dict__ __weakref__ __doc__ __module__ __name__ __qualname__ __firstlineno__ __annotations__ __signature__ _jit_info"
    " __static_attributes__ __dataclass_fields__ __dataclass_params__ __abstractmethods__ _abc_impl".split()
)

Seen = dict[int, tuple[int, Any]]
"""What was told of already, by id, with its number; held, so that its id is its own."""


class Unknown(Exception):
    """Of this nothing tells whether it is the same."""


def parts(value: Any, seen: Seen | None = None) -> Iterator[str | bytes]:
    """All that a value is made of, in an order that depends on nothing else."""
    kind, seen = type(value), {} if seen is None else seen
    if kind in _PLAIN:
        yield f"{kind.__name__} {value!r};"
    elif isinstance(value, getattr(sys.modules.get("numpy"), "dtype", ())):
        yield f"dtype {value};"
    elif hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, (type, types.ModuleType)):
        yield from _array(value)
    elif name := _library_name(value):
        yield f"name {name};"
    elif isinstance(value, (set, frozenset)):
        yield f"({kind.__name__} {sorted(files.digest(parts(item)) for item in value)})"
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
        yield from parts(value, seen)
    yield ")"


def _array(value: Any) -> Iterator[str | bytes]:
    import numpy as np  # settings are read without it

    try:
        array = np.asarray(value)
    except TypeError:  # a key of random numbers
        import jax

        array = np.asarray(jax.random.key_data(value))
    if array.dtype.hasobject:
        raise Unknown(value)
    yield from (f"array {array.dtype} {array.shape} ", np.ascontiguousarray(array).tobytes(), ";")
    if isinstance(value, np.ma.MaskedArray):
        yield from _array(np.ma.getmaskarray(value))


def _opened(value: Any) -> tuple[Any, ...]:
    """What a value consists of; `Unknown` of what does not say."""
    if type(value) in (tuple, list):
        return tuple(value)
    if type(value) in (dict, types.MappingProxyType):
        return tuple(part for pair in value.items() for part in pair)
    match value:
        case types.CodeType():
            return _code(value)
        case types.FunctionType():
            return _function(value)
        case types.MethodType():
            return value.__func__, value.__self__
        case functools.partial():
            return value.func, value.args, dict(sorted(value.keywords.items()))
        case property():
            return value.fget, value.fset, value.fdel
        case functools.cached_property():
            return (value.func,)
        case types.ModuleType():
            return (value.__name__,)
        case type():
            return value.__name__, value.__bases__, _own(value)
    if type(value).__module__ in ("typing", "types"):
        return (repr(value),)
    if hasattr(value, "__wrapped__"):  # of jit, lru_cache, staticmethod and the like
        return type(value), value.__wrapped__, _own(value)
    if dataclasses.is_dataclass(value):
        own = {f.name: getattr(value, f.name, None) for f in fields(value)}
        return type(value), own if _is_linen(value) else own | _lasting(value, getattr(value, "__dict__", {}))
    try:  # as it would be pickled
        reduce = copyreg.dispatch_table.get(type(value))
        made = reduce(value) if reduce else value.__reduce_ex__(2)
    except TypeError:
        raise Unknown(value) from None
    if not isinstance(made, tuple):
        return type(value), made
    return type(value), *made[:2], _lasting(value, (*made, None)[2]), *(list(items) for items in made[3:5] if items)


def _lasting(value: Any, state: Any) -> Any:
    """What a value holds, but for what it only remembers having computed."""
    cached = functools.partial(inspect.getattr_static, type(value), default=None)
    if not isinstance(state, dict):
        return state
    return {name: part for name, part in state.items() if not isinstance(cached(name), functools.cached_property)}


def fields(value: Any) -> list[dataclasses.Field]:
    """Those of a dataclass; not what a module of flax.linen is told by the one that it is in."""
    inner = ("parent", "name") if _is_linen(value) else ()
    return [f for f in dataclasses.fields(value) if f.name not in inner]


def _is_linen(value: Any) -> bool:
    linen = sys.modules.get("flax.linen")
    return linen is not None and isinstance(value, linen.Module)


def _function(value: types.FunctionType) -> tuple[Any, ...]:
    """What a function does: its code, or of a library its name; defaults, closure, and the globals that it uses."""
    closure = [_content(cell) for cell in value.__closure__ or ()]
    own = value.__defaults__, value.__kwdefaults__, closure, _own(value)
    if not _is_own(value.__globals__.get("__name__", "")):
        name = value.__code__.co_qualname
        return value.__globals__["__name__"], value.__code__ if "<" in name else name, *own
    names = {name for code in _codes(value.__code__) for name in code.co_names}
    used = {f"import {name}": _members(module, names) for name, module in _imported(value)}
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
    if constants and isinstance(constants[0], str):
        constants[0] = None  # the docstring; None where there is none
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


def _imported(function: types.FunctionType) -> Iterator[tuple[str, types.ModuleType]]:
    """The modules of one's own that a function imports when it is called."""
    package = function.__globals__.get("__package__") or ""
    steps = (step for own in _codes(function.__code__) for step in dis.get_instructions(own))
    for name in sorted({step.argval for step in steps if step.opname == "IMPORT_NAME"}):
        for full in (f"{package}.{name}".rstrip("."), name) if package else (name,):
            with contextlib.suppress(ImportError, ValueError):  # what is not there is told when it is called
                found = importlib.util.find_spec(name.partition(".")[0] if full == name else full)
                if found and (found.origin is None or found.has_location and not imports.is_library(found.origin)):
                    yield name, importlib.import_module(full)
                    break


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
