"""What is recorded of a launch of a study, so that its results can be understood, reported and verified again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

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
        **({"study.py": origin.text} if origin.file else {}),
        "study.json": json.dumps(study.description(), indent=1, ensure_ascii=False),
        "changes.json": json.dumps(changes),
        "plan.json": json.dumps(plan),
        "environment.json": json.dumps(environment | study.fingerprints(), indent=1, ensure_ascii=False),
    }
    return Launch({"study_file": str(origin.file or "made in Python"), **changes}, documents)
