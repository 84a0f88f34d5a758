"""One value of a setting: what a config file and a command line may say, and what is refused, in one line."""

import ast
import math
import operator
import re
import typing
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsoft import errors

_LARGEST_INT = 10**9  # settings become 32-bit integers in compiled programs, some of them after a small addition
_SMALLEST_FLOAT, _LARGEST_FLOAT = 1.2e-38, 3.4e38  # and 32-bit floats, which know nothing smaller but 0
_LONGEST_NAME = 200  # bytes; with what is added to it a file name may have 255
_WHOLE = 1e-9  # what logarithmic spacing leaves of a whole number
_BOUNDS = {"low": (">=", operator.ge), "above": (">", operator.gt), "high": ("<=", operator.le)}


def checked(value: Any, wanted: Any, rule: Mapping[str, Any], where: str) -> Any:
    """A value as its setting has it.

    Arrays and scalars of NumPy count as the numbers they hold, to the last bit: `numpy.float32(0.1)` is
    0.10000000149011612. An array of floats is good for integers if they are whole to one part in 1e9, which is what
    `numpy.logspace` and `numpy.geomspace` make of whole numbers.

    A single value will do for a tuple.

    Args:
      wanted: the type of the setting: int, float, str, or a tuple of one of them.
      rule: its range, choices, or what it names.
      where: how messages name it.

    Raises:
      ConfigError: another type, or out of range.
    """
    if typing.get_origin(wanted) is tuple:
        items = value if isinstance(value, (tuple, list, range)) or getattr(value, "ndim", 0) else (value,)
        return tuple(checked(item, typing.get_args(wanted)[0], rule, where) for item in items)
    value = _plain(value, wanted)
    if expected := _expected(value, wanted, rule):
        raise errors.ConfigError(f"{where} expects {expected}, got {errors.quoted(value)}")
    return path(value, where) if rule.get("names") == "path" else value


def parsed(text: str, wanted: Any) -> Any:
    """What `--config.KEY=TEXT` means for a setting of a type; whether it fits is for `checked` to say.

    Commas separate the values of a tuple, but for those inside of brackets or quotes; brackets around all of them and
    quotes around each are welcome, not needed. Nothing, or an empty pair of brackets, is the empty tuple.

    >>> parsed("hard,teacher(epoch=2)", tuple[str, ...]), parsed("(1, 2)", tuple[int, ...]), parsed("", tuple[int, ...])
    (('hard', 'teacher(epoch=2)'), (1, 2), ())
    """
    if typing.get_origin(wanted) is not tuple:
        return text if wanted is str else _literal(text)
    item = typing.get_args(wanted)[0]
    return tuple(_unquoted(part) if item is str else _literal(part) for part in _parts(text.strip()))


def path(text: str, where: str) -> str:
    """A path as the user wrote it, `~` expanded.

    Raises:
      ConfigError: it is a URL, or the home of somebody that there is not.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise errors.ConfigError(f"{where} expects a path on this machine, got {errors.quoted(text)}; mount it first")
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise errors.ConfigError(f"{where}: there is no home folder for {errors.quoted(text)}") from None


def _plain(value: Any, wanted: type) -> Any:
    of_array = hasattr(value, "tolist")
    value = value.tolist() if of_array else value
    if wanted is int and of_array and type(value) is float and math.isfinite(value):
        return round(value) if math.isclose(value, round(value), rel_tol=_WHOLE) else value
    return float(value) if wanted is float and type(value) is int and abs(value) <= _LARGEST_INT else value


def _expected(value: Any, wanted: type, rule: Mapping[str, Any]) -> str:
    """What a setting expects; nothing where the value is that."""
    if choices := rule.get("choices"):
        return "" if value in choices else rule_of(wanted, rule)
    if rule.get("names") == "function" and not isinstance(value, str):
        return "the text of a spec, or in Python the function or network itself"
    if rule.get("names") == "folder":
        return "" if type(value) is str and _is_name(value) else "a name for a folder, without / and of one line"
    bounds = {name: rule[name] for name in _BOUNDS if name in rule}
    if type(value) is int and value > _LARGEST_INT:
        bounds["high"] = _LARGEST_INT
    if type(value) is float and not value <= _LARGEST_FLOAT:
        bounds["high"] = _LARGEST_FLOAT
    if type(value) is float and 0 < value < _SMALLEST_FLOAT:
        bounds["low"] = _SMALLEST_FLOAT
        bounds.pop("above", None)
    fits = (type(value) is wanted or wanted is str and isinstance(value, str)) and all(
        _BOUNDS[name][1](value, bound) for name, bound in bounds.items()
    )
    if fits and (wanted is not str or "\0" not in str(value)):  # no file can have such a name
        return ""
    return _told(wanted, bounds)


def rule_of(wanted: Any, rule: Mapping[str, Any]) -> str:
    """What a setting of a type and rule takes, in words.

    >>> rule_of(tuple[int, ...], {"low": 1}), rule_of(str, {"choices": ("fresh", "persistent")})
    ('int >= 1, several with commas', 'one of fresh, persistent')
    """
    if typing.get_origin(wanted) is tuple:
        return f"{rule_of(typing.get_args(wanted)[0], rule)}, several with commas"
    if choices := rule.get("choices"):
        return f"one of {', '.join(choices)}"
    return _told(wanted, {name: rule[name] for name in _BOUNDS if name in rule})


def written(value: Any) -> str:
    """A value as a command line has it; `parsed` reads it back.

    >>> written(("hard", "teacher(epoch=2)")), written(0.1)
    ('hard,teacher(epoch=2)', '0.1')
    """
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _told(wanted: type, bounds: Mapping[str, Any]) -> str:
    told = " and ".join(f"{_BOUNDS[name][0]} {bound}" for name, bound in bounds.items())
    return f"{wanted.__name__} {told}".strip()


def _is_name(text: str) -> bool:
    """Whether a folder can have this name, and a line can show it."""
    printable = text.isprintable() and text.strip() not in ("", ".", "..") and "/" not in text
    return printable and len(text.encode()) <= _LONGEST_NAME


def _parts(text: str) -> list[str]:
    """The parts between commas outside of quotes and brackets, without a pair around all; a comma may be the last."""
    depths = _depths(text)
    if text[:1] + text[-1:] in ("()", "[]") and 0 not in depths[:-1]:
        text, depths = text[1:-1], _depths(text[1:-1])
    cuts = [i for i, c in enumerate(text) if c == "," and not depths[i]]
    parts = [text[a + 1 : b].strip() for a, b in zip([-1, *cuts], [*cuts, len(text)], strict=True)]
    return parts if parts[-1] else parts[:-1]


def _depths(text: str) -> list[int]:
    """How many brackets and quotes are open after each character."""
    depths, depth, quote = [], 0, ""
    for c in text:
        if quote or c in "'\"":
            quote = "" if c == quote else quote or c
        else:
            depth += (c in "([{") - (c in ")]}")
        depths.append(depth or len(quote))
    return depths


def _unquoted(text: str) -> str:
    value = _literal(text) if text[:1] in ("'", '"') else text
    return value if isinstance(value, str) else text


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python, about odd escapes
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
