"""Imports only go down: the layers of the package, read off the syntax trees."""

import ast
from pathlib import Path

import pytest

import jaxsoft

PACKAGE = Path(jaxsoft.__file__).parent
LAYERS = (  # from the top; modules of one entry may not import one another
    ("main",),
    ("command.compare", "command.export", "command.sets", "command.shares", "command.teacher", "command.verify"),
    ("command.arguments", "command.clusters", "command.completion", "command.doctor", "api"),
    ("results",),
    ("command.report",),
    ("analysis",),
    ("experiment",),
    ("distilled",),
    ("training",),
    ("labels",),
    ("models",),
    ("ops",),
    ("sealed",),
    ("data",),
    ("training.views",),
    ("training.mixing",),
    ("training.augment",),
    (
        "training.crops",
        "training.frames",
        "training.losses",
        "training.optim",
        "training.schedules",
        "training.metrics",
    ),
    ("training.distances", "training.warps"),
    ("presets",),
    ("config",),
    ("config.settings",),
    ("numerics", "console", "sinks"),
    ("spec", "rng", "types", "config.values", "objects"),
    ("contents", "packing"),
    ("sources",),
    ("imports", "target", "command.experiments", "command.starting", "command.stopping", "command.streams"),
    ("errors", "files", "syntax", "command"),  # the last is empty but for its modules
)
# The rooms of experiment and of distilled, likewise.
ROOMS = {
    "experiment": (
        "export",
        "join",
        "run",
        "teachers",
        "cluster",
        "tell",
        "students",
        "inputs",
        "plan",
        "learned",
        "teach",
        "store",
        "machine",
    ),
    "distilled": ("importing", "comparing", "pool", "kept", "reading", "inference", "fields"),
}
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {"analysis": {"experiment", "training"}}  # results are the only bridge to analysis
UPWARD = {("types", "data")}  # inside Dataset.from_arrays alone: arrays are checked there
FRONT = ("__init__", "__main__")  # the package's own names, and `python -m`: above everything


def room(parts: tuple[str, ...]) -> str:
    """The layer that a module belongs to: its own, or that of its first name below the package."""
    inner = ".".join(parts[:2])
    return inner if inner in DEPTH else parts[0] if parts else "__init__"


def imported(text: str, package: tuple[str, ...] = (), within: tuple[str, ...] = ()) -> set[tuple[str, int]]:
    """The rooms that a source imports, at its top or inside a function, with line numbers; of a package if one is named."""
    whole = ("jaxsoft", *within)
    found = set()
    for node in ast.walk(ast.parse(text)):
        names: list[tuple[str, ...]] = []
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("jaxsoft", *package)[: len(package) + 2 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names = [(*base, alias.name) for alias in node.names]
        found |= {(room(name[len(whole) :]), node.lineno) for name in names if name[: len(whole)] == whole}
    return found


def violations(text: str, own: str, package: tuple[str, ...] = ()) -> list[str]:
    """One line for each import of a file of room `own` that does not go down."""
    problems = []
    for other, line in sorted(imported(text, package), key=lambda found: found[1]):
        if other == own or (own, other) in UPWARD or other not in DEPTH:  # such as __version__, of the package itself
            continue
        if DEPTH[other] <= DEPTH[own] or other in FORBIDDEN.get(own, ()):
            problems.append(f"line {line}: {own} imports {other}")
    return problems


def sources() -> list[Path]:
    files = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))
    return [p for p in files if p.parts[0].removesuffix(".py") not in FRONT]


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_only_go_down(path):
    own = room(path.with_suffix("").parts)
    assert own in DEPTH, f"{own} has no layer; add it to LAYERS here and to the design's list"
    assert violations((PACKAGE / path).read_text(), own, path.parts[:-1]) == []


def test_every_layer_is_there():
    assert set(DEPTH) == {room(path.with_suffix("").parts) for path in sources()}


@pytest.mark.parametrize("path", [p for p in sources() if p.parts[0] in ROOMS], ids=str)
def test_rooms_import_only_down(path):
    whole = path.parts[0]
    depth = {name: depth for depth, name in enumerate(ROOMS[whole])}
    own = path.parts[1].removesuffix(".py")
    if own != "__init__":
        others = {other for other, _ in imported((PACKAGE / path).read_text(), path.parts[:-1], (whole,))}
        assert not {other for other in others if other != own and depth[other] <= depth[own]}


@pytest.mark.parametrize(
    ("own", "text", "problem"),
    [
        ("training", "from jaxsoft.experiment import plan", "line 1: training imports experiment"),
        ("training", "import jaxsoft.experiment.plan as p", "line 1: training imports experiment"),
        ("training", "from jaxsoft import config, experiment", "line 1: training imports experiment"),
        ("training", "def f():\n    from jaxsoft.main import entry", "line 2: training imports main"),
        ("training", "if x:\n    from ..experiment import plan", "line 2: training imports experiment"),
        ("training", "from .. import analysis", "line 1: training imports analysis"),
        ("analysis", "from jaxsoft.training import cost", "line 1: analysis imports training"),
        ("analysis", "from jaxsoft.experiment import results", "line 1: analysis imports experiment"),
        ("training.losses", "from jaxsoft.training import metrics", "line 1: training.losses imports training.metrics"),
        ("errors", "from jaxsoft.spec import parse", "line 1: errors imports spec"),
    ],
)
def test_an_upward_import_is_caught(own, text, problem):
    package = (own,) if own in ("training", "analysis") else ()
    assert violations(text, own, package) == [problem]


def test_imports_down_within_a_room_and_from_outside_pass():
    text = "import os, jax\nfrom jaxsoft import errors, spec, __version__\nfrom . import fit\nfrom .fit import x\n"
    assert violations(text, "training", ("training",)) == []
    assert {name for name, _ in imported(text, ("training",))} == {"errors", "spec", "__version__", "training"}
    text = "from jaxsoft.experiment.plan import make\nfrom jaxsoft.experiment import run\nfrom jaxsoft import errors\nfrom ..store import x"
    assert {n for n, _ in imported(text, ("experiment", "tell"), ("experiment",))} == {"plan", "run", "store"}
