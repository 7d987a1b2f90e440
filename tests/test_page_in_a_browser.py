"""The report page as people open it: in a browser, at any width, with and without JavaScript, in the dark, and on paper."""

import io
import math
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic import FakeStudy, rnn_clip, simulate

from harness.inference.families import judge_registered
from harness.inference.verdict import Verdict
from harness.reporting import html
from harness.reporting.page.content import Picture
from harness.reporting.page.curves import curves_of
from harness.reporting.report import Subject, page_of
from harness.reporting.tables import sort_runs, summarize
from harness.settings import Sweep, Tune
from harness.study import Claim
from harness.study.registration import registrations

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright here")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]

USUAL = rnn_clip()


@cache
def usual() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Its runs and curves."""
    return simulate(USUAL, every=10)


LONG = "a_very_long_name_" * 12
EVIL = "</script><script>document.title='pwned'</script>"


def made(
    study: FakeStudy,
    folder: Path,
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    doc: str = "Does it hold? Yes.",
    missing: int = 0,
    pictures: Sequence[Picture] = (),
) -> Path:
    """The page of a study, with such figures alone."""
    curves.to_parquet(folder / "curves.parquet")
    runs = sort_runs(study, runs)
    verdicts: list[Verdict] = judge_registered(study, runs, registrations(study, ()))
    subject = Subject(study, doc, {"torch": "2.13.0"}, ["harness run s.py"], len(runs) + missing)
    found = curves_of(folder / "curves.parquet", runs, study)
    page = page_of(subject, runs, summarize(study, runs), verdicts, pictures, [], found)
    (folder / "report.html").write_text(html.render(page), encoding="utf-8")
    return folder / "report.html"


def lost() -> tuple[pd.DataFrame, pd.DataFrame]:
    """All of these diverged."""
    runs, curves = (table.copy() for table in usual())
    generalization = [
        "train_loss",
        "validation_loss",
        "test_loss",
        "train_error",
        "validation_error",
        "test_error",
        "gap",
    ]
    runs[generalization] = runs[generalization].where(runs[generalization].isna(), math.inf)
    numbers = ["loss", "grad_norm", "clipped", "update_ratio", "validation_loss"]
    curves.loc[curves["step"] > 30, numbers] = np.nan
    return runs.assign(status="diverged", diverged=1.0), curves


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    short = {"steps": 40}
    title = f"Dropout helps {'and is long ' * 15}{EVIL}"
    claim = Claim(title, metric="test_loss", better="lower", smallest_effect=0.02,
                  treatment={"model.note": f"{LONG}1"}, baseline={"model.note": f"{LONG}{EVIL}"})  # fmt: skip
    studies = {
        "one level": FakeStudy(name="one", settings={"model.dropout": Sweep(0.5)} | short, seeds=4),
        "one seed": rnn_clip(seeds=1),
        "no claims": rnn_clip(claims=(), seeds=2),
        "search": FakeStudy(name="search", settings={"optimizer.lr": Tune(0.01, 1.0, log=True)} | short, seeds=5),
        "40 levels": FakeStudy(name="forty", settings={"model.dropout": Sweep(*[i / 50 for i in range(40)])} | short, seeds=3),
        "long names": FakeStudy(name=f"{'x' * 200}{EVIL}", settings={"model.note": Sweep(f"{LONG}1", f"{LONG}{EVIL}")} | short,
                                seeds=6, claims=(claim,) * 8),
    }  # fmt: skip
    found = {"usual": made(USUAL, tmp_path_factory.mktemp("page"), *usual())}
    for name, study in studies.items():
        found[name] = made(study, tmp_path_factory.mktemp("page"), *simulate(study, every=10))
    runs, curves = usual()
    folders = [tmp_path_factory.mktemp("page") for _ in range(2)]
    found["incomplete"] = made(USUAL, folders[0], runs.iloc[:60], curves, missing=132)
    found["figure"] = made(
        USUAL, tmp_path_factory.mktemp("page"), *usual(), pictures=[Picture("f", "c", STRIPES.encode(), "t")]
    )
    found["all diverged"] = made(USUAL, folders[1], *lost())
    return found


ODD = ["usual", "one level", "one seed", "no claims", "search", "40 levels", "long names", "incomplete", "all diverged"]


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """A page, with all that it complained of and asked for."""

    def __init__(self, browser: "sync_api.Browser", path: Path, **settings: object) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1600, "height": 1000}} | settings))
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> "sync_api.Page":
        return self.page

    def __exit__(self, *_: object) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:"))] == []
        self.context.close()


STRIPES = """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40" viewBox="0 0 40 40"><rect width="40" height="40" fill="#fff"/>
<rect width="20" height="20" fill="#000"/><rect x="20" width="20" height="20" fill="#0173b2"/></svg>"""
"""A figure: black at the top on the left, blue on the right, white below."""


def column(page: "sync_api.Page", name: str, index: int) -> list[str]:
    """The texts of a column of the rows that are shown."""
    rows = f"table[data-name='{name}'] tbody tr:not([hidden])"
    return page.eval_on_selector_all(rows, f"rows => rows.map(row => row.cells[{index}].textContent)")


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(("width", "scheme"), [(1600, "light"), (400, "dark")])
def test_any_page_opens_without_an_error_a_request_or_overflow(
    browser: "sync_api.Browser", pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    with Opened(browser, pages[name], viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.title") != "pwned"
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        light = [sum(map(int, colour[4:-1].split(","))) > 384 for colour in (ink, paper)]
        assert light == ([False, True] if scheme == "light" else [True, False])


@pytest.mark.parametrize(
    ("scheme", "media", "dark"), [("light", "screen", False), ("dark", "screen", True), ("dark", "print", False)]
)
def test_figures_are_as_dark_as_the_page_and_keep_their_hues(
    browser: "sync_api.Browser", pages: dict[str, Path], scheme: str, media: str, dark: bool
) -> None:
    with Opened(browser, pages["figure"], color_scheme=scheme) as page:
        page.emulate_media(media=media, color_scheme=scheme)
        page.locator("figure img").scroll_into_view_if_needed()
        page.locator("figure img").evaluate("image => image.decode()")
        shot = Image.open(io.BytesIO(page.locator("figure img").screenshot())).convert("RGB")
        ink, blue, paper = (
            shot.getpixel((int(shot.width * x), int(shot.height * y)))
            for x, y in ((0.25, 0.25), (0.75, 0.25), (0.5, 0.75))
        )
        assert (max(paper) < 64 and min(ink) > 192) if dark else (min(paper) == 255 and max(ink) == 0)
        assert blue[2] > blue[1] > blue[0], "it stays blue"
        if dark:
            card = page.locator(".claim").first.evaluate("card => getComputedStyle(card).backgroundColor")
            assert max(abs(a - int(b)) for a, b in zip(paper, card[4:-1].split(","), strict=True)) < 16


def test_a_figure_far_below_is_there_before_it_is_scrolled_to(
    browser: "sync_api.Browser", pages: dict[str, Path]
) -> None:
    """So that whatever lies below it stays where a link of the contents leads."""
    with Opened(browser, pages["figure"], viewport={"width": 400, "height": 300}) as page:
        page.wait_for_timeout(200)
        loaded = page.locator("figure img").evaluate_all("images => images.map(image => image.naturalWidth > 0)")
        assert loaded == [True]


def test_the_first_screen_is_one_screen(browser: "sync_api.Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["usual"]) as page:
        box = page.locator("header").bounding_box()
        assert box and box["y"] + box["height"] <= 1000
        assert page.locator("header svg.forest").count() == 3
        assert page.locator("nav").evaluate("nav => getComputedStyle(nav).position") == "sticky"


def test_a_table_sorts_by_numbers_both_ways_and_by_keyboard(
    browser: "sync_api.Browser", pages: dict[str, Path]
) -> None:
    with Opened(browser, pages["usual"]) as page:
        heads = page.locator("table[data-name='Runs'] thead th").all_inner_texts()
        index = next(i for i, head in enumerate(heads) if head.startswith("test_loss"))
        button = page.locator("table[data-name='Runs'] thead th").nth(index).locator("button")
        button.click()
        texts = column(page, "Runs", index)
        numbers = [math.inf if text == "∞" else float(text) for text in texts if text != "–"]
        assert numbers == sorted(numbers) and len(set(numbers)) > 10
        assert texts[len(numbers) :] == ["–"] * (len(texts) - len(numbers)), "nothing comes last"
        button.focus()
        page.keyboard.press("Enter")
        texts = column(page, "Runs", index)
        assert [math.inf if text == "∞" else float(text) for text in texts[: len(numbers)]] == numbers[::-1]
        assert texts[-1] == "–"
        assert page.locator("th[aria-sort]").evaluate_all("heads => heads.map(head => head.ariaSort)") == ["descending"]


def test_a_table_keeps_the_rows_that_match(browser: "sync_api.Browser", pages: dict[str, Path]) -> None:
    runs, _ = usual()
    with Opened(browser, pages["usual"]) as page:
        field = page.get_by_label("Filter runs")
        said = page.locator(".tools", has=field).get_by_role("status")
        assert said.inner_text() == f"{len(runs)} of {len(runs)} rows"
        for text, wanted in {
            "diverged": runs["status"] == "diverged",
            "dropout=0.2 phase=result": (runs["model.dropout"] == 0.2) & (runs["phase"] == "confirm"),
            "max_norm=inf seed<3": (runs["clipping.max_norm"] == math.inf) & (runs["seed"] < 3),
            "status=finished max_norm>1": (runs["status"] == "finished") & (runs["clipping.max_norm"] > 1),
            "nothing like this": runs["seed"] < 0,
        }.items():
            field.fill(text)
            assert said.inner_text() == f"{int(wanted.sum())} of {len(runs)} rows", text
            assert len(column(page, "Runs", 0)) == int(wanted.sum())


INK = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
  return count;
}"""


