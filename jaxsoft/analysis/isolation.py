"""Parts of a report that may fail without taking the others with them."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from jaxsoft.analysis import words
from jaxsoft.analysis.page import Section, Text

T = TypeVar("T")
log = logging.getLogger(__name__)


def tried(what: str, lost: list[Section], instead: T, make: Callable[..., T], *args: Any) -> T:
    """What `make` returns; where it fails, `instead`, and a section and a warning that say so.

    Args:
      what: the part, for those who read the report.
      lost: takes the section.
      instead: what stands for the part.
      make: the part, called with `args`; whatever it raises is told, as a report of all else is worth more than none.
    """
    try:
        return make(*args)
    except Exception as problem:
        said = f"{type(problem).__name__}: {str(problem) or 'no more is known'}"
        log.warning("the report goes on without %s: %s", what, words.code(said))
        told = Text(f"The report goes on without {what}. {words.code(said)}", "warning")
        lost.append(Section("This question could not be answered", [told]))
        return instead
