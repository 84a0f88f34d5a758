"""What Python hands over instead of the text of a spec: a function or a network, known by name and by content.

`named` turns it into a path such as `object:Small_width_8_x1f2e3d4c5b6a`, which leads back to it as long as the process
lives; the same object built again, in this process or another, has the same path, and another object another one. The
digits stand for what runs, as `contents` tells it. Bytecode is that of one version of Python.
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from jaxsoft import contents, errors, files, imports

_LONGEST = 40  # characters of a name before its digits
_HOW = "write a function that makes it, at the top of a module, and name that by its path, package.module:function"


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
        value, told = value.func, dict(sorted(value.keywords.items()))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {f.name: getattr(value, f.name, None) for f in contents.fields(value)}
        told = {f.name: told[f.name] for f in contents.fields(value) if repr(told[f.name]) != repr(f.default)}
    name = getattr(value, "__name__", type(value).__name__)
    words = [name, *(f"{k}_{v}" for k, v in told.items() if type(v) in (bool, int, float, str))]
    return re.sub(r"\W+", "_", "_".join(words), flags=re.ASCII).lstrip("_0123456789")[:_LONGEST].rstrip("_") or "given"


def _digest(value: Any, where: str) -> str:
    try:
        return files.digest(contents.parts(value))[:12]
    except RecursionError:
        what = "holds itself"
    except contents.Unknown as problem:
        of = type(problem.args[0])
        what = f"holds a {of.__module__}.{of.__qualname__}, which nothing tells from another one"
    except Exception as problem:  # of what a user's objects do when they are looked at
        what = f"cannot be looked through: {imports.located(problem)}"
    raise errors.ConfigError(f"{where}{': ' if where else ''}{_title(value)} {what}; {_HOW}") from None
