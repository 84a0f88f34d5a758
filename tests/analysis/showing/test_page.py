"""A document in its two renderings: whole, in order, and inert whatever stands in it."""

import pytest
import tables
from document import Tree, assert_inert

from jaxsoft.analysis.showing import page, words
from jaxsoft.analysis.showing.page import Facts, Page, Picture, Section, Table, Text
from jaxsoft.analysis.statistics.inference import Estimate


def test_page_blocks_in_both_renderings():
    blocks = [
        Text("plain `a|b` at 5 %", "lead"), Text("mind", "warning"), Facts([("2 ×", "more")]),
        Picture("curve", b"png", "a curve", "its caption"), Table(("a", "n"), [("`x|y`", "1")], "table"),
        Table(("k",), [("v",)], "more", folded=True),
    ]  # fmt: skip
    document = Page("kicker", "Title", [Section("Found", blocks)])
    shown = page.to_html(document)
    Tree(shown)
    for part in (
        "<p class=lead>plain <code>a|b</code> at 5\u00a0%</p>", "<p class=warning>mind</p>", "<b>2\u00a0×</b>",
        '<img alt="a curve" src="data:image/png;base64,cG5n">', '<td class="n">1</td>', "<summary>more</summary>",
    ):  # fmt: skip
        assert part in shown
    text = page.to_markdown(document)
    for part in (
        "# Title", "## Found", "> **Note.** mind", "- **2 ×** more", "![a curve](plots/curve.png)", "| `x\\|y` | 1 |",
        "<details><summary>more</summary>",
    ):  # fmt: skip
        assert part in text


def test_a_table_of_records_formats_by_its_units_and_leaves_out_what_nobody_has():
    records = [{"IPC": 1, "test, %": 0.5, "none": None}, {"IPC": 5, "gain, points": Estimate(0.01, 0.1, 0.0, 0.02, 9)}]
    assert page.table(records, "what") == Table(
        ("IPC", "test, %", "gain, points"),
        [("1", "50.0", words.NONE), ("5", words.NONE, "+1.0 [0.0, +2.0]")],
        "what",
        records=records,
    )


def document(text):
    blocks = [
        Text(text), Text(text, "warning"), Facts([(text, text)]), Picture("curve", b"png", text, text),
        Table((text, "n"), [(text, "1")], text), Table((text,), [(words.code(text),)], text, folded=True),
    ]  # fmt: skip
    return Page(text, text, [Section(text, blocks)])


@pytest.mark.parametrize("evil", [name for name in tables.NASTY if 0 < len(name) < 100])
def test_hostile_text_is_inert_wherever_it_stands(evil):
    text = page.to_markdown(document(evil))
    assert_inert(page.to_html(document(evil)), text)
    assert len(text.splitlines()) == len(page.to_markdown(document("a")).splitlines())
