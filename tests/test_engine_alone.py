"""The engine by itself: all of it imports and trains where neither storage, tracking nor command line is installed.

Nothing here needs more than torch, numpy, pandas, pydantic and safetensors, so that the file also runs in a GPU image with its own torch.
"""

import subprocess
import sys

PROGRAM = """
import sys

for absent in ("optuna", "mlflow", "click", "rich", "sqlalchemy", "matplotlib", "ray"):
    sys.modules[absent] = None  # from here on importing it, or a part of it, fails as if it were not installed

import importlib.util
import pkgutil
from dataclasses import replace

import harness.engine

modules = [module.name for module in pkgutil.walk_packages(harness.engine.__path__, "harness.engine.")]
if importlib.util.find_spec("triton") is None:  # comes with torch for CUDA
    modules.remove("harness.engine.adam_kernel")
for name in modules:
    importlib.import_module(name)
assert "harness.engine.train" in modules and "harness.engine.functions.cells.lstm" in modules

import torch
from harness.clipping import GlobalNorm
from harness.engine.choice import way
from harness.engine.planning import plan
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, AdamW
from harness.tasks import AddingProblem, Images

CPU = torch.device("cpu")
setups = [
    Setup(task=Images(), model=DropoutNet(hidden=(16,)), clipping=GlobalNorm(1.0), optimizer=AdamW(), steps=20),
    Setup(task=AddingProblem(length=8), model=SimpleRNN(hidden=8, cell="gru"), optimizer=SGD(0.1), steps=20),
]
for setup in setups:
    wild = setup.with_value("optimizer.lr", 1e38)
    runs = [Run(trial, seed, each) for trial, each in enumerate([setup, wild]) for seed in (0, 1)]
    found = way(runs, CPU, memory_bytes=2**32)
    assert not found.why and found.step_s > 0, found
    (population,) = plan(runs, lambda name, runs: replace(found, width=4))
    table, curves = train(population, evaluations=2, device=CPU)
    assert table["nonfinite"].tolist() == [0, 0, 1, 1], table
    assert curves["step"].max() == 20
print("torch", torch.__version__)
"""


def test_the_engine_trains_without_storage_tracking_or_command_line() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torch 2.")
