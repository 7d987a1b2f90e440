"""What differs between seeds: all, the data alone, or the noise of training alone; and what churn then measures."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from own_study import harness_run, tables
from reference import train_plain, with_given_noise
from test_content import TRAININGS
from test_train import Streams

from harness import Measure, Study, Sweep
from harness.clipping import GlobalNorm
from harness.engine.content import content, run_key
from harness.engine.diagnostics import Diagnostics
from harness.engine.diagnostics.churn import with_churn
from harness.engine.feed import Feed
from harness.engine.planning import groups, plan
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.way import Way
from harness.ledger.trial_runs import factor_values
from harness.ledger.trials import Trial
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.settings import InvalidStudy
from harness.settings.randomness import stream, stream_seed
from harness.study.scope import scope
from harness.tasks import Data, Tensors

CPU = torch.device("cpu")
X = torch.randn(240, 6, generator=torch.Generator().manual_seed(0))
POINTS = Tensors(X, (X[:, 0] * X[:, 1] > 0).long())
DIFFER = ("all", "data", "noise")
SEEDS = (0, 3, 5)


def setup_of(differ: str, dropout: float = 0.5, **settings: Any) -> Setup:
    """A net with dropout on points of two classes."""
    usual = {"task": POINTS, "clipping": GlobalNorm(1.0), "optimizer": SGD(0.2), "batch_size": 16, "steps": 20}
    return Setup(model=DropoutNet(hidden=(8, 8), dropout=dropout), differ=differ, **usual | settings)


def runs_of(differ: str, dropouts: tuple[float, ...] = (0.0, 0.5), seeds: tuple[int, ...] = SEEDS, **settings: Any) -> list[Run]:  # fmt: skip
    setups = [setup_of(differ, dropout, **settings) for dropout in dropouts]
    return [Run(trial, seed, setup) for seed in seeds for trial, setup in enumerate(setups)]


def by_hand(setup: Setup, *, data_seed: int, held_seed: int, noise_seed: int) -> list[float]:
    """The losses of the plain loop in double precision: where each stream begins is given, and nothing of a run is asked."""
    data = setup.task.data(data_seed)
    torch.manual_seed(stream_seed(held_seed, "init"))
    model = setup.model.build(setup.task.sizes(data), setup.steps).double()
    noise, generator = Streams(noise_seed), stream(held_seed, "order")
    for layer in with_given_noise(model).values():
        layer.draw = noise.uniform
    permutations = [data.train[torch.randperm(len(data.train), generator=generator)] for _ in range(4)]
    batches = torch.cat(permutations)[: setup.steps * setup.batch_size].view(setup.steps, setup.batch_size)

    def clip(model: nn.Module) -> bool:
        return bool(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)) or True

    losses, _ = train_plain(
        model, [(data.x[batch].double(), data.y[batch]) for batch in batches], F.cross_entropy,
        torch.optim.SGD(model.parameters(), lr=0.2), clip=clip, before_pass=noise.calls.clear,
    )  # fmt: skip
    return losses


@pytest.mark.parametrize("differ", DIFFER)
def test_a_run_is_the_plain_loop_from_the_streams_that_differ_and_those_of_seed_0(differ: str) -> None:
    runs = runs_of(differ)
    _, curves = train(runs, evaluations=2, device=CPU, dtype=torch.float64)
    for run in runs:
        own = {"all": (run.seed,) * 3, "data": (run.seed, 0, 0), "noise": (0, 0, run.seed)}[differ]
        expected = by_hand(run.setup, **dict(zip(("data_seed", "held_seed", "noise_seed"), own, strict=True)))
        found = curves[(curves["trial"] == run.trial) & (curves["seed"] == run.seed)].set_index("step")["loss"]
        np.testing.assert_allclose(found, [expected[step - 1] for step in found.index], rtol=1e-9)


def fed(differ: str) -> tuple[list[Data], Population, torch.Tensor]:
    """The data of each member, their population, and the places among its own training examples of each one's batches."""
    runs = runs_of(differ, (0.0,))
    data = examples(runs)
    feed = Feed(runs, data, device=CPU, dtype=torch.float32)
    batches = feed.indices(20)
    places = []
    for m, own in enumerate(data):
        x, _ = feed.gather(batches[:, m : m + 1].flatten().expand(len(runs), -1).contiguous())
        places.append((x[m].unsqueeze(1) == own.x[own.train]).all(-1).int().argmax(1))
    return data, Population(runs, data, device=CPU, dtype=torch.float32), torch.stack(places)


