"""Which member of a run is meant: by the values of its columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsoft import errors, spec
from jaxsoft.experiment.plan import stored
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Row

_SHOWN = 8  # choices that a message lists


def member(rows: Sequence[Row], asked: Mapping[str, str], folder: Path) -> Row:
    """The row of the one member of a run whose columns have these values; an empty text asks for nothing.

    Label specs and ways to select may be written as in the config: `teacher(accuracy=0.35)` is the epoch that reaches it, and
    `distilled("mtt")` the set with its digest.

    Raises:
      ConfigError: there is none, or there are several; names the choices.
    """
    left = rows
    for column, text in asked.items():
        if text:
            wanted = _labels(text, folder) if column == "labels" else text
            wanted = _way(text, rows) if column == "select" else wanted
            before, left = left, [row for row in left if _shown(row.get(column)) == _shown(_number(wanted))]
            if not left:
                told = _choices(column, before)
                raise errors.ConfigError(f"no such member in {folder} has --{column}={text}; choices: {told}")
    if len(left) != 1:
        differ = [c for c in asked if c != "member" and len({_shown(row.get(c)) for row in left}) > 1]
        told = "; ".join(f"--{column}={_choices(column, left)}" for column in differ)
        raise errors.ConfigError(f"{len(left)} members of {folder} are meant; say which: {told or '(none)'}")
    return left[0]


def _labels(text: str, folder: Path) -> str:
    """A label spec as results tell it."""
    plain = str(LabelSpec.parse(text))
    resolved = RunFolder(folder).read_json(stored.TEACHERS).get("resolved", {})
    means = {str(LabelSpec.parse(written)): meant for written, meant in resolved.items()}
    return means.get(plain, plain)


def _way(text: str, rows: Sequence[Row]) -> str:
    """A way to select as results tell it, by its one digest there if none is asked for."""
    asked = str(spec.parse_one(text))
    told = {way for row in rows if str(spec.parse_one(way := str(row["select"])).without("digest")) == asked}
    return told.pop() if len(told) == 1 else text


def _choices(column: str, rows: Sequence[Row]) -> str:
    values = list(dict.fromkeys(_shown(row.get(column)) for row in rows))
    more = [f"and {len(values) - _SHOWN} more"] if len(values) > _SHOWN else []
    return " | ".join(values[:_SHOWN] + more)


def _shown(value: Any) -> str:
    return "-1" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _number(text: str) -> Any:
    try:
        return float(text) if "e" in text or "." in text else int(text)
    except ValueError:
        return text