def test_curves_are_drawn_and_cells_switched_on_and_off(browser: "sync_api.Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["usual"]) as page:
        assert page.locator(".panel h3 span").all_inner_texts() == [
            "Loss of training batches", "Validation loss", "Gradient norm before clipping", "Share of steps clipped (mean of 10 points)"
        ]  # fmt: skip
        canvas = page.locator(".panel canvas").first
        some = canvas.evaluate(INK)
        page.get_by_role("button", name="None", exact=True).click()
        none = page.locator(".panel canvas").first.evaluate(INK)
        page.get_by_role("button", name="All", exact=True).click()
        everything = page.locator(".panel canvas").first.evaluate(INK)
        assert none < some < everything
        assert page.locator(".choices input:checked").count() == 12
        page.get_by_label("dropout 0, max_norm 1", exact=True).uncheck()
        assert (
            page.locator(".panel [role='img']").first.get_attribute("aria-label")
            == "Loss of training batches by step, of 110 runs"
        )


def test_pointing_at_a_curve_names_its_run_and_the_charts_move_together(
    browser: "sync_api.Browser", pages: dict[str, Path]
) -> None:
    with Opened(browser, pages["usual"]) as page:
        readout = page.locator(".readout")
        assert readout.inner_text() == "Point at a line to see which run it is."
        over = page.locator(".panel .u-over")
        over.first.scroll_into_view_if_needed()
        box = over.first.bounding_box()
        assert box
        for share in np.linspace(0.05, 0.95, 30):
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * share)
            if "seed" in readout.inner_text():
                break
        assert (
            "max_norm" in readout.inner_text()
            and ", step " in readout.inner_text()
            and "gradient norm" in readout.inner_text()
        )
        lines = page.locator(".u-cursor-x:not(.u-off)")
        assert lines.count() == 4, "all charts show where the pointer is"
        wide = "() => [...document.querySelectorAll('.panel canvas')].map(canvas => canvas.toDataURL())"
        before = page.evaluate(wide)
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=5)
        page.mouse.up()
        page.wait_for_timeout(100)
        assert all(old != new for old, new in zip(before, page.evaluate(wide), strict=True)), "all of them zoom"


