"""From the words of a command line to flags and settings; every mistake is one line."""

import re
import runpy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags

from jaxsoft import config, errors, imports
from jaxsoft.command import experiments
from jaxsoft.config import values


def parse(argv: Sequence[str], **defaults: Any) -> tuple[list[str], dict[str, Any]]:
    """The words of a command that belong to no flag, and the value of every flag.

    A flag's default says its kind: a text, False or True for a switch, None for a positive integer.

    Raises:
      ConfigError: a flag that there is not, or a value of another kind.
    """
    own = flags.FlagValues()
    for name, default in defaults.items():
        if default is None:
            flags.DEFINE_integer(name, None, "", lower_bound=1, flag_values=own)
        else:
            define: Any = flags.DEFINE_bool if isinstance(default, bool) else flags.DEFINE_string
            define(name, default, "", flag_values=own)
    try:
        words = own(["jaxsoft", *argv])[1:]
    except flags.UnrecognizedFlagError as problem:
        near = errors.nearest(problem.flagname, own, count=1)
        hint = f"; did you mean --{near}?" if near else ""
        raise errors.ConfigError(f"unknown flag --{problem.flagname}{hint}") from None
    except (flags.Error, ValueError) as problem:
        raise errors.ConfigError(errors.first_line(problem)) from None
    return words, {name: own[name].value for name in defaults}


def folder(text: str, flag: str) -> Path | None:
    """The path that a flag or a word names; None if it names none.

    Raises:
      ConfigError: it is a URL, or the home of somebody that there is not.
    """
    return Path(values.path(text, flag)) if text else None


def settings(argv: Sequence[str], **defaults: Any) -> tuple[config.Settings, dict[str, Any]]:
    """The settings of an experiment as the command line changes them, checked; and the value of every flag (`parse`).

    A word such as `swap:quick` names an experiment that comes with jaxsoft, whatever files there are; `--config` is
    for a file.

    Raises:
      ConfigError: the experiment, the file, a setting or a flag is not as it should be.
    """
    source, overrides, others = _split(argv)
    words, given = parse(others, **defaults)
    if not (source or words):
        raise errors.ConfigError(
            "jaxsoft run needs an experiment, such as digits (jaxsoft configs lists them), or --config=FILE.py"
        )
    if extra := words[0 if source else 1 :]:
        raise errors.ConfigError(
            f"unexpected argument {errors.quoted(extra[0])}; settings are written --config.KEY=VALUE"
        )
    name, colon, argument = (values.path(source, "--config") if source else words[0]).partition(":")
    where = Path(name) if source else experiments.path(name)
    return _load(where, [argument] if colon else [], overrides), given


def _split(argv: Sequence[str]) -> tuple[str, list[tuple[str, str]], list[str]]:
    """The config file, the settings that are changed, and the words that are about neither."""
    source, overrides, others, words = "", [], [], iter(argv)
    for word in words:
        name, equals, text = word.lstrip("-").partition("=")
        if not word.startswith("-") or not (name == "config" or name.startswith("config.")):
            others.append(word)
            continue
        text = text if equals else next(words, None)
        if name == "config":
            source = text or ""
        elif text is None:
            raise errors.ConfigError(f"{word} needs a value: {word}=VALUE")
        else:
            overrides.append((name, text))
    return source, overrides, others


def _named(settings: config.Settings, path: Path) -> config.Settings:
    """Settings whose name says which config and which dataset they are of."""
    stands_for = {"{config}": path.stem, "{data}": re.sub("[:/]", "-", settings.data.name)}
    return replace(settings, name=re.sub("{config}|{data}", lambda word: stands_for[word[0]], settings.name))


def _load(path: Path, arguments: Sequence[str], overrides: Sequence[tuple[str, str]]) -> config.Settings:
    """The settings that a config file returns; whatever goes wrong in it is told in one line."""
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path(".")
        known = [str(p) for p in (*folder.glob("*.py"), *Path("configs").glob("*.py"))]
        near = f"; nearest: {errors.nearest(str(path), known)}" if known else ""
        if path.stem in experiments.names():
            near += f"; the experiment that comes with jaxsoft: jaxsoft run {path.stem}"
        raise errors.ConfigError(f"config file {path} not found (current folder: {Path.cwd()}){near}")
    imports.beside(path)
    try:
        scope = runpy.run_path(str(path))
        if "get_config" not in scope:
            raise errors.ConfigError(f"config file {path} defines no get_config()")
        settings = _named(config.read_with(scope["get_config"](*arguments), overrides), path)
        if any("array" in text for text in settings.sweep.labels):
            from jaxsoft.labels.given import read_rows  # it loads JAX, for which no other mistake has to wait

            settings = read_rows(settings, (path.parent, Path()))
        if any("indices" in text for text in (settings.select, *settings.sweep.select)):
            from jaxsoft.data import chosen

            settings = chosen.read(settings, (path.parent, Path()))
        return settings
    except errors.JaxsoftError:
        raise
    except (Exception, SystemExit) as problem:
        raise errors.ConfigError(f"config file {imports.located(problem, str(path))}") from None
