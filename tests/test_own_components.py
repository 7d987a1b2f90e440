"""A user's own clipping rules and optimizers: a row is all parameters and nothing else, and no run's numbers are another's."""

import copy
from functools import cached_property

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness import Model, Study
from harness.clipping import AGC, ClippingRule, GlobalNorm, Gradient
from harness.engine import training
from harness.engine.members import Members
from harness.engine.obstacles import Unbatchable
from harness.engine.plain_member import PlainMember
from harness.engine.population import Population
from harness.engine.proof import obstacle
from harness.engine.runs import Run, examples
from harness.engine.setup import Setup
from harness.engine.step import Stepper
from harness.engine.train import train
from harness.execution.examination import examine
from harness.execution.jobs import sent
from harness.ledger.trial_runs import sample_runs
from harness.optimizers import SGD, Adam, Optimizer
from harness.settings import Count, Fraction, InvalidStudy, LearningRate, NonNegative, Note, Positive, Problem
from harness.settings.schedules import Linear
from harness.study.trial_run import trial_run
from harness.tasks import Tensors

CPU = torch.device("cpu")
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(60, 6, generator=GENERATOR)
TASK = Tensors(X, (X[:, 0] > 0).long())


class Net(nn.Module):
    """58 parameters, none of whose tensors fills a multiple of 64 bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return found


class Rms(Optimizer):
    """Steps of one size: by the gradient over its root mean square."""

    lr: LearningRate = 0.01

    def coefficients(self, step: Tensor, *, lr: Tensor) -> dict[str, Tensor]:
        return {"minus_lr": -lr}

    def update(self, parameters: Tensor, gradient: Tensor, *, minus_lr: Tensor) -> None:
        parameters.addcmul_(gradient / gradient.square().mean(1, keepdim=True).sqrt(), minus_lr)


class Quantile(ClippingRule):
    """Bounds every entry by a quantile of their sizes."""

    q: Fraction = 0.5

    def clip(self, gradient: Gradient, *, q: Tensor) -> Tensor:
        bound = torch.stack([row.quantile(level) for row, level in zip(gradient.flat.abs(), q[:, 0], strict=True)])
        gradient.flat.copy_(torch.maximum(torch.minimum(gradient.flat, bound[:, None]), -bound[:, None]))
        return torch.ones_like(q)


def run_of(seed: int, **settings: object) -> Run:
    return Run(seed, seed, Setup(batch_size=8, steps=20, **({"task": TASK, "model": Model(Net)} | settings)))  # type: ignore[arg-type]


def steps(members: Members, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The weights after some steps, (member, parameters), by the names' order."""
    stepper = Stepper(members.runs, members)
    for x, y in batches:
        stepper.step(x.clone(), y)
    return torch.cat([view.flatten(1) for view in members.views(members.parameters).values()], 1).detach()


def by_hand(module: nn.Module, batches: list[tuple[Tensor, Tensor]], q: float, lr: float) -> Tensor:
    """The same of one run, over `module.parameters()`."""
    for x, y in batches:
        gradients = torch.autograd.grad(F.cross_entropy(module(x), y), list(module.parameters()))
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        bound = flat.abs().quantile(q)
        flat = flat.clamp(-bound, bound)
        change = -lr * flat / flat.square().mean().sqrt()
        with torch.no_grad():
            for parameter, part in zip(
                module.parameters(), change.split([p.numel() for p in module.parameters()]), strict=True
            ):
                parameter += part.view_as(parameter)
    return torch.cat([parameter.flatten() for parameter in module.parameters()]).detach()


