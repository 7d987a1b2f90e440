"""`CharLM`: its paragraphs, its windows, and that what is tested on does not stand in what is trained on."""

import hashlib
import itertools
import re
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import Study
from harness.audit import data_checks
from harness.models import SimpleRNN
from harness.tasks import CharLM, CopyMemory, Images, Tensors
from harness.tasks.leaks import share_of_repeated_text

MANUAL = "".join(topics[name] for name in sorted(topics))
SPLITS = ("train", "validation", "test")
SEEDS = (0, 1, 7, 1_000_000)


def spelled(task, tokens):
    return "".join(task.vocabulary()[i] for i in tokens.flatten().tolist())


def once(text):
    """The text without a paragraph that is in it before, found without the harness."""
    seen, kept = set(), []
    for part in re.split(r"(\n[^\S\n]*\n\s*)", text)[::2]:
        if part.strip() not in seen:
            kept.append(part)
        seen.add(part.strip())
    return kept


def write(folder: Path, text: str) -> Path:
    path = folder / "text"
    path.write_text(text, encoding="utf-8", newline="")
    return path


# ---------------------------------------------------------------- the manual


@pytest.mark.parametrize("seed", SEEDS)
def test_hardly_any_of_the_manuals_test_windows_stand_in_training(seed):
    """22 to 46 % did, where repeated paragraphs were kept and pages were cut through them."""
    task = CharLM(length=50)
    data = task.data(seed)
    train = data.train.sort().values.tolist()
    text, before = "", None
    for i in train:  # windows of one passage follow one another
        text += ("" if i - 1 == before and task.groups()[i] == task.groups()[i - 1] else "\0") + spelled(
            task, data.x[i]
        )
        before = i
    found = sum(spelled(task, data.x[i]) in text for i in data.test.tolist()) / len(data.test)
    assert 0.02 < found < 0.1
    assert share_of_repeated_text(data) == pytest.approx(found, abs=0.02)  # windows that begin elsewhere


def test_the_manual_is_its_paragraphs_each_once():
    task = CharLM(length=50)
    data, kept = task.data(0), once(MANUAL)
    assert len(kept) < 2100 < 2500 < len(re.split(r"\n[^\S\n]*\n", MANUAL))
    characters = sum(map(len, kept))
    assert characters < data.x.numel() * 1.05  # but for the ends of passages
    assert task.vocabulary() == "".join(sorted(set(MANUAL)))
    text = spelled(task, data.x)
    for paragraph in kept[::97]:
        middle = re.sub(r"^.{0,50}", "", paragraph, count=1)[:30]
        assert text.count(middle) >= 1 or len(middle) < 30
    digest = hashlib.sha256(MANUAL.encode()).hexdigest()
    assert task.fingerprint() != digest and len(task.fingerprint()) == len(digest)


@pytest.mark.parametrize("length", [1, 50, 333])
def test_targets_are_the_next_characters(length):
    task = CharLM(length=length)
    data = task.data(0)
    assert data.x.shape == data.y.shape and data.x.shape[1] == length and data.x.dtype == torch.int64
    assert torch.equal(data.x[:, 1:], data.y[:, :-1])
    passage = task.groups()
    follows = passage[1:] == passage[:-1]
    assert torch.equal(data.y[:-1, -1][follows], data.x[1:, 0][follows])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_paragraph_is_in_one_split(seed):
    task = CharLM(length=50)
    data = task.data(seed)
    passages = {name: set(task.groups()[getattr(data, name)].tolist()) for name in SPLITS}
    for one, other in itertools.combinations(SPLITS, 2):
        assert passages[one].isdisjoint(passages[other])
    assert (len(data.validation), len(data.test), len(data.train)) == (200, 400, len(task.data(0).train))
    texts = {name: "\0".join(spelled(task, data.x[i]) for i in getattr(data, name).tolist()) for name in SPLITS}
    whole = "\n\n".join(once(MANUAL))
    for paragraph in [p for p in once(MANUAL) if len(p) > 300][::11]:
        only_here = [probe for at in range(0, 250, 10) if whole.count(probe := paragraph[at : at + 30]) == 1]
        assert len({name for name in SPLITS for probe in only_here if probe in texts[name]}) <= 1


# ---------------------------------------------------------------- a user's text


def test_windows_by_hand(tmp_path):
    parts = [f"{letter * 9}{letter.upper()}\n\n" for letter in "abcdefghijklmnopqrst"]
    text = "".join([*parts[:5], parts[2], *parts[5:], parts[0]])
    task = CharLM(length=4, text=write(tmp_path, text), validation_size=7, test_size=7)
    assert task.problems() == []
    data = task.data(0)
    assert task.vocabulary() == "\nABCDEFGHIJKLMNOPQRSTabcdefghijklmnopqrst"
    passages = [one + other for one, other in zip(parts[::2], parts[1::2], strict=True)]  # a tenth of the text each
    assert [spelled(task, x) for x in data.x] == [p[4 * i : 4 * i + 4] for p in passages for i in range(5)]
    assert [spelled(task, y) for y in data.y] == [p[4 * i + 1 : 4 * i + 5] for p in passages for i in range(5)]
    assert task.groups().tolist() == [k for k in range(10) for _ in range(5)]
    assert task.sizes(data) == {"inputs": 41, "outputs": 41}
    assert task.fingerprint() == hashlib.sha256("".join(parts).encode()).hexdigest()
    (note,) = map(str, task.data_notes())
    assert note == "text: 2 paragraphs repeat earlier ones and are left out, 9.1 % of the text"
    assert (len(data.test), len(data.validation)) == (7, 7)  # two passages each, three windows left over
    assert len(data.train) == 50 - 10 - 7 - 4  # what every seed has


