"""A user's own clipping rules and optimizers: a row is all parameters and nothing else, and no run's numbers are another's."""

import copy

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness import Model
from harness.clipping import ClippingRule, Gradient
from harness.engine.members import Members
from harness.engine.plain_member import PlainMember
from harness.engine.population import Population
from harness.engine.proof import obstacle
from harness.engine.runs import Run, examples
from harness.engine.setup import Setup
from harness.engine.step import Stepper
from harness.optimizers import SGD, Optimizer
from harness.settings import Count, Fraction, LearningRate, Note, Positive, Problem
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
    return Run(seed, seed, Setup(task=TASK, model=Model(Net), batch_size=8, steps=20, **settings))  # type: ignore[arg-type]


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
     ([{"clipping": Late(after=5)}, {"clipping": Late(bound=0.2)}], "")],
)  # fmt: skip
def test_what_decides_for_all_by_one_run_trains_each_alone(settings: list[dict[str, object]], why: str) -> None:
    found = obstacle([run_of(seed, **own) for seed, own in enumerate(settings)], CPU)
    assert why in found and bool(why) == bool(found)


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
    return trial_run(Setup(task=TASK, batch_size=8, steps=20, **({"model": Model(Net)} | settings)))  # type: ignore[arg-type]


def test_a_rule_that_remembers_other_runs_is_refused_by_the_name_of_what_it_keeps() -> None:
    [problem] = tried(clipping=Remembers())
    assert not isinstance(problem, Note) and OUTLIVES.format("Remembers") in problem.message.replace(
        "test_own_components.", ""
    )


def test_what_outlives_a_run_is_said_whenever_it_acts() -> None:
    [note] = tried(model=Model(Counts))
    assert isinstance(note, Note) and OUTLIVES.format("COUNT") in note.message.replace("test_own_components.", "")
    assert tried(model=Model(Caches)) == tried() == []
