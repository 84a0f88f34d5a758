"""Syntax trees as text that is the same on every Python: `ast.unparse` of Python 3.11.

From 3.12 on an expression inside of an f-string may hold the quotes around it, and `ast.unparse` lets it.
"""

import ast
import sys
from collections.abc import Sequence

_QUOTES = ("'", '"', '"""', "'''")


def text(statement: ast.stmt) -> str:
    """The statement as Python 3.11 writes it; the tree may change.

    >>> text(ast.parse('f"{len("ab")}"').body[0])
    'f"{len(\\'ab\\')}"'
    """
    return ast.unparse(statement if sys.version_info < (3, 12) else _Older().visit(statement))


class _Older(ast.NodeTransformer):
    """Puts the text of each f-string in its place, as a name."""

    depth = 0  # of f-strings inside of one another

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        self.depth += 1
        parts = [(self._part(value), isinstance(value, ast.Constant)) for value in node.values]
        self.depth -= 1
        return ast.Name(_quoted([("".join(part for part, _ in parts), False)] if self.depth else parts))

    def _part(self, node: ast.expr) -> str:
        """What stands between the quotes for a part of an f-string."""
        if not isinstance(node, ast.FormattedValue):
            return getattr(node, "value", "").replace("{", "{{").replace("}", "}}")
        around = ast.IfExp(ast.Name("x"), self.visit(node.value), ast.Name("x"))  # has the brackets that are needed
        inner = ast.unparse(around).removesuffix(" if x else x")
        conversion = f"!{chr(node.conversion)}" if node.conversion != -1 else ""
        form = ":" + "".join(map(self._part, getattr(node.format_spec, "values", ()))) if node.format_spec else ""
        return "{" + " " * inner.startswith("{") + inner + conversion + form + "}"


def _quoted(parts: Sequence[tuple[str, bool]]) -> str:
    """The f-string of parts, each with whether it is plain text: the first quotes that no part holds are around it."""
    quotes, written = list(_QUOTES), ""
    for part, is_plain in parts:
        part = "".join(_escaped(c, is_plain) for c in part)
        quotes = [q for q in quotes if q not in part and (len(q) == 3 or "\n" not in part)]
        quotes.sort(key=lambda q: q[0] == part[-1:])
        if quotes and quotes[0][0] == part[-1:]:
            part = f"{part[:-1]}\\{part[-1]}"
        written += part
    if not quotes:
        return "f'''" + "".join(repr('"' + part)[2:-1] for part, _ in parts) + "'''"
    return f"f{quotes[0]}{written}{quotes[0]}"


def _escaped(c: str, is_plain: bool) -> str:
    """A character as it is written; of what does not print, line breaks and tabs stay outside of plain text."""
    if c.isprintable() and c != "\\" or c in "\n\t" and not is_plain:
        return c
    return c.encode("unicode_escape").decode("ascii")
