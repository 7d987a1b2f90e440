"""The report page: self-contained, escaped, readable without figures, and a pure function of what it is given."""

import base64
import hashlib
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from made_runs import DROPPED, INF, claim, judged, make_cells, make_runs
from matplotlib.figure import Figure
from synthetic import FakeStudy, rnn_clip, simulate

from harness import Claim, Equivalence
from harness.inference.verdict import CellEstimate, Verdict
from harness.models import SimpleRNN
from harness.reporting import html
from harness.reporting.exports.numbers import claim_numbers
from harness.reporting.page import words
from harness.reporting.page.advice import Advice, Choice, advice
from harness.reporting.page.answers import Answer, against, answer, first_sentence
from harness.reporting.page.compact_svg import compact_svg
from harness.reporting.page.content import FirstScreen
from harness.reporting.page.curves import MOST_RUNS, POINTS, Curves, curves_of
from harness.reporting.page.forest import MARGIN, WIDTH, forests
from harness.reporting.page.run_table import MOST_RUNS as MOST_ROWS
from harness.reporting.page.run_table import run_table
from harness.reporting.page.trust import explored_factors, trust
from harness.reporting.page.words import interval
from harness.reporting.plots import claims
from harness.reporting.plots.rendering import style
from harness.settings import Sweep, Tune
from harness.settings.levels import stored
from harness.settings.metrics import METRICS

EVIL = "<script>alert('1')</script> & \"q\" | x"
VERDICT = Verdict(EVIL, "gap", "refuted", "reversed", EVIL, kind="Claim", better="lower", treatment={"a": 1.0}, baseline={"a": 2.0},
                  smallest_effect=0.1, estimate=-0.5, low=-0.9, high=None, level=0.975, p_value=0.01, n=5,
                  cells=[CellEstimate(EVIL, -0.4, -0.6, 0.1)])  # fmt: skip
EXACT = Verdict("t", "gap", "supported", "exact", "s", estimate=0.0, n=3)
CURVES = Curves(
    [0, 1], {"loss": EVIL}, [EVIL], [0], [{"cell": 0, "seed": 0, "trial": 0, "status": EVIL, "loss": [1.0, None]}], EVIL
)


def first(**changes: object) -> FirstScreen:
    fields = {
        "question": EVIL, "answers": [Answer(VERDICT, EVIL, EVIL), Answer(EXACT, "s", "")], "explored": [EVIL],
        "advice": Advice(EVIL, [Choice(EVIL, EVIL, EVIL, EVIL, [EVIL])], 1), "trust": [EVIL], "counts": [EVIL],
    }  # fmt: skip
    return FirstScreen(**(fields | changes))


