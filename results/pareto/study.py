"""Must one choose between generalization and stability, or is there a dropout and a clipping norm that give both?

A search, not a comparison: Optuna tries values of both for a net on few digits, whose SGD with momentum takes steps so large that
without clipping the validation loss leaps. It minimises two numbers: the validation loss at the end, and the largest rise
of the validation loss above its least one so far, which is comparable across dropout, as gradient norms and spikes of the
training loss are not. What no other trial beats in both is trained again on seeds of its own and tested: one trial that is
best in both, or a front to choose from. Claims need levels that are compared; a search has none, so nothing is claimed.
"""

import numpy as np

from harness import Diagnostics, Measure, Study, Tune
from harness.clipping import GlobalNorm
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images


def setback(curve):
    """The largest rise of the validation loss above the least one before it."""
    losses = curve["validation_loss"].dropna().to_numpy()
    return float((losses - np.minimum.accumulate(losses)).max())


def chosen(runs):
    """Every run: the setback against the test loss of those that were chosen, coloured by p, sized by the clipping norm."""
    import matplotlib.pyplot as plt

    confirmed = runs[runs["phase"] == "confirm"]
    figure, axes = plt.subplots()
    dots = axes.scatter(
        confirmed["setback"], confirmed["test_loss"], c=confirmed["model.dropout"], vmin=0, vmax=0.8,
        s=20 * (2 + np.log10(confirmed["clipping.max_norm"].astype(float))) ** 2, alpha=0.7,
    )  # fmt: skip
    axes.set(xlabel="setback (largest rise of the validation loss)", ylabel="test loss", yscale="log")
    figure.colorbar(dots, label="model.dropout")
    return figure


study = Study(
    name="pareto",
    task=Images("digits", train_size=300),
    model=DropoutNet(hidden=(64, 64), dropout=Tune(0.0, 0.8)),
    clipping=GlobalNorm(Tune(0.03, 30.0, log=True)),
    optimizer=SGD(lr=0.2, momentum=0.9),
    batch_size=32, steps=500, seeds=10, evaluations=50,
    tune="shared", tune_trials=24, tune_seeds=5, objective=["validation_loss", "setback"],
    metrics=Diagnostics(measures=[Measure(setback, "loss", "lower")]),
    figures=[chosen],
)  # fmt: skip
