"""What code computes, as a digest of its source: a change of meaning changes it, a comment does not.

A function is followed by name through its own package: to what it calls, to the classes that it makes, to the constants
that it reads. Of these the syntax trees count, without docstrings. Files are read when the package starts, and users'
modules when they are imported, so that what is digested is what runs, whatever is edited meanwhile. A user's function is
followed through all that is not installed, and through this package; what it uses of libraries counts by its name.
"""

import ast
import contextlib
import functools
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import files, imports, syntax

ENGINE = 4
"""Version of what every number goes through, whatever a spec names: orders, streams, losses, the loop, evaluation.

Part of every key. A change to the engine that changes a number raises it; one that changes none, as its tests show,
only records the new digest below. Where the engine was edited and neither was done, keys carry the digest itself.
"""
ENGINE_DIGEST = "611af5d6dcf1"

_ENGINE = (
    "data.classes", "data.encoded", "data.normalize", "data.select:_table", "data.stream", "distilled.fields", "distilled.pool", "experiment.inputs.maps", "experiment.inputs.prepare",
    "experiment.inputs.rows", "experiment.inputs.subsets", "experiment.inputs.views", "experiment.learned.judges", "experiment.learned.learn",
    "experiment.learned.many", "experiment.learned.one", "experiment.plan.make", "experiment.plan.sweep",
    "experiment.students.outcomes", "experiment.students.waves", "experiment.teach.cohort", "experiment.teach.course",
    "experiment.teach.experts", "experiment.teach.resident", "experiment.teach.streamed", "experiment.teach.layout", "labels.ages", "labels.bank", "labels.committee", "labels.logits", "labels.smoothing", "labels.sources", "labels.spec", "labels.treatments", "models._adapt", "models._features",
    "models:build", "ops.conv", "ops.reroute", "rng", "spec", "training.augment:build", "training.batches", "training.blocks", "training.buckets", "training.ensemble",
    "training.evaluate", "training.feature_maps", "training.fit", "training.flat", "training.frames", "training.losses:soft_cross_entropy",
    "training.mesh", "training.metrics", "training.mixing:cutmix", "training.recipe", "training.views",
)  # fmt: skip
"""What every number goes through, beside the functions that a spec names: modules, or one name of a module."""
_READ = {path: path.read_bytes() for path in Path(__file__).parent.rglob("*.py")}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPOUND = (ast.If, ast.Try, ast.With, ast.For, ast.While)
_SILENT = ("jaxsoft.errors", "jaxsoft.imports", "jaxsoft.spec")  # what they do is to find or to refuse


class _Place(NamedTuple):
    """A name that a module defines at its top."""

    module: str
    name: str


class _Module(NamedTuple):
    """A module: what its top defines, what its imported names stand for, whose names it takes by `*`, all statements."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, list[_Place]]
    stars: list[str]
    whole: list[ast.stmt]


def digest(*functions: Callable[..., Any]) -> str:
    """Twelve hex digits over functions, defined at the top of modules, and all that they use.

    The same for the same syntax trees, in every process and on every Python, wherever a user's modules lie.
    """
    return _digest(*(_reached(_Place(*imports.place(function))) for function in functions))


@imports.cached
def _digest(*places: _Place) -> str:
    found: dict[_Place, str] = {}
    left = list(places)
    while left:
        place = left.pop()
        if place in found or place.module in _SILENT:
            continue
        statements = _statements(place)
        found[place] = _text(statements)
        left += [p for s in statements for p in _used(place.module, s)]
    named = sorted((imports.plain(place.module), place.name, text) for place, text in found.items())
    return _hash(f"{module}:{name}\n{text}" for module, name, text in named)


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
    return "\n".join(map(syntax.text, statements))


def _hash(texts: Iterable[str]) -> str:
    return files.digest(["\n".join(texts)])[:12]


def _statements(place: _Place) -> list[ast.stmt]:
    """What defines a name; the whole of a user's module where nothing at its top does."""
    there = _module(place.module)
    return there.defined.get(place.name, [] if _is_own(place.module) else there.whole)


def _used(module: str, statement: ast.stmt) -> Iterator[_Place]:
    """What a statement speaks of. In a user's module that is also a library, by name, or a module as a whole."""
    for name, *attributes in _chains(statement):
        for place in _meanings(module, name):
            if _is_followed(place.module, module):
                place = _reached(place, attributes)
            else:
                place = _Place("", "" if _is_own(module) else ".".join(place))
            if place.name or not _is_own(module):
                yield place


def _chains(statement: ast.stmt) -> Iterator[list[str]]:
    """Every `a` and `a.b.c` of a statement as its names."""
    left: list[ast.AST] = [statement]
    while left:
        node = left.pop()
        if names := _chain(node):
            yield names
        else:
            left += ast.iter_child_nodes(node)


