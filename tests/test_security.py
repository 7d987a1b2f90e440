"""A study file is code and runs as its author's; nothing else that is read is run, and no text that is shown is."""

import ast
import contextlib
import json
import pickle
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import harness
from harness import InvalidStudy, Study, run
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.execution.trainer import failed
from harness.lead.progress.progress import Progress
from harness.lead.terminal.displays import display_for
from harness.ledger.records.tables import joined, read_table
from harness.ledger.stores import leadership
from harness.models import DropoutNet
from harness.reporting import html
from harness.reporting.formats import csv
from harness.reporting.page.advice import Advice
from harness.reporting.page.content import FirstScreen
from harness.reporting.page.curves import Curves
from harness.settings import Problem
from harness.settings.credentials import without_credentials
from harness.tasks import Images

SOURCES = sorted(Path(harness.__file__).parent.rglob("*.py"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# --- What is read


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_source_unpickles_or_evaluates_what_it_reads(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        if not (isinstance(node, ast.ImportFrom) and [a.name for a in node.names] == ["register_pickle_by_value"])
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    allowed = {"cloudpickle"} if path.name == "shipping.py" else set()  # between our own processes, never from a disk
    assert not imported & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"} - allowed
    for call in calls(tree):
        name = ast.unparse(call.func)
        assert name not in ("eval", "exec", "__import__", "os.system")
        assert name != "compile" or path.name == "syntax.py"  # compared with what runs, and never run
        assert not name.endswith("read_pickle")
        given = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert given.get("shell", "False") == "False", name
        if name == "torch.load":
            assert given.get("weights_only") == "True"
        if name == "np.load":
            assert given.get("allow_pickle", "False") == "False"


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.filterwarnings("ignore:pickle-based deserialization")
def test_a_pickle_hidden_in_a_table_is_not_run(tmp_path: Path) -> None:
    """Arrow tables can name a Python type by a pickle, which old readers ran (CVE-2023-47248)."""
    payload = pickle.dumps(Payload(tmp_path / "ran"))
    hidden = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}
    schema = pa.schema([pa.field("x", pa.int64(), metadata=hidden)], metadata={b"pandas": b"{}"})
    pq.write_table(pa.table([pa.array([1])], schema=schema), tmp_path / "runs.parquet")
    with contextlib.suppress(KeyError):
        joined([read_table(tmp_path / "runs.parquet")])
    assert not (tmp_path / "ran").exists()
    pickle.loads(payload)
    assert (tmp_path / "ran").exists(), "the payload itself works"


# --- Names that reach paths

RESERVED = ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "a\0b", ".x", "-x", "x.", "x ", " x", "a" * 65, "é", "x\n", "con",
            "NUL", "com1", "lpt9.txt", "Con.tar.gz", "mlartifacts", "MLartifacts", "mlflow.db", "mlflow.db-journal",
            "optuna.journal", "optuna.journal.lock", "Default", "<b>", "a\u202eb"]  # fmt: skip


@pytest.mark.parametrize("name", RESERVED, ids=ascii)
def test_study_names_that_could_leave_their_folder_or_meet_another_are_refused(name: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        Study(name=name, task=Images(), model=DropoutNet(hidden=(4,)))
    assert [problem.path for problem in caught.value.problems] == ["name"]


@pytest.mark.parametrize("name", ["rnn_clip", "a", "0", "a.b-c_D", "console", "a" * 64, "mlflow", "defaults"])
def test_ordinary_names_are_welcome(name: str) -> None:
    assert Study(name=name, task=Images(), model=DropoutNet(hidden=(4,))).name == name


def test_a_name_that_differs_in_case_alone_is_refused(tmp_path: Path) -> None:
    """On some disks both would be one folder."""
    with leadership(tmp_path / "Mine"):
        pass
    with pytest.raises(InvalidStudy, match="Mine"), leadership(tmp_path / "mine"):
        pass


# --- Hostile texts, the whole way

PAYLOADS = {
    "script": "<script>document.title='pwned'</script>",
    "image": '"><img src=x onerror="document.title=\'pwned\'">',
    "quote": "' onmouseover='document.title=1' x='",
    "style": "</style><script>document.title='pwned'</script>",
    "title": "</title><svg onload=document.title='pwned'>",
    "template": "{{7*7}}{% raw %}${7*7}",
    "markdown": "[x](javascript:alert(1)) ![y](http://127.0.0.1:9/a.png)",
    "definition": "[z]: javascript:alert(2)",
    "comment": "--><script>document.title='pwned'</script><!--",
    "bidi": "abc\u202edcba\u2066",
    "formula": "=cmd|' /C calc'!A0",
    "maths": "$\\frac{1}{$ ${a}$ 100$",
}

HOSTILE = '''__doc__ = {doc!r}
import torch
from torch import nn
from harness import Claim, Exact, Model, Study, Sweep
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))

class Mine(nn.Module):
    def __init__(self, inputs, outputs, note="", other="", dropout=0.1):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 4), nn.Dropout(dropout), nn.Linear(4, outputs))

    def forward(self, x):
        return self.net(x)

Mine.__qualname__ = Mine.__name__ = {script!r}

class Slow(SGD):
    """SGD under another name."""

Slow.__qualname__ = Slow.__name__ = {image!r}

study = Study(
    name="hostile", task=Tensors(x, (x[:, 0] > 0).long()),
    model=Model(Mine, note=Sweep(*{levels!r}), other={style!r}),
    optimizer=Slow(0.1), batch_size=10, steps=4, seeds=2,
    claims=[
        Claim({doc!r}, metric="test_loss", better="lower", smallest_effect=0.01,
              treatment={{"model.note": {script!r}}}, baseline={{"model.note": {image!r}}}),
        Exact({style!r}, metric="eval_noise"),
    ],
)
'''


def harness_run(study_file: Path, results: Path, *options: str) -> Result:
    arguments = [str(study_file), "--results", str(results), "--devices", "cpu", "--workers", "1", *options]
    return CliRunner().invoke(run.main, arguments)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a study whose every text is an attack."""
    folder = tmp_path_factory.mktemp("hostile")
    doc = "\n\n".join(PAYLOADS.values())
    source = HOSTILE.format(doc=doc, levels=list(PAYLOADS.values()), **PAYLOADS)
    (folder / "hostile.py").write_text(source, encoding="utf-8")
    done = harness_run(folder / "hostile.py", folder / "results")
    assert done.exit_code == 0, done.output
    assert re.sub(r"[\n\u00a0]", "", done.output).isprintable()
    return folder / "results" / "hostile"


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, and the text outside of style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


EXPECTED = {
    "html", "head", "meta", "title", "link", "style", "script", "body", "header", "nav", "main", "section", "article", "h1",
    "h2", "h3", "p", "ul", "ol", "li", "a", "dl", "dt", "dd", "div", "details", "summary", "table", "thead", "tbody", "tr", "th", "td",
    "span", "small", "b", "em", "figure", "img", "figcaption", "pre", "wbr", "svg", "path", "circle", "line", "text",
}  # fmt: skip
MADE_BY_SCRIPT = {"button", "input", "label", "fieldset", "legend", "canvas"}


@pytest.mark.slow
def test_a_report_of_hostile_texts_has_no_element_of_theirs(hostile: Path) -> None:
    page = Page((hostile / "report.html").read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.elements} <= EXPECTED
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert all((attributes.get(name) or "data:").startswith(("data:", "#")) for name in ("src", "href"))
    assert [tag for tag, _ in page.elements].count("script") == 2, "its data and its own"
    for payload in PAYLOADS.values():
        assert " ".join(payload.split()) in " ".join(page.text.split()), "shown as what it is"
    assert "49" not in re.findall(r"\d+", page.text.split("What was asked")[-1].split("Dropout is off")[0])
    (policy,) = [a.get("content") for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-[\w+/]{43}='", str(policy)
    )


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("policy", [True, False], ids=["as it is", "without its policy"])
def test_nothing_of_a_hostile_report_runs_in_a_browser(hostile: Path, tmp_path: Path, policy: bool) -> None:
    """Also without the page's own policy, which would stop scripts that escaping let through."""
    text = (hostile / "report.html").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(text if policy else re.sub(r"<meta http-equiv.*>\n", "", text), encoding="utf-8")
    log = tmp_path / "net.json"
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--virtual-time-budget=2000", f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    seen = Page(done.stdout)
    assert ("title", {}) in seen.elements
    assert "<title>hostile</title>" in done.stdout, "no script has changed the title"
    assert [e for e in seen.elements if e[0] not in EXPECTED | MADE_BY_SCRIPT] == []
    assert not re.search(r"https?://127\.0\.0\.1:9", log.read_text()), "no image was fetched"


@pytest.mark.slow
def test_markdown_and_figures_show_hostile_texts_as_texts(hostile: Path) -> None:
    summary = (hostile / "summary.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)(\\\\)*\]\(", summary), "no link"
    assert not re.search(r"(?<!\\)(\\\\)*\]:", summary), "no definition of a link"
    assert not re.search(r"<\w", summary)
    for figure in (hostile / "figures").glob("*.svg"):
        drawn = figure.read_text(encoding="utf-8")
        assert not re.search(r"<script|onload=|onerror=|javascript:", re.sub(r"<!--.*?-->", "", drawn, flags=re.S))
    names = {path.name for path in (hostile / "figures").iterdir()}
    assert names
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


@pytest.mark.slow
def test_tables_keep_hostile_texts_and_csv_has_no_formula(hostile: Path) -> None:
    runs = pd.read_parquet(hostile / "runs.parquet")
    assert set(runs["model.note"]) == set(PAYLOADS.values())
    texts = set(pd.read_csv(hostile / "runs.csv")["model.note"])
    assert "'" + PAYLOADS["formula"] in texts
    for path in hostile.rglob("*.csv"):
        table = pd.read_csv(path)
        for value in [*table.columns, *table.select_dtypes(["object", "str"]).to_numpy().ravel()]:
            assert not str(value).startswith(("=", "+", "-", "@")), path


def test_numbers_in_csv_stay_numbers() -> None:
    table = pd.DataFrame({"a": [-1.5, float("inf")], "b": [-1, 2], "c": ["-x", "y"], "@d": [None, -3]})
    assert csv(table).decode() == "a,b,c,'@d\n-1.5,-1,'-x,\ninf,2,y,-3.0\n"


def test_escaping_is_what_protects_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above does fail for a page that is not escaped."""
    none = html.Table([], [])
    first = FirstScreen(PAYLOADS["script"], [], [], Advice(PAYLOADS["script"]), [], [])
    page = html.Page(title="t", first=first, doc="", verdicts=[], curves=Curves(), cells=none, runs=html.Captioned("", none),
                     diagnostics=none, meanings=none, trials=none, pictures=[], about={}, commands=[], counts={}, notice="", scope=[],
                     tuning=[], shared=none, published=[], exploration=[])  # fmt: skip
    elements = [tag for tag, _ in Page(html.render(page)).elements]
    assert set(elements) <= EXPECTED and elements.count("script") == 1
    monkeypatch.setattr(html, "Environment", lambda autoescape, **kw: pytest.importorskip("jinja2").Environment(**kw))
    assert [tag for tag, _ in Page(html.render(page)).elements].count("script") == 3


# --- Terminals


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\rb", "[red]x[/blue]", "\ud800", "\u202e", "\x07"], ids=ascii)
def test_problems_and_notes_reach_a_terminal_as_plain_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(Problem(text, text, text)).isprintable()
    with display_for(as_lines_of_json=False, quiet=False) as display:
        Progress(1, 1, tell=display.tell).say(text)
    said = capsys.readouterr().err
    assert said.strip().isprintable()
    assert not text.startswith("[") or text in said


# --- Credentials


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://user:hunter2@host/db",
        "postgresql+psycopg://user:hun/ter2@x@host/db",
        "postgresql://user:hun ter2@host/db",
        "postgresql://user@host/db?password=hunter2",
        "postgresql://host/db?sslmode=require&sslpassword=hunter2&x=1",
        "https://hunter2@host/mlflow",
        "https://host/mlflow?access_token=hunter2",
    ],
)
def test_credentials_of_a_uri_are_blanked(uri: str) -> None:
    for text in (uri, f"cannot open '{uri}'.", f"--storage={uri}"):
        blank = without_credentials(text)
        assert not re.search("hun|ter2", blank)
        assert "host" in blank


def test_a_setting_that_holds_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidStudy, match="must hold no password") as caught:
        Study(name="x", task=Images("postgresql://me:hunter2@host/x"), model=DropoutNet())
    assert "hunter2" not in str(caught.value)


def test_tracebacks_are_kept_without_credentials() -> None:
    setup = Setup(Images(), DropoutNet())
    outcome = failed(Run(0, 0, setup), "Traceback\nOSError: cannot reach http://me:hunter2@host/x")
    assert "hunter2" not in outcome.errors[0, 0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Query string argument")
def test_no_credential_of_the_command_line_is_left_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report's commands, the launch's parameters, the environment, databases: read every byte of the results."""
    (tmp_path / "mine.py").write_text(
        "from harness import Model, Study\nfrom harness.models import DropoutNet\nfrom harness.tasks import Images\n"
        "study = Study(name='mine', task=Images(train_size=50), model=DropoutNet(hidden=(4,)), steps=2, seeds=2, batch_size=8)\n"
    )
    results = tmp_path / "results"
    storage, tracking = (f"sqlite:///{results / name}?password=hunter2" for name in ("optuna.db", "mlflow.db"))
    arguments = ["--storage", storage, "--tracking-uri", tracking]
    monkeypatch.setattr("sys.argv", ["run.py", str(tmp_path / "mine.py"), *arguments])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@host")
    done = harness_run(tmp_path / "mine.py", results, *arguments)
    assert done.exit_code == 0, done.output
    assert "hunter2" not in done.output
    page = (results / "mine" / "report.html").read_text()
    assert "--storage" in page
    assert "password=***" in page
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        assert b"hunter2" not in file.read_bytes(), file
    assert json.loads((results / "mine" / "environment.json").read_text())["python"]
