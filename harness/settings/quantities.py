"""The numbers that settings are: annotations that a component's fields are checked against."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class Hint:
    """In an annotation: what the user should know about a value that it refuses."""

    text: str


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Bound = Annotated[float, Field(gt=0), Hint("inf means no bound")]


NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


Probability = Annotated[float, Field(ge=0, lt=1), Hint("p = 1 would drop everything")]


Fraction = Annotated[float, Field(ge=0, lt=1)]


Count = Annotated[int, Field(ge=1, le=10**9)]
