"""What is recorded of a launch of a study, so that its results can be understood, reported and verified again.

A study file may hold a password, as that of a database from which it reads its data: what is recorded does not.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.settings.credentials import holds_password, without_credentials
from harness.study import Study
from harness.study.origin import Origin

DOCUMENTS = ("study.py", "study.json", "changes.json", "plan.json", "environment.json")
"""What lies beside the tables so that their study can be built again as it was launched."""

LITERAL = re.compile(r"""(?P<quote>["'])(?P<body>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""")
"""Of a text, on one line of Python."""


@dataclass(frozen=True)
class Launch:
    """One launch.

    Attributes:
        params: its command line.
        documents: texts by file name.
        data: what it trains on: digest by what they are.
    """

    params: Mapping[str, object]
    documents: Mapping[str, str]
    data: Mapping[str, str]


def launch_of(study: Study, origin: Origin, *, plan: dict[str, object], environment: dict[str, str]) -> Launch:
    """A launch as it is recorded.

    Args:
        study: what is run.
        origin: what it was made from.
        plan: number of populations that train abreast, and the ways of groups of runs.
        environment: see `harness.ledger.environment`.
    """
    fingerprints = study.fingerprints()
    documents = {
        **source_of(origin),
        "study.json": json.dumps(_recordable(study.description()), indent=1, ensure_ascii=False),
        "plan.json": json.dumps(plan),
        "environment.json": json.dumps(_recordable(environment | fingerprints), indent=1, ensure_ascii=False),
    }
    params = {"study_file": str(origin.file or "made in Python"), **asdict(origin.changes)}
    data = {what.removeprefix("data of "): digest for what, digest in fingerprints.items()}
    return Launch(_recordable(params), documents, _recordable(data))


def source_of(origin: Origin) -> dict[str, str]:
    """The documents from which a study is built again, claims included."""
    text = {"study.py": recordable(origin.text)} if origin.file else {}
    return text | {"changes.json": json.dumps(_recordable(asdict(origin.changes)))}


def recordable(text: str) -> str:
    r"""A text as it may be kept: of lines that hold a password, without that; all others to the letter.

    >>> recordable("x = 'db://me:secret@host/x'\ny = 'db://host/@me'\nz = ['db://host/?password=secret', 'z']")
    "x = 'db://***@host/x'\ny = 'db://host/@me'\nz = ['db://host/?password=***', 'z']"
    """
    return "".join(_without_password(line) if holds_password(line) else line for line in text.splitlines(keepends=True))


def _without_password(line: str) -> str:
    """The line, still Python if it was: blanked within its literals first, or a password would be thought to take their ends."""

    def blanked(literal: re.Match[str]) -> str:
        quote, body = literal["quote"], literal["body"]
        return quote + (without_credentials(body) if holds_password(body) else body) + quote

    within = LITERAL.sub(blanked, line)
    return without_credentials(within) if holds_password(within.replace("=***", "")) else within


def _recordable(value: Any) -> Any:
    """The same for every text in what a JSON document holds."""
    match value:
        case str():
            return recordable(value)
        case dict():
            return {_recordable(name): _recordable(each) for name, each in value.items()}
        case list() | tuple():
            return type(value)(map(_recordable, value))
    return value
