"""Text: `CharLM`, the prediction of the next character."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from harness.settings import Count, Note
from harness.settings.show import counted
from harness.tasks.loaded import loader
from harness.tasks.paragraphs import different, paragraphs, parted, passages
from harness.tasks.pooled import File, Pooled, find, read, unusable
from harness.tasks.task import Data


class CharLM(Pooled):
    """Predict every next character of a text (Graves 2013, arXiv:1308.0850, section 3).

    A paragraph (what stands between empty lines) that stands in the text before is left out, or a network would be tested
    on what it was trained on; a note says how many are. What is left is parted into passages of whole paragraphs, and each
    passage into windows of `length` characters that do not overlap, but for a rest at its end. x (windows, length) holds
    their characters as int64 tokens, y (windows, length) the characters that follow each of them. The vocabulary is the
    sorted set of the text's characters. All of a passage is in one split, and no window reaches into another passage. Where
    a paragraph is longer than a tenth of the text, its lines stand for paragraphs, or parts of them (`tasks.paragraphs`).

    Args:
        length: characters per window.
        text: a UTF-8 file; None is the prose of Python's own manual, `pydoc_data.topics`, about 374,000 characters without
            what repeats, of some 100 kinds; it differs a little between Python versions (see `fingerprint`).
        validation_size: windows.
        test_size: windows.
        train_size: windows; None is all that every seed can train on: up to a passage is left over.
    """

    length: Count = 50
    text: str | Path | None = None
    validation_size: Count = 200
    test_size: Count = 400
    train_size: Count | None = None

    word_for_group: ClassVar[str] = "passage"

    def pool(self) -> tuple[Tensor, Tensor]:
        """Tokens x and y, both (windows, length)."""
        windows = _windows(self._file(), self.length)
        return windows.x, windows.y

    def groups(self) -> Tensor:
        """The passage of each window."""
        return _windows(self._file(), self.length).passage

    def fingerprint(self) -> str:
        """SHA-256 of the text in UTF-8, without paragraphs that repeat others."""
        return _corpus(self._file()).sha256

    def data_notes(self) -> list[Note]:
        """How many paragraphs of a user's text are left out, since they repeat others."""
        corpus = _corpus(self._file())
        if self.text is None or not corpus.repeated:
            return []
        said = counted(
            corpus.repeated, "paragraph repeats an earlier one and is", "paragraphs repeat earlier ones and are"
        )
        return [Note("text", f"{said} left out, {corpus.repeated_share:.2g} % of the text")]

    def vocabulary(self) -> str:
        """The characters of the text; token i is character i."""
        return _corpus(self._file()).vocabulary

    def sizes(self, data: Data) -> dict[str, int]:
        """Characters of the vocabulary, as `inputs` and as `outputs`."""
        return dict.fromkeys(("inputs", "outputs"), len(self.vocabulary()))

    def _file(self) -> File | None:
        return None if self.text is None else find(str(self.text), "text")


@dataclass(frozen=True)
class _Corpus:
    """A text without repeated paragraphs: the tokens of each paragraph, and what was left out."""

    paragraphs: tuple[Tensor, ...]  # int64 (characters,) each
    vocabulary: str
    sha256: str
    repeated: int
    repeated_share: float  # of characters, in percent


@dataclass(frozen=True)
class _Windows:
    """Tokens x and y (windows, length), and the number of the passage of each, (windows,)."""

    x: Tensor
    y: Tensor
    passage: Tensor


@loader(most=4)
def _corpus(file: File | None) -> _Corpus:
    raw = _manual() if file is None else read(file, "text")
    try:
        text = raw.decode("utf-8-sig")  # without the mark that some editors put first
    except UnicodeDecodeError as error:
        raise unusable("text", f"must be UTF-8, but is not at byte {error.start}", file.path if file else "") from None
    every = paragraphs(text)
    kept = different(every)
    rest = "".join(kept)
    kinds, tokens = np.unique(np.frombuffer(rest.encode("utf-32-le"), dtype="<u4"), return_inverse=True)
    parts = torch.split(torch.from_numpy(tokens), [len(paragraph) for paragraph in parted(kept)])
    share = 100 * (1 - len(rest) / len(text))
    digest = hashlib.sha256(rest.encode()).hexdigest()
    return _Corpus(tuple(parts), "".join(map(chr, kinds)), digest, len(every) - len(kept), share)


@loader(most=16)
def _windows(file: File | None, length: int) -> _Windows:
    corpus = _corpus(file)
    found = passages([len(paragraph) for paragraph in corpus.paragraphs], length + 1)
    if not found:
        characters = sum(map(len, corpus.paragraphs))
        raise unusable("length", f"must be less than the {characters} characters of the text", str(length))
    x, y, passage = [], [], []
    for number, (first, end) in enumerate(found):
        tokens = torch.cat(corpus.paragraphs[first:end])
        n = (len(tokens) - 1) // length
        x.append(tokens[: n * length].view(n, length))
        y.append(tokens[1 : n * length + 1].view(n, length))
        passage.append(torch.full((n,), number))
    return _Windows(torch.cat(x), torch.cat(y), torch.cat(passage))


def _manual() -> bytes:
    from pydoc_data.topics import topics  # here: half a megabyte that other tasks do not need

    return "".join(topics[name] for name in sorted(topics)).encode("utf-8")
