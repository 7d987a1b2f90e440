"""A text in paragraphs, and paragraphs in passages: what stays together when a text is split."""

import re
from collections.abc import Sequence

PAGE = 1000
"""Characters of a passage, at least, where the text is long enough: ten passages or more."""

FEWEST = 10
"""Parts that a text has at least: a longer paragraph is parted."""

_EMPTY_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")

_END_OF_LINE = re.compile(r"\n")


def paragraphs(text: str) -> list[str]:
    r"""The text's paragraphs in order, which together are the text: each up to the empty lines after it, these included.

    >>> paragraphs("one\n\ntwo\n \n\nthree")
    ['one\n\n', 'two\n \n\n', 'three']
    """
    return _cut(text, _EMPTY_LINES)


def different(paragraphs: Sequence[str]) -> list[str]:
    r"""The first of all paragraphs that are the same but for space around them, in order.

    >>> different(["one\n\n", "two\n", "one"])
    ['one\n\n', 'two\n']
    """
    first: dict[str, str] = {}
    for paragraph in paragraphs:
        first.setdefault(paragraph.strip(), paragraph)
    return list(first.values())


def parted(paragraphs: Sequence[str]) -> list[str]:
    r"""The paragraphs, those that are longer than a tenth of the text in parts, so that each split gets some of it.

    They are parted at ends of lines, and lines as long anywhere.

    >>> parted(["one\ntwo\n", "three"])
    ['o', 'n', 'e', '\n', 't', 'w', 'o', '\n', 't', 'h', 'r', 'e', 'e']
    >>> parted([30 * "long\n" + "\n", *(f"{i}\n\n" for i in range(100))])[29:32]
    ['long\n', '\n', '0\n\n']
    """
    characters = sum(map(len, paragraphs))
    found = []
    for paragraph in paragraphs:
        if FEWEST * len(paragraph) <= characters:
            found.append(paragraph)
            continue
        for line in _cut(paragraph, _END_OF_LINE):
            size = len(line) if FEWEST * len(line) <= characters else _page(characters)
            found += [line[i : i + size] for i in range(0, len(line), size)]
    return found


def passages(lengths: Sequence[int], least: int) -> list[tuple[int, int]]:
    """Consecutive paragraphs as passages, [first, end) each; none where all together are too short for one.

    Args:
        lengths: of the paragraphs, in characters.
        least: characters that a passage must have.

    >>> passages([600, 300, 200, 8000, 900, 500], 51)
    [(0, 3), (3, 4), (4, 6)]
    """
    page = max(least, _page(sum(lengths)))
    found, first, size = [], 0, 0
    for i, length in enumerate(lengths):
        size += length
        if size >= page:
            found.append((first, i + 1))
            first, size = i + 1, 0
    if found and first < len(lengths):  # too short for a passage of its own
        found[-1] = (found[-1][0], len(lengths))
    return found


def _page(characters: int) -> int:
    return max(1, min(PAGE, characters // FEWEST))


def _cut(text: str, end: re.Pattern[str]) -> list[str]:
    """The parts of a text, each up to a match, which is its end."""
    ends = [match.end() for match in end.finditer(text)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if a < b]