def test_a_row_is_all_parameters_and_nothing_else() -> None:
    settings = [(0.5, 0.01), (0.9, 0.03)]
    runs = [run_of(seed, clipping=Quantile(q), optimizer=Rms(lr)) for seed, (q, lr) in enumerate(settings)]
    data = examples(runs)
    drawn = [torch.randint(0, 60, (2, 8), generator=GENERATOR) for _ in range(10)]
    batches = [(X[rows].double(), data[0].y[rows]) for rows in drawn]
    together = steps(Population(runs, data, device=CPU, dtype=torch.float64), batches)
    for member, (run, (q, lr)) in enumerate(zip(runs, settings, strict=True)):
        alone = PlainMember(run, data[member], device=CPU, dtype=torch.float64)
        module = copy.deepcopy(alone.template)
        own = [(x[member], y[member]) for x, y in batches]
        truth = by_hand(module, own, q, lr)
        torch.testing.assert_close(together[member], truth, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(steps(alone, [(x[None], y[None]) for x, y in own])[0], truth, rtol=1e-9, atol=1e-12)


class Pulled(Optimizer):
    """Does something more where it is given a decay."""

    lr: LearningRate = 0.1
    weight_decay: NonNegative = 0.0

    def coefficients(self, step: Tensor, *, lr: Tensor, weight_decay: Tensor | None) -> dict[str, Tensor | None]:
        return {"minus_lr": -lr, "weight_decay": weight_decay}

    def update(self, parameters: Tensor, gradient: Tensor, *, minus_lr: Tensor, weight_decay: Tensor | None) -> None:
        if weight_decay is not None:
            gradient.add_(0.5 + weight_decay * parameters)
        parameters.addcmul_(gradient, minus_lr)


@pytest.mark.parametrize("other", [0.0, 0.1])
def test_what_a_companion_has_of_a_setting_is_nothing_to_a_member(other: float) -> None:
    runs = [run_of(seed, optimizer=Pulled(0.1, decay)) for seed, decay in enumerate([0.0, other])]
    data = examples(runs)
    x, y = X[:16].double().view(2, 8, 6), data[0].y[:16].view(2, 8)
    together = steps(Population(runs, data, device=CPU, dtype=torch.float64), [(x, y)])
    alone = steps(PlainMember(runs[0], data[0], device=CPU, dtype=torch.float64), [(x[:1], y[:1])])
    torch.testing.assert_close(together[:1], alone, rtol=1e-9, atol=1e-12)


class Late(ClippingRule):
    """Clips after some steps."""

    bound: Positive = 0.1
    after: Count = 5

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        return [zeros.clone()]

    def clip(self, gradient: Gradient, count: Tensor, *, bound: Tensor, after: Tensor) -> Tensor:
        count += 1
        over = (count > self.after) & (gradient.norm > bound)
        gradient.scale(torch.where(over, bound / gradient.norm, torch.ones_like(bound)))
        return over


class AllLate(Late):
    """After some steps all are scaled if all are long."""

    def clip(self, gradient: Gradient, count: Tensor, *, bound: Tensor, after: Tensor) -> Tensor:
        count += 1
        long = (count > after) & (gradient.norm > bound)
        if torch.equal(long, count > 0):
            gradient.scale(bound / gradient.norm)
        return long


class Spike(ClippingRule):
    """Scales what is larger than usual."""

    factor: Positive = 2.0

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        return [zeros.clone()]

    def clip(self, gradient: Gradient, mean: Tensor, *, factor: Tensor) -> Tensor:
        hit = gradient.norm > factor * mean
        if hit.any():
            gradient.scale(torch.full_like(mean, 0.1))
        mean.add_((gradient.norm - mean) / 2)
        return hit


class Lookahead(SGD):
    """Reads its rate off itself."""

    def update(self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor | None) -> None:
        parameters.sub_(self.lr * gradient)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("settings", "why"),
    [([{"clipping": Late(after=5)}, {"clipping": Late(after=50)}], "Late reads `self.after`, which differs between runs"),
     ([{"clipping": Spike(1.3)}, {"clipping": Spike(1.6)}], "Spike reads values of a tensor"),
     ([{"optimizer": Lookahead(0.1)}, {"optimizer": Lookahead(0.2)}], "Lookahead reads `self.lr`"),
     ([{"clipping": AllLate(0.1)}, {"clipping": AllLate(0.9)}], "AllLate reads values of a tensor"),
     ([{"clipping": Late(after=5)}, {"clipping": Late(bound=0.2)}], "")],
)  # fmt: skip
def test_what_decides_for_all_by_one_run_trains_each_alone(settings: list[dict[str, object]], why: str) -> None:
    found = obstacle([run_of(seed, **own) for seed, own in enumerate(settings)], CPU)
    assert why in found and bool(why) == bool(found)


