"""Code is known by what it does: a digest that comments leave as it is, and any change of meaning does not."""

import ast
import importlib
import sys

import pytest

from jaxsoft import models, sources
from jaxsoft.labels import ops
from jaxsoft.training import augment

FIRST = '''"""A module."""
from jaxsoft_tried import helpers
from jaxsoft_tried.helpers import RATE as rate


def treated(row):
    """Double it."""
    return _doubled(row) + helpers.shift(row) * rate


def _doubled(row):
    return 2 * row  # twice


def alone(row):
    return row
'''
HELPERS = """RATE = 3
OTHER = 4


def shift(row):
    return row + 1


def unused(row):
    return row
"""


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """A function that makes digests of `treated` and `alone` in a package of two files, edited by replacements."""
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "jaxsoft_tried"
    package.mkdir()
    (package / "__init__.py").touch()

    def digests(*edits):
        texts = {"first": FIRST, "helpers": HELPERS}
        for name, old, new in edits:
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new)
        for name, text in texts.items():
            (package / f"{name}.py").write_text(text)
        for cached in (sources._digest, sources._module, sources._file, sources._is_followed):
            cached.cache_clear()
        for module in [name for name in sys.modules if name.startswith("jaxsoft_tried")]:
            del sys.modules[module]
        importlib.invalidate_caches()
        first = importlib.import_module("jaxsoft_tried.first")
        return sources.digest(first.treated), sources.digest(first.alone)

    yield digests
    for cached in (sources._digest, sources._module, sources._file, sources._is_followed):
        cached.cache_clear()


@pytest.mark.parametrize(
    "edit",
    [
        ("first", "  # twice", ""),
        ("first", '"""Double it."""', '"""Twice as much."""'),
        ("first", "return 2 * row", "return (2 * row)"),
        ("first", "\n\n\ndef alone", "\n\n# a word\ndef alone"),
        ("helpers", "return row\n", "return 5 * row\n"),  # of what nobody calls
        ("helpers", "OTHER = 4", "OTHER = 5"),
    ],
)
def test_what_computes_the_same_has_the_same_digest(tried, edit):
    assert tried(edit) == tried()


@pytest.mark.parametrize(
    "edit",
    [
        ("first", "2 * row", "3 * row"),
        ("first", "_doubled(row) +", "_doubled(row) -"),
        ("helpers", "row + 1", "row + 2"),  # in another file
        ("helpers", "RATE = 3", "RATE = 4"),  # a constant, imported under another name
    ],
)
def test_what_computes_otherwise_has_another_digest(tried, edit):
    plain, edited = tried(), tried(edit)
    assert plain[0] != edited[0]
    assert plain[1] == edited[1]


def test_a_network_is_followed_to_the_rules_of_its_gradients():
    found, left = set(), [sources._Place("jaxsoft.models.convnet", "convnet")]
    while left:
        place = left.pop()
        if place not in found:
            found.add(place)
            left += [
                p
                for s in sources._module(place.module).defined.get(place.name, [])
                for p in sources._used(place.module, s)
            ]
    names = {f"{place.module.removeprefix('jaxsoft.')}:{place.name}" for place in found}
    assert {"models.convnet:ConvNet", "models._layers:Conv", "ops.conv:_kernel_gradient"} <= names
    assert {"ops.lowerings:forward_by_library", "ops.norm:_block_backward"} <= names


def test_the_package_is_written_in_the_one_way_that_is_followed():
    for path, text in sources._READ.items():
        tree = ast.parse(text)
        assert path.name.startswith("__") or not any(
            isinstance(node, (ast.If, ast.Try, ast.With)) for node in tree.body
        )
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            assert not (isinstance(node, ast.Import) and "jaxsoft" in ast.unparse(node)), path


def test_functions_of_one_module_differ():
    assert len({sources.digest(f) for f in (ops.topk, ops.swap, ops.smooth, ops.temperature)}) == 4
    assert sources.digest(models.function("convnet(depth=2)")) == sources.digest(models.function("convnet(depth=4)"))


def test_an_augmentation_is_its_operations_too():
    def named(text):
        return [f.__name__ for f in augment.functions(text)]

    assert named("none") == ["none"]
    assert sorted(named('dsa(operations="crop_flip")')) == ["crop", "dsa", "flip"]
    assert len(named("dsa")) == 7


def test_the_engine_is_what_its_version_was_given_to():
    """Red after an edit of the engine. Do its tests show that no number has changed? Then only record the new digest.

    Else raise `sources.ENGINE` too: old results are then trained again instead of taken for new ones.
    """
    assert sources.engine_digest() == sources.ENGINE_DIGEST


def test_an_edited_engine_is_another_one(monkeypatch):
    monkeypatch.setattr(sources, "ENGINE_DIGEST", sources.engine_digest())
    assert sources.engine() == str(sources.ENGINE)
    monkeypatch.setattr(sources, "ENGINE_DIGEST", "other")
    assert sources.engine() == f"{sources.ENGINE}-{sources.engine_digest()}"
