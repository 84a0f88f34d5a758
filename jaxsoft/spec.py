"""The little language of configs: `name(arguments)`, several joined by a bar.

A string such as `teacher(epoch=11)|temperature(2)|topk(10)` or `convnet(depth=3, width=128)` names functions of a module
and their arguments. It is parsed as a Python expression and only walked, never evaluated.
"""

import ast
import functools
import inspect
import keyword
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxsoft import errors


class Call(NamedTuple):
    """One step of a spec: a name, its positional and its keyword arguments (numbers, strings, booleans, tuples)."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}

    def __str__(self) -> str:
        inner = [_show(a) for a in self.args] + [f"{k}={_show(v)}" for k, v in self.kwargs.items()]
        return self.name + (f"({', '.join(inner)})" if inner else "")


def parse(text: str) -> tuple[Call, ...]:
    """Split a spec into its calls, or raise a ConfigError.

    >>> [str(call) for call in parse("teacher(epoch=11) | topk(10)")]
    ['teacher(epoch=11)', 'topk(10)']
    """
    try:
        return _calls(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError, MemoryError):
        expected = "name(arguments)|..., such as 'hard', 'teacher(epoch=5)|topk(3)'"
        raise errors.ConfigError(f"cannot read spec {text!r}; expected {expected}") from None


def parse_one(text: str) -> Call:
    """Parse a spec that must be a single call, such as a model or an optimizer."""
    calls = parse(text)
    if len(calls) != 1:
        raise errors.ConfigError(f"expected one name(arguments) without '|', got {text!r}")
    return calls[0]


def render(calls: tuple[Call, ...]) -> str:
    """The canonical text of calls; `parse(render(calls)) == calls`."""
    return "|".join(map(str, calls))


def bind(call: Call, function: Callable[..., Any], given: tuple[str, ...] = (), text: str = "") -> dict[str, Any]:
    """The arguments of a call by name, checked against the function's annotations and defaults.

    The caller supplies the parameters `given` itself, so the user may not; `text` is the whole spec, for the message.

    Raises:
      ConfigError: too many, unknown, missing or wrongly typed arguments.
    """
    legal = [p for p in inspect.signature(function).parameters.values() if p.name not in given]
    signature = inspect.Signature([p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in legal])
    try:
        bound = signature.bind(*call.args, **call.kwargs).arguments
        for name, value in bound.items():
            wanted = signature.parameters[name].annotation
            if wanted is float and type(value) is int:
                bound[name] = float(value)
            elif wanted is not inspect.Parameter.empty and isinstance(wanted, type) and type(value) is not wanted:
                raise TypeError(f"{name} expects {wanted.__name__}, got {value!r}")
    except TypeError as problem:
        where = f"{call} in {text!r}" if text else str(call)
        usage = f"{call.name}({', '.join(map(_described, legal))})"
        raise errors.ConfigError(f"{where}: {problem}; usage: {usage}") from None
    return bound


def resolve(
    text: str, functions: Mapping[str, Callable[..., Any]], kind: str, where: str, given: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """The function that a one-call spec such as `step(0.3, parts=4)` names, with the user's arguments filled in.

    The caller supplies the parameters `given` later; messages say `kind` ("schedule"), and `where` all of them are.

    Raises:
      ConfigError: unknown name or wrong arguments.
    """
    call = parse_one(text)
    if call.name not in functions:
        raise errors.ConfigError(errors.unknown(kind, call.name, functions, where))
    return functools.partial(functions[call.name], **bind(call, functions[call.name], given, text))


def public_functions(module: Any) -> dict[str, Callable[..., Any]]:
    """The public functions that a module defines itself: the module is the registry."""
    own = ((name, f) for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__)
    return {name: f for name, f in own if not name.startswith("_")}


def _calls(node: ast.expr) -> tuple[Call, ...]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _calls(node.left) + _calls(node.right)
    if isinstance(node, ast.Name):
        return (Call(node.id),)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        kwargs = {}
        for given in node.keywords:
            if given.arg is None or given.arg in kwargs:
                raise ValueError
            kwargs[given.arg] = _value(given.value)
        return (Call(node.func.id, tuple(map(_value, node.args)), kwargs),)
    raise ValueError


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):  # a bare word is a string: pool(probabilities)
        return {"true": True, "false": False}.get(node.id, node.id)
    value = ast.literal_eval(node)
    for item in value if isinstance(value, tuple) else (value,):
        small = isinstance(item, (str, bool)) or (isinstance(item, int) and abs(item) < 2**63)
        if not small and not (isinstance(item, float) and math.isfinite(item)):
            raise ValueError
    return value


def _show(value: Any) -> str:
    bare = isinstance(value, str) and value.isidentifier() and not keyword.iskeyword(value)
    return value if bare else repr(value)


def _described(p: inspect.Parameter) -> str:
    typed = isinstance(p.annotation, type) and p.annotation is not p.empty
    kind = p.annotation.__name__ if typed else "value"
    return f"{p.name}: {kind}" + ("" if p.default is p.empty else f"={_show(p.default)}")