class Jitters(ClippingRule):
    """Scales by what it draws."""

    bound: Positive = 0.3

    def clip(self, gradient: Gradient, *, bound: Tensor) -> Tensor:
        gradient.scale(torch.rand_like(bound))
        return torch.ones_like(bound, dtype=torch.bool)


class Noisy(Rms):
    """Adds what NumPy draws."""

    def update(self, parameters: Tensor, gradient: Tensor, *, minus_lr: Tensor) -> None:
        super().update(parameters, gradient, minus_lr=minus_lr)
        parameters.add_(1e-3 * np.random.rand())


class Drawing(Tensors):
    """Weights examples by what is drawn.

    Args:
        by: which library.
    """

    by: str = "torch"

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        found = super().losses(output, target)
        return found * (torch.rand_like(found) if self.by == "torch" else np.random.rand())


class Peeking(Tensors):
    """Reads a loss."""

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        found = super().losses(output, target)
        return found * float(found.mean() > 0)


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"clipping": Jitters()}, "Jitters draws random numbers itself"),
     ({"optimizer": Noisy()}, "Noisy draws random numbers itself"),
     ({"clipping": Quantile(), "optimizer": Noisy()}, "Quantile or Noisy draws random numbers itself"),
     ({"task": Drawing(X, TASK.y)}, "`losses` of Drawing draws random numbers itself; those"),
     ({"task": Drawing(X, TASK.y, by="numpy")}, "its forward pass or `losses` of Drawing draws random numbers itself"),
     ({"task": Peeking(X, TASK.y)}, "`losses` of Peeking reads values of a tensor (`.item()`")],
)  # fmt: skip
def test_what_cannot_be_batched_is_named(settings: dict[str, object], why: str) -> None:
    assert obstacle([run_of(seed, **settings) for seed in (0, 1)], CPU).startswith(why)


class Remembers(ClippingRule):
    """Bounds by how many gradients the class has seen."""

    bound: Positive = 0.3
    seen: list[float] = []

    def clip(self, gradient: Gradient, *, bound: Tensor) -> Tensor:
        Remembers.seen.append(float(gradient.norm.mean()))
        gradient.scale((bound / gradient.norm).clamp(max=1.0 / len(Remembers.seen)))
        return torch.ones_like(bound)


COUNT = {"steps": 0}


class Counts(Net):
    """Acts by a counter of the file after thirty steps."""

    def forward(self, x: Tensor) -> Tensor:
        COUNT["steps"] += self.training
        return super().forward(x) * (1 if COUNT["steps"] < 30 else 0.5)


KEPT: dict[str, Tensor] = {}


class Caches(Net):
    """Keeps in the file what is the same for all, once."""

    def forward(self, x: Tensor) -> Tensor:
        KEPT.setdefault("scale", torch.ones(6))
        return super().forward(x * KEPT["scale"])


OUTLIVES = "{} changes with every step of a run and goes on into the next one"


def tried(**settings: object) -> list[Problem]:
    return trial_run(run_of(0, **settings).setup)


def test_a_rule_that_remembers_other_runs_is_refused_by_the_name_of_what_it_keeps() -> None:
    [problem] = tried(clipping=Remembers())
    assert not isinstance(problem, Note) and OUTLIVES.format("Remembers") in problem.message.replace(
        "test_own_components.", ""
    )


def test_what_outlives_a_run_is_said_whenever_it_acts() -> None:
    [note] = tried(model=Model(Counts))
    assert isinstance(note, Note) and OUTLIVES.format("COUNT") in note.message.replace("test_own_components.", "")
    assert tried(model=Model(Caches)) == tried() == []


class Fails(Tensors):
    """Fails at a batch.

    Args:
        at: which batch fails, counted from 1.
    """

    at: Count = 1

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        COUNT["losses"] = COUNT.get("losses", 0) + 1
        if COUNT["losses"] >= self.at:
            raise RuntimeError("boom")
        return super().losses(output, target)


class Breaks(Rms):
    """Takes a few steps."""

    after: Count = 1

    def coefficients(self, step: Tensor, *, lr: Tensor, after: Tensor) -> dict[str, Tensor]:
        if (step > after).any():
            raise RuntimeError("boom")
        return super().coefficients(step, lr=lr)


