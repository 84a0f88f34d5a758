"""What an experiment asks: one module a question, with its analysis, its figure and its words.

There is nothing to register. A module here without a leading underscore defines

  ORDER                       where its answer stands among several; low numbers come first, and from BACKGROUND on an
                              answer follows what every report says and never gives it its title
  answer(rows, runs)          sections that answer it, the first one's title being the answer; empty if not asked
  understands(row)  optional  whether a row means something to this question alone, so that curves of soft against hard
                              labels must leave it out

Whether a question is asked is read off the rows themselves: their label specs, and the columns in which they differ.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from jaxsoft.types import Row

BACKGROUND = 50


def modules() -> list[ModuleType]:
    """The modules of all questions, in the order of their answers."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return sorted(found, key=lambda module: (module.ORDER, module.__name__))


def common(rows: Sequence[Row], asked: Sequence[ModuleType] | None = None) -> list[Row]:
    """The rows that are not the private matter of one of the questions asked (by default: of any question)."""
    private = [q.understands for q in (modules() if asked is None else asked) if hasattr(q, "understands")]
    return [row for row in rows if not any(understands(row) for understands in private)]
