"""The text of a syntax tree does not depend on the Python that reads it: it is that of 3.11."""

import ast
import sys
from pathlib import Path

import pytest

from jaxsoft import syntax

PACKAGE = Path(syntax.__file__).parent
CASES = {
    '''f"{', '.join(names)}"''': '''f"{', '.join(names)}"''',
    """f'{x!r:>{width}} is {y:.3f}'""": """f'{x!r:>{width}} is {y:.3f}'""",
    """f"{', '.join(f'{a} {b}x' for a, b in c)}\\n\\t{{}}" """: """f"{', '.join((f'{a} {b}x' for a, b in c))}\\n\\t{{}}\"""",
    '''f"{(1 if a else 2)}{ {1: 'x'}['y'] }{(lambda: 3)()}"''': '''f"{(1 if a else 2)}{ {1: 'x'}['y']}{(lambda: 3)()}"''',
    "f\"it's {a['b']}\" 'and \"that\"' ": "f'''it's {a['b']}and \"that\"'''",
    """f'{a}\\\\ü\\x00'""": """f'{a}\\\\ü\\x00'""",
}


def older(statement: ast.stmt) -> str:
    return ast.unparse(syntax._Older().visit(statement))


@pytest.mark.parametrize("source", CASES)
def test_f_strings(source):
    for text in (syntax.text, older):
        assert text(ast.parse(source.strip()).body[0]) == CASES[source]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.11 says what is right")
def test_every_file_of_the_package():
    for path in PACKAGE.rglob("*.py"):
        for statement in ast.parse(path.read_bytes()).body:
            assert ast.unparse(statement) == older(statement), path
