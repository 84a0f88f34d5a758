"""Paths of users' functions: where they are looked for, that folders do not meet, and one line for all that goes wrong."""

import sys

import pytest

from jaxsoft import errors, imports, sources, spec
from jaxsoft.training import augment

NET = '''"""A module."""
import random
import pk.inner
from helpers import *
from . import near as other


def net(num_classes, width: int = 2):
    """Doc."""
    import pk.inner as again

    return width * FACTOR + other.shift() + again.ONE + random.MINE


def alone(num_classes):
    return num_classes
'''
FILES = {
    "net.py": NET,
    "helpers.py": "FACTOR = 10\nOTHER = 1\n",
    "near.py": "import math\n\n\ndef shift():\n    return math.floor(100.5)\n",
    "pk/inner.py": "ONE = 1000\n",
    "random.py": "MINE = 10000\n",
    "taken.py": "from net import net\n",
    "tried.py": "try:\n    from nosuch import rate\nexcept ImportError:\n    from near import shift as rate\n\n\ndef f():\n    return rate()\n",
}


@pytest.fixture
def folder(tmp_path):
    """A function that writes these modules, some texts replaced, beside a config, and looks there."""

    def write(*edits, at="one"):
        for name, text in FILES.items():
            for file, old, new in edits:
                assert file != name or old in text
                text = text.replace(old, new) if file == name else text
            (tmp_path / at / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / at / name).write_text(text)
        imports.beside(tmp_path / at / "config.py")
        return tmp_path / at

    path = list(sys.path)
    yield write
    assert sys.path == path
    imports.beside(None)


def call(text):
    return spec.resolve(text, {}, "model", "here", ("num_classes",))(3)


def test_a_module_beside_the_config_and_its_neighbours_are_found_whatever_they_are_called(folder):
    folder()
    assert call("net:net(width=5)") == 50 + 100 + 1000 + 10000
    import random

    assert not hasattr(random, "MINE")
    assert "net" not in sys.modules and "helpers" not in sys.modules


def test_equal_names_in_two_folders_do_not_meet_and_what_was_edited_is_read_again(folder):
    folder()
    assert call("net:net") == 11120
    folder(("helpers.py", "10", "20"), at="two")
    assert call("net:net") == 11140
    folder(("helpers.py", "10", "30"), at="two")
    assert call("net:net") == 11160


def test_sys_path_is_looked_at_next(folder, monkeypatch):
    there = folder()
    (there / "elsewhere").mkdir()
    (there / "elsewhere" / "lab_of_mine.py").write_text("def net(num_classes):\n    return 'mine'\n")
    monkeypatch.syspath_prepend(there / "elsewhere")
    assert call("lab_of_mine:net") == "mine"
    before = sources.digest(imports.function("lab_of_mine:net"))
    assert len(before) == 12


@pytest.mark.parametrize(
    ("text", "source", "told"),
    [
        ("net:nett", "", "module net has no function 'nett'; it has: net, alone"),
        ("helpers:FACTOR", "", "helpers:FACTOR is not a function, but of type int"),
        ("nope:f", "", "module nope not found beside FOLDER/config.py nor on sys.path"),
        ("pk.nope:f", "", "module pk.nope not found beside FOLDER/config.py nor on sys.path"),
        ("bad:f", "x = 1\ny = = 2\n", "module bad: FOLDER/bad.py, line 2: SyntaxError: invalid syntax"),
        ("bad:f", "import sys\nsys.exit('no\\nmore')\n", "module bad: FOLDER/bad.py, line 2: SystemExit: no"),
        ("bad:f", "\nimport nosuch\n", "module bad: FOLDER/bad.py, line 2: ModuleNotFoundError: No module named 'nosuch'"),
        ("bad:f", "def f(num_classes):\n    return {}[num_classes]\n", "bad:f: FOLDER/bad.py, line 2: KeyError: 3"),
        ("bad:f", "def f(classes):\n    pass\n", "bad:f cannot be used as model: it should take first num_classes; it takes classes"),
        ("net:net(2.0)", "", "net:net(2.0) in 'net:net(2.0)': width expects int, got 2.0; usage: net:net(width: int=2)"),
        ("net:net(w=2)", "", "net:net(w=2) in 'net:net(w=2)': got an unexpected keyword argument 'w'; usage: net:net(width: int=2)"),
        ("bad:f(2)", "from __future__ import annotations\ndef f(num_classes, *, a: str): pass\n", "bad:f(2) in 'bad:f(2)': a expects str, got 2; usage: bad:f(a: str)"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(folder, text, source, told):
    there = folder()
    (there / "bad.py").write_text(source)
    with pytest.raises(errors.ConfigError) as caught:
        call(text)
    assert str(caught.value) == told.replace("FOLDER", str(there))


def digests(folder, *edits, at="one"):
    folder(*edits, at=at)
    return [sources.digest(imports.function(f"net:{name}")) for name in ("net", "alone")]


@pytest.mark.parametrize(
    "edit",
    [
        ("net.py", '    """Doc."""\n', ""),
        ("net.py", "\n\ndef alone", "\n\n# a word\ndef alone"),
        ("helpers.py", "OTHER = 1", "OTHER = 2"),
    ],
)
def test_what_computes_the_same_has_the_same_digest_wherever_it_lies(folder, edit):
    assert digests(folder) == digests(folder, edit, at="two")


@pytest.mark.parametrize(
    "edit",
    [
        ("net.py", "width * FACTOR", "width + FACTOR"),
        ("net.py", "width: int = 2", "width: int = 3"),
        ("helpers.py", "FACTOR = 10", "FACTOR = 11"),  # had by `*`
        ("near.py", "100.5", "101.5"),
        ("near.py", "import math", "import numpy as math"),  # another library of the same name
        ("pk/inner.py", "1000", "1001"),
        ("random.py", "10000", "10001"),
    ],
)
def test_what_computes_otherwise_has_another_digest(folder, edit):
    plain, edited = digests(folder), digests(folder, edit)
    assert plain[0] != edited[0]
    assert plain[1] == edited[1]


def test_a_function_is_followed_from_where_it_is_only_imported_and_through_what_is_tried(folder):
    net = digests(folder)[0]
    assert sources.digest(imports.function("taken:net")) == net
    tried = sources.digest(imports.function("tried:f"))
    folder(("near.py", "100.5", "101.5"))
    assert sources.digest(imports.function("tried:f")) != tried


def test_the_code_of_an_augmentation_is_that_of_the_operations_it_joins(folder):
    folder()
    assert [f.__name__ for f in augment.code_of("one_of('crop|net:alone')")] == ["one_of", "crop", "alone"]
    assert [f.__name__ for f in augment.code_of("net:alone")] == ["alone"]