def test_paragraphs_that_differ_in_the_space_around_them_are_the_same(tmp_path):
    text = "".join(f"{i} is a number of many\r\n\r\n" for i in range(30)) + "3 is a number of many\n \n\n\n" + "31 too"
    task = CharLM(length=5, text=write(tmp_path, text), validation_size=3, test_size=3)
    assert spelled(task, task.data(0).x).count("3 is a number of many"[5:10]) <= 30
    assert len(task.data_notes()) == 1


def test_a_text_without_empty_lines_is_parted_at_lines_and_none_of_it_is_left_out(tmp_path):
    lines = [f"line {i} of a log\n" for i in range(2000)] + ["line 3 of a log\n"]
    task = CharLM(length=20, text=write(tmp_path, "".join(lines)), validation_size=30, test_size=30)
    assert task.problems() == [] and task.data_notes() == []
    data, starts = task.data(0), task.groups().diff(prepend=torch.tensor([-1])) != 0
    assert all(spelled(task, x).startswith("line ") for x in data.x[starts])
    assert len(data.x) * 20 > 0.97 * sum(map(len, lines))
    one_line = CharLM(length=20, text=write(tmp_path, "word " * 4000), validation_size=30, test_size=30)
    assert one_line.problems() == [] and int(one_line.groups().max()) == 19


ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80)


@given(text=ANY_TEXT, length=st.integers(1, 9))
def test_any_text_is_windows_of_itself_or_a_problem(tmp_path_factory, text, length):
    path = tmp_path_factory.mktemp("any") / "text"
    path.write_bytes(text.encode())
    task = CharLM(text=str(path), length=length, validation_size=1, test_size=1)
    if problems := task.problems():
        assert problems[0].path in ("length", "validation_size")
        assert len(text) < 20 * (length + 1) or re.search(r"\n\s*\n", text)
        return
    data = task.data(0)
    assert all(spelled(task, torch.cat([x, y[-1:]])) in text for x, y in zip(data.x, data.y, strict=True))
    groups = [set(task.groups()[getattr(data, name)].tolist()) for name in SPLITS]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(groups, 2))


# ---------------------------------------------------------------- what repeats is said


def pieces(text: str, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.tensor(list(text.encode()))
    n = (len(tokens) - 1) // length
    return tokens[: n * length].view(n, length), tokens[1 : n * length + 1].view(n, length)


def poem(lines: int, *, again: int = 0) -> str:
    generator = torch.Generator().manual_seed(0)
    words = ["".join(chr(97 + int(c)) for c in torch.randint(26, (6,), generator=generator)) for _ in range(9 * lines)]
    said = [" ".join(words[9 * i : 9 * i + 9]) + "\n" for i in range(lines)]
    return "".join(said + said[:again])


@pytest.mark.parametrize("again", [0, 300])
def test_the_overlap_of_any_text_is_measured_and_warned_of(again):
    x, y = pieces(poem(300, again=again), 25)
    task = Tensors(x, y, test_size=300)
    data = task.data(0)
    text, train, tested = bytes(x.flatten().tolist()).decode(), set(data.train.tolist()), sorted(data.test.tolist())
    runs = "".join(
        text[25 * i : 25 * i + 25] + ("" if i + 1 in train else text[25 * i + 25 : 25 * i + 26] + "\0")
        for i in sorted(train)
    )
    stretches, windows = [], []
    for i in tested:
        if stretches and stretches[-1][-1] == i - 1:
            stretches[-1].append(i)
        else:
            stretches.append([i])
    for stretch in stretches:
        piece = text[25 * stretch[0] : 25 * stretch[-1] + 26]
        windows += [piece[k : k + 50] for k in range(0, len(piece) - 49, 50)]
    expected = sum(window in runs for window in windows) / len(windows)
    assert share_of_repeated_text(data) == expected
    finding = data_checks.text(task)
    assert finding.level == ("warning" if expected > 0.1 else "ok") and (expected > 0.1) == bool(again)
    assert f"{expected:.0%} of the test text, in windows of 50 tokens, stand word for word" in finding.sentence
    study = Study(name="x", task=task, model=SimpleRNN(hidden=4, readout="every"), batch_size=4, steps=1)
    assert any("word for word" in note for note in study.notes) == bool(again)


@pytest.mark.parametrize(
    "task", [Images(), CopyMemory(), Tensors(torch.arange(400).view(200, 2), torch.arange(200) % 3)]
)
def test_what_is_no_text_has_no_overlap(task):
    assert share_of_repeated_text(task.data(0)) is None and data_checks.text(task).level == "ok"


def test_the_manual_passes_the_check_and_says_its_share():
    finding = data_checks.text(CharLM())
    assert finding.level == "ok" and re.match(r"[3-9] % of|[3-9]% of the test text", finding.sentence)
