"""What of a study stays as it was when it was begun, whoever goes on with it: the device, how runs are put together, a widened range."""

from dataclasses import asdict, replace
from functools import partial

from harness.engine.planning import plan
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution.placement import Placement
from harness.lead.leader import Planner
from harness.lead.options import Options
from harness.ledger.design import Design
from harness.ledger.spaces import WIDEN
from harness.settings import InvalidStudy, Problem
from harness.settings.patience import Patience
from harness.study import Study
from harness.study.origin import Origin
from harness.study.widening import widening_problems

DEVICE_KIND = "device_kind"
"""Kept with a study: the kind of device it was begun on."""


def still_widened(design: Design, study: Study, origin: Origin, options: Options) -> tuple[Study, Origin]:
    """The study as it is kept, which stays widened once it is, and what it was made from so; says where that is not asked for."""
    if design.study.widen and not study.widen:
        options.note(["the study was launched with --widen before and stays so; `harness forget` begins it anew"])
        return design.study, replace(origin, changes=replace(origin.changes, widen=True))
    if not study.widen and design.kept(WIDEN, False):
        why = "; ".join(problem.message for problem in widening_problems(study))
        options.note([f"the study was launched with --widen before, which now is left out: {why}"])
    return study, origin


def keep_kind(design: Design, placement: Placement, options: Options) -> None:
    """Go on with the kind of device that the study was begun with.

    Raises:
        InvalidStudy: this is another one.
    """
    check_kind(design.remembered(DEVICE_KIND, lambda: placement.kind), placement, options)


def check_kind(begun_on: str, placement: Placement, options: Options) -> None:
    """Raises `InvalidStudy` on another kind of device: it draws other noise under the same seeds."""
    if begun_on != placement.kind:
        message = (
            f"the study was begun on {begun_on}, and on {placement.kind} the same seeds draw other dropout noise; go on with "
            f"{begun_on}, or forget it with `harness forget` and start anew"
        )
        option, got = ("--devices", options.devices) if options.ray is None else ("--ray", options.ray)
        raise InvalidStudy([Problem(option, message, got)])


def planner(design: Design, placement: Placement, patiently: Patience) -> Planner:
    """How runs are put together: as when the study was begun, in the ways that were found then; it waits for a storage that is away."""
    abreast = design.remembered("abreast", lambda: len(placement.places))

    def way_of(name: str, runs: list[Run]) -> Way:
        size = len(runs).bit_length()  # a study that was begun with one seed may have many now
        key = f"way {name} {size}"
        return Way(**patiently(partial(design.remembered, key, lambda: asdict(known_or_examined(name, runs)))))

    def known_or_examined(name: str, runs: list[Run]) -> Way:
        return placement.ways[name] if name in placement.ways else placement.examine({name: runs})[name]

    return partial(plan, way_of=way_of, abreast=abreast)


def described(placement: Placement) -> dict[str, object]:
    """The plan as it is kept with the records."""
    return {"abreast": len(placement.places), "ways": {name: asdict(way) for name, way in placement.ways.items()}}
