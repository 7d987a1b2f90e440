"""A user's code is known by all that it reaches, and by nothing else: what is edited makes another identity or does not."""

import functools
import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.settings import show
from harness.settings.source import forget_sources, identity_of, reached, source_digest

pytestmark = pytest.mark.usefixtures("modules_forgotten")

STUDY = '''"""A study."""
import enum
import functools
import logging
from dataclasses import dataclass, field

import config
import helpers
import numpy as np
import torch
from helpers import halved
from torch import nn

SCALE = 1.0
NAMES = {"b", "a"}
TABLE = {"one": [1, (2, 3.5)]}
WEIGHTS = torch.tensor([1.0, 2.0])
ARRAY = np.arange(2000.0)
LOG = logging.getLogger("mine")
UNUSED = 1


def times(n):
    """A decorator."""

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return n * function(*args)

        return wrapper

    return decorate


def shifted(by):
    return lambda x: x + by


@functools.lru_cache(maxsize=2)
def width(n):
    return 2 * n


class Mode(enum.Enum):
    FIRST = 1


@dataclass
class Config:
    width: int = 3
    deep: list = field(default_factory=list)


def plain(x):
    # a comment
    return halved(x) * SCALE + WEIGHTS.sum() + len(NAMES) + len(ARRAY) + helpers.doubled(x)


class Base(nn.Module):
    def first(self, x):
        return x + 1


def act(x, slope=0.1):
    return x * slope


bound = functools.partial(act, slope=0.2)
moved = shifted(by=3)
settings = Config(width=4)
pair = (lambda x: x, lambda x: 2 * x)


class Net(Base):
    """A net."""

    depth = 2
    table = [1, 2]

    def __init__(self, inputs, outputs, p=0.1):
        super().__init__()
        self.layer = nn.Linear(inputs, width(outputs))

    @property
    def size(self):
        return 3

    @staticmethod
    def still(x):
        return x

    @classmethod
    def made(cls):
        return cls(1, 2)

    @times(2)
    def forward(self, x):
        """Forward."""

        def inner(y):
            return y + TABLE["one"][0]

        from late import late

        LOG.debug("x")
        return late(inner(plain(bound(moved(self.first(x)))))) + settings.width + Mode.FIRST.value + pair[1](x)


def patch(self, x):
    return x


Net.patched = patch
study = "claims"
'''

MODULES = {
    "helpers": """import torch
import deeper
HALF = 0.5
OTHER = 1
def halved(x):
    return x * HALF
def doubled(x):
    return deeper.doubled(x)
""",
    "deeper": "import math\nTWO = 2\ndef doubled(x):\n    return TWO * x\n",
    "late": "def late(x):\n    return x + 1\n",
    "config": "import torch\nRATE = 1\n",
    "unused": "x = 1\n",
}

_folders = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def modules_as_before() -> Iterator[None]:
    """Modules of these tests are none of a later one's, which would send them to its workers."""
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith("study ") or name in MODULES:
            del sys.modules[name]


def loaded(tmp_path: Path, name: str = "study mine", **texts: str) -> Any:
    """The study file as a module, with its helpers, in a folder of its own."""
    folder = tmp_path / str(next(_folders))
    folder.mkdir()
    for module, text in (MODULES | texts).items():
        (folder / f"{module}.py").write_text(text)
        sys.modules.pop(module, None)
    file = folder / f"{name.removeprefix('study ')}.py"
    file.write_text(texts.get("study", STUDY))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        spec.loader.exec_module(module)
        reached(module.Net)
    finally:
        sys.path.remove(str(folder))
    return module


def digest(tmp_path: Path, **texts: str) -> str:
    return source_digest(loaded(tmp_path, **texts).Net)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest(tmp_path_factory.mktemp("original"))