def test_the_charts_zoom_by_keys(browser: "sync_api.Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["usual"]) as page:

        def drawn_after(button: str) -> list[str]:
            page.get_by_role("button", name=button, exact=True).press("Enter")
            page.wait_for_timeout(100)
            drawn: list[str] = page.evaluate(
                "() => [...document.querySelectorAll('.panel canvas')].map(canvas => canvas.toDataURL())"
            )
            return drawn

        whole = drawn_after("All steps")
        near = drawn_after("Zoom in")
        earlier = drawn_after("Earlier")
        for one, other in ((whole, near), (near, earlier)):
            assert all(a != b for a, b in zip(one, other, strict=True)), "all of them move"
        assert drawn_after("Earlier") == earlier, "not beyond the first step"
        later = drawn_after("Later")
        assert drawn_after("Later") != later
        assert drawn_after("Later") == drawn_after("Later"), "nor beyond the last one"
        assert drawn_after("Zoom out") == whole == drawn_after("Zoom out")


def test_an_axis_is_logarithmic_or_not(browser: "sync_api.Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["usual"]) as page:
        button = page.get_by_role("button", name="Logarithmic axis: Loss of training batches")
        before = page.locator(".panel canvas").first.evaluate("canvas => canvas.toDataURL()")
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert page.locator(".panel canvas").first.evaluate("canvas => canvas.toDataURL()") != before


LABELS = """async canvas => {
  await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve))); // drawn after the page is there
  const width = 45 * devicePixelRatio;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, canvas.height);
  const rows = Array.from({ length: canvas.height }, (_, y) => data.slice(4 * width * y, 4 * width * (y + 1)).some((part) => part > 0));
  return rows.filter((inked, y) => inked && !rows[y - 1]).length;
}"""
"""How many lines of text stand beside the axis of a chart."""


@pytest.mark.parametrize("largest", [5.0, 1e15, 1e35])
def test_an_axis_over_any_number_of_decades_has_numbers_that_can_be_told_apart(
    browser: "sync_api.Browser", tmp_path: Path, largest: float
) -> None:
    runs, curves = usual()
    curves = curves.assign(loss=np.geomspace(1.0, largest, 41)[curves["step"].clip(upper=40)])
    with Opened(browser, made(USUAL, tmp_path, runs, curves)) as page:
        page.wait_for_timeout(500)
        assert 3 <= page.locator(".panel canvas").first.evaluate(LABELS) <= 12


@pytest.mark.parametrize("name", ODD)
def test_without_javascript_all_is_there_and_nothing_that_does_nothing(
    browser: "sync_api.Browser", pages: dict[str, Path], name: str
) -> None:
    with Opened(browser, pages[name], java_script_enabled=False) as page:
        assert page.locator("button, input").count() == 0
        assert page.get_by_text("need JavaScript").is_visible()
        assert page.locator("table[data-name='Runs'] tbody tr").count() > 0
        assert page.get_by_text("How far to trust it").is_visible()


def test_controls_have_names_and_details_open_on_paper(browser: "sync_api.Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["usual"]) as page:
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input")].filter(control =>
                 !control.getAttribute("aria-label") && !control.textContent.trim() && !control.labels?.length).length"""
        )
        assert nameless == 0
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.locator("table[data-name='Runs'] tbody tr:visible").count() == 40
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


def test_a_page_of_ten_thousand_runs_is_small_enough_to_be_mailed(tmp_path: Path) -> None:
    """The runs of one seed twenty times: what counts is how many there are."""
    levels = [i / 1000 for i in range(500)]
    study = FakeStudy(name="large", settings={"model.dropout": Sweep(*levels), "steps": 120}, seeds=1)
    one, few = simulate(study, every=1)
    runs, curves = (
        pd.concat([table.assign(seed=seed) for seed in range(20)], ignore_index=True) for table in (one, few)
    )
    page = made(study, tmp_path, runs, curves)
    assert len(runs) == 10_000
    assert page.stat().st_size < 4_000_000, "figures, at most a few, come on top"
    text = page.read_text(encoding="utf-8")
    assert "400 of 10,000 runs: of 400 of 500 combinations, evenly chosen, the first 1 run by seed." in text
    assert "2,000 of 10,000 runs" in text
