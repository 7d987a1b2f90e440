"""What the user of a study that can run should know of its data and models before it does."""

from collections.abc import Iterator
from typing import Any

from harness.clipping import ClippingRule
from harness.engine.measuring import one_way
from harness.engine.runs import build
from harness.engine.setup import Setup
from harness.models.model import Model
from harness.optimizers import Optimizer
from harness.settings import Note, show
from harness.settings.fields import misnamed
from harness.settings.metrics import DETAIL, not_comparable
from harness.settings.modules import class_with
from harness.settings.schedules import Schedule
from harness.settings.show import counted
from harness.study.batch_mates import MIXES, WAY_OUT, mixes_examples
from harness.study.experiment import Experiment
from harness.study.input_deviations import unlike_inputs
from harness.study.into_the_loss import loss_notes
from harness.study.out_of_reach import out_of_reach
from harness.study.replicates import NOISE_ALONE, what_seeds_share
from harness.study.scope import setups
from harness.study.statement import Estimated
from harness.study.target_kinds import BY_DIFFERENCES, knows_errors, own_methods, predicts_numbers
from harness.study.unmeasurable import unmeasurable
from harness.study.unregistered import WAY_OUT as REGISTER
from harness.study.unregistered import unregistered
from harness.tasks.doubts import doubts, trained_on_one_class
from harness.tasks.task import Task

FEW_EXAMPLES = 3
"""A difference of errors of fewer is a matter of single examples."""

ONE_WAY = (
    "is an iterator, which only goes on: what measuring takes from it training lacks, so that how often a run is evaluated changes "
    "how it trains; count in a number instead"
)

OF_THE_SEARCH = ("tune", "tune_trials", "tune_seeds", "sampler")
"""Settings that nothing asks for where nothing is tuned; by the objective the report advises all the same."""

NO_GUESS = (
    "has `losses` of its own and no `guess_losses`: what guessing costs is not known, so that of runs that fail only those are told "
    "whose loss or weights become non-finite, and none that collapsed"
)


def notes_beforehand(study: Experiment) -> list[Note]:
    """Each note once, whatever the number of cells.

    Args:
        study: that trains, see `trial_runs`.
    """
    lowest = {path: tune.low for path, tune in study.tunes().items()}
    setups = [study.setup(cell | lowest) for cell in study.cells()]
    found = [note for task in _pools([setup.task for setup in setups]) for note in _data_notes(study, task)]
    found += [note for setup in {setup.task: setup for setup in setups}.values() for note in _seed_notes(study, setup)]
    found += [Note("task", NO_GUESS) for setup in setups if not setup.task.can_guess()]
    found += [] if knows_errors(study) else [Note("task", f"what is recorded as an error is {BY_DIFFERENCES}")]
    found += [note for setup in setups for note in (*_schedule_notes(setup), *_misnamed_notes(setup))]
    found += [*_no_classes_notes(study), *_idle_notes(study, setups)]
    models = {
        (type(setup.task), _shape(setup.model), setup.differ, setup.precision): setup for setup in reversed(setups)
    }
    for setup in models.values():
        data = setup.task.data(0)
        if mixes_examples(setup, data):
            found.append(Note("model", f"{MIXES}; {WAY_OUT}"))
        module = build(setup, data, 0)
        found += [Note("model", f"its `{name}` {ONE_WAY}") for name in one_way(module)]
        if lost := unregistered(module):
            found.append(Note("model", f"{lost}; {REGISTER}"))
        found += [Note("model", said) for said in loss_notes(setup, data)]
        if setup.metrics.level == DETAIL[-1]:
            found += [Note("model", said) for said in unmeasurable(setup, data)]
        if setup.differ == "noise":
            found.append(Note("differ", f"{show(setup.differ)} {NOISE_ALONE}"))
        elif setup.differ == "all" and (shared := what_seeds_share(setup)):
            found.append(Note("model", shared))
    return list(dict.fromkeys([*found, *_claim_notes(study), *out_of_reach(study)]))


def _schedule_notes(setup: Setup) -> Iterator[Note]:
    """Which schedules, and which warm-up of a clipping rule, training ends before."""
    for path, part in setup.components():
        if isinstance(part, Schedule | ClippingRule) and (said := part.unreached(setup.steps)):
            yield Note(path, f"training ends with step {setup.steps:,}, {said}")


def _misnamed_notes(setup: Setup) -> Iterator[Note]:
    """Which names in a user's class nothing asks for, where there is one like it that is."""
    for path, part in setup.components():
        for name, meant in misnamed(type(part)):
            theirs = class_with(meant, type(part)).__name__
            yield Note(
                path,
                f"nothing asks for `{name}` of {type(part).__name__}, whose `{meant}` is that of {theirs}: rename it if it is to be that",
            )


