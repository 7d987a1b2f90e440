"""What is recorded of a launch of a study, so that its results can be understood, reported and verified again."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.study import Study
from harness.study.load import Changes

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


def launch_of(
    study: Study, study_file: Path, changes: Changes, *, plan: dict[str, int], environment: dict[str, str]
) -> Launch:
    """A launch as it is recorded.

    Args:
        study: what is run.
        study_file: what it was made from.
        changes: likewise, by the command line.
        plan: width and number of populations that train abreast.
        environment: see `harness.ledger.environment`.
    """
    command_line = asdict(changes)
    documents = {
        "study.py": importlib.util.decode_source(study_file.read_bytes()),
        "study.json": json.dumps(study.description(), indent=1, ensure_ascii=False),
        "changes.json": json.dumps(command_line),
        "plan.json": json.dumps(plan),
        "environment.json": json.dumps(environment | study.fingerprints(), indent=1, ensure_ascii=False),
    }
    return Launch({"study_file": str(study_file), **command_line}, documents)
