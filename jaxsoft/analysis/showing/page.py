"""A document as plain values, and its two renderings: one HTML file that needs nothing else, and Markdown.

Text may hold `code` between backticks and nothing else; every string is escaped, wherever it came from, and what does
not print is shown as its code.
"""

import base64
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from jaxsoft import errors
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart

_NUMBER = re.compile(r"[-+−–\d.,\[\]<>/%×* ]*")


class Text(NamedTuple):
    """A paragraph; `kind` is "plain", "lead" (the answer), or "warning"."""

    text: str
    kind: str = "plain"


class Fact(NamedTuple):
    """A number worth a large type, and what it is."""

    value: str
    meaning: str


class Facts(NamedTuple):
    """Two to four facts side by side."""

    items: tuple[Fact, ...]


class Picture(NamedTuple):
    """A PNG: its file name without ending, what it shows for those who cannot see it, and its caption."""

    name: str
    png: bytes
    alt: str
    caption: str


class Table(NamedTuple):
    """Text in rows and columns; `folded` tables are for looking things up."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    caption: str
    folded: bool = False


Block = Text | Facts | Picture | Table | Chart


class Section(NamedTuple):
    """A heading that says what was found, and what shows it."""

    title: str
    blocks: Sequence[Block]


class Page(NamedTuple):
    """A whole report: a line above the title, the title, and sections; the first section may be without a title."""

    kicker: str
    title: str
    sections: Sequence[Section]


def table(records: Sequence[Mapping[str, Any]], caption: str, folded: bool = False) -> Table:
    """A table of records, whose keys name the columns and carry their units (`words.cell`); absent values are dashes.

    A column in which no record has anything is left out.
    """
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [words.cell(name, record.get(name)) for record in records] for name in names}
    kept = {name: column for name, column in columns.items() if set(column) != {words.NONE}}
    return Table(tuple(kept), list(zip(*kept.values())), caption, folded)


def to_html(page: Page) -> str:
    """One self-contained file: style and images inside, no script, nothing fetched."""
    return _template().render(page=page)


def to_markdown(page: Page, pictures: str = "plots") -> str:
    """The same document in Markdown; `pictures` is the folder of the images."""
    lines = [f"# {_safe(page.title)}", _safe(page.kicker)]
    for section in page.sections:
        lines += [f"## {_safe(section.title)}"] * bool(section.title)
        lines += [_markdown(block, pictures) for block in section.blocks]
    return "\n\n".join(lines) + "\n"


@functools.cache
def _template() -> jinja2.Template:
    tidy = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    env = jinja2.Environment(loader=jinja2.PackageLoader("jaxsoft.analysis.showing", "."), autoescape=True, **tidy)
    env.filters |= {"rich": _rich, "bare": _bare, "base64": lambda png: base64.b64encode(png).decode(), "kinds": _kinds}
    env.tests["kind"] = lambda block, name: type(block).__name__ == name
    return env.get_template("page.html")


def _kinds(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[str]:
    """Of each column: numbers ("n") stand on the right, and only "long" text is wrapped."""
    columns = zip(*rows) if rows else [[""] for _ in header]
    return ["n" if all(map(_NUMBER.fullmatch, c)) else "long" if max(map(len, c)) > 60 else "" for c in columns]


def _markdown(block: Block, pictures: str) -> str:
    if isinstance(block, Text):
        return f"> **Note.** {_safe(block.text)}" if block.kind == "warning" else _safe(block.text)
    if isinstance(block, Facts):
        return "\n".join(f"- **{_safe(f.value)}** {_safe(f.meaning)}" for f in block.items)
    if isinstance(block, Picture):
        return f"![{_safe(block.alt)}]({pictures}/{block.name}.png)\n\n*{_safe(block.caption)}*"
    assert isinstance(block, Table)  # charts were drawn
    folds = ("<details><summary>", "</summary>\n\n", "\n\n</details>") if block.folded else ("*", "*\n\n", "")
    lines = [block.header, ["---"] * len(block.header), *block.rows]
    rows = "\n".join("| " + " | ".join(_safe(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    return folds[0] + _safe(block.caption) + folds[1] + rows + folds[2]


def _rich(text: str) -> Markup:
    """HTML of a text: code, exponents, and numbers that stay with their unit."""
    text = re.sub(r"(?<=\d) (?=[%×])|(?<=\bn) (?==)|(?<=\bn =) ", "\u00a0", str(escape(errors.shown(text))))
    text = re.sub(r"\^([−\d.b]*[\db])", r"<sup>\1</sup>", text)
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", text))


def _bare(text: str) -> str:
    return errors.shown(text).replace("`", "")


def _safe(text: str) -> str:
    """Text that cannot become a tag or a link, or end its line; what stands between backticks is shown as it is anyway."""
    parts = re.split("(`[^`]*`)", errors.shown(" ".join(text.split())))
    return "".join(part if i % 2 else _inert(part) for i, part in enumerate(parts))


def _inert(text: str) -> str:
    text = re.sub("<(?=[a-zA-Z/!?])", "&lt;", text)
    return text.replace("](", "]\\(").replace("![", "!\\[").replace("][", "]\\[")
