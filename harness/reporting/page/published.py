"""Published numbers beside ours."""

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.inference.description import of_means
from harness.inference.published import ours
from harness.reporting.page.content import Captioned, Table
from harness.reporting.page.words import bracketed, levels_in_words, merged
from harness.settings import Sweep
from harness.study.published import Published

CAPTION = (
    "What others have published, and what our runs gave for the same: medians over the n seeds that have a value in every cell, {of_means} "
    "means, with exact 95 % intervals. "
    "Nothing was tuned until they agree; where the protocol differs, so may the numbers."
)
NO_SEED = "none: no seed has a value in every cell"
HEAD = ("measured", "published", "ours", "n", "ours is", "source", "what differs")


def beside_published(
    runs: pd.DataFrame, published: Sequence[Published], sweeps: Mapping[str, Sweep], combinations: int = 1
) -> list[Captioned]:
    """A table of them; nothing where there are none.

    Args:
        runs: one row per run, of all phases.
        published: of the study.
        sweeps: its swept factors.
        combinations: of tuned values that a cell confirms for a seed, at most.
    """
    if not published:
        return []
    confirm = runs[runs["phase"] == "confirm"]
    rows = []
    for each in published:
        found, n = ours(confirm, each, sweeps)
        rows.append(
            [
                each.title,
                each.theirs,
                bracketed(*found) if n else NO_SEED,
                str(n),
                _which(each),
                each.source,
                each.differs or "–",
            ]
        )
    caption = CAPTION.format(of_means=of_means(each.metric for each in published))
    return [Captioned(caption + merged(combinations, "a seed counts once, with their mean"), Table(HEAD, rows))]


def _which(each: Published) -> str:
    """What our number is, in words."""
    where = levels_in_words(each.at)
    return f"{each.metric}, {where}" + ("" if each.less is None else f", less that of {levels_in_words(each.less)}")
