"""A page as a reader sees it: tags, texts, links and ids, by the standard library's parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "input", "link", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...] = ()
    parts: list[str] = field(default_factory=list)

    @property
    def text(self):
        return "".join(self.parts)


@dataclass
class Page(HTMLParser):
    elements: list[Element] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {key: value or "" for key, value in attrs}, inside=tuple(one.tag for one in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        element = Element(tag, {key: value or "" for key, value in attrs}, inside=tuple(one.tag for one in self._open))
        self.elements.append(element)

    def handle_endtag(self, tag):
        if not self._open or self._open[-1].tag != tag:
            self.unclosed.append(tag)
            return
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element.parts.append(data)

    def all(self, *tags):
        return [element for element in self.elements if element.tag in tags]

    @property
    def text(self):
        return " ".join(self.all("body")[0].text.split())


def read(text):
    """The page, which must be well nested."""
    page = Page()
    page.feed(text)
    page.close()
    assert not page.unclosed, f"tags that close what is not open: {page.unclosed[:5]}"
    assert not page._open, f"tags left open: {[one.tag for one in page._open]}"
    return page
