"""A document as plain values, and its two renderings: one HTML file that needs nothing else, and Markdown.

Text may hold `code` between backticks and nothing else; every string is escaped, wherever it came from, and what does
not print is shown as its code.
"""

import base64
import functools
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from jaxsoft import errors
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart

FIGURES, TABLES = {"svg": "svg", "pdf": "pdf"}, {"csv": "csv", "latex": "tex"}
"""Formats of files beside the page, and their endings."""
_NUMBER = re.compile(r"[-+−–\d.,\[\]<>/%×* ]*")


class Text(NamedTuple):
    """A paragraph; `kind` is "plain", "lead" (the answer), or "warning"."""

    text: str
    kind: str = "plain"


class Facts(NamedTuple):
    """Two to four numbers worth a large type side by side, each with what it is."""

    items: Sequence[tuple[str, str]]


class Picture(NamedTuple):
    """A PNG: its file name without ending, what it shows for those who cannot see it, its caption, and what was drawn."""

    name: str
    png: bytes
    alt: str
    caption: str
    chart: Chart | None = None


class Table(NamedTuple):
    """Text in rows and columns; `folded` tables are for looking things up.

    `name` is that of its files without ending, and `records` are the numbers behind the text, as far as there are any.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    caption: str
    folded: bool = False
    name: str = ""
    records: Sequence[Mapping[str, Any]] = ()


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


def table(records: Sequence[Mapping[str, Any]], caption: str, folded: bool = False, name: str = "") -> Table:
    """A table of records, whose keys name the columns and carry their units (`words.cell`); absent values are dashes.

    A column in which no record has anything is left out.
    """
    names = dict.fromkeys(key for record in records for key in record)
    columns = {key: [words.cell(key, record.get(key)) for record in records] for key in names}
    kept = {key: column for key, column in columns.items() if set(column) != {words.NONE}}
    return Table(tuple(kept), list(zip(*kept.values())), caption, folded, name, records)


def to_html(page: Page, formats: Sequence[str] = ()) -> str:
    """One self-contained file: style and images inside, no script, nothing fetched.

    `formats` are those of FIGURES and TABLES in which what is shown lies beside the page: it has links to them.
    """
    return _templates().get_template("page.html").render(page=page, formats=formats)


def to_markdown(page: Page, formats: Sequence[str] = ()) -> str:
    """The same document in Markdown, its images in `plots/`."""
    return _templates().get_template("page.md").render(page=page, formats=formats)


def links(block: Picture | Table, formats: Sequence[str]) -> dict[str, str]:
    """The files of a figure or a table by their formats, relative to the page."""
    folder, endings = ("plots", FIGURES) if isinstance(block, Picture) else ("tables", TABLES)
    return {form: f"{folder}/{block.name}.{ending}" for form, ending in endings.items() if form in formats}


def numbered(sections: Sequence[Section]) -> list[Section]:
    """Sections whose tables all have a name, those of one name numbered."""
    names = Counter(block.name or "table" for s in sections for block in s.blocks if isinstance(block, Table))
    numbers = {name: itertools.count(1) for name, times in names.items() if times > 1}

    def named(block: Block) -> Block:
        if not isinstance(block, Table):
            return block
        name = block.name or "table"
        return block._replace(name=f"{name}-{next(numbers[name])}" if name in numbers else name)

    return [section._replace(blocks=[named(block) for block in section.blocks]) for section in sections]


@functools.cache
def _templates() -> jinja2.Environment:
    how: Any = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    folder, escaped = jinja2.PackageLoader("jaxsoft.analysis.showing", "."), jinja2.select_autoescape(["html"])
    env = jinja2.Environment(loader=folder, autoescape=escaped, **how)
    env.filters |= {"rich": _rich, "bare": _bare, "inert": _inert, "kinds": kinds, "links": links}
    env.filters["base64"] = lambda png: base64.b64encode(png).decode()
    env.tests["kind"] = lambda block, name: type(block).__name__ == name
    return env


def kinds(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[str]:
    """Of each column: numbers ("n") stand on the right, and only "long" text is wrapped."""
    columns = zip(*rows) if rows else [[""] for _ in header]
    return ["n" if all(map(_NUMBER.fullmatch, c)) else "long" if max(map(len, c)) > 60 else "" for c in columns]


def _rich(text: str) -> Markup:
    """HTML of a text: code, exponents, intervals that are not broken, and numbers that stay with their unit."""
    text = re.sub(r"(?<=\d) (?=[%×])|(?<=\b[nrtk]) (?==)|(?<=\b[nrtk] =) ", "\u00a0", str(escape(errors.shown(text))))
    text = re.sub(r"\[[-+−\d.,&;glt ]+\]", lambda ends: ends[0].replace(" ", "\u00a0"), text)
    text = re.sub(r"\^([−\d.b]*[\db])", r"<sup>\1</sup>", text)
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", text))


def _bare(text: str) -> str:
    return errors.shown(text).replace("`", "")


def _inert(text: str) -> str:
    """Markdown that cannot become a tag or a link, or end its line; between backticks all is shown as it is anyway."""
    parts = re.split("(`[^`]*`)", errors.shown(" ".join(text.split())))
    for i in range(0, len(parts), 2):
        parts[i] = re.sub("<(?=[a-zA-Z/!?])", "&lt;", parts[i])
        parts[i] = parts[i].replace("](", "]\\(").replace("![", "!\\[").replace("][", "]\\[")
    return "".join(parts)