def test_an_error_is_said_of_the_setting_that_raised_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNT, "losses", 0)
    assert [str(problem)[:36] for problem in tried(task=Fails(X, TASK.y, at=3))] == [
        "task: cannot take a step: RuntimeErr"
    ]
    own = Study(name="own", task=TASK, model=Model(Net), optimizer=Breaks(after=2), steps=10, batch_size=8, seeds=2)
    with pytest.raises(InvalidStudy, match=r"^optimizer: cannot take a few steps on cpu.*boom \(got Breaks"):
        examine(own, {"a": sent(own, sample_runs(own))}, CPU, 2**30, None)


class Forgetful(Rms):
    """Makes new parameters in place of changing those that there are."""

    def update(self, parameters: Tensor, gradient: Tensor, *, minus_lr: Tensor) -> None:
        parameters = parameters + gradient * minus_lr


class Warm(Rms):
    """Takes no step at first, and tiny ones then."""

    def coefficients(self, step: Tensor, *, lr: Tensor) -> dict[str, Tensor]:
        return {"minus_lr": -lr * (step - 1).clamp(max=1e-9)}


class Signed(Rms):
    """By entries over their sizes, of which some are 0."""

    lr: NonNegative = 0.01  # type: ignore[assignment]

    def update(self, parameters: Tensor, gradient: Tensor, *, minus_lr: Tensor) -> None:
        gradient[:, 0] = 0.0
        parameters.addcmul_(gradient / gradient.abs(), minus_lr)


class Frozen(Forgetful):
    lr: NonNegative = 0.0  # type: ignore[assignment]


class Leaves(ClippingRule):
    """What it leaves of a gradient and says of it, by name."""

    what: str = "nothing"

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        return [zeros.clone()]

    def clip(self, gradient: Gradient, mean: Tensor) -> Tensor:  # type: ignore[override]
        norm, acted = gradient.norm, torch.ones_like(gradient.norm)
        if self.what == "nothing":
            gradient.flat.zero_()
        elif self.what == "nothing at first":
            gradient.scale((mean > 0).to(norm))
        elif self.what == "nothing of long ones":
            acted = norm > 0.01
            gradient.scale((~acted).to(norm))
        elif self.what == "all, unsaid":
            _ = gradient.flat * 0.5
        elif self.what == "half, unsaid":
            gradient.scale(0.5 * acted)
            acted = torch.zeros_like(norm)
        elif self.what == "no number":
            gradient.scale(norm / torch.zeros_like(norm))
        mean.copy_(norm)
        return acted


class Passes(Leaves):
    """Returns what is no share, or sets what is no gradient."""

    def clip(self, gradient: Gradient, mean: Tensor) -> Tensor:
        mean.copy_(gradient.norm)
        if self.what == "a mean":
            gradient.flat = gradient.flat.mean(1, keepdim=True)
        return torch.full_like(gradient.norm, torch.nan if self.what == "nan" else 1.0)


class Averages(ClippingRule):
    """Bounds by the mean of the norms so far, which it keeps in itself."""

    bound: Positive = 0.3

    @cached_property
    def norms(self) -> list[Tensor]:
        return []

    def clip(self, gradient: Gradient, *, bound: Tensor) -> Tensor:
        self.norms.append(gradient.norm.clone())
        factor = bound * torch.stack(self.norms).mean(0) / gradient.norm
        gradient.scale(factor.clamp(max=1.0))
        return factor < 1