def _chain(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*inner, node.attr] if (inner := _chain(node.value)) else []
    return [node.id] if isinstance(node, ast.Name) else []


def _meanings(module: str, name: str, seen: tuple[str, ...] = ()) -> list[_Place]:
    """What a module defines, and imports, by a name: several where it tries one and then another."""
    own = _module(module)
    found = [_Place(module, name)] if name in own.defined else []
    found += own.imported.get(name, [])
    inner = (star for star in own.stars if star not in (module, *seen) and _is_followed(star, module))
    return found or [place for star in inner for place in _meanings(star, name, (module, *seen))]


def _reached(place: _Place, attributes: Sequence[str] = ()) -> _Place:
    """Where a place, or what attributes of a module lead to, is defined: a module's has no name."""
    seen: set[_Place] = set()
    while place.name and place not in seen:
        seen.add(place)
        if _file(f"{place.module}.{place.name}"):
            place = _Place(f"{place.module}.{place.name}", "")
        elif (next_ := _meanings(*place)) and _is_followed(next_[0].module, place.module):
            place = next_[0]
    return place if place.name or not attributes else _reached(_Place(place.module, attributes[0]), attributes[1:])


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == "jaxsoft"


@imports.cached
def _is_followed(module: str, by: str) -> bool:
    """Whether what a module names of another counts by its meaning: not if that is a library's."""
    top, own = module.partition(".")[0], by.partition(".")[0]
    if top in (own, "jaxsoft") or _is_own(by):
        return top in (own, "jaxsoft")
    spec = importlib.util.find_spec(top)
    where = [*(spec.submodule_search_locations or ()), spec.origin or ""][0] if spec else ""
    return os.path.isabs(where) and not imports.is_library(where)


@imports.cached
def _module(name: str) -> _Module:
    path, tree = _file(name), ast.Module([], [])
    if path:
        with contextlib.suppress(SyntaxError):  # of a file that nothing has imported
            tree = ast.parse(_READ.get(path) or imports.READ.get(path) or path.read_bytes())
    top = [
        (_bare(node, _is_own(name)), _names(node))
        for node in tree.body
        if not isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    defined: dict[str, list[ast.stmt]] = {}
    for node, names in top:
        for own in names:
            defined.setdefault(own, []).append(node)
    for node, names in top:
        if not names or isinstance(node, _COMPOUND):  # such as `f.defvjp(forward, backward)`: of all that it names
            for own in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & defined.keys() - {*names}:
                defined[own].append(node)
    imported: dict[str, list[_Place]] = {}
    for own, place in (pair for node in ast.walk(tree) for pair in _imports(name, path, node)):
        imported.setdefault(own, []).append(place)
    stars = [place.module for place in imported.pop("*", [])]
    return _Module(defined, imported, stars, [node for node, _ in top])


def _imports(module: str, path: Path | None, node: ast.AST) -> Iterator[tuple[str, _Place]]:
    """The names that an import statement of a module binds, and what they stand for; a module has no name."""
    package = module if path and path.name == "__init__.py" else module.rpartition(".")[0]
    if isinstance(node, ast.Import):
        for alias in node.names:
            there, short = imports.name_in(module, alias.name), alias.name.partition(".")[0]
            top = there.removesuffix(alias.name) + short  # `import a.b` binds a
            yield alias.asname or short, _Place(there if alias.asname else top, "")
    elif isinstance(node, ast.ImportFrom):
        inner = node.module or ""
        for alias in node.names:
            there = imports.name_in(module, inner, [alias.name])
            if node.level:
                there = importlib.util.resolve_name("." * node.level + inner, package)
            yield alias.asname or alias.name, _Place(there, alias.name)


def _names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    if isinstance(node, _COMPOUND):
        inner = (part for part in ast.walk(node) if isinstance(part, ast.stmt) and part is not node)
        return list(dict.fromkeys(name for part in inner for name in _names(part)))
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [t.id for target in targets if target for t in ast.walk(target) if isinstance(t, ast.Name)]


def _bare(node: ast.stmt, own: bool) -> ast.stmt:
    """The statement without docstrings, and without what a network of this package tells of its feature maps."""
    for inner in ast.walk(node):
        if isinstance(inner, _DEFINITIONS) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
        if own and isinstance(inner, (ast.FunctionDef, *_COMPOUND)):
            inner.body = [part for part in inner.body if not _tells_features(part)]
    return node


def _tells_features(statement: ast.stmt) -> bool:
    call = getattr(statement, "value", None)
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "sow_features"


@imports.cached
def _file(module: str) -> Path | None:
    """The source of a module, found without running it."""
    with contextlib.suppress(Exception):  # of packages on the way, which run
        path = Path(getattr(importlib.util.find_spec(module), "origin", None) or "")
        return path if path.suffix == ".py" and path.is_file() else None
