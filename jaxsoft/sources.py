"""What code computes, as a digest of its source: a change of meaning changes it, a comment does not.

A function is followed by name through the modules of its own package: to what it calls, to the classes that it makes,
to the constants that it reads. Of these the syntax trees count, without docstrings and types of layout; what messages
say does not.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ENGINE = 3
"""Version of what every number goes through, whatever a spec names: orders, streams, losses, the loop, evaluation.

Part of every key. A change to the engine that changes a number raises it; one that changes none, as its tests show,
only records the new digest below. Where the engine was edited and neither was done, keys carry the digest itself.
"""
ENGINE_DIGEST = "d39506831ffa"

_ENGINE = (
    "data.classes", "data.normalize", "experiment.cohort", "experiment.labelling", "experiment.learning",
    "experiment.students", "experiment.subsets", "experiment.teaching", "experiment.viewing", "labels.bank", "labels.smoothing",
    "labels.spec", "losses", "metrics", "rng", "training.ensemble", "training.evaluate", "training.fit", "training.learned",
    "training.learners", "training.unroll", "views",
)  # fmt: skip
"""The modules through which every number goes, beside those that a spec names."""
_SILENT = ("jaxsoft.errors", "jaxsoft.spec")  # what they do is to refuse


class _Place(NamedTuple):
    """A name that a module defines at its top."""

    module: str
    name: str


class _Module(NamedTuple):
    """The top of a module: what it defines, and what its imported names stand for (a module where the name is empty)."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, _Place]


def digest(*functions: Callable[..., Any]) -> str:
    """Twelve hex digits over functions and all that they use of their own package.

    Args:
      functions: defined at the top of modules whose source lies in files.

    Returns:
      The same digits for the same syntax trees, in every process and on every Python.
    """
    return _digest(tuple(_Place(f.__module__, f.__qualname__.partition(".")[0]) for f in functions))


def engine() -> str:
    """The engine's version; with a digest where its source is not what that version was given to."""
    own = engine_digest()
    return str(ENGINE) if own == ENGINE_DIGEST else f"{ENGINE}-{own}"


@functools.cache
def engine_digest() -> str:
    """Twelve hex digits over what `ENGINE` is the version of."""
    texts = []
    for name in _ENGINE:
        defined = _module(f"jaxsoft.{name}").defined
        texts += [f"{name}:{own}\n{_text(statements)}" for own, statements in sorted(defined.items())]
    return _hash("\n".join(texts))


@functools.lru_cache(1024)
def _digest(roots: tuple[_Place, ...]) -> str:
    found: dict[_Place, str] = {}
    left = list(roots)
    while left:
        place = left.pop()
        if place in found or place.module in _SILENT:
            continue
        statements = _module(place.module).defined.get(place.name, [])
        found[place] = _text(statements)
        left += [p for s in statements for p in _used(place.module, s)]
    return _hash("\n".join(f"{place.module}:{place.name}\n{found[place]}" for place in sorted(found)))


def _text(statements: list[ast.stmt]) -> str:
    return "\n".join(map(ast.unparse, statements))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _used(module: str, statement: ast.stmt) -> Iterator[_Place]:
    """The names of this package that a statement speaks of."""
    own = _module(module)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in own.defined:
            yield _Place(module, node.id)
        elif isinstance(node, ast.Name) and own.imported.get(node.id, _Place("", "")).name:
            yield own.imported[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in own.imported:
            target = own.imported[node.value.id]
            if not target.name:
                yield _followed(_Place(target.module, node.attr))


def _followed(place: _Place) -> _Place:
    """Where a name is defined that a module only hands on."""
    module = _module(place.module)
    return module.imported[place.name] if place.name not in module.defined and place.name in module.imported else place


@functools.lru_cache(256)
def _module(name: str) -> _Module:
    path = _file(name)
    if path is None:
        return _Module({}, {})
    defined: dict[str, list[ast.stmt]] = {}
    imported: dict[str, _Place] = {}
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported |= dict(_imports(node, name))
        for own in _names(node):
            defined.setdefault(own, []).append(_bare(node))
    return _Module(defined, imported)


def _imports(node: ast.Import | ast.ImportFrom, importer: str) -> Iterator[tuple[str, _Place]]:
    """What each imported name of the importer's own package stands for."""
    package = importer.partition(".")[0]
    for alias in node.names:
        known = alias.asname or alias.name
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if source.partition(".")[0] == package and not node.level:
                inner = f"{source}.{alias.name}"
                yield known, _Place(inner, "") if _file(inner) else _followed(_Place(source, alias.name))
        elif alias.asname and alias.name.partition(".")[0] == package:
            yield known, _Place(alias.name, "")


def _names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Expr):  # such as `f.defvjp(forward, backward)`: it belongs to f
        return [n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)][:1]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [t.id for target in targets if target for t in ast.walk(target) if isinstance(t, ast.Name)]


def _bare(node: ast.stmt) -> ast.stmt:
    """The statement without docstrings."""
    for inner in ast.walk(node):
        if (
            isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            and ast.get_docstring(inner) is not None
        ):
            inner.body = inner.body[1:] or [ast.Pass()]
    return node


@functools.lru_cache(1024)
def _file(module: str) -> Path | None:
    """The source of a module, found without running it if it is not loaded."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if loaded is None:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = found.origin if found else None
    path = Path(origin) if origin else None
    return path if path and path.suffix == ".py" and path.is_file() else None