CHANGES = [
    ("depth = 2", "depth = 3"),
    ("table = [1, 2]", "table = [1, 3]"),
    ("x + 1\n\n\ndef act", "x + 2\n\n\ndef act"),
    ("class Net(Base)", "class Net(nn.Module)"),
    ("p=0.1):", "p=0.2):"),
    ("SCALE = 1.0", "SCALE = 1"),
    ('NAMES = {"b", "a"}', 'NAMES = {"b", "c"}'),
    ("(2, 3.5)", "(2, 3.25)"),
    ("[1.0, 2.0]", "[1.0, 2.5]"),
    ("np.arange(2000.0)", "np.where(np.arange(2000) == 1000, 0.0, np.arange(2000.0))"),
    ("@times(2)", "@times(3)"),
    ("n * function(*args)", "n + function(*args)"),
    ("shifted(by=3)", "shifted(by=4)"),
    ("x + by", "x - by"),
    ("return 2 * n", "return 3 * n"),
    ("FIRST = 1", "FIRST = 2"),
    ("Config(width=4)", "Config(width=5)"),
    ("slope=0.2", "slope=0.3"),
    ("x * slope", "x / slope"),
    ("y + TABLE", "y - TABLE"),
    ("lambda x: 2 * x", "lambda x: 3 * x"),
    ("return 3\n", "return 4\n"),
    ("def still(x):\n        return x", "def still(x):\n        return -x"),
    ("cls(1, 2)", "cls(1, 3)"),
    ("def patch(self, x):\n    return x", "def patch(self, x):\n    return -x"),
    ("Net.patched = patch", "nn.Linear.mine = patch"),
    ("Net.patched = patch", "Net.patched = patch\nconfig.RATE, helpers.OTHER = 2, 5"),
    ('study = "claims"', 'SCALE = 2.0\nstudy = "claims"'),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_whatever_the_class_reaches_makes_another_identity(old: str, new: str, original: str, tmp_path: Path) -> None:
    assert STUDY.count(old) == 1 or old.startswith(("x + 1", "Net.")), old
    try:
        assert digest(tmp_path, study=STUDY.replace(old, new, 1)) != original
    finally:
        nn.Linear.__dict__.get("mine") and delattr(nn.Linear, "mine")


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("helpers", "HALF = 0.5", "HALF = 0.25"),
        ("helpers", "x * HALF", "x / HALF"),
        ("helpers", "deeper.doubled(x)", "deeper.doubled(-x)"),
        ("helpers", "OTHER = 1", "OTHER = 2"),  # of a module that is used as an object, nobody can tell what is used
        ("deeper", "TWO = 2", "TWO = 3"),
        ("late", "x + 1", "x + 2"),
    ],
)
def test_so_do_other_modules_of_the_users(module: str, old: str, new: str, original: str, tmp_path: Path) -> None:
    assert old in MODULES[module]
    assert digest(tmp_path, **{module: MODULES[module].replace(old, new)}) != original


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another comment\n\n    # and one more"),
        ('"""A net."""', '"""A net of another\n\n    docstring."""'),
        ('"""Forward."""\n', ""),
        ('"""A decorator."""', "'''Decorates.'''"),
        ("x * slope", "(x\n            * slope)"),
        ('NAMES = {"b", "a"}', "NAMES = {'a', 'b'}"),
        ("UNUSED = 1", "UNUSED = 2\n\n\nclass Other:\n    pass"),
        ('study = "claims"', 'study = "other claims"'),
        ("by=3", "3"),
    ],
)
def test_what_it_does_not_reach_and_how_it_is_written_changes_nothing(
    old: str, new: str, original: str, tmp_path: Path
) -> None:
    assert STUDY.count(old) == 1
    assert digest(tmp_path, study=STUDY.replace(old, new)) == original


def test_neither_does_a_module_of_which_one_function_is_used_but_for_what_that_uses(tmp_path: Path) -> None:
    study = "from helpers import halved\nclass Net:\n    def forward(self, x):\n        return halved(x)\n"
    first = digest(tmp_path, study=study)
    assert digest(tmp_path, study=study, helpers=MODULES["helpers"].replace("OTHER = 1", "OTHER = 2")) == first
    assert digest(tmp_path, study=study, helpers=MODULES["helpers"].replace("HALF = 0.5", "HALF = 0.6")) != first


