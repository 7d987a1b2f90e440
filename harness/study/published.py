"""`Published`: a number that somebody published, to stand beside ours in the report. It decides nothing."""

from harness.study.contrasts import Levels
from harness.study.statement import Statement


class Published(Statement):
    """What a paper reports, and which number of the study stands beside it.

    Ours is described over seeds: in each the mean of the metric over the cells that `at` names, less that over those that
    `less` names, if it is given. Where a cell confirms several combinations of tuned values it has the mean of these.

    Args:
        title: what was measured, in words.
        metric: name of our per-run metric.
        theirs: the published number, as text.
        source: where it stands: authors, year, table or figure.
        at: levels of swept factors by factor path; cells of all levels of the others are averaged over.
        less: likewise, the cells that are subtracted.
        differs: what of the protocol differs: data, size, length, search.
    """

    title: str
    metric: str
    theirs: str
    source: str
    at: Levels
    less: Levels | None = None
    differs: str = ""

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`."""
        return [("at", self.at)] + ([] if self.less is None else [("less", self.less)])
