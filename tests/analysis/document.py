"""HTML as a browser would take it."""

import html.parser

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
