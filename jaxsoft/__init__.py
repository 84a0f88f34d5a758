"""Soft-label scaling laws: hundreds of students, taught by early-stopped experts, in one compiled JAX program."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxsoft.analysis.tables import text_table
    from jaxsoft.api import teach, train_students
    from jaxsoft.config import Learned, Student, Sweep, Teacher
    from jaxsoft.data import load
    from jaxsoft.data.chosen import Indices
    from jaxsoft.distilled.kept import DistilledSet, load_set
    from jaxsoft.experiment.export.again import Export, load_export
    from jaxsoft.experiment.teach.experts import Experts
    from jaxsoft.labels.given import Labels
    from jaxsoft.results import Results
    from jaxsoft.types import Dataset, Row, Split

    __version__: str

__all__ = [
    "Dataset",
    "DistilledSet",
    "Experts",
    "Export",
    "Indices",
    "Labels",
    "Learned",
    "Results",
    "Row",
    "Split",
    "Student",
]
__all__ += ["Sweep", "Teacher", "load", "load_export", "load_set", "teach", "text_table", "train_students"]

_HOMES = ("types", "config", "data", "data.chosen", "labels.given", "api", "experiment.export.again")
_HOMES += ("distilled.kept", "analysis.tables")


def __getattr__(name: str) -> Any:
    """A part of the interface, imported when it is first used: the command line starts without JAX."""
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"jaxsoft.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("jaxsoft")
    raise AttributeError(f"module 'jaxsoft' has no attribute {name!r}")
