"""What the command line changes: `--set` takes every value that a study file could hold, `--quick` any name."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd
import pytest
import torch
import torch.nn as nn
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harness import (
    Claim,
    Diagnostics,
    Early,
    Exact,
    InvalidStudy,
    Linear,
    Model,
    Published,
    Study,
    Sweep,
    Trend,
    Tune,
    run,
)
from harness.clipping import AGC, GlobalNorm, NoClipping
from harness.execution.shipping import pack
from harness.models import DropoutNet
from harness.optimizers import SGD, Adam
from harness.study.changes import Changes, apply_changes
from harness.study.expressions import parse_value
from harness.study.load import load_study
from harness.tasks import Images, Tensors

FILE = """
import torch
import torch.nn as nn
from harness import Model, Study
from harness.clipping import GlobalNorm
from harness.tasks import Tensors

x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
y = torch.arange(60) % 2
relu = torch.relu


class Halved(GlobalNorm):
    pass


class Net(nn.Module):
    def __init__(self, inputs, outputs, widths: list[int] = [8], shape: tuple[int, ...] = (2,), width=4, flag=False,
                 rate=0.1, kind="plain", act: type = nn.ReLU, extra=None):
        super().__init__()
        widths.insert(0, inputs)
        layers = [part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), act())]
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, x):
        return self.net(x)


class Other(nn.Module):
    def __init__(self, inputs, outputs, width: int = 8):
        super().__init__()
        self.net = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.net(x)


study = Study(name="mine", task=Tensors(x, y), model=Net, batch_size=8, steps=3, seeds=2)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


def changed(file: Path, *settings: str) -> Study:
    return load_study(file, Changes(settings))[0]


def refused(file: Path, *settings: str) -> list[str]:
    with pytest.raises(InvalidStudy) as caught:
        changed(file, *settings)
    return list(map(str, caught.value.problems))


