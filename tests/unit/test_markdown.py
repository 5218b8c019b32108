"""Texts of model cards, read again by a parser of Markdown."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from care_bridge.package.markdown import block, inline, table

TEXTS = {
    "plain": "40 pairs of HeLa cells, 5 and 200 ms (recipe.yaml)",
    "pipes": "a | b || c |",
    "html": "<b>bold</b>, <script>alert(1)</script>, <!-- hidden -->, </td>",
    "less": "z step < 0.5 and > 0.1, a<b",
    "entities": "R&D, &lt; and &#124; and &copy;",
    "stress": "*a* **b** _c_ __d__ ~~e~~ `f` ``g`` n_first_2 _x",
    "links": "[a](http://example.org) ![b](c.png) [d]: e [^1] <http://example.org>",
    "backslashes": r"C:\data\new \| \\ \* \<b>",
    "umlauts": "Mäuse, 5 µm, Zürich, 細胞",
    "heading": "# Validation",
    "list": "- none",
    "star": "* none",
    "plus": "+ none",
    "numbers": "1. none",
    "number": "1.5 micrometres",
    "quotation": "> none",
    "rule": "---",
    "minus": "-5 to 5",
    "fence": "```",
}


class _Shown(HTMLParser):
    """The text of a page, its elements and those that begin in it."""

    def __init__(self, page):
        super().__init__()
        self.text, self.elements = "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)

    def handle_data(self, data):
        self.text += data


def shown(markdown, preset="commonmark"):
    return _Shown(MarkdownIt(preset).enable("table").render(markdown))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_shown_as_it_is(text):
    for preset in ("commonmark", "js-default"):  # without HTML and with crossed-out text
        for markdown, elements in (
            (block(text), ["p"]),
            (f"# {inline(text)}", ["h1"]),
            (f"Of {inline(text)} alone", ["p"]),
            (f"- {block(text)}", ["ul", "li"]),
        ):
            page = shown(markdown, preset)
            assert page.text.strip().removeprefix("Of ").removesuffix(" alone") == text
            assert page.elements == elements


def test_a_table_keeps_its_cells():
    rows = list(TEXTS.items())
    page = shown("\n".join(table(("what|ever", "<i>"), rows)))
    assert page.elements.count("tr") == len(rows) + 1
    assert page.elements.count("td") == 2 * len(rows)
    assert set(page.elements) == {"table", "thead", "tbody", "tr", "th", "td"}
    lines = [line for line in page.text.split("\n") if line]
    assert lines == ["what|ever", "<i>", *(cell for row in rows for cell in row)]


@pytest.mark.parametrize("text", ["a\nb", "a\n\n# b", " a\tb ", "a\r\nb", "a\x1b[31mb", "a\u200bb"])
def test_a_text_stays_on_its_line(text):
    for found in (inline(text), block(text), *table((text,), [(text,)])):
        assert found.isprintable()