class Cached(Averages):
    """Keeps in itself what stays the same."""

    def clip(self, gradient: Gradient, *, bound: Tensor) -> Tensor:
        self.norms[:] = [bound[:1]]
        gradient.scale(bound / gradient.norm)
        return bound > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"clipping": Passes("nan")}, "clipping: `clip` of Passes must return for each member whether it acted, or the share"),
     ({"clipping": Passes("a mean")}, "clipping: what `clip` of Passes sets as `gradient.flat` must be a tensor (member, parameters)"),
     ({"clipping": Averages()}, "clipping: keeps in itself what changes from step to step"), ({"clipping": Cached()}, ""),
     ({"optimizer": Forgetful()}, "optimizer: changes no parameter, in none of 20 steps: change"),
     ({"optimizer": Signed()}, "optimizer: gives parameters that are not finite, by a gradient that is"),
     ({"optimizer": Warm()}, ""), ({"optimizer": Frozen()}, ""), ({"optimizer": Forgetful(Linear(0.0, 0.0))}, ""),
     ({"clipping": Leaves("nothing")}, "clipping: leaves nothing of any gradient"),
     ({"clipping": Leaves("no number")}, "clipping: leaves a gradient that is not finite of one that is"),
     ({"clipping": Leaves("all, unsaid")}, "clipping: says that it changed gradients, and changed none"),
     ({"clipping": Leaves("half, unsaid")}, "clipping: changes gradients, and says of each that it did not"),
     ({"clipping": Leaves("nothing at first")}, ""), ({"clipping": Leaves("nothing of long ones")}, ""),
     ({"clipping": Late(after=5)}, ""), ({"clipping": Quantile(), "optimizer": Rms()}, "")],
)  # fmt: skip
def test_what_trains_nothing_is_refused_before_training(settings: dict[str, object], message: str) -> None:
    found = [str(problem) for problem in tried(**settings)]
    assert len(found) == bool(message) and all(text.startswith(message) for text in found)


class Unwritten(ClippingRule):
    """A moving average that is made anew, and never written."""

    beta: Fraction = 0.9

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        return [zeros.clone()]

    def clip(self, gradient: Gradient, mean: Tensor, *, beta: Tensor) -> Tensor:
        mean = beta * mean + (1 - beta) * gradient.norm
        gradient.scale(mean / gradient.norm)
        return mean < gradient.norm


class UnwrittenVelocity(Rms):
    """Likewise a momentum."""

    state_names = ("velocity",)

    def update(self, parameters: Tensor, gradient: Tensor, velocity: Tensor, *, minus_lr: Tensor) -> None:  # type: ignore[override]
        velocity = 0.9 * velocity + gradient
        parameters.addcmul_(velocity, minus_lr)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"clipping": Unwritten()}, "clipping: what it has by `initial_state` does not change, in none of 20 steps"),
     ({"optimizer": UnwrittenVelocity()}, "optimizer: what it has by `state_names` does not change, in none of 20 steps")],
)  # fmt: skip
def test_a_state_that_is_never_changed_is_noted(settings: dict[str, object], said: str) -> None:
    [note] = tried(**settings)
    assert isinstance(note, Note) and str(note).startswith(said)


class Writes(ClippingRule):
    """Changes in place what it is given."""

    bound: Positive = 0.3

    def clip(self, gradient: Gradient, *, bound: Tensor) -> Tensor:
        acted, norm = gradient.norm > bound, gradient.norm
        bound *= 0.5
        norm += 1.0
        gradient.scale(bound / norm)
        return acted


class Decays(Rms):
    """Likewise."""

    def coefficients(self, step: Tensor, *, lr: Tensor) -> dict[str, Tensor]:
        lr /= step
        step += 1
        return {"minus_lr": lr.neg_()}


@pytest.mark.parametrize("members", [1, 2])
def test_what_is_changed_in_place_is_neither_recorded_nor_the_setting_of_the_next_step(members: int) -> None:
    runs = [run_of(seed, clipping=Writes(), optimizer=Decays()) for seed in range(members)]
    data, of_kind = examples(runs), Population if members > 1 else PlainMember
    given = (runs, data) if members > 1 else (runs[0], data[0])
    population = of_kind(*given, device=CPU, dtype=torch.float64)  # type: ignore[arg-type]
    stepper, generator = Stepper(runs, population), torch.Generator().manual_seed(0)
    for step in (1, 2, 3):
        gradient = torch.zeros_like(population.parameters)
        for view in population.views(gradient).values():
            view.copy_(torch.randn(view.shape, generator=generator))
        norm, before = gradient.norm(dim=1, keepdim=True), population.parameters.clone()
        recorded, clipped_norm, _, _ = stepper.clip_and_update(gradient.clone().__getitem__)
        torch.testing.assert_close(recorded, norm, rtol=1e-12, atol=0)
        torch.testing.assert_close(clipped_norm, norm * 0.15 / (norm + 1), rtol=1e-12, atol=0)
        size = gradient.norm(dim=1, keepdim=True) / 58**0.5
        torch.testing.assert_close(population.parameters, before - 0.01 / step * gradient / size, rtol=1e-9, atol=1e-12)


