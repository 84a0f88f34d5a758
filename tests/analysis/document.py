"""HTML as a browser would take it."""

import html.parser
import re

VOID = {"meta", "img", "br"}


class Tree(html.parser.HTMLParser):
    """Checks that tags close in order, and collects what a browser would show or fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words).replace("\u00a0", " ")


TAGS = set(
    "html head meta title style body main header nav section p h1 h2 ul ol li a b span figure figcaption img div table "
    "thead tbody tr th td details summary code sup".split()
)
ATTRIBUTES = set("lang charset name content class alt src tabindex role aria-label scope id href".split())
LINK = r"#s\d+|plots/[a-z0-9-]+\.(svg|pdf)|tables/[a-z0-9-]+\.(csv|tex)"


def assert_inert(shown, markdown):
    """No text has become more than text, in neither rendering."""
    tree = Tree(shown)
    assert all(re.fullmatch(LINK, attrs["href"]) for tag, attrs in tree.tags if tag == "a")
    assert {tag for tag, _ in tree.tags} <= TAGS and {name for _, attrs in tree.tags for name in attrs} <= ATTRIBUTES
    assert all(c.isprintable() or c in "\n\u00a0" for c in markdown + shown.split("</style>")[1])
    outside = re.sub("`[^`\n]*`", "", re.sub(r"</?(details|summary)>", "", markdown))
    assert not re.search(r"<[a-zA-Z/!?]|\]\((?!plots/[a-z0-9-]+\.png\))", outside)
