"""The report page: self-contained, escaped, readable without figures."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from harness.inference.verdict import Verdict
from harness.reporting import html

EVIL = "<script>alert('1')</script> & \"q\" | x"


def page(**changes: object) -> html.Page:
    verdict = Verdict(EVIL, "gap", "refuted", "reversed", EVIL, better="lower", treatment={"a": 1.0}, baseline={"a": 2.0},
                      smallest_effect=0.1, estimate=-0.5, low=-0.9, high=None, level=0.975, p_value=0.01, n=5)  # fmt: skip
    fields = {
        "title": EVIL, "notice": EVIL, "scope": [EVIL], "doc": EVIL, "verdicts": [verdict, Verdict("t", "gap", "supported", "exact", "s", estimate=0.0, n=3)],
        "cells": html.Table([EVIL, "n"], [[EVIL, "3"]]), "trials": html.Table(["trial"], [[EVIL]]),
        "diagnostics": html.Table(["n"], [[EVIL]]), "meanings": html.Table(["metric"], [[EVIL]]),
        "pictures": [html.Picture(EVIL, EVIL, b"<svg xmlns='http://www.w3.org/2000/svg'/>")],
        "about": {EVIL: EVIL}, "commands": [EVIL], "counts": {"confirm runs": 3}, "tuning": [EVIL],
        "shared": html.Table([EVIL], [[EVIL]]),
        "exploration": [html.Captioned(EVIL, html.Table([EVIL], [[EVIL]])), html.Captioned(EVIL, html.Table([EVIL], []))],
    }  # fmt: skip
    return html.Page(**(fields | changes))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(text)
    return parser.found


def test_every_text_is_escaped():
    text = html.render(page())
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 10
    assert all(not name.startswith("on") for _, attributes in tags(text) for name in attributes)


def test_page_loads_nothing_from_elsewhere():
    text = html.render(page())
    links = [
        value or "" for _, attributes in tags(text) for name, value in attributes.items() if name in ("src", "href")
    ]
    assert links
    assert all(link.startswith("data:") for link in links)
    assert "url(" not in text
    assert "@import" not in text
    assert all(tag != "script" for tag, _ in tags(text))


def test_every_picture_has_a_text():
    images = [attributes for tag, attributes in tags(html.render(page())) if tag == "img"]
    assert images
    assert all(image["alt"] for image in images)


def test_verdicts_come_before_the_figures_as_word_and_colour():
    text = html.render(page())
    assert text.index("Verdicts") < text.index("What was asked") < text.index("<figure") < text.index("Cells")
    assert re.search(r'class="badge refuted">Refuted<small>reversed', text)
    assert "−0.5 [−0.9, ∞]" in text


@pytest.mark.parametrize("missing", ["verdicts", "pictures", "commands", "about", "doc"])
def test_sections_without_content_are_left_out(missing: str):
    text = html.render(page(**{missing: type(getattr(page(), missing))()}))
    title = {
        "verdicts": "Verdicts",
        "pictures": "Figures",
        "commands": "Run it again",
        "about": "What ran",
        "doc": "What was asked",
    }
    assert f"<h2>{title[missing]}" not in text


def test_an_exploratory_claim_is_marked_and_stands_above_the_form_that_was_registered():
    was = Verdict("t", "gap", "refuted", "", "s", n=5, smallest_effect=0.1, registered=True, registration="registered",
                  registered_at="2026-01-31T07:05:09Z")  # fmt: skip
    found = Verdict(
        "t", "gap", "supported", "", "s", n=5, registered=False, was=was, registration="exploratory: was δ = 0.1"
    )
    gone = Verdict(
        "u", "gap", "refuted", "", "s", n=5, registered=True, withdrawn=True, registration="registered; withdrawn"
    )
    unknown = Verdict("v", "gap", "refuted", "", "s", n=5, registration="not known")
    verdicts = [found, gone, unknown]
    text, short = html.render(page(verdicts=verdicts)), html.markdown(page(verdicts=verdicts))
    assert re.search(r'class="badge supported marked">Supported<small class="mark">exploratory</small>', text)
    assert re.search(
        r"Exploratory: was δ = 0.1\..*As it was: t.*Registered on 2026-01-31 at 07:05 UTC\.", text, re.DOTALL
    )
    assert text.count('class="mark"') == 3
    assert html.FAMILIES.replace("'", "&#39;") in text and html.FAMILIES in short
    assert "| **Supported** (exploratory) | t |" in short and "| **Refuted** | as it was: t |" in short
    assert "(withdrawn)" in short and "(registration not known)" in short
    plain = html.render(page(verdicts=[was]))
    assert 'class="mark"' not in plain and html.FAMILIES.replace("'", "&#39;") not in plain


def test_tags_are_balanced():
    body = html.render(page())
    body = body[body.index("<main>") : body.index("</main>") + 7]
    ElementTree.fromstring(re.sub(r"<(img[^>]*)>", r"<\1/>", body).replace("&nbsp;", " "))


def test_markdown_tables_keep_their_columns():
    text = html.markdown(page())
    for block in text.split("\n\n"):
        if block.startswith("|"):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(bars) == 1
    assert "<script" not in text.split("\n\n", 2)[2]