def page(**changes: object) -> html.Page:
    fields = {
        "title": EVIL, "first": first(), "notice": EVIL, "scope": [EVIL], "doc": EVIL, "verdicts": [VERDICT, EXACT], "curves": CURVES,
        "cells": html.Table([EVIL, "n"], [[EVIL, "3"]]), "trials": html.Table(["trial"], [[EVIL]]),
        "runs": html.Captioned(EVIL, html.Table([EVIL, "seed"], [[EVIL, "0"], [EVIL, "1"]])),
        "diagnostics": html.Table(["n"], [[EVIL]]), "meanings": html.Table(["metric"], [[EVIL]]),
        "pictures": [html.Picture(EVIL, EVIL, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), html.Picture("b", EVIL, b"<svg/>", EVIL)],
        "about": {EVIL: EVIL}, "commands": [EVIL], "counts": {"confirm runs": 3}, "tuning": [EVIL],
        "shared": html.Table([EVIL], [[EVIL]]),
        "published": [html.Captioned(EVIL, html.Table([EVIL], [[EVIL]]))],
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


def scripts(text: str) -> dict[str | None, str]:
    """Type → content of every script element, read as a browser reads them: up to the first end tag."""
    return {
        re.search(r'type="([^"]*)"', opening)[1] if "type=" in opening else None: content
        for opening, content in re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    }


def test_every_text_is_escaped():
    text = html.render(page())
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;") >= 20
    assert all(not name.startswith("on") for _, attributes in tags(text) for name in attributes)


def test_only_the_pages_own_script_may_run_and_no_name_ends_its_data():
    evil = "x</script><script>alert(1)</script><!--"
    text = html.render(page(title=evil, curves=Curves([0], {"loss": evil}, [evil], [0], CURVES.runs, evil)))
    found = scripts(text)
    assert [tag for tag, _ in tags(text)].count("script") == 2
    assert set(found) == {None, "application/json"}
    assert json.loads(found["application/json"])["cells"] == [evil]
    assert "<" not in found["application/json"]
    digest = base64.b64encode(hashlib.sha256(found[None].encode()).digest()).decode()
    policy = [a["content"] for _, a in tags(text) if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == [f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"]
    assert "Permission is hereby granted" in found[None]  # of uPlot, which the page carries


def test_page_loads_nothing_from_elsewhere():
    text = html.render(page())
    links = [
        value or "" for _, attributes in tags(text) for name, value in attributes.items() if name in ("src", "href")
    ]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "url(" not in text
    assert "@import" not in text


def test_what_stands_below_the_verdicts_names_the_methods_of_their_intervals_and_no_other():
    was = replace(VERDICT, method="rate, exact interval")
    shown = page(
        verdicts=[
            replace(VERDICT, method="median, by signs", was=was),
            replace(VERDICT, method="median, by signs"),
            EXACT,
        ]
    )
    for text in (html.render(shown), html.markdown(shown)):
        assert "treatment less baseline. Estimates: median, by signs; rate, exact interval. δ: smallest effect" in text
        assert "score interval" not in text
    for text in (html.render(page(verdicts=[EXACT])), html.markdown(page(verdicts=[EXACT]))):
        assert "treatment less baseline. δ: smallest effect" in text


def test_every_link_of_the_contents_leads_to_a_heading():
    found = tags(html.render(page()))
    ids = [attributes["id"] for _, attributes in found if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = [str(attributes["href"])[1:] for tag, attributes in found if tag == "a"]
    assert len(links) > 10
    assert set(links) <= set(ids)


def test_headings_are_in_order_and_tables_have_heads():
    text = html.render(page())
    levels = [int(tag[1]) for tag, _ in tags(text) if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags(text) if tag == "th")
    names = [tag for tag, _ in tags(text)]
    assert all(names.count(landmark) == 1 for landmark in ("header", "nav", "main"))


def test_every_picture_has_a_text():
    found = tags(html.render(page()))
    images = [attributes for tag, attributes in found if tag == "img"]
    assert len(images) == 2
    assert all(image["alt"] for image in images)
    drawn = [attributes for tag, attributes in found if tag == "svg"]
    assert drawn
    assert all(one.get("aria-label") or one.get("aria-hidden") == "true" for one in drawn)


def test_a_figures_title_stands_above_it_and_how_to_read_it_is_folded_away():
    text = html.render(page(pictures=[html.Picture("a", "Caption.", b"<svg/>", "Loss falls.")]))
    inside = text[text.index("<figure") : text.index("</figure>")]
    assert "<h3>Loss falls.</h3>" in inside and 'alt="Loss falls."' in inside
    assert inside.index("<details>") < inside.index("Caption.")


@pytest.mark.parametrize("quotes", ["single", "double"])
def test_a_pictures_source_is_the_picture(quotes: str):
    title = '<title>50 % − é isn\'t "so"</title>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg">\n{title}<path d="M 0 0\nL 1 1" fill="#fff"/></svg>'
    svg = svg if quotes == "double" else svg.replace('"', "'")
    head, _, content = html.Picture("a", "b", svg.encode()).source.partition(",")
    assert head == "data:image/svg+xml"
    assert not set(content) & set('<>"#&\n')
    _, said, path = ElementTree.fromstring(unquote(content))
    assert said.text == ElementTree.fromstring(svg)[0].text
    assert path.attrib == {"d": "M0 0L1 1", "fill": "#fff"}


def seen(svg: str | bytes) -> list[tuple[str, list[tuple[str, ...]], list[float]]]:
    """What a document draws, in order: letters of the path, styles and other attributes from the outermost element in, its numbers."""
    root = ElementTree.fromstring(svg)
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    rules = {
        f".{name}": rule
        for style in root.findall(".//{*}style")
        for name, rule in re.findall(r"\.(\w+)\{([^}]*)\}", style.text or "")
    }
    found: list[tuple[str, list[tuple[str, ...]], list[float]]] = []

    def walk(element: ElementTree.Element, around: list[tuple[str, ...]], numbers: list[float]) -> None:
        tag = element.tag.rpartition("}")[2]
        own = dict(element.attrib)
        style = own.pop("style", "") or rules.get("." + own.pop("class", ""), "")
        if tag == "use":
            numbers = [*numbers, float(own.pop("x", "0")), float(own.pop("y", "0"))]
        if tag == "use" and (shift := re.fullmatch(r"translate\((\S+) (\S+)\)", own.get("transform", ""))):
            numbers = [*numbers[:-2], *map(float, shift.groups())]
            del own["transform"]
        target = own.pop("{http://www.w3.org/1999/xlink}href", None) or own.pop("href", "")
        clip = by_id[own.pop("clip-path")[5:-1]][0] if "clip-path" in own else None
        path = own.pop("d", "")
        own.pop("id", None)
        said = tuple(sorted([*own.items(), ("style", "".join(style.split()))]))
        around = around if tag == "g" and said == (("style", ""),) else [*around, said]
        if clip is not None:
            numbers = [*numbers, *(float(clip.get(key, "0")) for key in ("x", "y", "width", "height"))]
        if tag == "path":
            found.append(
                (re.sub(r"[-\d.\s]", "", path), around, [*numbers, *map(float, re.findall(r"-?[\d.]+", path))])
            )
        if tag == "use":
            walk(by_id[target[1:]], around, numbers)
        for child in element if tag in ("svg", "g", "a") else ():
            walk(child, around, numbers)

    walk(root, [], [])
    return found


def test_a_figure_in_a_page_is_the_one_on_disk_in_half_its_bytes():
    with style():
        figure = Figure(layout="constrained")
        for ax, color in zip(figure.subplots(1, 2), ("C0", "C1"), strict=True):
            ax.plot([1, 2, 3], [0.1, 0.123456789, 0.3], "o-", color=color, label=r"a $\leq$ b & <c>")
            ax.fill_between([1, 2, 3], [0, 0, 0], [0.1, 0.2, 0.3], alpha=0.2)
            ax.legend()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Title": "a & b"})
    whole, small = buffer.getvalue(), compact_svg(buffer.getvalue())
    assert len(small) < 0.6 * len(whole)
    before, after = seen(whole), seen(small)
    assert len(before) > 50
    assert [(letters, around) for letters, around, _ in before] == [(letters, around) for letters, around, _ in after]
    for (_, _, exact), (_, _, rounded) in zip(before, after, strict=True):
        assert rounded == pytest.approx(exact, abs=0.00501)
    assert ElementTree.fromstring(small).findtext("{*}title") == "a & b"
    assert "metadata" not in small


def test_a_raster_within_a_figure_stays():
    raster = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<image xlink:href="data:image/png;base64,AA#=" transform="scale(1 -1) translate(0 -10.123456)" x="1.234567"/></svg>'
    )
    _, image = ElementTree.fromstring(compact_svg(raster.encode()))
    assert image.attrib == {
        "href": "data:image/png;base64,AA#=",
        "transform": "scale(1 -1) translate(0 -10.123456)",
        "x": "1.23",
    }


def test_verdicts_come_first_as_word_and_colour():
    text = html.render(page())
    assert (
        text.index("What was found")
        < text.index("What to use")
        < text.index("How far to trust it")
        < text.index("<nav")
    )
    assert text.index("<nav") < text.index('id="claims"') < text.index("<figure") < text.index('id="cells"')
    assert re.search(r'class="badge refuted">Refuted: reversed</span>', text)
    assert "−0.5 [−0.9, ∞]" in text


def test_without_claims_the_first_screen_says_what_was_explored():
    text = html.render(page(verdicts=[], first=first(answers=[], explored=["model.dropout: 0, 0.5"])))
    assert "What was found" not in text
    assert text.index("What was explored") < text.index("model.dropout: 0, 0.5") < text.index("<nav")


def test_of_many_claims_all_are_on_the_first_screen_those_after_the_sixth_in_short():
    text = html.render(page(first=first(answers=[Answer(VERDICT, "said", "more")] * 9)))
    assert text.count('<svg class="forest"') == 9
    assert text.count('<li class="short">') == 3
    assert text.count("<span>said</span>") == 6


@pytest.mark.parametrize("missing", ["verdicts", "pictures", "commands", "about", "doc"])
def test_sections_without_content_are_left_out(missing: str):
    text = html.render(page(**{missing: type(getattr(page(), missing))()}))
    section = {"verdicts": "claims", "pictures": "figures", "commands": "again", "about": "about", "doc": "asked"}[
        missing
    ]
    assert f'id="{section}"' in html.render(page())
    assert f'id="{section}"' not in text and f'href="#{section}"' not in text


def test_columns_that_say_the_same_in_all_rows_are_a_sentence():
    table = html.Table(["p", "diverged", "loss"], [["0", "0/10", "1"], ["0.5", "0/10", "2"]])
    assert table.constant == {"diverged": "0/10"}
    assert table.varying() == html.Table(["p", "loss"], [["0", "1"], ["0.5", "2"]])
    text = html.render(page(cells=table))
    assert "The same in all rows: diverged 0/10." in text
    same = html.Table(["p", "n"], [["0", "3"], ["0", "3"]])
    assert same.varying() == same
    one = html.Table(["p", "n"], [["0", "3"]])
    assert one.varying() == one


def test_the_same_page_gives_the_same_bytes():
    assert html.render(page()) == html.render(page())


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
    text = html.render(page())
    for tag in ("header", "main"):
        body = text[text.index(f"<{tag}") : text.index(f"</{tag}>") + len(tag) + 3]
        body = re.sub(r"<(img[^>]*)>", r"<\1/>", re.sub(r" (hidden)>", r' \1="">', body))
        ElementTree.fromstring(body.replace("&nbsp;", " "))


def test_an_ampersand_in_markdown_is_one_unless_a_name_follows():
    text = html.markdown(page(title="Yang & Suzuki &lt; &#60; & co;"))
    assert text.startswith("# Yang & Suzuki &amp;lt; &amp;#60; & co;")


def test_markdown_tables_keep_their_columns():
    text = html.markdown(page())
    for block in text.split("\n\n"):
        if block.startswith("|"):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(bars) == 1
    assert "<script" not in text.split("\n\n", 2)[2]


# --- Answers, in words


def answered(runs: pd.DataFrame, **changes: object) -> Answer:
    given = claim(**changes)
    (found,) = judged(runs, given)
    sweeps = {path: Sweep(*dict.fromkeys(runs[path])) for path in runs if "." in path}
    return answer(found, runs, sweeps)


def test_an_answer_says_effect_wins_and_what_the_arms_reached():
    """Δ by hand: 10 seeds, .2 to .38 by .02; the interval of the median leaves out one at each end."""
    base = np.arange(10) / 10 + 2
    found = answered(make_runs({0.0: base, 0.5: base - 0.2 - np.arange(10) / 50}))
    assert found.said == (
        "test_loss is lower by 0.29 [0.22, 0.36] with model.dropout = 0.5 than with 0. Lower in 10 of 10 seeds."
    )
    assert found.rests_on == "Medians: 2.16 against 2.45. Median over 10 seeds, 95 % interval, δ = 0.1."


def test_an_answer_calls_no_seed_tied_in_which_each_arm_is_the_worst_of_some_cell():
    """Of 7 seeds, in two of which the treatment diverged in one cell and the baseline in the other."""
    losses = 2 + np.arange(7) / 10
    cells = [({"model.dropout": p, "width": n}, list(losses - 0.5 * (p > 0))) for n in (1, 2) for p in (0.0, 0.5)]
    runs = make_cells(cells)
    lost = (runs["seed"] < 2) & ((runs["model.dropout"] == 0.5) == (runs["width"] == 1))
    runs.loc[lost, "status"] = "diverged"
    (found,) = judged(runs, claim())
    sweeps = {path: Sweep(*dict.fromkeys(runs[path])) for path in ("model.dropout", "width")}
    assert found.incomparable == [0, 1]
    assert "Lower in 5 of 7 seeds, 2 incomparable." in answer(found, runs, sweeps).said


def test_an_answer_on_what_holds_in_each_cell_says_of_which_its_number_is():
    """The least of five, in which the loss is higher; the treatment lowers it by 1 in the others."""
    base = np.arange(8) / 10 + 2
    cells = [
        (
            {"model.dropout": p, "width": n},
            list(base + (p > 0) * (0.05 if n == 1 else -1.0) + np.arange(8) * (p > 0) / 1e4),
        )
        for p in (0.0, 0.5)
        for n in (1, 2, 3, 4, 5)
    ]
    runs = make_cells(cells)
    sweeps = {path: Sweep(*dict.fromkeys(runs[path])) for path in ("model.dropout", "width")}
    (found,) = judged(runs, claim(across="each"))
    assert answer(found, runs, sweeps).said.startswith(
        "test_loss is higher by 0.0503 [0.05, 0.0507] with model.dropout = 0.5 than with 0 at width = 1, the least favourable of 5 "
        "that must all bear the claim out."
    )
    same = Equivalence("e", metric="test_loss", smallest_effect=0.1, across="each", **DROPPED)
    (found,) = judged(runs, same)
    assert "at width = 2, the farthest from 0 of 5" in answer(found, runs, sweeps).said


@pytest.mark.parametrize("kind", [Equivalence, Claim])
def test_an_answer_on_cells_that_have_no_interval_together_shows_that_of_the_one_at_worst(kind: type):
    """Six seeds: their range is the interval at 95 %, and they have none at the 97.5 % at which two cells cover together."""
    loss = np.arange(6) / 10 + 2
    effect = -0.2 + np.arange(6) / 100
    cells = [
        ({"model.dropout": p, "width": n}, list(loss + (p > 0) * n * effect)) for p in (0.0, 0.5) for n in (1.0, 2.0)
    ]
    runs = make_cells(cells)
    sweeps = {path: Sweep(*dict.fromkeys(runs[path])) for path in ("model.dropout", "width")}
    given = claim(across="each") if kind is Claim else Equivalence(
        "e", metric="test_loss", smallest_effect=0.5, across="each", **DROPPED
    )  # fmt: skip
    (found,) = judged(runs, given)
    assert (found.verdict, found.low, found.high) == ("supported", None, None)
    expected = "[0.15, 0.2] by itself" if kind is Claim else "[−0.4, −0.3] by itself"
    shown_at = "with model.dropout = 0.5 than with 0 at width = 1" if kind is Claim else "at width = 2"
    assert f"{expected} {shown_at}" in answer(found, runs, sweeps).said
    title = claims.title(found, claims.data(found))
    assert title.endswith(
        "[0.15, 0.2], δ = 0.1; above δ in 2 of 2, all of which must be." if kind is Claim else "δ = 0.5."
    )
    (drawn,) = forests([found])
    assert drawn is not None and (drawn.low.beyond, drawn.high.beyond) == (0, 0)
    assert expected in drawn.text and expected in words.interval(found)
    assert claim_numbers(found)["low"] == ("0.15" if kind is Claim else "−0.4")


def test_an_answer_names_who_an_estimate_is_called_after():
    base = np.arange(9) / 10 + 1
    found = answered(make_runs({0.0: base, 0.5: base - 0.2}), estimand="hodges_lehmann")
    assert "Hodges–Lehmann over 9 seeds" in found.rests_on


def test_an_answer_says_that_arms_are_alike():
    base = np.arange(9) / 10 + 1
    found = answered(make_runs({0.0: base, 0.5: base + np.array([0, 0, 0, 0, 0, 0, 0, 0.1, -0.1])}))
    assert found.said.startswith("test_loss is the same: 0 [0, 0] with model.dropout = 0.5 as with 0.")


def test_an_answer_tells_a_negative_effect_the_other_way_round():
    found = answered(make_runs({0.0: np.arange(8) / 10 + 1, 0.5: np.arange(8) / 10 + 2}))
    assert found.said == (
        "test_loss is higher by 1 [1, 1] with model.dropout = 0.5 than with 0. The opposite of the claim. Lower in 0 of 8 seeds."
    )


def test_an_answer_has_the_arms_in_each_cell_and_a_diverged_run_is_the_worst():
    cells = [
        ({"model.dropout": p, "clipping.max_norm": c}, [value, value + 0.1, INF if c == INF else value + 0.2])
        for p, c, value in [(0.0, 1.0, 2.0), (0.0, INF, 3.0), (0.5, 1.0, 2.5), (0.5, INF, 3.5)]
    ]
    found = answered(make_cells(cells), treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": INF})
    assert "Medians: 2.1/2.6 against 3.1/3.6 at model.dropout = 0/0.5." in found.rests_on


def test_an_answer_on_rates_counts_runs_and_untested_claims_have_no_effect():
    runs = make_runs({0.0: [1.0] * 7 + [0.0], 0.5: [0.0] * 8}, "diverged")
    found = answered(runs, metric="diverged")
    assert found.said.startswith("The rate of diverged runs is lower by 0.875 [")
    assert "Runs: 0 of 8 against 7 of 8." in found.rests_on and "guessing" not in found.rests_on
    runs["status"] = runs["diverged"].map({1.0: "diverged", 0.0: "collapsed"})
    collapsed = answered(runs, metric="diverged").rests_on
    assert "Runs: 0 of 8 against 7 of 8. Diverged or no better than guessing: 8 of 8 against 8 of 8." in collapsed
    none = answered(make_runs({0.0: [0.0] * 8, 0.5: [0.0] * 8}, "diverged"), metric="diverged")
    assert none.said == "Not tested: no run diverged."


def test_an_answer_on_each_cell_counts_the_runs_that_its_estimate_is_of():
    """A seed that failed in one cell has no part in the other either; a cell without a partner has none at all."""
    cells = [
        ({"model.dropout": p, "model.act": act}, [float(p == 0 or seed > 20) for seed in range(24)])
        for p in (0.0, 0.5) for act in ("relu", "tanh")
    ]  # fmt: skip
    runs = make_cells(cells, "diverged")
    failed = (runs["seed"] == 23) & (runs["model.dropout"] == 0.5) & (runs["model.act"] == "tanh")
    runs.loc[failed, ["status", "diverged"]] = ["failed", np.nan]
    inside = (runs["seed"] < 23) & (runs["model.act"] == "relu")
    treated = int(runs[inside & (runs["model.dropout"] == 0.5)]["diverged"].sum())
    told = f"Runs: {treated}/{treated} of 23 against 23/23 of 23 at model.act = relu/tanh."
    for across in ("each", "average"):
        assert told in answered(runs, metric="diverged", across=across).rests_on
    alone = runs[(runs["model.act"] == "relu") | (runs["model.dropout"] == 0.0)]
    assert "Runs: 3/0 of 24/0 against 24/0 of 24/0 at" in answered(alone, metric="diverged").rests_on


def test_an_answer_on_errors_has_means_of_runs_that_trained():
    runs = make_runs({0.0: [0.2, 0.3, 0.4, 0.5, 0.6, 0.7] * 4, 0.5: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] * 4}, "test_error")
    runs.loc[0, "status"] = "collapsed"
    found = answered(runs, metric="test_error", estimand="mean")
    mean = (0.45 * 24 - 0.2) / 23
    assert f"Means of runs that trained: 0.35 against {mean:.3g}." in found.rests_on


def test_seeds_that_a_mean_leaves_out_are_not_counted_as_better():
    base = np.linspace(0.3, 0.4, 20)
    runs = make_runs({0.0: list(base), 0.5: list(base - 0.1 - base / 100)}, "test_error")
    runs.loc[24, "status"] = "collapsed"
    given = {"metric": "test_error", "estimand": "mean", "smallest_effect": 0.05}
    found = answered(runs, **given)
    assert "Lower in 19 of 19 seeds, 1 left out in which a run diverged or collapsed." in found.said
    assert "Mean over 19 seeds" in found.rests_on
    (verdict,) = judged(runs, claim(**given))
    assert "above 0 in 19 of 19 seeds" in claims.title(verdict, claims.data(verdict))


def test_arms_say_once_what_they_share():
    assert against(DROPPED["treatment"], DROPPED["baseline"]) == "model.dropout = 0.5 than with 0"
    assert against({"a": 1, "b": 2}, {"a": 3, "b": 4}) == "a = 1, b = 2 than with a = 3, b = 4"


def test_the_question_is_the_first_sentence():
    assert first_sentence("Does it\n  train? (Pascanu et al. 2013, arXiv:1211.5063) Yes.") == (
        "Does it train? (Pascanu et al. 2013, arXiv:1211.5063) Yes."
    )
    assert first_sentence("") == ""


# --- Forest plots


def shown(**changes: object) -> Verdict:
    fields = {"kind": "Claim", "estimate": 0.2, "low": 0.1, "high": 0.3, "smallest_effect": 0.05, "n": 5}
    return Verdict("t", "test_loss", "supported", "", "s", **(fields | changes))


def test_marks_stand_where_the_numbers_are():
    (found,) = forests([shown(cells=[CellEstimate("a", 0.15, 0.0, 0.2)])])
    inner = WIDTH - 2 * MARGIN  # from 0 to .3
    assert found.estimate.x == pytest.approx(MARGIN + inner * 2 / 3, abs=0.1)
    assert (found.low.x, found.high.x) == (pytest.approx(MARGIN + inner / 3, abs=0.1), pytest.approx(WIDTH - MARGIN))
    assert [mark.x for mark in found.deltas] == [pytest.approx(MARGIN + inner / 6, abs=0.1)]
    assert [mark.x for mark in found.cells] == [pytest.approx(MARGIN + inner / 2, abs=0.1)]
    assert found.ticks[0] == (MARGIN, "0")
    assert found.text == "Δ of test_loss 0.2 [0.1, 0.3]; δ 0.05; cells: a: 0.15. Positive favours the claim."


def test_claims_on_one_metric_share_an_axis_and_others_have_their_own():
    first, second, other = forests([shown(), shown(estimate=0.1, low=-0.3, high=0.2), shown(above=2.0)])
    assert first.ticks == second.ticks != other.ticks


def test_what_has_no_end_or_lies_far_out_is_an_arrow_and_stretches_no_axis():
    (found,) = forests([shown(low=None, high=1e6, cells=[CellEstimate("a", -math.inf, -math.inf, 0.0)])])
    assert (found.low.beyond, found.high.beyond, found.cells[0].beyond) == (-1, 1, -1)
    assert found.estimate.x - MARGIN > (WIDTH - 2 * MARGIN) / 20
    (without,) = forests(
        [shown(cells=[CellEstimate("a", math.nan, math.nan, math.nan), CellEstimate("b", 0.1, 0.0, 0.2)])]
    )
    assert without is not None and len(without.cells) == 1, "a cell without a number has no mark"
    (none,) = forests([shown(estimate=0.0, low=None, high=None, smallest_effect=0.0)])
    assert none.low.beyond == -1 and none.high.beyond == 1


def test_an_equivalence_has_two_limits_and_an_exact_claim_no_plot():
    found, exact, without = forests([shown(kind="Equivalence"), EXACT, shown(estimate=None)])
    assert len(found.deltas) == 2 and found.text.endswith("Treatment less baseline.")
    assert exact is None and without is None


# --- What to use

LEVELS = Sweep(0.0, 0.2, 0.5)


def study_of(**settings: object) -> FakeStudy:
    return FakeStudy(settings=settings, seeds=10)


def chosen(validation: dict[float, list[float]], **changes: object) -> pd.DataFrame:
    return make_runs(validation, "validation_loss").assign(
        **({"guess_loss": 4.6, "test_loss": 1.0, "test_error": 0.1} | changes)
    )


def test_advice_follows_validation_whatever_the_test_data_say():
    """Level .2 has the least median by hand; .5 is worse in 10 of 10 seeds, 0 in 6 of 10 only."""
    best = [1.0 + i / 100 for i in range(10)]
    near = [value + (0.01 if i < 6 else -0.005) for i, value in enumerate(best)]
    runs = chosen({0.0: near, 0.2: best, 0.5: [value + 0.2 for value in best]})
    found = advice(study_of(**{"model.dropout": LEVELS}), runs, [VERDICT], incomplete=False)
    ((choice),) = found.choices
    assert (found.none, choice.levels, choice.within_noise) == ("", "model.dropout = 0.2", "model.dropout = 0")
    assert "none of 10 runs diverged or collapsed (31 % not excluded)" in choice.reached  # 1 − .025^(1/10) = .308
    turned = runs.assign(test_loss=runs["model.dropout"] * 100, test_error=runs["model.dropout"])
    assert (
        advice(study_of(**{"model.dropout": LEVELS}), turned, [VERDICT], incomplete=False).choices[0].levels
        == choice.levels
    )


def test_advice_names_the_combinations_that_have_no_result():
    best = [1.0 + i / 100 for i in range(10)]
    runs = chosen({0.0: [value + 0.2 for value in best], 0.2: best, 0.5: best})
    runs.loc[runs["model.dropout"] == 0.5, "status"] = "failed"
    (choice,) = advice(study_of(**{"model.dropout": LEVELS}), runs, [VERDICT], incomplete=False).choices
    assert choice.within_noise == "no other combination"
    assert choice.caveats[0] == "1 combination has no result, since all runs failed: model.dropout = 0.5."


def test_of_an_even_number_of_seeds_the_median_is_that_of_the_tables():
    """The upper ones of the two in the middle are .8 and .75, the medians .66 and .705."""
    first, second = [0.5, 0.51, 0.52, 0.8, 0.81, 0.82], [0.6, 0.61, 0.66, 0.75, 0.9, 0.95]
    runs = chosen({0.0: first, 0.2: second, 0.5: [1.5] * 6})
    medians = runs.groupby("model.dropout")["validation_loss"].median()
    found = advice(study_of(**{"model.dropout": LEVELS}), runs, [VERDICT], incomplete=False)
    assert (medians.idxmin(), found.choices[0].levels) == (0.0, "model.dropout = 0")
    none = advice(
        study_of(**{"model.dropout": LEVELS}), runs.assign(guess_loss=0.665), [VERDICT], incomplete=False
    ).none
    assert f"even the best validation_loss, {medians.min():.3g}, is hardly below" in none
    half = advice(
        study_of(**{"model.dropout": Sweep(0.0, 0.2)}),
        chosen({0.0: [1.0] * 3 + [INF] * 3, 0.2: [2.0] * 6}),
        [VERDICT],
        incomplete=False,
    )
    assert "cannot tell" in half.none and half.none.endswith("least at model.dropout = 0.2."), (
        "infinite where half diverged"
    )


def test_each_family_of_claims_has_its_own_level():
    def said(*registered: bool | None) -> str:
        verdicts = [replace(VERDICT, registered=each, registration="x") for each in registered]
        return next(line for line in trust(rnn_clip(), simulate(rnn_clip())[0], verdicts) if "false verdict" in line)

    assert said(True, True).endswith("registered before the data; 5 % for a false verdict among all of them.")
    assert said(True, False, None).endswith("; 5 % for a false verdict among those of each kind by themselves.")
    for estimand, called in (("mean", "a mean"), ("hodges_lehmann", "a Hodges–Lehmann estimate")):
        (line,) = (
            line
            for line in trust(rnn_clip(), simulate(rnn_clip())[0], [VERDICT, replace(VERDICT, estimand=estimand)])
            if "false verdict among" in line
        )
        assert line.endswith(f"among all of them; those on {called} may err more often, see below.")
    changed = replace(VERDICT, registered=False, registration="x", was=replace(VERDICT, registered=True))
    assert "among those of each kind" in next(
        line for line in trust(rnn_clip(), simulate(rnn_clip())[0], [changed]) if "false verdict" in line
    )


def test_a_level_that_diverged_in_half_of_its_runs_is_not_preferred():
    worse = [2.0 + i / 100 for i in range(10)]
    runs = chosen({0.0: worse, 0.2: [1.0] * 4 + [INF] * 6})
    found = advice(study_of(**{"model.dropout": Sweep(0.0, 0.2)}), runs, [VERDICT], incomplete=False)
    assert found.choices == [] and "cannot tell" in found.none, "6 of 10 wins are chance"
    runs = chosen({0.0: worse, 0.2: [1.0] + [INF] * 9})
    assert (
        advice(study_of(**{"model.dropout": Sweep(0.0, 0.2)}), runs, [VERDICT], incomplete=False).choices[0].levels
        == "model.dropout = 0"
    )


@pytest.mark.parametrize(
    ("runs", "changes", "why"),
    [
        (chosen({0.0: [1.0] * 10, 0.2: [2.0] * 10}), {"incomplete": True}, "missing"),
        (chosen({0.0: [INF] * 10, 0.2: [INF] * 10}), {}, "10 of 10 runs diverged"),
        (chosen({0.0: [4.55] * 10, 0.2: [5.0] * 10}), {}, "hardly below that of guessing, 4.6"),
        (chosen({0.0: [4.75] * 10, 0.2: [5.0] * 10}), {}, "no better than that of guessing, 4.6"),
        (chosen({0.0: [1.0], 0.2: [2.0]}), {}, "one seed"),
        (chosen({0.0: [1.0, 1.1, 1.2], 0.2: [2.0] * 3}), {}, "3 seeds cannot tell the best of 2"),
    ],
)  # fmt: skip
def test_a_result_that_carries_no_advice_says_why(runs: pd.DataFrame, changes: dict[str, bool], why: str):
    found = advice(study_of(**{"model.dropout": Sweep(0.0, 0.2)}), runs, [VERDICT], **({"incomplete": False} | changes))
    assert why in found.none and not found.choices


def test_without_a_registered_claim_what_validation_prefers_is_named_but_no_advice():
    runs = chosen({0.0: [1.0 + i / 9 for i in range(10)], 0.2: [3.0] * 10})
    study = study_of(**{"model.dropout": Sweep(0.0, 0.2)})
    for verdicts, why in (([], "nothing was claimed"), ([shown(registered=False)], "no claim was registered")):
        found = advice(study, runs, verdicts, incomplete=False)
        assert why in found.none and found.choices[0].levels == "model.dropout = 0"


def test_a_search_of_several_objectives_names_what_it_found_and_not_which_to_take():
    rows = [
        ({"model.dropout": 0.5}, [3.0 + i / 10 for i in range(9)], [0.1] * 9),
        ({"model.dropout": 0.2}, [1.0 + i / 10 for i in range(9)], [0.3] * 8 + [INF]),
    ]
    runs = make_cells([(levels, losses) for levels, losses, _ in rows], "validation_loss")
    runs["setback"] = [value for *_, setbacks in rows for value in setbacks]
    study = FakeStudy(settings={"model.dropout": Tune(0.0, 0.5)}, objective=("validation_loss", "setback"))
    METRICS["setback"] = METRICS["test_loss"]
    found = advice(study, runs, [], incomplete=False)
    assert "nothing says what one is worth in the other" in found.none and found.before.startswith("Of 2 combinations")
    assert [choice.levels for choice in found.choices] == ["model.dropout = 0.2", "model.dropout = 0.5"]
    assert (
        found.choices[0].reached
        == "validation_loss 1.4 [1.1, 1.7]; setback 0.3 [0.3, 0.3] (medians of 9 seeds, 95 % intervals)"
    )
    text = html.render(page(first=replace(page().first, advice=found)))
    assert "Of 2 combinations no other beats these in all" in text and "Validation prefers" not in text


def test_what_another_combination_beats_in_all_objectives_is_on_no_front_but_that_of_other_conditions():
    rows = [
        ({"task.train_size": n, "model.dropout": p}, [loss + i / 100 for i in range(9)], [setback] * 9)
        for n, p, loss, setback in [
            (100, 0.0, 3.0, 0.3), (100, 0.2, 2.0, 0.3), (100, 0.5, 4.0, 0.1), (1000, 0.0, 1.0, 0.1), (1000, 0.2, 1.0, 0.1),
            (1000, 0.5, INF, 0.1),
        ]
    ]  # fmt: skip
    runs = make_cells([(levels, losses) for levels, losses, _ in rows], "validation_loss")
    runs["setback"] = [value for *_, setbacks in rows for value in setbacks]
    study = FakeStudy(
        settings={"task.train_size": Sweep(100, 1000), "model.dropout": Sweep(0.0, 0.2, 0.5)},
        objective=("validation_loss", "setback"),
    )
    METRICS["setback"] = METRICS["test_loss"]
    found = advice(study, runs, [], incomplete=False)
    assert found.before == "Of 6 combinations no other beats these in all under the same conditions:"
    assert [(choice.where, choice.levels) for choice in found.choices] == [
        ("task.train_size = 100", "model.dropout = 0.2"), ("task.train_size = 100", "model.dropout = 0.5"),
        ("task.train_size = 1000", "model.dropout = 0"), ("task.train_size = 1000", "model.dropout = 0.2"),
    ]  # fmt: skip


def test_more_data_is_no_advice():
    rows = [
        ({"task.train_size": n, "model.dropout": p}, [10 / n + effect + i / 1000 for i in range(10)])
        for n, p, effect in [(100, 0.0, 0.0), (100, 0.2, 1.0), (1000, 0.0, 1.0), (1000, 0.2, 0.0)]
    ]
    study = study_of(**{"task.train_size": Sweep(100, 1000), "model.dropout": Sweep(0.0, 0.2)})
    found = advice(study, make_cells(rows, "validation_loss").assign(guess_loss=9.0), [VERDICT], incomplete=False)
    assert [(one.where, one.levels) for one in found.choices] == [
        ("task.train_size = 100", "model.dropout = 0"), ("task.train_size = 1000", "model.dropout = 0.2")
    ]  # fmt: skip
    assert (
        "nothing was varied"
        in advice(study_of(**{"task.train_size": Sweep(100, 1000)}), make_cells(rows), [], incomplete=False).none
    )


@pytest.mark.parametrize(
    ("path", "levels"),
    [("task", ("digits", "moons")), ("differ", ("all", "data")), ("task.train_size", (100, 1000)), ("steps", (9, 99))],
)
def test_what_is_given_is_no_choice_and_losses_under_it_are_not_ranked_against_each_other(
    path: str, levels: tuple[object, object]
):
    """By hand: of all four cells the least loss is that of the second level without dropout, of the first level that with."""
    easy, hard = levels
    rows = [
        ({path: level, "model.dropout": p}, [effect + i / 1000 for i in range(10)])
        for level, p, effect in [(hard, 0.0, 3.0), (hard, 0.2, 2.0), (easy, 0.0, 0.5), (easy, 0.2, 1.0)]
    ]
    study = study_of(**{path: Sweep(*levels), "model.dropout": Sweep(0.0, 0.2)})
    found = advice(study, make_cells(rows, "validation_loss").assign(guess_loss=9.0), [VERDICT], incomplete=False)
    assert {(one.where, one.levels) for one in found.choices} == {
        (f"{path} = {easy}", "model.dropout = 0"), (f"{path} = {hard}", "model.dropout = 0.2")
    }  # fmt: skip
    only = advice(study_of(**{path: Sweep(*levels)}), make_cells(rows), [VERDICT], incomplete=False)
    assert only.none == "nothing was varied that one could choose."


def test_advice_names_tuned_values_and_the_end_of_a_range():
    runs = chosen({0.0: [1.0] * 10, 0.2: [2.0] * 10}, **{"optimizer.lr": 5.692})
    tuning = runs.assign(**{"optimizer.lr": 0.1, "phase": "tune"})
    study = study_of(**{"model.dropout": Sweep(0.0, 0.2), "optimizer.lr": Tune(0.1, 10.0)})
    (choice,) = advice(study, pd.concat([runs, tuning], ignore_index=True), [VERDICT], incomplete=False).choices
    assert choice.levels == "model.dropout = 0, optimizer.lr ≈ 5.7"
    assert choice.caveats == ["optimizer.lr lies at the upper end of what was tried: beyond it may be better."]


def test_a_number_without_an_interval_stands_alone_and_it_is_said_why():
    few = chosen({0.0: [1.0, 1.1, 1.2, 1.3, 1.4], 0.2: [3.0, 3.1, 3.2, 3.3, 3.4]})
    (choice,) = advice(study_of(**{"model.dropout": Sweep(0.0, 0.2)}), few, [VERDICT], incomplete=False).choices
    assert choice.reached.startswith("test_loss 1, test_error 0.1 (medians of 5 seeds, too few for 95 % intervals);")
    METRICS["setback"] = METRICS["test_loss"]
    study = FakeStudy(settings={"model.dropout": Sweep(0.0, 0.2)}, objective=("validation_loss", "setback"))
    (front,) = advice(study, few.assign(setback=few["validation_loss"], trial=0), [], incomplete=False).choices
    assert front.reached.endswith("(medians of 10 seeds, 95 % intervals)")
    front = advice(study, few.assign(setback=few["validation_loss"], trial=few["model.dropout"]), [], incomplete=False)
    assert (
        front.choices[0].reached == "validation_loss 1.2; setback 1.2 (medians of 5 seeds, too few for 95 % intervals)"
    )
    assert interval(replace(VERDICT, low=None, high=None, cells=[])) == "−0.5"


def test_advice_says_which_others_have_the_same_median():
    runs = chosen({0.0: [1.0] * 10, 0.2: [1.0] * 10, 0.5: [3.0] * 10})
    study = study_of(**{"model.dropout": LEVELS})
    (choice,) = advice(study, runs, [VERDICT], incomplete=False).choices
    assert choice.within_noise == "model.dropout = 0.2 with the same median"
    alike = advice(study, runs.assign(validation_loss=1.0), [VERDICT], incomplete=False)
    assert alike.none.endswith("from any other; validation_loss is least at 3 of them alike.")


@pytest.mark.parametrize(("levels", "caveats"), [((False, True), 0), ((1, 2), 1), ((True, 2), 0)])
def test_what_is_true_or_false_is_at_no_end_of_a_range(levels: tuple[object, object], caveats: int):
    rows = [({"optimizer.nesterov": level}, [loss] * 10) for level, loss in zip(levels, (2.0, 1.0), strict=True)]
    runs = make_cells(rows, "validation_loss").assign(guess_loss=9.0)
    study = study_of(**{"optimizer.nesterov": Sweep(*levels)})
    (choice,) = advice(study, runs, [VERDICT], incomplete=False).choices
    assert choice.levels == f"optimizer.nesterov = {levels[1]}" and len(choice.caveats) == caveats


# --- Curves and runs, thinned


def test_curves_are_means_of_bins_in_four_digits_and_end_with_their_run(tmp_path):
    runs = make_runs({0.0: [1.0, INF]}).assign(trial=[0, 1])
    steps = np.arange(3 * POINTS)
    curve = pd.DataFrame(
        {"step": steps, "loss": steps / 7, "grad_norm": 1.0, "clipped": 0.0, "validation_loss": np.nan}
    )
    lost = curve.assign(loss=np.where(steps < 30, curve["loss"], np.nan))
    table = pd.concat([curve.assign(trial=0, seed=0), lost.assign(trial=1, seed=1)])
    table.to_parquet(tmp_path / "c.parquet")
    found = curves_of(tmp_path / "c.parquet", runs, study_of(**{"model.dropout": Sweep(0.0)}))
    assert found.steps == list(range(0, 3 * POINTS, 3))
    first, second = found.runs
    assert first["loss"][:3] == [0.1429, 0.5714, 1.0]  # (0 + 1 + 2) / 21, …
    assert len(first["loss"]) == POINTS and len(second["loss"]) == 10
    assert (second["seed"], second["status"]) == (1, "diverged")
    assert "validation_loss" not in found.titles
    assert list(found.titles) == ["loss"], "what does not vary is a sentence"
    assert found.thinned == (
        "All 2 runs of the result. Gradient norm before clipping: 1 throughout. Share of steps clipped (mean of 10 points): 0 throughout."
    )


def test_curves_of_models_are_named_by_what_differs(tmp_path):
    models = [SimpleRNN(hidden=32, readout="every", spectral_radius=1.2, **more)
              for more in ({}, {"dropout": 0.5}, {"recurrent_dropout": 0.5})]  # fmt: skip
    runs = make_cells([({"model": stored(model)}, [1.0]) for model in models])
    runs["trial"] = range(3)
    table = runs[["trial", "seed"]].assign(step=0, loss=1.0, grad_norm=1.0, clipped=0.0, validation_loss=1.0)
    table.to_parquet(tmp_path / "c.parquet")
    found = curves_of(tmp_path / "c.parquet", runs, study_of(model=Sweep(*models)))
    assert found.cells == ["model SimpleRNN", "model SimpleRNN(dropout=0.5)", "model SimpleRNN(recurrent_dropout=0.5)"]


def test_of_very_many_runs_the_first_seeds_of_every_cell_are_shown_and_it_is_said(tmp_path):
    levels = [i / 1000 for i in range(600)]
    runs = make_runs({level: [1.0] * 3 for level in levels}).assign(trial=range(1800))
    runs["trial"] = np.repeat(range(600), 3)
    table = runs[["trial", "seed"]].assign(step=0, loss=1.0, grad_norm=1.0, clipped=0.0, validation_loss=1.0)
    table.to_parquet(tmp_path / "c.parquet")
    found = curves_of(tmp_path / "c.parquet", runs, study_of(**{"model.dropout": Sweep(*levels)}))
    assert len(found.runs) == len(found.cells) == MOST_RUNS
    assert {run["seed"] for run in found.runs} == {0}
    assert found.thinned.startswith(
        f"{MOST_RUNS} of 1,800 runs: of {MOST_RUNS} of 600 combinations, evenly chosen, the first 1 run by seed."
    )


def test_what_is_said_of_the_curves_counts_the_runs_that_it_is_about(tmp_path):
    runs = make_runs({0.0: [1.0, 1.0], 0.5: [1.0, 1.0]}).assign(trial=[0, 0, 1, 1])
    runs[["trial", "seed"]].assign(step=0, loss=1.0, grad_norm=1.0, clipped=0.0, validation_loss=1.0).to_parquet(
        tmp_path / "c.parquet"
    )
    tuning = runs.assign(phase="tune", trial=[2, 2, 3, 3])
    failed = runs.assign(status=["failed", *runs["status"][1:]])
    for table, said in (
        (runs, "All 4 runs of the result."), (failed, "All 3 runs that did not fail."),
        (pd.concat([runs, tuning]), "All 4 runs of the confirm phase."),
        (pd.concat([failed, tuning]), "All 3 runs of the confirm phase that did not fail."),
    ):  # fmt: skip
        found = curves_of(tmp_path / "c.parquet", table, study_of(**{"model.dropout": Sweep(0.0, 0.5)}))
        assert found.thinned.startswith(said)


def test_the_table_of_runs_has_all_of_them_or_those_that_matter_most():
    study = study_of(**{"model.dropout": Sweep(0.0, 0.5)})
    runs = make_runs({0.0: [1.0, INF], 0.5: [2.0, np.nan]}).assign(steps_done=40)
    found = run_table(study, runs, ["test_loss", "no_metric"])
    assert found.table.head == ["model.dropout", "seed", "phase", "status", "steps", "test_loss"]
    assert found.table.rows[1] == ["0", "1", "result", "diverged", "40", "∞"]
    assert found.caption.startswith("All runs")
    many = pd.concat([runs.assign(phase="tune", seed=i) for i in range(MOST_ROWS)] + [runs], ignore_index=True)
    some = run_table(study, many, ["test_loss"])
    assert len(some.table.rows) == MOST_ROWS
    assert sum(row[2] == "result" for row in some.table.rows) == 4
    assert sum(row[3] == "diverged" for row in some.table.rows) == MOST_ROWS - 3, (
        "of tuning the diverged ones come first"
    )
    assert some.caption.startswith("2,000 of 8,004 runs")


def test_of_many_levels_the_first_and_the_last_are_named():
    study = study_of(**{"model.dropout": Sweep(*[i / 500 for i in range(500)]), "optimizer.lr": Tune(0.1, 10.0)})
    assert explored_factors(study) == [
        "model.dropout: 500 levels: 0, 0.002, 0.004, 0.006, …, 0.998", "optimizer.lr: tuned from 0.1 to 10"
    ]  # fmt: skip


def test_a_study_gives_the_same_curves_twice(tmp_path):
    study = rnn_clip(seeds=3)
    runs, curves = simulate(study, every=20)
    curves.to_parquet(tmp_path / "c.parquet")
    first, second = (curves_of(tmp_path / "c.parquet", table, study) for table in (runs, runs.copy()))
    assert first == second
    assert [first.cells[i] for i in first.shown] == ["dropout 0, max_norm 1", "dropout 0, max_norm ∞ (no clipping)"]
