"""From a user's config to settings: defaults, arguments, overrides, and what is wrong, in one line.

A user's config is an `ml_collections.ConfigDict` that starts from `default()`; `read` turns it into frozen dataclasses,
or says in one line what is wrong. From there on nothing looks at a ConfigDict.
"""

import dataclasses
import difflib
import operator
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from jaxsoft import errors
from jaxsoft.config import values
from jaxsoft.config.settings import Compute, Data, Learned, Settings, Student, Sweep, Teacher, Training

__all__ = ["Compute", "Data", "Learned", "Settings", "Student", "Sweep", "Teacher", "Training"]
__all__ += ["as_dict", "closest", "default", "parse_arg", "read", "read_with"]

_REPLACED = {  # settings that nothing reads once another one says more
    "select": "sweep.select",
    "teacher.model": "teacher.models",
    "student.model": "sweep.model",
    "student.steps": "sweep.steps",
    "student.epochs": "sweep.steps",
    "student.learning_rate": "sweep.learning_rate",
    "student.weight_decay": "sweep.weight_decay",
}


def _flat(kind: Any, path: str) -> Iterator[tuple[str, tuple[Any, Mapping[str, Any]]]]:
    """Dotted path, and type and rule, of every setting."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        where, wanted = f"{path}.{field.name}", hints[field.name]
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

    A bare name means True; values have the types of the defaults.

    Raises:
      ConfigError: an unknown name, or a value of another type.
    """
    given = dict(defaults)
    for part in filter(None, (arg or "").split(",")):
        name, _, text = part.partition("=")
        if name not in defaults:
            raise errors.ConfigError(f"unknown config argument {name!r}; choices: {', '.join(defaults)}")
        kind = type(defaults[name])
        try:
            given[name] = {"": True, "true": True, "false": False}[text] if kind is bool else kind(text)
        except (KeyError, ValueError):
            expected = "true or false" if kind is bool else kind.__name__
            raise errors.ConfigError(f"config argument {name} expects {expected}, got {text!r}") from None
    return types.SimpleNamespace(**given)


def read(config: Any, kind: type = Settings, path: str = "config") -> Any:
    """Check a config, nested mappings as a config file returns them, and freeze it; what is left out keeps its default.

    Raises:
      ConfigError: an unknown key, a wrong type, or a value out of range.
    """
    if not isinstance(config, (Mapping, ConfigDict)):
        raise errors.ConfigError(f"{path} expects a group of settings, got {errors.quoted(config)}")
    hints, given = typing.get_type_hints(kind), {}
    for key in config:
        if key not in hints:
            raise _unknown(f"{path}.{key}")
    for key in config:
        where, value = f"{path}.{key}", _value(config, key, path)
        found = _KNOWN.get(where)
        given[key] = values.checked(value, *found, where) if found else read(value, hints[key], where)
    return kind(**given)


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
        wanted, rule = _known(path)
        value = values.checked(values.parsed(text, wanted), wanted, rule, path)
        config = _changed(config, path.split(".")[1:], value)
    settings = read(config)
    for path, _ in overrides:
        _check_effect(path, settings)
    return settings


def _value(config: Any, key: str, path: str) -> Any:
    """What a key holds; a reference is followed, and a placeholder must have been filled."""
    try:
        return config[key]
    except Exception as problem:
        raise errors.ConfigError(f"{path}.{key} has no value: {errors.first_line(problem)}") from None


def _changed(config: Any, names: Sequence[str], value: Any) -> Any:
    """The config with one setting replaced: a ConfigDict in place, so that references follow; other mappings copied."""
    if not isinstance(config, (Mapping, ConfigDict)):
        return config  # `read` will say so
    name, *deeper = names
    tree = config if isinstance(config, ConfigDict) else dict(config)
    tree[name] = _changed(tree.get(name, {}), deeper, value) if deeper else value
    return tree


def _check_effect(path: str, settings: Settings) -> None:
    """Refuse what was typed in vain."""
    key = path.removeprefix("config.")
    if key not in _REPLACED or (key == "student.model" and any("learned" in text for text in settings.sweep.labels)):
        return
    if operator.attrgetter(_REPLACED[key])(settings):
        raise errors.ConfigError(f"{path} has no effect: config.{_REPLACED[key]} replaces it; change or empty that")


def _known(path: str) -> tuple[Any, Mapping[str, Any]]:
    """Type and rule of the setting that a command line names."""
    inside = [known for known in _KNOWN if known.startswith(f"{path}.")]
    if inside:
        raise errors.ConfigError(f"{path} is a group of settings; set one of them, such as {inside[0]}")
    if path not in _KNOWN:
        raise _unknown(path)
    return _KNOWN[path]


def _unknown(path: str) -> errors.ConfigError:
    return errors.ConfigError(f"unknown setting {path}; did you mean {closest(path)}?")


def closest(path: str) -> str:
    """The legal setting that an unknown dotted path most likely means; its last word counts most.

    >>> closest("config.student.learing_rate")
    'config.student.learning_rate'
    """
    group, _, word = path.rpartition(".")

    def likeness(known: str) -> tuple[float, float]:
        known_group, _, known_word = known.rpartition(".")
        ratio = difflib.SequenceMatcher(None, word, known_word).ratio()
        return ratio + 0.1 * (group == known_group), difflib.SequenceMatcher(None, path, known).ratio()

    return max(_KNOWN, key=likeness)