VALUES: list[tuple[str, Any]] = [
    ("0.5", 0.5), ("1e-3", 1e-3), ("-1", -1), ("+2", 2), ("inf", float("inf")), ("-inf", -float("inf")),
    ("true", True), ("false", False), ("True", True), ("None", None), ("'a b'", "a b"), ("tanh", "tanh"),
    ("[64, 64]", [64, 64]), ("(64, 64)", (64, 64)), ("64, 64", (64, 64)), ("[]", []), ("[[1, 2], (3,)]", [[1, 2], (3,)]),
    ("{'a': [1, inf], 2: true}", {"a": [1, float("inf")], 2: True}), ("{1, 2}", {1, 2}),
    ("Sweep([32], [64, 64])", Sweep([32], [64, 64])), ("Sweep('last', None)", Sweep("last", None)),
    ("Tune(1e-3, 1, log=true)", Tune(1e-3, 1, log=True)), ("AGC(0.01)", AGC(0.01)), ("NoClipping()", NoClipping()),
    ("Sweep(NoClipping(), GlobalNorm(1.0), AGC(0.01))", Sweep(NoClipping(), GlobalNorm(1.0), AGC(0.01))),
    ("SGD(lr=Tune(0.1, 1.0), momentum=0.9)", SGD(lr=Tune(0.1, 1.0), momentum=0.9)), ("Images()", Images()),
    ("DropoutNet(hidden=(32,), dropout=Sweep(0.0, Early(0.5, until=10)))",
     DropoutNet(hidden=(32,), dropout=Sweep(0.0, Early(0.5, until=10)))),
    ("Linear(0.5, 0.0)", Linear(0.5, 0.0)), ("Diagnostics('full')", Diagnostics("full")),
    ("[Exact('t', metric='eval_noise')]", [Exact("t", metric="eval_noise")]),
    ("some/file.txt", "some/file.txt"), ("two words", "two words"), ("((1", "((1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_a_value_of_set_is_what_python_would_make_of_it(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert type(parsed) is type(value)
    assert repr(parsed) == repr(value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
                    lambda v: st.lists(v, max_size=3) | st.tuples(v, v) | st.dictionaries(st.text(max_size=3), v, max_size=2)))  # fmt: skip
def test_any_literal_comes_back_as_it_was_written(value: Any) -> None:
    assert repr(parse_value(repr(value))) == repr(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clipping=GlobalNrm(1.0)", "clipping: unknown name GlobalNrm; did you mean GlobalNorm?"),
        ("clipping=Sweep(NoCliping(), GlobalNorm(1.0))", "clipping: unknown name NoCliping; did you mean NoClipping?"),
        ("clipping=Sweep(a, b)", "clipping: unknown name a; a text in a value needs quotes, 'a'"),
        ("clipping=GlobalNorm(max_nrm=1.0)", "clipping.max_nrm: unknown setting; did you mean max_norm?"),
        ("clipping=GlobalNorm(1.0, max_norm=2.0)", "clipping.max_norm: given twice"),
        ("clipping=GlobalNorm(*[1])", "clipping: cannot take * and **"),
        ("clipping=GlobalNorm(1.0", "clipping: is not Python: are brackets and quotes closed?"),
        ("clipping=NoClipping", "clipping: input should be an instance of ClippingRule; this is the class: write NoClipping(…)"),
        ("optimizer.lr=Tune(1)", "optimizer.lr: cannot make Tune: missing a required argument: 'high'"),
        ("steps=open('x')", "steps: unknown name open"),
        ("steps=torch.rand(3)", "steps: unknown name torch.rand"),
        ("model=Other(3)", "model: Other is a module: write Model(Other, …)"),
        ("model=Model(Other, widht=3)", "model.widht: unknown setting; did you mean width?"),
        ("model.width=abc", "model.width: must be a number, as its default is"),
        ("model.width=Sweep('a', 4)", "model.width: must be a number, as its default is"),
        ("model.rate=low", "model.rate: must be a number, as its default is"),
        ("model.flag=no", "model.flag: must be True or False, as its default is"),
        ("model.widths=['a']", "model.widths: input should be a valid integer"),
        ("task.source=3", "task.source: unknown setting"),
        ("foo=1", "foo: unknown setting; valid names: task, model, clipping, optimizer, batch_size, steps, "),
        ("width=3", "width: unknown setting; did you mean model.width?"),
        ("cliping=NoClipping()", "cliping: unknown setting; did you mean clipping?"),
    ],
)  # fmt: skip
def test_what_set_cannot_mean_is_refused_with_the_nearest_right_name(text: str, message: str, file: Path) -> None:
    found = refused(file, text)
    assert len(found) == 1
    assert found[0].startswith(message), found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(("steps=10", "steps=20")), "steps: given as --set steps=10 and as --set steps=20; give one of them"),
        (Changes(("seeds=7",), seeds="5"), "seeds: given as --set seeds=7 and as --seeds 5; give one of them"),
        (Changes(("widen=False",), widen=True), "widen: given as --set widen=False and as --widen"),
        (Changes(("steps=10", "epochs=2")), "steps: given as --set steps=10 and as --set epochs=2"),
        (
            Changes(("model.width=3", "model=Other")),
            "model.width: given as --set model.width=3 and as --set model=Other",
        ),
    ],
)
def test_two_things_that_are_said_of_one_setting_are_refused(changes: Changes, message: str, file: Path) -> None:
    with pytest.raises(InvalidStudy) as caught:
        load_study(file, changes)
    assert [str(problem)[: len(message)] for problem in caught.value.problems] == [message]


def test_a_part_may_be_set_after_the_whole_and_the_same_be_said_twice(file: Path) -> None:
    assert changed(file, "optimizer=SGD(0.1)", "optimizer.lr=0.3", "steps=2", "steps=2").optimizer == SGD(0.3)
    assert changed(file, "optimizer.lr=0.3", "optimizer=SGD(0.1)", "optimizer.lr=0.3").optimizer == SGD(0.3)


