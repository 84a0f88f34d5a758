"""From a user's config to settings: defaults, arguments, overrides, and what is wrong, in one line.

A user's config is an `ml_collections.ConfigDict` that starts from `default()`; `read` turns it into frozen dataclasses,
or says in one line what is wrong. From there on nothing looks at a ConfigDict.
"""

import ast
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxsoft import errors
from jaxsoft.settings import Compute as Compute
from jaxsoft.settings import Data as Data
from jaxsoft.settings import Learned as Learned
from jaxsoft.settings import Settings as Settings
from jaxsoft.settings import Student as Student
from jaxsoft.settings import Sweep as Sweep
from jaxsoft.settings import Teacher as Teacher
from jaxsoft.settings import Training as Training

_LARGEST_INT = 10**9  # settings become 32-bit integers in compiled programs, some of them after a small addition


def default() -> ConfigDict:
    """Every setting at its default, for a config file to change.

    >>> config = default()
    >>> config.sweep.ipc = (1, 2, 5)
    >>> read(config).sweep.ipc
    (1, 2, 5)
    """
    return ConfigDict(as_dict(Settings()))


def as_dict(settings: Any) -> dict[str, Any]:
    """Settings as plain nested dictionaries, tuples kept."""
    return {
        f.name: as_dict(value) if dataclasses.is_dataclass(value := getattr(settings, f.name)) else value
        for f in dataclasses.fields(settings)
    }


def parse_arg(arg: str | None, **defaults: Any) -> types.SimpleNamespace:
    """Read what follows the colon in `--config=file.py:quick,data=cifar10`.

    Args:
      arg: comma-separated `name` or `name=value`; a bare name means True.
      **defaults: legal names with their defaults, whose types are kept.

    Raises:
      ConfigError: an unknown name, or a value of another type.
    """
    values = dict(defaults)
    for part in filter(None, (arg or "").split(",")):
        name, _, text = part.partition("=")
        if name not in defaults:
            raise errors.ConfigError(f"unknown config argument {name!r}; choices: {', '.join(defaults)}")
        kind = type(defaults[name])
        try:
            values[name] = {"": True, "true": True, "false": False}[text] if kind is bool else kind(text)
        except (KeyError, ValueError):
            expected = "true or false" if kind is bool else kind.__name__
            raise errors.ConfigError(f"config argument {name} expects {expected}, got {text!r}") from None
    return types.SimpleNamespace(**values)


def read(config: Any, kind: type = Settings, path: str = "config") -> Any:
    """Check a config against the settings and freeze it.

    Args:
      config: nested mappings, as a config file returns them; what is left out keeps its default.
      kind: the dataclass to read into.
      path: how messages name it.

    Raises:
      ConfigError: an unknown key, a wrong type, or a value out of range.
    """
    if not isinstance(config, (Mapping, ConfigDict)):
        raise errors.ConfigError(f"{path} expects a group of settings, got {config!r}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in config:
        if key not in fields:
            raise errors.ConfigError(f"unknown setting {path}.{key}; did you mean {closest(f'{path}.{key}')}?")
    hints = typing.get_type_hints(kind)
    values = {}
    for key in config:
        where, value = f"{path}.{key}", config[key]
        if dataclasses.is_dataclass(hints[key]):
            values[key] = read(value, hints[key], where)
        else:
            values[key] = _checked(value, hints[key], fields[key].metadata, where)
    return kind(**values)


def check_override(path: str, text: str) -> None:
    """Check one `--config.KEY=VALUE` of a command line.

    Raises:
      ConfigError: no such setting, or the text is not of its type or range.
    """
    kind: Any = Settings
    *groups, word = path.split(".")[1:]
    for name in groups:
        kind = typing.get_type_hints(kind).get(name)
        if not dataclasses.is_dataclass(kind):
            raise errors.ConfigError(f"unknown setting {path}; did you mean {closest(path)}?")
    hints = typing.get_type_hints(kind)
    if word not in hints:
        raise errors.ConfigError(f"unknown setting {path}; did you mean {closest(path)}?")
    wanted = hints[word]
    if dataclasses.is_dataclass(wanted):
        raise errors.ConfigError(
            f"{path} is a group of settings; set one of them, such as {path}.{next(iter(typing.get_type_hints(wanted)))}"
        )
    rule = next(f.metadata for f in dataclasses.fields(kind) if f.name == word)
    element = typing.get_args(wanted)[0] if typing.get_origin(wanted) is tuple else wanted
    if element is not str or rule.get("choices"):
        _checked(_literal(text), wanted, rule, path)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def closest(path: str) -> str:
    """The legal setting that an unknown dotted path most likely means; its last word counts most.

    >>> closest("config.student.learing_rate")
    'config.student.learning_rate'
    """
    group, _, word = path.rpartition(".")

    def distance(known: str) -> tuple[float, float]:
        known_group, _, known_word = known.rpartition(".")
        ratio = difflib.SequenceMatcher(None, word, known_word).ratio()
        return ratio + 0.1 * (group == known_group), difflib.SequenceMatcher(None, path, known).ratio()

    return max(_paths(as_dict(Settings()), "config"), key=distance)


def _paths(settings: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}"


def _checked(value: Any, wanted: Any, rule: Mapping[str, Any], where: str) -> Any:
    if typing.get_origin(wanted) is tuple:
        items = value if isinstance(value, (tuple, list, range)) else (value,)
        return tuple(_checked(item, typing.get_args(wanted)[0], rule, where) for item in items)
    if wanted is float and type(value) is int and abs(value) <= _LARGEST_INT:
        value = float(value)
    low, high, above, choices = (rule.get(name) for name in ("low", "high", "above", "choices"))
    if type(value) is int and value > _LARGEST_INT:
        high = _LARGEST_INT
    fits = (
        type(value) is wanted
        and (wanted is not float or math.isfinite(value))
        and (wanted is not str or "\0" not in str(value))  # no file can have such a name
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (choices is None or value in choices)
    )
    if not fits:
        bounds = [f"{sign} {bound}" for sign, bound in ((">=", low), (">", above), ("<=", high)) if bound is not None]
        expected = f"one of {', '.join(choices)}" if choices else f"{wanted.__name__} {' and '.join(bounds)}".strip()
        raise errors.ConfigError(f"{where} expects {expected}, got {value!r}")
    return value
