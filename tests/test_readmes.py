"""What the pages say: their Python runs, their commands parse, what they link to is there, and no option is left out."""

import ast
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from harness import Study
from harness.__main__ import main as harness

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "harness").glob("*/README.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands() -> list[tuple[str, list[str]]]:
    """Every line of ours in a block of shell: the command and its arguments."""
    found = []
    for page in PAGES:
        for code in blocks(page, "sh"):
            for line in code.replace("\\\n", " ").splitlines():
                for part in re.split(r" && | -- ", line.partition(" #")[0]):
                    words = shlex.split(part)
                    if words[:2] == ["python", "-m"] and words[2].startswith("harness."):
                        found.append((words[2].removeprefix("harness."), words[3:]))
                    elif words[:1] == ["harness"]:
                        found.append((words[1], words[2:]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_on_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the order of the page, as in one file; studies are built, which checks all of them but a trial step."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": f"page_{page.parent.name}"}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)
    for study in (value for value in names.values() if isinstance(value, Study)):
        assert study.cells()


@pytest.mark.parametrize(("command", "words"), commands(), ids=lambda value: value if isinstance(value, str) else None)
def test_commands_on_a_page_are_understood(command: str, words: list[str]):
    found = harness.get_command(click.Context(harness), command)
    assert found is not None, f"no command {command}"
    with found.make_context(command, list(words)) as context:
        assert context.params


def test_the_options_of_a_run_are_all_explained():
    text = (ROOT / "harness" / "lead" / "README.md").read_text(encoding="utf-8")
    options = [option for option in import_module("harness.run").main.params if isinstance(option, click.Option)]
    assert [
        o.opts for o in options if not o.hidden and o.name != "help" and not any(f"`{x}" in text for x in o.opts)
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_a_page_links_to_is_there(page: Path):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"src(?:set)?=\"([^\"]+)\"", text)
    for link in links:
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_tests_that_a_page_names_exist(page: Path):
    named = re.findall(r"`(test_\w+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_every_room_has_a_page_and_the_readme_leads_to_it():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / "harness").glob("*/__init__.py")} - {"settings"}
    assert [room for room in sorted(rooms) if f"(harness/{room}/README.md" not in text] == []


def test_blocks_of_python_are_whole():
    """None leaves something out by dots, which a reader could not run."""
    for page in PAGES:
        for code in blocks(page, "python"):
            ellipses = [node for node in ast.walk(ast.parse(code)) if getattr(node, "value", None) is Ellipsis]
            assert not ellipses, code


def test_the_answers_are_those_of_the_published_results():
    done = subprocess.run([sys.executable, ROOT / ".ci" / "answers", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_published_results_name_no_place_of_one_machine_and_stay_small():
    published = [
        path for path in (ROOT / "results").rglob("*") if path.suffix in (".html", ".json", ".md", ".csv", ".tex")
    ]
    assert len(published) > 100
    for path in published:
        for place in ("/tmp/", "/work/", "/home/", "/root/", str(ROOT)):
            assert place not in path.read_text(encoding="utf-8"), f"{path}: {place}"
    files = subprocess.run(["git", "ls-files", "-z", "results"], cwd=ROOT, capture_output=True, check=True).stdout
    assert sum((ROOT / name).stat().st_size for name in files.decode().split("\0") if name) < 40e6
