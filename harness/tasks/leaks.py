"""Whether what is tested on was seen before the test: by other seeds, in training, or word for word in a text."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from harness.settings.show import counted
from harness.tasks.doubt import Doubt
from harness.tasks.task import Data, Task

FEW = 0.01
"""Share of examples that may occur in two splits before it is worth a warning."""

WINDOW = 50
"""Tokens, such as characters, of the windows that are looked for in a training text."""

ROWS = 4096
"""Examples whose bytes are looked at together."""

PHRASES = 0.1
"""Share of a test text's windows that may stand in the training text: ordinary phrases do."""


def changing_test(task: Task) -> Doubt | None:
    """Whether seeds are tested on different examples."""
    if task.fixes_test():
        return None
    sentence = "its test examples differ between seeds: a seed may be tested on what another one, or tuning, trained on"
    way_out = "draw them from stream(ALL_SEEDS, …) of harness.settings.randomness, unless each seed draws all anew"
    return Doubt(sentence, way_out)


def repeated_inputs(data: Data) -> Doubt | None:
    """Whether more than a few inputs of test or validation examples occur, to the bit, in training examples."""
    marks = _marks(data.x)
    known = torch.unique(marks[data.train])
    found = []
    for name, split in (("test", data.test), ("validation", data.validation)):
        twice = int(torch.isin(marks[split], known).sum())
        if twice > FEW * len(split):
            found.append(f"{twice} of {counted(len(split), f'{name} example')}")
    if not found:
        return None
    has = "has" if len(found) == 1 and found[0].startswith("1 ") else "have"
    sentence = f"{' and '.join(found)} {has} inputs that occur in training too"
    return Doubt(sentence, "remove duplicates before splitting, unless they are what new data look like")


def repeated_test(data: Data) -> Doubt | None:
    """Whether every test example, input and target, is there as often as every other one, and more than once."""
    x, y = data.tested()
    counts = torch.unique(torch.stack([_marks(x), _marks(y)], 1), dim=0, return_counts=True)[1]
    times = int(counts[0])
    if times < 2 or bool((counts != times).any()):
        return None
    return Doubt(f"each of {counted(len(counts), 'test example')} is there {times} times", "remove what is there again")


def _marks(x: Tensor) -> Tensor:
    """A number for each example, int64 (n,): the same for the same bytes, and for others almost surely another one."""
    rows = x.reshape(len(x), -1).contiguous()
    if rows.storage_offset() * rows.element_size() % 8:  # such as numbers after a header, which are no whole words
        rows = rows.clone()
    whole = rows.element_size() * rows.shape[1] % 8 == 0
    words = rows.view(torch.int64 if whole else torch.uint8)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(-(2**63), 2**63 - 1, words.shape[1:], generator=generator)
    return torch.cat([_mixed(part.long()).mul_(weights).sum(1) for part in torch.split(words, ROWS)])


def _mixed(words: Tensor) -> Tensor:
    """Each word, int64, mixed so that every bit of it changes the low ones, too (Steele et al. 2014, SplitMix)."""
    words = words * -0x61C8864680B583EB
    return (words ^ (words >> 32)) * -0x3B314601E57A13AD


def repeated_text(data: Data) -> Doubt | None:
    """Whether more of the test text than ordinary phrases stands in the training text."""
    share = share_of_repeated_text(data)
    if share is None or share <= PHRASES:
        return None
    return Doubt(
        f"{share:.0%} of the test text, in windows of {WINDOW} tokens, stand word for word in the training text",
        "remove what the text repeats, or test on another text",
    )


def share_of_repeated_text(data: Data) -> float | None:
    """Share of the test text's windows, of `WINDOW` tokens and one after another, that occur anywhere in the training text.

    A text is there where every example is a piece of one: inputs are tokens, and targets the tokens that follow each of
    them. Examples that follow one another in the data are read on from one to the next.

    Returns:
        None where the data are no text, or no stretch of it that is tested on is as long as a window.
    """
    x, y = data.x, data.y if data.clean is None else data.clean
    if x.is_floating_point() or x.shape != y.shape or x.dim() != 2 or x.shape[1] < 2 or bool((y < 0).any()):
        return None
    if not torch.equal(x[:, 1:], y[:, :-1]):
        return None
    windows = [s[i : i + WINDOW] for s in _stretches(x, y, data.test) for i in range(0, len(s) - WINDOW + 1, WINDOW)]
    if not windows:
        return None
    wanted = set(windows)
    found = {
        window
        for stretch in _stretches(x, y, data.train)
        for i in range(len(stretch) - WINDOW + 1)
        if (window := stretch[i : i + WINDOW]) in wanted
    }
    return sum(window in found for window in windows) / len(windows)


def _stretches(x: Tensor, y: Tensor, split: Tensor) -> Iterator[str]:
    """The text of a split, a character for each token: examples that follow one another in one piece."""
    examples = torch.unique(split)  # in order
    follows = (examples[1:] == examples[:-1] + 1) & (x[examples[1:], 0] == y[examples[:-1], -1])
    starts = [0, *((~follows).nonzero()[:, 0] + 1).tolist()]
    for first, end in zip(starts, [*starts[1:], len(examples)], strict=True):
        inside = examples[first:end]
        yield _spelled(torch.cat([x[inside].flatten(), y[inside[-1], -1:]]))


def _spelled(tokens: Tensor) -> str:
    """Different characters for different tokens, surrogates left out."""
    codes = tokens.numpy()
    return np.where(codes < 0xD800, codes, codes + 0x800).astype("<u4").tobytes().decode("utf-32-le")
