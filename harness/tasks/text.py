"""Text: `CharLM`, the prediction of the next character."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.settings import Count
from harness.tasks.pooled import File, Pooled, find, read, unusable
from harness.tasks.task import Data

PAGE = 1000
"""Characters that stay in one split: splits are not interleaved word by word, yet each draws on the whole text."""


class CharLM(Pooled):
    """Predict every next character of a text (Graves 2013, arXiv:1308.0850, section 3).

    The text is cut into windows of `length` characters that do not overlap; x (windows, length) holds their characters
    as int64 tokens, y (windows, length) the characters that follow each of them. The vocabulary is the sorted set of
    the text's characters. Seeds assign whole pages of the text (`PAGE` characters) to the splits; only the last page of
    a split may be torn.

    Args:
        length: characters per window.
        text: a UTF-8 file; None is the prose of Python's own manual, `pydoc_data.topics`, about 465,000 characters of
            some 100 kinds, which differs a little between Python versions (see `fingerprint`).
        validation_size: windows.
        test_size: windows.
        train_size: windows; None is all the others.
    """

    length: Count = 50
    text: str | Path | None = None
    validation_size: Count = 200
    test_size: Count = 400
    train_size: Count | None = None

    def pool(self) -> tuple[Tensor, Tensor]:
        """Tokens x and y, both (windows, length)."""
        return _windows(self._file(), self.length)

    def block(self) -> int:
        """Windows per page."""
        return max(PAGE // self.length, 1)

    def fingerprint(self) -> str:
        """SHA-256 of the text in UTF-8."""
        return _corpus(self._file()).sha256

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
    tokens: Tensor  # int64 (characters,)
    vocabulary: str
    sha256: str


@lru_cache(maxsize=4)
def _corpus(file: File | None) -> _Corpus:
    raw = _manual() if file is None else read(file, "text")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unusable("text", f"must be UTF-8, but is not at byte {error.start}", file.path if file else "") from None
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    kinds, tokens = np.unique(codes, return_inverse=True)
    return _Corpus(torch.from_numpy(tokens), "".join(map(chr, kinds)), hashlib.sha256(raw).hexdigest())


@lru_cache(maxsize=16)
def _windows(file: File | None, length: int) -> tuple[Tensor, Tensor]:
    tokens = _corpus(file).tokens
    n = (len(tokens) - 1) // length
    if not n:
        raise unusable("length", f"must be less than the {len(tokens)} characters of the text", str(length))
    return tokens[: n * length].view(n, length), tokens[1 : n * length + 1].view(n, length)


def _manual() -> bytes:
    from pydoc_data.topics import topics  # here: half a megabyte that other tasks do not need

    return "".join(topics[name] for name in sorted(topics)).encode("utf-8")
