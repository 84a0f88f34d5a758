"""The experiments that come with jaxsoft: files of configs/, inside of an installed package or beside a checkout's."""

import ast
import re
import runpy
from pathlib import Path
from typing import NamedTuple

from jaxsoft import errors

_PACKAGE = Path(__file__).parents[1]
_PART = re.compile(r"^ *([A-Z][a-z]+)  +(\S.*)$", re.MULTILINE)  # of a header: "Time      5.6 min on digits: two cores"


class Experiment(NamedTuple):
    """What the header of an experiment says of it.

    Attributes:
      question: the header's first sentence, or its question.
      data: the dataset that it reads, unless it is told another.
      time: of a whole run, and on which dataset: "5.6 min on digits"; "" where none is known.
      measured: on what machine that was.
    """

    name: str
    question: str
    data: str
    time: str
    measured: str


def folder() -> Path:
    """Where they lie: a wheel carries them inside of the package, in a checkout they are beside it."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def names() -> list[str]:
    """All of them, sorted."""
    return sorted(path.stem for path in folder().glob("*.py"))


def path(name: str) -> Path:
    """The file of an experiment.

    Raises:
      ConfigError: there is none of that name; a file of the user's own is none.
    """
    known = names()
    if name not in known:
        told = f"unknown experiment {errors.quoted(name)}; closest: {errors.nearest(name, known)}; all of them: "
        hint = f"; a file is given as --config={name}" if Path(name).suffix or Path(name).exists() else ""
        raise errors.ConfigError(f"{told}{', '.join(known)}{hint}")
    return folder() / f"{name}.py"


def read(name: str) -> Experiment:
    """What an experiment says of itself."""
    where = path(name)
    header = ast.get_docstring(ast.parse(where.read_text(encoding="utf-8"))) or ""
    sentence = re.match(r".*?\?|[^\n]*?(?=\.?\n|\.?$)", header)
    time, _, measured = dict(_PART.findall(header)).get("Time", "").partition(": ")
    data = runpy.run_path(str(where))["get_config"](None).data.name
    return Experiment(name, sentence[0] if sentence else "", data, time, measured)


def listed() -> list[str]:
    """One line for each experiment: name, time, data and question; then on what the times were measured."""
    known = [read(name) for name in names()]
    rows = [("experiment", "time", "data", "question")]
    rows += [(one.name, one.time or "not measured", one.data, one.question) for one in known]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for text in sorted({one.measured for one in known} - {""}):
        same = [one.name for one in known if one.measured == text]
        lines.append(f"times{f' of {same[0]}' if len(same) == 1 else ''}: {text}")
    return lines


def copy(name: str, where: Path) -> Path:
    """Write an experiment's file for a user to change.

    Returns:
      The new file, in the folder `where`, which is made if need be.

    Raises:
      ConfigError: no such experiment; a file of that name is there; the folder cannot be written.
    """
    source = path(name)
    target = where.expanduser() / source.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:
            file.write(source.read_bytes())
    except FileExistsError:
        raise errors.ConfigError(f"{target} is there already and is not overwritten; name another folder") from None
    except OSError as problem:
        raise errors.ConfigError(f"{target} cannot be written: {problem.strerror}") from None
    return target