class Weighted(Tensors):
    """Would weight losses, and has a helper."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return 2 * super().losses(output, target)

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        return self.unit_size() * super().errors(output, target)

    def size(self) -> float:
        return 1.0

    def unit_size(self) -> float:
        return self.size()


class Skipping(Quantile):
    """Would skip steps, and remember."""

    skip = True

    def init_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        return [zeros.clone()]


def test_a_name_that_nothing_asks_for_is_noted_where_it_is_like_one_that_is() -> None:
    task, rule = Weighted(X, TASK.y), Skipping()
    own = Study(name="own", task=task, model=Model(Net), clipping=rule, optimizer=Rms(), steps=4, batch_size=8, seeds=2)
    found = [note for note in own.notes if "nothing asks for" in note]
    assert [note.partition(":")[0] for note in found] == ["task", "clipping", "clipping"]
    for note, name, meant in zip(
        found, ("loss", "init_state", "skip"), ("losses", "initial_state", "skips"), strict=True
    ):
        assert f"`{name}`" in note and f"`{meant}` is that of" in note


class Share(ClippingRule):
    """Says by how much it would shrink, which is NaN of what is no number, and makes every step too long."""

    bound: Positive = 0.3

    def clip(self, gradient: Gradient, *, bound: Tensor) -> Tensor:
        share = 1 - (bound / gradient.norm).clamp(max=1)
        gradient.scale(1e30 * (1 - share))
        return share


def test_of_a_gradient_that_is_not_finite_no_share_is_asked() -> None:
    table, _ = train(
        [run_of(seed, clipping=Share(), optimizer=SGD(1e30)) for seed in range(2)], evaluations=2, device=CPU
    )
    assert list(table["nonfinite"]) == [1, 1]


class MeanLate(ClippingRule):
    """After some steps all rows are divided by the mean of their norms."""

    bound: Positive = 0.5

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        return [zeros.clone()]

    def clip(self, gradient: Gradient, count: Tensor, *, bound: Tensor) -> Tensor:
        count += 1
        gradient.scale(torch.where(count > 6, bound / gradient.norm.mean(), torch.ones_like(bound)))
        return count > 6


class RateLate(Rms):
    """After some steps all take the largest rate."""

    def coefficients(self, step: Tensor, *, lr: Tensor) -> dict[str, Tensor]:
        return {"minus_lr": -torch.where(step > 6, lr.max(), lr)}


class AloneLate(MeanLate):
    """The same by each row alone."""

    def clip(self, gradient: Gradient, count: Tensor, *, bound: Tensor) -> Tensor:
        count += 1
        gradient.scale(torch.where(count > 6, bound / gradient.norm, torch.ones_like(bound)))
        return count > 6


@pytest.mark.parametrize(
    ("levels", "why"),
    [([{"clipping": MeanLate(0.1)}, {"clipping": MeanLate(0.9)}], "what MeanLate makes of a run depends on the others"),
     ([{"optimizer": RateLate(0.01)}, {"optimizer": RateLate(0.03)}], "what RateLate makes of a run depends on the others"),
     ([{"clipping": AloneLate(0.1)}, {"clipping": AloneLate(0.9)}], ""),
     ([{"clipping": GlobalNorm(0.1), "optimizer": Rms()}, {"clipping": AGC(0.1), "optimizer": Rms()}], ""),
     ([{"clipping": AloneLate(0.1), "optimizer": Adam()}, {"clipping": AloneLate(0.9), "optimizer": Adam(0.1)}], "")],
)  # fmt: skip
def test_what_comes_to_depend_on_the_others_is_seen_on_the_way(
    levels: list[dict[str, object]], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run_of(seed, **settings) for seed in range(2) for settings in levels]
    assert obstacle([runs[0], runs[-1]], CPU) == ""
    if why:
        with pytest.raises(Unbatchable, match=why):
            train(runs, evaluations=4, device=CPU)
        return
    looked = train(runs, evaluations=4, device=CPU)
    monkeypatch.setattr(training, "looked_at", lambda evaluation, evaluations: False)
    for seen, unseen in zip(looked, train(runs, evaluations=4, device=CPU), strict=True):
        pd.testing.assert_frame_equal(seen, unseen)