def test_the_name_of_the_file_and_its_folder_are_no_part_of_it(original: str, tmp_path: Path) -> None:
    module = loaded(tmp_path, name="study other")
    assert source_digest(module.Net) == original
    names = reached(module.Net)
    assert {"Net", "Base.first", "SCALE", "helpers.HALF", "deeper.doubled", "times.<locals>.decorate.<locals>.wrapper"} <= names.keys()  # fmt: skip
    assert names["SCALE"] == "1.0" and not any("study" in name for name in names)


def test_it_is_the_same_in_every_process(original: str, tmp_path: Path) -> None:
    """Whatever the order of sets, and wherever in memory its functions are."""
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "mine.py").write_text(
        STUDY + "\nfrom harness.settings.source import source_digest\nprint(source_digest(Net))\n"
    )
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "mine.py"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "7"}, check=False
    )
    assert done.stdout.strip() == original, done.stderr


def test_what_has_no_value_stands_for_its_whole_file(tmp_path: Path) -> None:
    study = "import threading\nlock = threading.Lock()\nclass Net:\n    def forward(self, x):\n        return lock\nUNUSED = 1\n"
    first = digest(tmp_path, study=study)
    assert digest(tmp_path, study=study) == first == digest(tmp_path, study=f"# a comment\n{study}")
    assert digest(tmp_path, study=study.replace("UNUSED = 1", "UNUSED = 2")) != first


def test_code_that_finds_names_by_text_reaches_its_whole_module(tmp_path: Path) -> None:
    study = "class Net:\n    def forward(self, x):\n        return globals()['SCA' + 'LE']\nSCALE = 1\n"
    assert digest(tmp_path, study=study.replace("= 1", "= 2")) != digest(tmp_path, study=study)


def test_a_file_that_was_edited_since_it_was_imported_does_not_speak_for_what_runs(tmp_path: Path) -> None:
    """It would be the new code's name for the old code's numbers."""
    study = "class Net:\n    def forward(self, x):\n        return x + 1\n"
    edited = study.replace("x + 1", "x + 2")
    new = digest(tmp_path, study=edited)
    module = loaded(tmp_path, study=f"{study}\nclass Other:\n    def forward(self, x):\n        return x + 1\n")
    Path(module.__file__).write_text(f"{edited}\nclass Other:\n    def forward(self, x):\n        return x + 2\n")
    assert source_digest(module.Net) not in (new, source_digest(module.Other))
    other = loaded(tmp_path, study=study.replace("Net", "Third") + "Net = int\n")
    Path(other.__file__).write_text(edited.replace("Net", "Third"))
    assert source_digest(other.Third) == source_digest(other.Third) != new


def test_what_compiles_alike_does_not_speak_for_another(original: str, tmp_path: Path) -> None:
    """The bytecode of a function is equal under another decorator, and with other defaults; both are alive here."""
    moved = f"# These lines are where no other test has them.\n{STUDY}"
    changes = (("@times(2)", "@times(3)"), ("p=0.1", "p=0.2"))
    others = [loaded(tmp_path, study=moved.replace(old, new)).Net for old, new in changes]
    module = loaded(tmp_path, study=moved)
    assert module.Net.__init__.__code__ == others[1].__init__.__code__
    assert source_digest(module.Net) == original


def typed_in(text: str, **names: Any) -> Any:
    exec(text, names)
    return names["made"]


def test_code_without_a_file_is_known_by_its_bytecode() -> None:
    one = "def made(x):\n    '''Says.'''\n    return helper(x) + 1\ndef helper(x):\n    return {}*x\nclass Net:\n    def f(self):\n        return {}\n"
    first, *others = [typed_in(one.format(*given)) for given in ((2, 1), (2, 5), (3, 1))]
    assert [source_digest(first) == source_digest(other) for other in others] == [True, False]
    classes = [typed_in(one.format(2, i) + "made = Net") for i in (1, 1, 2)]
    assert len({source_digest(made) for made in classes}) == 2
    assert len({identity_of(made) for made in classes}) == 2  # its module says "builtins"
    documented, spaced = (
        typed_in("def made(x):\n    'One.'\n    return x"),
        typed_in("\n\ndef made(x):\n    'Two.'\n    return x"),
    )
    assert source_digest(documented) == source_digest(spaced)