def test_what_a_later_launch_says_is_no_contradiction_of_an_earlier_one(file: Path) -> None:
    earlier = Changes(("steps=10", "seeds=7", "model.width=3", "name=a"), widen=True)
    later = earlier.then(Changes(("epochs=2", "model=Other", "widen=False"), seeds="5"))
    assert later == Changes(("name=a", "epochs=2", "model=Other", "widen=False"), seeds="5")
    study, _ = load_study(file, later)
    assert (study.name, study.epochs, study.planned_seeds()) == ("a", 2, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("text", ["model.kind=postgresql://me:secret@h/x", "model.extra=['postgresql://me:secret@h/x']",
                                  "model.extra={'a': 'http://me:secret@h'}", "name='http://me:secret@h'"])  # fmt: skip
def test_a_password_in_a_value_of_set_is_refused_wherever_it_stands(text: str, file: Path) -> None:
    found = refused(file, text)
    assert any("must hold no password" in line for line in found), found
    assert not any("secret" in line for line in found)


def test_nothing_of_a_value_is_run(file: Path, tmp_path: Path) -> None:
    for text in ("__import__('os').mkdir('made')", "[torch.save(1, 'made')]", "relu(x)", "x.numpy()", "(lambda: 1)()"):
        refused(file, f"steps={text}")
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["mine.py"]


def test_names_of_the_study_file_are_known() -> None:
    class Mine(GlobalNorm):
        pass

    names = {"Mine": Mine, "small": Images(train_size=100), "nn": nn, "_hidden": Mine, "relu": torch.relu}
    assert parse_value("Sweep(Mine(2.0), NoClipping())", names) == Sweep(Mine(2.0), NoClipping())
    assert parse_value("small", names) == Images(train_size=100)
    assert parse_value("Sweep(nn.ReLU, nn.Tanh)", names).levels == (nn.ReLU, nn.Tanh)
    assert parse_value("_hidden", names) == "_hidden"
    assert parse_value("relu", names) == "relu"


def test_a_users_component_and_module_can_be_set(file: Path) -> None:
    study = changed(
        file, "clipping=Halved(2.0)", "model=Model(Other, width=Sweep(2, 3))", "task=Tensors(x, y, train_size=20)"
    )
    assert type(study.clipping).__name__ == "Halved"
    assert study.model.module.__name__ == "Other"
    assert study.sweeps() == {"model.width": Sweep(2, 3)}
    assert dict(study.walk())["task.train_size"] == 20
    assert changed(file, "model=Other").model.module.__name__ == "Other"
    assert changed(file, "model.act=Sweep(nn.ReLU, nn.Tanh)").sweeps()["model.act"].levels == (nn.ReLU, nn.Tanh)


def test_a_word_stays_text_where_the_setting_holds_text(file: Path) -> None:
    assert changed(file, "model.kind=Net").model.values()["kind"] == "Net"
    assert changed(file, "name=x").name == "x"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [("widths=[4, 3]", "widths", [4, 3]), ("widths=(4, 3)", "widths", [4, 3]), ("shape=[4, 3]", "shape", (4, 3)),
     ("flag=true", "flag", True), ("rate=1", "rate", 1), ("width=2.5", "width", 2.5), ("extra=abc", "extra", "abc")],
)  # fmt: skip
def test_arguments_of_a_users_module_get_the_kind_they_ask_for(text: str, name: str, value: Any, file: Path) -> None:
    found = changed(file, f"model.{text}").model.values()[name]
    assert (found, type(found)) == (value, type(value))


def test_sequences_are_converted_in_python_too_at_any_depth() -> None:
    class Net(nn.Module):
        def __init__(
            self, inputs: int, outputs: int, blocks: list[tuple[int, ...]], either: int | tuple[int, ...] = 1
        ) -> None:
            super().__init__()

    model = Model(Net, blocks=([1, 2], (3,)), either=[4])
    assert model.problems() == []
    assert model.values() == {"blocks": [(1, 2), (3,)], "either": (4,)}
    assert DropoutNet(hidden=Sweep([4], (4, 4))).values()["hidden"] == Sweep((4,), (4, 4))


def test_a_module_that_changes_its_list_gets_it_whole_every_time(file: Path) -> None:
    """The file's own does: `widths.insert(0, inputs)`."""
    study = changed(file, "model.widths=[4]")
    built = [study.model.build({"inputs": 4, "outputs": 2}) for _ in range(2)]
    assert [str(module) for module in built] == [str(built[0])] * 2
    assert study.model.values()["widths"] == [4]