def test_where_data_alone_differ_all_seeds_start_at_the_same_weights_and_take_the_same_places_of_their_own_examples() -> (
    None
):
    data, population, places = fed("data")
    assert bool((population.parameters == population.parameters[:1]).all())
    assert bool((places == places[:1]).all()) and len(places[0].unique()) == len(data[0].train)
    assert all(not torch.equal(one.train, other.train) for one, other in combinations(data, 2))


def test_where_noise_alone_differs_all_seeds_have_the_same_data_to_the_bit_weights_and_batches() -> None:
    data, population, places = fed("noise")
    assert bool((population.parameters == population.parameters[:1]).all()) and bool((places == places[:1]).all())
    for name in ("x", "y", "train", "validation", "test"):
        assert all(torch.equal(getattr(one, name), getattr(data[0], name)) for one in data)


def test_where_all_differs_so_do_weights_batches_and_data() -> None:
    data, population, places = fed("all")
    for one, other in combinations(range(len(SEEDS)), 2):
        assert not torch.equal(population.parameters[one], population.parameters[other])
        assert not torch.equal(places[one], places[other]) and not torch.equal(data[one].train, data[other].train)


@pytest.mark.parametrize("differ", DIFFER)
def test_no_bit_of_a_run_depends_on_its_companions(differ: str) -> None:
    torch.set_num_threads(1)
    standard = {"metrics": Diagnostics("standard", measures=[Measure(luck, unit="draws")])}
    runs = runs_of(differ, (0.0, 0.2, 0.5), (0, 1, 2, 3, 4, 5), **standard)
    together = train(runs, evaluations=2, device=CPU)
    apart = [train(part, evaluations=2, device=CPU) for part in (runs[:7], runs[7:10], runs[10:])]
    for whole, parts in zip(together, zip(*apart, strict=True), strict=True):
        found = pd.concat(parts).sort_values(["trial", "seed"], kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(found, whole, check_exact=True)


def luck(curve: pd.DataFrame) -> float:
    """A draw of the global generator, which is that of the run's noise."""
    return float(torch.rand(()))


def test_seed_0_is_the_same_run_whatever_differs() -> None:
    standard = {"metrics": Diagnostics("standard", measures=[Measure(luck, unit="draws")])}
    found = [train(runs_of(differ, seeds=(0, 4), **standard), evaluations=2, device=CPU)[0] for differ in DIFFER]
    first, *others = [runs[runs["seed"] == 0] for runs in found]
    for other in others:
        pd.testing.assert_frame_equal(first, other, check_exact=True)
    lucky = [list(runs.loc[runs["seed"] == 4, "luck"]) for runs in found]
    assert lucky[0] == lucky[2] != lucky[1] == list(first["luck"])


def churned(differ: str, dropout: float) -> "pd.Series[float]":
    runs, _ = train(
        runs_of(differ, (dropout,), (0, 1, 2, 3), optimizer=SGD(0.5), steps=60, metrics=Diagnostics("standard")),
        evaluations=1,
        device=CPU,
    )
    return with_churn(runs)["churn"]


def test_churn_under_noise_alone_is_0_without_dropout_and_lies_below_that_of_the_data() -> None:
    assert list(churned("noise", 0.0)) == [0, 0, 0, 0]  # identical runs, and no mistake
    assert 0 < churned("noise", 0.5).mean() < churned("data", 0.5).mean()
    assert churned("data", 0.0).mean() > 0


class OthersTests(Tensors):
    """Tests each seed on examples of its own."""

    def draw(self, seed: int) -> Data:
        data = super().draw(seed)
        return Data(data.x, data.y, data.test, data.validation, data.train) if seed % 2 else data


def test_churn_is_measured_where_noise_alone_differs_though_seeds_of_other_data_are_tested_apart() -> None:
    task = OthersTests(POINTS.x, POINTS.y, validation_size=60, test_size=90, train_size=90)
    for differ, there in (("noise", True), ("data", False)):
        runs = runs_of(differ, (0.5,), (0, 1, 2), task=task, metrics=Diagnostics("standard"))
        table, _ = train(runs, evaluations=1, device=CPU)
        assert bool(with_churn(table)["churn"].notna().all()) is there


class Kept(Tensors):
    """Gives every seed the same object."""

    def draw(self, seed: int) -> Data:
        if "_kept" not in self.__dict__:
            self.__dict__["_kept"] = super().draw(0)
        return self.__dict__["_kept"]  # type: ignore[no-any-return]


def test_seeds_have_an_order_each_though_their_data_are_one_object() -> None:
    runs = runs_of("all", (0.0,), (0, 1), task=Kept(POINTS.x, POINTS.y))
    data = examples(runs)
    assert data[0] is data[1]
    together, alone = (Feed(own, data[: len(own)], device=CPU, dtype=torch.float32).indices(3) for own in (runs, runs[1:]))  # fmt: skip
    assert not torch.equal(together[:, 0], together[:, 1]) and torch.equal(together[:, 1:], alone)


# --- What a run is known by, and where it trains


def test_runs_whose_seeds_differ_in_all_are_known_by_what_they_were_known_by_before() -> None:
    assert run_key(Run(0, 0, TRAININGS["mlp"]), 4) == "2043f8a0afa71375191a0a1ed7dc8ef3"
    assert "differ" not in content(setup_of("all"), 4) and content(setup_of("data"), 4)["differ"] == "'data'"
    assert len({run_key(Run(0, 0, setup_of(differ)), 4) for differ in DIFFER}) == 3


def study_of(differ: Any, **settings: Any) -> Study:
    usual = {"task": POINTS, "optimizer": SGD(0.2), "batch_size": 16, "steps": 20, "seeds": 4}
    return Study(
        name="differ", model=DropoutNet(hidden=(8, 8), dropout=Sweep(0.0, 0.5)), differ=differ, **usual | settings
    )


def test_a_study_whose_seeds_differ_in_all_says_nothing_of_it_and_one_that_sweeps_it_shares_its_runs() -> None:
    usual, swept = study_of("all"), study_of(Sweep("all", "data", "noise"))
    assert "differ" not in {*usual.factors(), *usual.description(), *factor_values(usual, trial := Trial(0, 0, True, usual.cells()[0]))}  # fmt: skip
    assert swept.description()["differ"] == "Sweep('all', 'data', 'noise')"
    cells = [Trial(i, i, True, cell) for i, cell in enumerate(swept.cells())]
    assert [factor_values(swept, each)["differ"] for each in cells] == [*DIFFER, *DIFFER]
    assert [each.key(swept) == trial.key(usual) for each in cells] == [True, False, False, False, False, False]
    assert factor_values(study_of("data"), trial)["differ"] == "data"


def test_runs_train_beside_those_that_differ_in_the_same() -> None:
    runs = [run for differ in DIFFER for run in runs_of(differ)]
    assert len(groups(runs)) == 3
    parts = plan(runs, lambda name, group: Way(8, 0.0))
    assert sorted(len(part) for part in parts) == [6, 6, 6]
    assert all(len({run.setup.differ for run in part}) == 1 for part in parts)


# --- What is said and refused


@pytest.mark.parametrize(
    ("differ", "said"),
    [
        ("data", "Numbers hold for tests on one fixed test set of 48 examples; seeds differ only in which of the other 192 they "
         "train and validate on; initial weights, order of batches and dropout are those of seed 0, and verdicts conditional on these."),
        ("noise", "Numbers hold for tests on one fixed test set of 48 examples; seeds differ only in dropout and what else is "
         "drawn in training and measuring; examples, initial weights and order of batches are those of seed 0, and verdicts conditional on these."),
    ],
)  # fmt: skip
def test_the_report_says_what_differs_and_what_verdicts_are_conditional_on(differ: str, said: str) -> None:
    assert scope(study_of(differ)) == [said]


def test_each_cell_says_what_its_seeds_differ_in() -> None:
    every, data, noise = scope(study_of(Sweep("all", "data", "noise")))
    assert every.startswith("At differ = all: numbers hold") and "seeds differ in initial weights" in every
    assert data.startswith("At differ = data: ") and "seeds differ only in which of the other 192" in data
    assert noise.startswith("At differ = noise: ") and "seeds differ only in dropout" in noise
    (bootstrap,) = scope(study_of("data", task=POINTS.replace(resample="bootstrap")))
    assert "seeds differ only in the bootstrap sample of one training set of 144 examples; initial weights" in bootstrap


def test_data_that_are_the_same_for_all_seeds_cannot_be_what_differs() -> None:
    with pytest.raises(InvalidStudy) as caught:
        study_of("data", task=POINTS.replace(resample="none"))
    (problem,) = caught.value.problems
    assert problem.path == "differ" and problem.got == "'data'"
    assert "two seeds other training examples" in problem.message
    study_of(Sweep("all", "noise"), task=POINTS.replace(resample="none"))


def test_what_differs_is_one_of_three_and_cannot_be_tuned() -> None:
    with pytest.raises(InvalidStudy) as caught:
        study_of("init")
    assert [problem.path for problem in caught.value.problems] == ["differ"]


def test_that_seeds_may_be_copies_under_noise_alone_is_said_beforehand() -> None:
    said = "differ: 'noise' leaves seeds nothing but noise to differ in: where dropout does not act, they are copies and count once"
    assert study_of(Sweep("data", "noise")).notes == study_of("noise").notes == [said]
    assert not study_of("data").notes and not study_of("all").notes


# --- As a user would

CHURN = '''"""Does dropout make predictions steadier against a change of the data alone?"""
import torch
from harness import Claim, Diagnostics, Interaction, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))

study = Study(
    name="churn",
    task=Tensors(x, (x[:, 0] * x[:, 1] > 0).long(), resample="bootstrap"),
    model=DropoutNet(hidden=(16,), dropout=Sweep(0.0, 0.5)),
    optimizer=SGD(lr=0.5),
    batch_size=16, steps=60, seeds=8, evaluations=2, metrics=Diagnostics("standard"),
    differ=Sweep("data", "noise"),
    claims=[
        Claim("the data change more than the masks", metric="churn", better="higher", smallest_effect=0.001,
              treatment={"differ": "data", "model.dropout": 0.0}, baseline={"differ": "noise", "model.dropout": 0.0}),
        Interaction("less so with dropout", metric="churn", better="lower", smallest_effect=0.001,
                    treatment={"differ": "data"}, baseline={"differ": "noise"},
                    here={"model.dropout": 0.5}, there={"model.dropout": 0.0}),
    ],
)
'''


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_churn_of_the_data_less_the_floor_of_masks_is_a_claim(tmp_path: Path) -> None:
    (tmp_path / "churn.py").write_text(CHURN)
    done = harness_run(tmp_path / "churn.py", results=tmp_path / "results")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "results" / "churn"
    runs = pd.read_csv(folder / "runs.csv")
    churn = runs.pivot(index="seed", columns=["differ", "model.dropout"], values="churn")
    assert (runs.loc[(runs["differ"] == "noise") & (runs["model.dropout"] == 0), "churn"] == 0).all()
    claims = pd.read_json(folder / "claims.json")
    first, second = claims.to_dict("records")
    assert first["n_copies"] == second["n_copies"] == 0  # copies at one level only are replicates all the same
    assert first["estimate"] == pytest.approx(churn["data", 0.0].median())
    more = (churn["data", 0.5] - churn["noise", 0.5]) - churn["data", 0.0]
    assert second["estimate"] == pytest.approx(-more.median())
    summary = (folder / "summary.md").read_text()
    assert "At differ = data: verdicts hold" in summary and "At differ = noise: verdicts hold" in summary
    before = tables(folder)
    assert harness_run(tmp_path / "churn.py", results=tmp_path / "results").exit_code == 0
    assert tables(folder) == before