def test_what_a_notebook_defines_anew_is_seen_by_the_next_study() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("def helper(x):\n    return x\nclass Net:\n    def forward(self, x):\n        return helper(x)\n", names)
    first = source_digest(names["Net"])
    exec("def helper(x):\n    return 2 * x\n", names)
    forget_sources()
    assert source_digest(names["Net"]) != first


def test_installed_code_is_known_by_name_and_version_and_ours_by_name() -> None:
    from harness.models.rnn import SimpleRNN

    assert identity_of(nn.Linear) == "torch.nn.Linear"
    assert identity_of(SimpleRNN) == "SimpleRNN"


# --- As settings


class Scaled:
    def __init__(self, by: Any) -> None:
        self.by = by

    def __call__(self, x: Any) -> Any:
        return x * self.by


def mine(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (F.relu, "torch.nn.functional.relu"),
        (torch.tanh, "torch.tanh"),
        (F.gelu, "torch.nn.functional.gelu"),
        (nn.ReLU, "torch.nn.ReLU"),
        (np.tanh, "numpy.tanh"),
        (len, "len"),
        (functools.partial(F.leaky_relu, negative_slope=0.2), "functools.partial(torch.nn.functional.leaky_relu, negative_slope=0.2)"),
        ([F.relu, (nn.ReLU,), {"a": torch.tanh}], "[torch.nn.functional.relu, (torch.nn.ReLU,), {'a': torch.tanh}]"),
        ({"b", "a"}, "{'a', 'b'}"),
        (mine, f"test_source.mine ({source_digest(mine)})"),
        (Scaled(2).__call__, f"{show(Scaled(2))}.{show(Scaled.__call__)}"),
    ],
)  # fmt: skip
def test_functions_are_shown_by_name(value: Any, shown: str) -> None:
    assert show(value) == shown


def test_objects_are_shown_by_class_and_attributes_and_code() -> None:
    assert show(Scaled(2)) == show(Scaled(2)) == f"Scaled(by=2) ({source_digest(Scaled(2))})" != show(Scaled(3))
    assert show(Scaled(mine)).startswith("Scaled(by=test_source.mine (")
    lambdas = lambda x: x + 1, lambda x: x + 2
    assert show(lambdas[0]).startswith("test_source.test_objects") and show(lambdas[0]) != show(lambdas[1])
    assert "0x" not in show([lambdas, Scaled(lambdas), object(), torch.Generator(), torch.no_grad()(mine)]).replace(
        "(sha256", ""
    )
    assert show(torch.no_grad()(mine)) != show(mine) != show(torch.enable_grad()(mine))


def test_what_a_repr_leaves_out_tells_apart() -> None:
    one, other = np.arange(5000.0), np.where(np.arange(5000) == 2500, 0.0, np.arange(5000.0))
    assert repr(one) == repr(other) and show(one) != show(other)
    torch.manual_seed(0)
    layers = nn.Linear(2, 2), nn.Linear(2, 2)
    assert repr(layers[0]) == repr(layers[1]) and show(layers[0]) != show(layers[1])


def test_a_tensor_that_was_changed_in_place_is_read_again() -> None:
    tensor = torch.zeros(3)
    before = show(tensor)
    tensor += 1
    assert show(tensor) == show(torch.ones(3)) != before


@pytest.mark.filterwarnings("ignore")  # what the import of a compiler says
def test_what_is_compiled_is_known_by_what_was_compiled() -> None:
    """Not by what the compiler keeps beside it, which is another after a call."""

    def double(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def net(function: Any) -> type[nn.Module]:
        class Net(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return function(x)  # type: ignore[no-any-return]

        return Net

    compiled = torch.compile(double, backend="eager")
    made, module = net(compiled), torch.compile(nn.Tanh(), backend="eager")
    before = source_digest(net(compiled)), show(compiled), show(module)
    made()(torch.ones(3)), module(torch.ones(3))
    again = source_digest(net(torch.compile(double, backend="eager"))), show(compiled), show(module)
    assert (source_digest(made), *again[1:]) == again == before
    other = torch.compile(mine, backend="eager")
    assert source_digest(net(other)) != before[0] and show(other) != before[1]
    assert show(torch.compile(nn.ReLU(), backend="eager")) != before[2]
