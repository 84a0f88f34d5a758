"""The little language of configs: `name(arguments)`, several joined by a bar.

A string such as `teacher(epoch=11)|temperature(2)|topk(10)` or `convnet(depth=3, width=128)` names functions of a module
and their arguments. It is parsed as a Python expression and only walked, never evaluated. A name may be the path of a
user's own function, such as `mylab.nets:tall(width=8)`; see `imports`.
"""

import ast
import functools
import inspect
import keyword
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxsoft import errors, imports

_SWAPPED = {":": "@", "@": ":"}  # `a.b:c(1)` is no expression of Python, `a.b@c(1)` is, and binds tighter than a bar
_TEXT_OR_SIGN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[:@]""")


class Call(NamedTuple):
    """One step of a spec: a name, its positional and its keyword arguments (numbers, strings, booleans, tuples)."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}

    def __str__(self) -> str:
        inner = [_show(a) for a in self.args] + [f"{k}={_show(v)}" for k, v in self.kwargs.items()]
        return self.name + (f"({', '.join(inner)})" if inner else "")

    def without(self, *names: str) -> "Call":
        """The call without some of its keyword arguments."""
        return self._replace(kwargs={name: value for name, value in self.kwargs.items() if name not in names})


def parse(text: str) -> tuple[Call, ...]:
    """Split a spec into its calls, or raise a ConfigError.

    >>> [str(call) for call in parse("teacher(epoch=11) | topk(10)")]
    ['teacher(epoch=11)', 'topk(10)']
    """
    try:
        expression = _TEXT_OR_SIGN.sub(lambda found: _SWAPPED.get(found[0], found[0]), text.strip())
        return _calls(ast.parse(expression, mode="eval").body)
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
    legal = [p for p in parameters(function).values() if p.name not in given]
    signature = inspect.Signature([p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in sorted(legal, key=_is_optional)])
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


def find(name: str, functions: Mapping[str, Callable[..., Any]], kind: str, where: str) -> Callable[..., Any]:
    """The function that a name of a spec stands for: one of these, or what a path such as `mylab.nets:tall` leads to.

    Raises:
      ConfigError: there is none; `kind` ("schedule") and `where` all of them are say what was wanted.
    """
    if imports.is_outside(name):
        return imports.function(name)
    if name not in functions:
        raise errors.ConfigError(errors.unknown(kind, name, functions, where))
    return functions[name]


def resolve(
    text: str,
    functions: Mapping[str, Callable[..., Any]],
    kind: str,
    where: str,
    given: tuple[str, ...] = (),
    offered: tuple[str, ...] = (),
) -> Callable[..., Any]:
    """The function that a one-call spec such as `step(0.3, parts=4)` names, with the user's arguments filled in.

    The caller supplies the parameters `given` later, and those `offered` if the function has them; see `find`.

    Raises:
      ConfigError: unknown name, wrong arguments, or a function of the user's that does not take first what is given.
    """
    call = parse_one(text)
    function = find(call.name, functions, kind, where)
    check_takes(call.name, function, kind, given)
    filled = functools.partial(function, **bind(call, function, (*given, *offered), text))
    return imports.telling(call.name)(filled) if imports.is_outside(call.name) else filled


def check_takes(name: str, function: Callable[..., Any], kind: str, given: tuple[str, ...]) -> None:
    """Refuse a function that does not take first what every one of its kind is given."""
    if (own := tuple(parameters(function)))[: len(given)] != given:
        wanted, there = ", ".join(given), ", ".join(own) or "nothing"
        raise errors.ConfigError(f"{name} cannot be used as {kind}: it should take first {wanted}; it takes {there}")


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a function takes by name, with its annotations as types where they are written as text."""
    try:
        found = inspect.signature(function, eval_str=True)
    except NameError:  # known to type checkers only
        found = inspect.signature(function)
    except ValueError as problem:  # of a builtin
        raise errors.ConfigError(str(problem)) from None
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {name: p for name, p in found.parameters.items() if p.kind not in kinds}


def public_functions(module: Any) -> dict[str, Callable[..., Any]]:
    """The public functions that a module defines itself: the module is the registry."""
    own = ((name, f) for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__)
    return {name: f for name, f in own if not name.startswith("_")}


def _calls(node: ast.expr) -> tuple[Call, ...]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _calls(node.left) + _calls(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        (call,) = _calls(node.right)
        return (call._replace(name=f"{_dotted(node.left)}:{call.name}"),)
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


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
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
    if isinstance(value, bool):
        return str(value).lower()
    bare = isinstance(value, str) and value.isidentifier() and not keyword.iskeyword(value)
    return value if bare else repr(value)


def _is_optional(p: inspect.Parameter) -> bool:
    return p.default is not p.empty


def _described(p: inspect.Parameter) -> str:
    typed = isinstance(p.annotation, type) and p.annotation is not p.empty
    kind = p.annotation.__name__ if typed else "value"
    return f"{p.name}: {kind}" + ("" if p.default is p.empty else f"={_show(p.default)}")
