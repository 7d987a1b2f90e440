"""The numbers that settings are: annotations that a component's fields are checked against."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class Hint:
    """In an annotation: what the user should know about a value that it refuses."""

    text: str


@dataclass(frozen=True)
class MayVanish:
    """In an annotation: a schedule may be 0 at some steps where a fixed value may not."""


@dataclass(frozen=True)
class TupleOnly:
    """In the annotation of a tuple that may stand for a number: a list is refused, since it could mean levels, too."""


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False), MayVanish()]


Bound = Annotated[float, Field(gt=0), Hint("inf means no bound")]


NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


Probability = Annotated[float, Field(ge=0, lt=1), Hint("p = 1 would drop everything")]


Fraction = Annotated[float, Field(ge=0, lt=1)]


Count = Annotated[int, Field(ge=1, le=10**9)]