def _idle_notes(study: Experiment, setups: list[Setup]) -> Iterator[Note]:
    """Which settings, other than they are by default, change nothing."""
    given = study.notable()
    if not study.tunes():
        for name in OF_THE_SEARCH:
            if name in given:
                yield Note(
                    name,
                    f"{show(given[name])} has no effect: nothing is tuned; a setting is where its value is a Tune(…)",
                )
    optimizers = [setup.optimizer for setup in setups]
    none = all(optimizer.values().get("weight_decay") == 0 for optimizer in optimizers)
    if none and "optimizer.weight_decay" not in study.tunes() and any(map(_limits_decay, optimizers)):
        yield Note("optimizer.decay", f"{show('weights')} has no effect: weight_decay is 0")
    fewest = min(setup.steps for setup in setups)
    if "evaluations" in given and study.evaluations > fewest:
        yield Note(
            "evaluations",
            f"{study.evaluations:,} are asked for; a run of {counted(fewest, 'step')} has {fewest:,}, one after each",
        )


def _limits_decay(optimizer: Optimizer) -> bool:
    """Whether its weight decay is to act on weights alone; the field of an optimizer with a formula of its own may be anything."""
    return optimizer.decoupled is not None and optimizer.values().get("decay") == "weights"


def _no_classes_notes(study: Experiment) -> Iterator[Note]:
    """Which metrics will be missing since outputs may be anything."""
    if predicts_numbers(study):
        return
    for method in sorted(own_methods(study)):
        if missing := [name for name, metric in study.metrics.metrics().items() if metric.of_classes == method]:
            said = f"has `{method}` of its own, by which outputs may be anything: no {' and no '.join(missing)}"
            yield Note("task", said)


def _claim_notes(study: Experiment) -> list[Note]:
    """Which claims compare what cannot be compared."""
    found = []
    for i, claim in enumerate(study.claims):
        if isinstance(claim, Estimated) and (said := not_comparable(claim.metric, claim.differing())):
            why = "it is relative to what dropout changes as well: the noise of a run's own loss, or the size of its gradients"
            found.append(Note(f"claims[{i}].metric", f"{claim.metric} is {said}: {why}"))
        if isinstance(claim, Estimated) and (said := _too_fine(study, claim)):
            found.append(Note(f"claims[{i}].smallest_effect", said))
    return found


def _too_fine(study: Experiment, claim: Estimated) -> str:
    """That δ is less than what few examples of a split make of an error, "" where it is not."""
    split = next(
        (name for name in ("test", "validation", "train") if claim.metric in (f"{name}_error", f"best_{name}_error")),
        "",
    )
    of_classes = "errors" not in own_methods(study) and not predicts_numbers(study)
    if not split or claim.above is not None or claim.smallest_effect == 0 or not of_classes:
        return ""
    examples = min(count[split] for setup in setups(study) for count in study.examples_of_seeds(setup))
    many = claim.smallest_effect * examples
    if many >= FEW_EXAMPLES:
        return ""
    return (
        f"δ = {claim.smallest_effect:g} is {many:.2g} of the {counted(examples, f'{split} example')}: a verdict holds for these very examples, "
        "and others could turn it"
    )


def _pools(tasks: list[Task]) -> list[Task]:
    """The first task with each set of examples to choose from."""
    first: dict[Any, Task] = {}
    for task in tasks:
        first.setdefault(_pool(task), task)
    return list(first.values())


def _pool(task: Task) -> tuple[Any, ...]:
    settings = ((name, show(value)) for name, value in task.values().items() if name not in task.choice_of_examples)
    return type(task), *settings


def _shape(model: Model) -> tuple[Any, ...]:
    """What a model is but for real numbers, which mix no examples."""
    return model.module, *(
        (name, show(value)) for name, value in model.values().items() if not isinstance(value, float)
    )


def _seed_notes(study: Experiment, setup: Setup) -> list[Note]:
    """That seeds of the confirm phase have data of which nothing can be learned."""
    doubt = trained_on_one_class(setup.task, [0] if setup.differ == "noise" else study.confirm_seeds())
    return [] if doubt is None else [Note("task", f"{doubt.sentence}; {doubt.way_out}")]


def _data_notes(study: Experiment, task: Task) -> list[Note]:
    data = task.data(0)
    seen = [Note("", f"{doubt.sentence}; {doubt.way_out}") for doubt in doubts(task, data)]
    said = unlike_inputs(data) if "noise_error" in study.metrics.metrics() else ""
    return [note.under("task") for note in task.data_notes() + seen] + ([Note("metrics", said)] if said else [])
