"""What code computes, as a digest of its source: a change of meaning changes it, a comment does not.

A function is followed by name through its own package, whose modules define all at their top and import by `from`: to
what it calls, to the classes that it makes, to the constants that it reads. Of these the syntax trees count, without
docstrings. Files are read when the package starts, so that what is digested is what runs, whatever is edited meanwhile.
"""

import ast
import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import files

ENGINE = 3
"""Version of what every number goes through, whatever a spec names: orders, streams, losses, the loop, evaluation.

Part of every key. A change to the engine that changes a number raises it; one that changes none, as its tests show,
only records the new digest below. Where the engine was edited and neither was done, keys carry the digest itself.
"""
ENGINE_DIGEST = "a30901fb281d"

_ENGINE = (
    "data.classes", "data.normalize", "data.select:_table", "experiment.inputs.prepare", "experiment.inputs.subsets",
    "experiment.inputs.views", "experiment.learned.learn", "experiment.learned.many", "experiment.learned.one",
    "experiment.plan.make", "experiment.plan.sweep", "experiment.students.outcomes", "experiment.students.waves",
    "experiment.teach.cohort", "experiment.teach.experts", "labels.bank",
    "labels.smoothing", "labels.spec", "models:build", "ops.conv", "rng", "spec", "training.augment:build",
    "training.ensemble", "training.evaluate", "training.fit", "training.losses", "training.metrics", "training.views",
)  # fmt: skip
"""What every number goes through, beside the functions that a spec names: modules, or one name of a module."""
_READ = {path: path.read_bytes() for path in Path(__file__).parent.rglob("*.py")}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SILENT = ("jaxsoft.errors", "jaxsoft.spec")  # what they do is to refuse


class _Place(NamedTuple):
    """A name that a module defines at its top."""

    module: str
    name: str


class _Module(NamedTuple):
    """A module: what its top defines, and what its imported names stand for (a module where the name is empty)."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, _Place]


@functools.lru_cache(1024)
def digest(*functions: Callable[..., Any]) -> str:
    """Twelve hex digits over functions, defined at the top of modules, and all that they use of their own package.

    The same for the same syntax trees, in every process and on every Python.
    """
    found: dict[_Place, str] = {}
    left = [_Place(f.__module__, f.__qualname__.partition(".")[0]) for f in functions]
    while left:
        place = left.pop()
        if place in found or place.module in _SILENT:
            continue
        statements = _module(place.module).defined.get(place.name, [])
        found[place] = _text(statements)
        left += [p for s in statements for p in _used(place.module, s)]
    return _hash(f"{place.module}:{place.name}\n{found[place]}" for place in sorted(found))


def engine() -> str:
    """The engine's version; with a digest where its source is not what that version was given to."""
    own = engine_digest()
    return str(ENGINE) if own == ENGINE_DIGEST else f"{ENGINE}-{own}"


@functools.cache
def engine_digest() -> str:
    """Twelve hex digits over what `ENGINE` is the version of."""
    texts = []
    for entry in _ENGINE:
        name, _, one = entry.partition(":")
        defined = _module(f"jaxsoft.{name}").defined
        texts += [f"{name}:{own}\n{_text(defined[own])}" for own in ([one] if one else sorted(defined))]
    return _hash(texts)


def _text(statements: list[ast.stmt]) -> str:
    return "\n".join(map(ast.unparse, statements))


def _hash(texts: Iterable[str]) -> str:
    return files.digest(["\n".join(texts)])[:12]


def _used(module: str, statement: ast.stmt) -> Iterator[_Place]:
    """The names of this package that a statement speaks of."""
    own = _module(module)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in own.defined:
            yield _Place(module, node.id)
        elif isinstance(node, ast.Name) and (place := own.imported.get(node.id)) and place.name:
            yield place
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (place := own.imported.get(node.value.id)) and not place.name:
                yield _place(place.module, node.attr)


@functools.lru_cache(256)
def _module(name: str) -> _Module:
    path = _file(name)
    tree = ast.parse(_READ.get(path) or path.read_bytes() if path else "")
    package = name.partition(".")[0]
    imported = {
        alias.asname or alias.name: _place(node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == package
        for alias in node.names
    }
    defined: dict[str, list[ast.stmt]] = {}
    top = [(node, _names(node)) for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    for node, names in top:
        for own in names:
            defined.setdefault(own, []).append(_bare(node))
    for node, names in top:
        if not names:  # such as `f.defvjp(forward, backward)`: it belongs to all that it names
            for own in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & defined.keys():
                defined[own].append(node)
    return _Module(defined, imported)


def _place(module: str, name: str) -> _Place:
    """What a name of a module is: itself a module, or what is defined there, or in the module that it is had from."""
    if _file(f"{module}.{name}"):
        return _Place(f"{module}.{name}", "")
    there = _module(module)
    return there.imported[name] if name not in there.defined and name in there.imported else _Place(module, name)


def _names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [t.id for target in targets if target for t in ast.walk(target) if isinstance(t, ast.Name)]


def _bare(node: ast.stmt) -> ast.stmt:
    """The statement without docstrings."""
    for inner in ast.walk(node):
        if isinstance(inner, _DEFINITIONS) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return node


@functools.lru_cache(1024)
def _file(module: str) -> Path | None:
    """The source of a module, found without running it."""
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        path = Path(getattr(importlib.util.find_spec(module), "origin", None) or "")
        return path if path.suffix == ".py" and path.is_file() else None
