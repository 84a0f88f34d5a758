"""From a user's config, a ConfigDict that starts from `default()`, to frozen settings; or a line on what is wrong."""

import dataclasses
import difflib
import operator
import re
import shlex
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from jaxsoft import errors
from jaxsoft.config import values
from jaxsoft.config.settings import Compute, Data, Keep, Learned, Settings, Student, Sweep, Teacher, Training, named

__all__ = ["Compute", "Data", "Keep", "Learned", "Settings", "Student", "Sweep", "Teacher", "Training"]
__all__ += ["as_dict", "closest", "instance", "default", "described", "flags", "parse_arg", "read", "read_with"]

_Group = typing.TypeVar("_Group")
_BY_AXES = ("model", "steps", "learning_rate", "weight_decay", "loss", "optimizer", "augment")
_REPLACED = {f"config.student.{name}": f"sweep.{name}" for name in _BY_AXES}
_REPLACED |= {"config.student.epochs": "sweep.steps", "config.teacher.model": "teacher.models"}
_REPLACED |= {"config.select": "sweep.select"}
"""Settings that nothing reads once another one says more."""
_OF_LEARNING = ("config.student.model", "config.student.loss")  # which labels are learned with


def _flat(kind: Any, path: str) -> Iterator[tuple[str, tuple[Any, Mapping[str, Any]]]]:
    """Dotted path, and type and rule, of every setting."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        where, wanted = f"{path}.{field.name}", hints[field.name]
        if field.metadata.get("names") == "function":
            wanted = tuple[str, ...] if isinstance(field.default, tuple) else str
        if dataclasses.is_dataclass(wanted):
            yield from _flat(wanted, where)
        else:
            yield where, (wanted, field.metadata)


_KNOWN = dict(_flat(Settings, "config"))


def default() -> ConfigDict:
    """Every setting at its default, for a config file to change.

    >>> config = default()
    >>> config.sweep.ipc = (1, 2, 5)
    >>> read(config).sweep.ipc
    (1, 2, 5)
    """
    return ConfigDict(as_dict(Settings()), type_safe=False)  # types are for `read` to check, which knows the ranges too


as_dict = dataclasses.asdict
"""Settings as plain nested dictionaries, tuples kept."""


def parse_arg(arg: str | None, **defaults: Any) -> types.SimpleNamespace:
    """Read what follows the colon in `--config=file.py:quick,data=cifar10`.

    A bare name means True; values have the types of the defaults. A default that is the type of a tuple, such as
    `tuple[int, ...]`, means an empty one; `+` stands between its items.

    Raises:
      ConfigError: an unknown name, or a value of another type.
    """
    given = {name: () if typing.get_origin(default) is tuple else default for name, default in defaults.items()}
    for part in filter(None, values.parsed(arg or "", tuple[str, ...])):
        name, _, text = part.partition("=")
        if name not in defaults:
            raise errors.ConfigError(f"unknown config argument {name!r}; choices: {', '.join(defaults)}")
        kind, where = type(defaults[name]), f"config argument {name}"
        if kind is bool:
            given[name] = values.checked(text or "true", str, {"choices": ("true", "false")}, where) == "true"
        elif typing.get_origin(defaults[name]) is tuple:
            given[name] = values.checked(
                values.parsed(text.replace("+", ","), defaults[name]), defaults[name], {}, where
            )
        else:
            given[name] = values.checked(values.parsed(text, kind), kind, {}, where)
    return types.SimpleNamespace(**given)


def read(config: Any, kind: type = Settings, path: str = "config") -> Any:
    """Check a config, nested mappings as a config file returns them, and freeze it; what is left out keeps its default.

    Raises:
      ConfigError: an unknown key, a wrong type, or a value out of range.
    """
    if not isinstance(config, (Mapping, ConfigDict)):
        raise errors.ConfigError(f"{path} expects a group of settings, got {errors.quoted(config)}")
    hints, given = typing.get_type_hints(kind), {}
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in config:
        where = f"{path}.{key}"
        if key not in hints:
            raise _unknown(where)
        try:
            value = config[key]
        except Exception as problem:  # a placeholder that was not filled
            raise errors.ConfigError(f"{where} has no value: {errors.first_line(problem)}") from None
        found = _KNOWN.get(where)
        value = named(fields[key], value, where)
        given[key] = values.checked(value, *found, where) if found else read(value, hints[key], where)
    return kind(**given)


def instance(given: Any, kind: type[_Group], path: str) -> _Group:
    """Settings that Python hands over, as they are; None is those by default.

    Raises:
      ConfigError: it is something else, such as those of another group.
    """
    if given is not None and not isinstance(given, kind):
        got = type(given).__name__ if dataclasses.is_dataclass(given) else errors.quoted(given)
        raise errors.ConfigError(f"{path} expects jaxsoft.{kind.__name__}(...), got {got}")
    return kind() if given is None else given


def read_with(config: Any, overrides: Sequence[tuple[str, str]]) -> Settings:
    """Check a config after a command line has changed it; what refers to a changed setting (`get_ref`) follows.

    Overrides are pairs such as `("config.sweep.ipc", "1,5")`; of several for one key the last counts.

    Raises:
      ConfigError: as `read`; no such setting; or one that has no effect, because another setting replaces it.
    """
    if isinstance(config, ConfigDict):
        config = ConfigDict(typing.cast(Any, config), type_safe=False)  # open: it is for `read` to refuse
        config = config.unlock() if config.is_locked else config
    for path, text in overrides:
        if inside := [known for known in _KNOWN if known.startswith(f"{path}.")]:
            raise errors.ConfigError(f"{path} is a group of settings; set one of them, such as {inside[0]}")
        if path not in _KNOWN:
            raise _unknown(path)
        wanted, rule = _KNOWN[path]
        value = values.checked(values.parsed(text, wanted), wanted, rule, path)
        config = _changed(config, path.split(".")[1:], value)
    settings = read(config)
    learns = any(re.match(r"\s*learned\b", text) for text in settings.sweep.labels)
    for path, _ in overrides:
        other = _REPLACED.get(path)
        if other and operator.attrgetter(other)(settings) and not (path in _OF_LEARNING and learns):
            raise errors.ConfigError(f"{path} has no effect: config.{other} replaces it; change or empty that")
    return settings


def _changed(config: Any, names: Sequence[str], value: Any) -> Any:
    """The config with one setting replaced: a ConfigDict in place, so that references follow; other mappings copied."""
    if not isinstance(config, (Mapping, ConfigDict)):
        return config  # `read` will say so
    name, *deeper = names
    tree = config if isinstance(config, ConfigDict) else dict(config)
    tree[name] = _changed(tree.get(name, {}), deeper, value) if deeper else value
    return tree


def _unknown(path: str) -> errors.ConfigError:
    return errors.ConfigError(f"unknown setting {path}; did you mean {closest(path)}?")


def flags() -> list[str]:
    """What begins the setting of each on a command line."""
    return [f"--{path}=" for path in _KNOWN]


def described() -> list[str]:
    """Every setting in two lines: as a command line would give it its default; what it takes, and what it means."""
    lines, defaults = [], Settings()
    for path, (wanted, rule) in _KNOWN.items():
        value = values.written(operator.attrgetter(path.removeprefix("config."))(defaults))
        lines += [
            f"--{path}={shlex.quote(value) if value else ''}",
            f"    ({values.rule_of(wanted, rule)}) {rule['doc']}",
        ]
    return lines


def closest(path: str) -> str:
    """The legal setting that an unknown dotted path most likely means; its last word counts most, and how that begins.

    >>> closest("config.student.learing_rate")
    'config.student.learning_rate'
    """
    group, _, word = path.rpartition(".")

    def likeness(known: str) -> tuple[float, float]:
        known_group, _, known_word = known.rpartition(".")
        ratio = difflib.SequenceMatcher(None, word, known_word).ratio()
        alike = (group == known_group) + (word[:1] == known_word[:1])
        return ratio + 0.1 * alike, difflib.SequenceMatcher(None, path, known).ratio()

    return max(_KNOWN, key=likeness)