@pytest.mark.slow
def test_levels_that_are_lists_go_through_tables_figures_and_verdicts(file: Path) -> None:
    claim = ("[Claim('wider is better', metric='test_loss', better='lower', smallest_effect=0.1,"
             " treatment={'model.widths': [4, 4]}, baseline={'model.widths': [3]})]")  # fmt: skip
    results = file.parent / "results"
    options = [
        "--set",
        "model.widths=Sweep([3],[4,4])",
        "--set",
        f"claims={claim}",
        "--devices",
        "cpu",
        "--workers",
        "1",
    ]
    done = CliRunner().invoke(run.main, [str(file), *options, "--results", str(results)])
    assert done.exit_code == 0, done.output
    assert "wider is better" in done.output
    folder = results / "mine"
    assert set(pd.read_parquet(folder / "runs.parquet")["model.widths"]) == {"[3]", "[4, 4]"}
    assert list(pd.read_csv(folder / "summary.csv")["model.widths"]) == ["[3]", "[4, 4]"]
    assert "[4, 4]" in (folder / "report.html").read_text()
    assert "[4, 4]" in (folder / "claims.json").read_text()
    assert any((folder / "figures").glob("*.svg"))


def test_a_claim_may_name_a_level_in_the_other_kind_of_sequence() -> None:
    claim = Claim("t", metric="test_loss", better="lower", smallest_effect=0.1,
                  treatment={"model.hidden": [4, 4]}, baseline={"model.hidden": [3]})  # fmt: skip
    study = Study(name="x", task=Images(), model=DropoutNet(hidden=Sweep([3], [4, 4])), steps=2, claims=[claim])
    assert study.claims[0].arms() == [("treatment", {"model.hidden": (4, 4)}), ("baseline", {"model.hidden": (3,)})]


def test_changes_apply_to_a_study_made_in_python() -> None:
    study = Study(name="x", task=Images(), model=DropoutNet(hidden=(4,)), optimizer=Adam(), steps=200)
    assert apply_changes(study, Changes()) is study
    quick = apply_changes(study, Changes(("optimizer=SGD(0.1)",), "3,5", quick=True))
    assert (quick.name, quick.optimizer, quick.confirm_seeds()) == ("x-quick", SGD(0.1), [3, 5])
    assert (quick.steps, quick.evaluations) == (60, 3)
    with pytest.raises(InvalidStudy, match="optimizer: unknown name SDG; did you mean SGD"):
        apply_changes(study, Changes(("optimizer=SDG(0.1)",)))


def test_quick_keeps_swept_steps_apart_and_claims_of_them() -> None:
    arms = {"treatment": {"steps": 1200}, "baseline": {"steps": 300}}
    said = {"metric": "test_loss", "better": "lower", "smallest_effect": 0.1}
    claims = [Claim("t", **said, **arms), Trend("u", **said, factor="steps", levels=[300, 1200])]  # type: ignore[arg-type]
    published = [Published("p", metric="test_loss", theirs="1", source="s", at={"steps": 1200})]
    study = Study(name="x", task=Images(), model=DropoutNet(hidden=(4,)), steps=Sweep(10, 300, 1200), claims=claims, published=published)  # fmt: skip
    quick = apply_changes(study, Changes(quick=True))
    assert quick.sweeps()["steps"].levels == (1, 15, 60)
    assert quick.claims[0].arms() == [("treatment", {"steps": 60}), ("baseline", {"steps": 15})]
    assert quick.claims[1].values()["levels"] == [15, 60]
    assert quick.published[0].at == {"steps": 60}


@pytest.mark.parametrize(
    ("settings", "seeds", "kept"),
    [
        ((), "5", {"seeds": 5, "steps": 60, "looks": ()}),
        (("seeds=[4, 5, 6, 7]",), None, {"seeds": [4, 5, 6, 7], "looks": ()}),
        (("steps=500",), None, {"steps": 500, "epochs": None, "seeds": 3}),
        (("epochs=40",), None, {"steps": None, "epochs": 40}),
        (("steps=Sweep(100, 400)",), None, {"steps": Sweep(100, 400)}),
        (("evaluations=20", "tune_trials=9"), None, {"evaluations": 20, "tune_trials": 9, "tune_seeds": 1}),
        (("tune_seeds=4",), None, {"tune_seeds": 4, "tune_trials": 2}),
        (("looks=(4, 8)",), None, {"looks": (4, 8), "seeds": None}),
        (("looks=(4, 6)",), "6", {"looks": (4, 6), "seeds": 6}),
    ],
)
def test_quick_makes_nothing_smaller_that_is_given_beside_it(
    settings: tuple[str, ...], seeds: str | None, kept: dict[str, Any]
) -> None:
    study = Study(
        name="x", task=Images(), model=DropoutNet(hidden=(4,)), optimizer=SGD(Tune(0.1, 1.0)), tune="shared",
        looks=(10, 20), steps=1000,
    )  # fmt: skip
    values = apply_changes(study, Changes(settings, seeds, quick=True)).values()
    assert values["name"] == "x-quick"
    assert {name: values[name] for name in kept} == kept


