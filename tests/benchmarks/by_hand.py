"""The script a user would write today for the trials of `studies/rnn_clip.py`: one run after another.

A plain PyTorch loop, `optuna.Study.optimize` in every cell, MLflow's fluent logging. Same data, model, settings, number of
trials, seeds, steps and evaluations as the study; no population, no pairing, no report. Run by hand:

    python tests/benchmarks/by_hand.py [--cells N]      # prints the seconds; of fewer cells also what all would take
"""

import argparse
import itertools
import tempfile
import time
from math import inf

import mlflow
import optuna
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness.tasks import CharLM

CELLS = list(itertools.product([0.0, 0.5], [1.0, inf]))
STEPS, BATCH, TRIALS, SEEDS, EVALUATIONS = 300, 16, 5, 20, 10


class Net(nn.Module):
    def __init__(self, vocabulary: int, dropout: float) -> None:
        super().__init__()
        self.rnn = nn.RNN(vocabulary, 64, batch_first=True)
        self.dropout, self.readout, self.vocabulary = nn.Dropout(dropout), nn.Linear(64, vocabulary), vocabulary

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.dropout(self.rnn(F.one_hot(x, self.vocabulary).float())[0]))


@torch.no_grad()
def evaluate(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    model.eval()
    logits = torch.cat([model(part) for part in x.split(256)])
    model.train()
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
    return float(loss), float((logits.argmax(-1) != y).float().mean())


def train(task: CharLM, dropout: float, max_norm: float, lr: float, seed: int, *, confirm: bool) -> float:
    torch.manual_seed(seed)
    data = task.data(seed)
    model = Net(task.sizes(data)["inputs"], dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with mlflow.start_run():
        mlflow.log_params({"dropout": dropout, "max_norm": max_norm, "lr": lr, "seed": seed})
        for step in range(1, STEPS + 1):
            batch = data.train[torch.randint(len(data.train), (BATCH,))]
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data.x[batch]).flatten(0, 1), data.y[batch].flatten())
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            optimizer.step()
            if step % (STEPS // 100) == 0:
                mlflow.log_metrics({"loss": float(loss.detach()), "grad_norm": float(norm)}, step=step)
            if step % (STEPS // EVALUATIONS) == 0:
                validation, _ = evaluate(model, data.x[data.validation], data.y[data.validation])
                mlflow.log_metric("validation_loss", validation, step=step)
        if confirm:
            for name, index in (("test", data.test), ("train", data.train[: len(data.test)])):
                final, error = evaluate(model, data.x[index], data.y[index])
                mlflow.log_metrics({f"{name}_loss": final, f"{name}_error": error})
    return validation if validation == validation else 1e30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=len(CELLS))
    cells = parser.parse_args().cells
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment("by_hand")
        setup_s, task = time.perf_counter() - start, CharLM(length=50)
        for dropout, max_norm in CELLS[len(CELLS) - cells :]:
            study = optuna.create_study(sampler=optuna.samplers.QMCSampler(seed=0))
            study.optimize(
                lambda trial, d=dropout, c=max_norm: train(
                    task, d, c, trial.suggest_float("lr", 0.05, 10.0, log=True), 10**6, confirm=False
                ),
                n_trials=TRIALS,
            )
            for seed in range(SEEDS):
                train(task, dropout, max_norm, study.best_params["lr"], seed, confirm=True)
    took_s = time.perf_counter() - start
    whole_s = setup_s + (took_s - setup_s) * len(CELLS) / cells
    print(f"{cells} of {len(CELLS)} cells in {took_s:.1f} s; all: {whole_s:.0f} s")


if __name__ == "__main__":
    main()
