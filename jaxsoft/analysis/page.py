"""A document as plain values, and its two renderings: one HTML file that needs nothing else, and Markdown.

Text may hold `code` between backticks and nothing else; every string is escaped, wherever it came from, and what does
not print is shown as its code.
"""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsoft import errors
from jaxsoft.analysis.table import Table

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


Block = Text | Facts | Picture | Table


class Section(NamedTuple):
    """A heading that says what was found, and what shows it."""

    title: str
    blocks: Sequence[Block]


class Page(NamedTuple):
    """A whole report: a line above the title, the title, and sections; the first section may be without a title."""

    kicker: str
    title: str
    sections: Sequence[Section]


def to_html(page: Page) -> str:
    """One self-contained file: style and images inside, no script, nothing fetched."""
    body = [f"<header><p class=kicker>{_rich(page.kicker)}</p><h1>{_rich(page.title)}</h1></header>"]
    for section in page.sections:
        title = f"<h2>{_rich(section.title)}</h2>" if section.title else ""
        body.append(f"<section>{title}{''.join(map(_html, section.blocks))}</section>")
    content, style = "\n".join(body), Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<meta name=color-scheme content="light dark">'
        f"<title>{html.escape(_bare(page.title))}</title><style>{style}</style></head>\n"
        f"<body><main>{content}</main></body></html>\n"
    )


def to_markdown(page: Page, pictures: str = "plots") -> str:
    """The same document in Markdown; `pictures` is the folder of the images."""
    lines = [f"# {_safe(page.title)}", _safe(page.kicker)]
    for section in page.sections:
        lines += [f"## {_safe(section.title)}"] * bool(section.title)
        lines += [_markdown(block, pictures) for block in section.blocks]
    return "\n\n".join(lines) + "\n"


def _html(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p class={block.kind}>{_rich(block.text)}</p>"
    if isinstance(block, Facts):
        items = "".join(f"<li><b>{_rich(f.value)}</b> <span>{_rich(f.meaning)}</span></li>" for f in block.items)
        return f"<ul class=facts>{items}</ul>"
    if isinstance(block, Picture):
        data, alt = base64.b64encode(block.png).decode(), html.escape(_bare(block.alt))
        picture = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
        return f"<figure>{picture}<figcaption>{_rich(block.caption)}</figcaption></figure>"
    return _html_table(block)


def _html_table(table: Table) -> str:
    kinds = [_kind(column) for column in zip(*table.rows)] or [""] * len(table.header)
    head = "".join(f"<th scope=col{kind}>{_rich(cell)}</th>" for cell, kind in zip(table.header, kinds))
    lines = ("".join(f"<td{kind}>{_rich(cell)}</td>" for cell, kind in zip(line, kinds)) for line in table.rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    caption = _rich(table.caption)
    # Only the table scrolls sideways, not the page; the keyboard reaches it too.
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    grid = f'<div class=scroll tabindex=0 role=region aria-label="{html.escape(_bare(table.caption))}">{grid}</div>'
    if table.folded:
        return f"<details><summary>{caption}</summary>{grid}</details>"
    return f"<figure class=table>{grid}<figcaption>{caption}</figcaption></figure>"


def _kind(column: Sequence[str]) -> str:
    """Numbers stand on the right, and only long text is wrapped."""
    if all(_NUMBER.fullmatch(cell) for cell in column):
        return " class=n"
    return " class=long" if max(map(len, column)) > 60 else ""


def _markdown(block: Block, pictures: str) -> str:
    if isinstance(block, Text):
        return f"> **Note.** {_safe(block.text)}" if block.kind == "warning" else _safe(block.text)
    if isinstance(block, Facts):
        return "\n".join(f"- **{_safe(f.value)}** {_safe(f.meaning)}" for f in block.items)
    if isinstance(block, Picture):
        return f"![{_safe(block.alt)}]({pictures}/{block.name}.png)\n\n*{_safe(block.caption)}*"
    folds = ("<details><summary>", "</summary>\n\n", "\n\n</details>") if block.folded else ("*", "*\n\n", "")
    lines = [block.header, ["---"] * len(block.header), *block.rows]
    rows = "\n".join("| " + " | ".join(_safe(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    return folds[0] + _safe(block.caption) + folds[1] + rows + folds[2]


def _rich(text: str) -> str:
    """HTML of a text: code, exponents, and numbers that stay with their unit."""
    text = re.sub(r"(?<=\d) (?=[%×])|(?<=\bn) (?==)|(?<=\bn =) ", "\u00a0", html.escape(errors.shown(text)))
    text = re.sub(r"\^([−\d.b]*[\db])", r"<sup>\1</sup>", text)
    return re.sub("`([^`]*)`", r"<code>\1</code>", text)


def _bare(text: str) -> str:
    return errors.shown(text).replace("`", "")


def _safe(text: str) -> str:
    """Text that cannot become a tag or a link, or end its line; what stands between backticks is shown as it is anyway."""
    parts = re.split("(`[^`]*`)", errors.shown(" ".join(text.split())))
    return "".join(part if i % 2 else _inert(part) for i, part in enumerate(parts))


def _inert(text: str) -> str:
    text = re.sub("<(?=[a-zA-Z/!?])", "&lt;", text)
    return text.replace("](", "]\\(").replace("![", "!\\[").replace("][", "]\\[")