@pytest.mark.parametrize("length", [1, 58, 59, 64])
def test_quick_takes_a_name_of_any_length(length: int, file: Path) -> None:
    names = ["a" * (length - 1) + end for end in "bc"]
    found = [load_study(file, Changes((f"name={name}",), quick=True))[0].name for name in names]
    assert found == [load_study(file, Changes((f"name={name}",), quick=True))[0].name for name in names]
    assert len(set(found)) == 2
    assert all(name.endswith("-quick") and len(name) <= 64 for name in found)


@pytest.mark.parametrize("name", ["a" * 65, "'None'+1", "None"])
def test_quick_makes_no_valid_name_of_one_that_is_not(name: str, file: Path) -> None:
    with pytest.raises(InvalidStudy, match="name: "):
        load_study(file, Changes((f"name={name}",), quick=True))


# --- Studies in other processes

ELSEWHERE = """
import sys
from harness.execution.shipping import unpack
study = unpack(sys.stdin.buffer.read(), "there")
print(repr(study.description()))
print([repr(study.setup(cell | {path: tune.low for path, tune in study.tunes().items()})) for cell in study.cells()])
module = study.setup(study.cells()[0] | {path: tune.low for path, tune in study.tunes().items()}).model
print(module.build({"inputs": 4, "outputs": 2}))
"""
STUDIES = sorted((Path(__file__).parent.parent / "studies").glob("*.py"))


def elsewhere(study: Study, cwd: Path) -> list[str]:
    """What another process, which knows the harness alone, makes of a study that was sent to it."""
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pack(study), capture_output=True, check=False,
                          cwd=cwd, env={"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONHASHSEED": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def here(study: Study) -> list[str]:
    low = {path: tune.low for path, tune in study.tunes().items()}
    setups = [study.setup(cell | low) for cell in study.cells()]
    return [repr(study.description()), repr(list(map(repr, setups))),
            *str(setups[0].model.build({"inputs": 4, "outputs": 2})).splitlines()]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_is_the_same_in_another_process(path: Path, tmp_path: Path) -> None:
    study, _ = load_study(path)
    assert elsewhere(study, tmp_path) == here(study)


@pytest.mark.slow
def test_a_study_of_a_users_classes_is_the_same_where_its_files_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "beside.py").write_text("WIDTH = 3\n\n\ndef width():\n    return WIDTH\n")
    source = FILE.replace("import torch\n", "import torch\nimport beside\n", 1).replace(
        "act: type = nn.ReLU", "act: type = nn.Tanh"
    )
    source = source.replace(
        "super().__init__()\n        widths",
        "super().__init__()\n        widths.append(beside.width())\n        widths",
    )
    (folder / "own.py").write_text(source)
    study, _ = load_study(folder / "own.py", Changes(("model.widths=Sweep([4],[5])", "clipping=Halved(2.0)")))
    for path in [folder / "own.py", folder / "beside.py"]:
        path.unlink()
    assert elsewhere(study, tmp_path) == here(study)


def test_a_study_that_is_sent_carries_nothing_that_can_be_found_again() -> None:
    study = Study(name="x", task=Tensors(torch.randn(60, 4), torch.arange(60) % 2), model=DropoutNet(hidden=(4,)),
                  clipping=GlobalNorm(Sweep(*map(float, range(1, 200)))), batch_size=8, steps=2)  # fmt: skip
    assert len(study.cells()) == len([study.setup(cell) for cell in study.cells()])
    sent = cloudpickle.dumps(study)
    assert len(sent) < 20_000
    again = cloudpickle.loads(sent)
    assert again == study
    assert again.description() == study.description()
    assert again.setup(again.cells()[3]) == study.setup(study.cells()[3])


def test_a_models_description_does_not_follow_edits_of_its_file(file: Path) -> None:
    """What trains is what was loaded."""
    study = changed(file)
    before = study.description()
    file.write_text(FILE.replace("nn.Linear(widths[-1], outputs)", "nn.Linear(widths[-1], outputs, bias=False)"))
    assert study.description() == before
    assert changed(file).description() != before
