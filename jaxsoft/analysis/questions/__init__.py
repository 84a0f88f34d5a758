"""What an experiment asks: one module a question, with its analysis, its figure and its words.

There is nothing to register. A module here without a leading underscore defines

  ORDER                       where its answer stands among several; low numbers come first, and from BACKGROUND on an
                              answer follows what every report says and never gives it its title
  answer(rows, runs)          sections that answer it, the first one's title being the answer; empty if not asked
  understands(row)  optional  whether a row means something to this question alone, so that curves of soft against hard
                              labels must leave it out where the question is asked; probes are always left out

A question may fail: the report then says so in its place, and goes on.
Whether a question is asked is read off the rows themselves: their label specs, and the columns in which they differ.
"""

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from jaxsoft import spec
from jaxsoft.types import Row

BACKGROUND = 50
PROBES = ("swap", "shuffle", "drop_class")
"""Operations of labels that are made to be worse."""


def modules() -> list[ModuleType]:
    """The modules of all questions, in the order of their answers."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return sorted(found, key=lambda module: (module.ORDER, module.__name__))


def common(rows: Sequence[Row], asked: Sequence[ModuleType]) -> list[Row]:
    """The rows that belong on curves of soft against hard labels: no probes, and no private matter of a question asked.

    Where there are only probes and no question of them was asked, they are shown all the same.
    """
    private = [question.understands for question in asked if hasattr(question, "understands")]
    left = [row for row in rows if not probe(row) and not any(understands(row) for understands in private)]
    return left if left or asked else list(rows)


def probe(row: Row) -> bool:
    """Whether labels were damaged, or a class left out, to see what it does: no rival of other labels, asked or not."""
    return row.get("without") is not None or _damaged(row["labels"])


@functools.cache
def _damaged(labels: str) -> bool:
    return any(call.name in PROBES for call in spec.parse(labels))
