"""What is recorded of a launch of a study, so that its results can be understood, reported and verified again.

A study file may hold a password, as that of a database from which it reads its data: what is recorded does not.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.settings.credentials import holds_password, without_credentials
from harness.study import Study
from harness.study.origin import Origin

DOCUMENTS = ("study.py", "study.json", "changes.json", "plan.json", "environment.json")
"""What lies beside the tables so that their study can be built again as it was launched."""


@dataclass(frozen=True)
class Launch:
    """One launch.

    Attributes:
        params: its command line.
        documents: texts by file name.
    """

    params: Mapping[str, object]
    documents: Mapping[str, str]


def launch_of(study: Study, origin: Origin, *, plan: dict[str, int], environment: dict[str, str]) -> Launch:
    """A launch as it is recorded.

    Args:
        study: what is run.
        origin: what it was made from.
        plan: width and number of populations that train abreast.
        environment: see `harness.ledger.environment`.
    """
    changes = asdict(origin.changes)
    documents = {
        **({"study.py": recordable(origin.text)} if origin.file else {}),
        "study.json": json.dumps(_recordable(study.description()), indent=1, ensure_ascii=False),
        "changes.json": json.dumps(_recordable(changes)),
        "plan.json": json.dumps(plan),
        "environment.json": json.dumps(_recordable(environment | study.fingerprints()), indent=1, ensure_ascii=False),
    }
    return Launch(_recordable({"study_file": str(origin.file or "made in Python"), **changes}), documents)


def recordable(text: str) -> str:
    r"""A text as it may be kept: of lines that hold a password, without that; all others to the letter.

    >>> recordable("x = 'db://me:secret@host/x'\ny = 'db://host/@me'")
    "x = 'db://***@host/x'\ny = 'db://host/@me'"
    """
    lines = text.splitlines(keepends=True)
    return "".join(without_credentials(line) if holds_password(line) else line for line in lines)


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
