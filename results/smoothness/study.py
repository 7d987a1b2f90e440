"""Does local smoothness grow with the gradient norm along training? (Zhang et al. 2020, arXiv:1905.11881)

That is their reason for clipping: where gradients are large the loss bends more, so a step must be shorter there. Smoothness here is
the largest eigenvalue of the Hessian of the training loss, which a run measures at its end. Runs of one seed share weights
and examples, and each step sees all of these, so runs of 10, 120 and 600 steps are three places of one training: the norm
is large at its beginning, least on the plateau where the RNN knows how often letters occur and no more, and large again where
it learns their order. Smoothness should then be least on the plateau, too. The three places were chosen by the gradient norm
alone, and two claims say that it is so. At η = ¼ steps overshoot where the eigenvalue is above 2/η = 8; a twentieth of
that is the least difference that counts. The slope of smoothness on the norm over all steps, which Zhang et al. plot, would need
both in every logged step; the curves of the harness hold the norm alone.
"""

from harness import Claim, Diagnostics, Measure, Published, Study, Sweep
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

START, PLATEAU, LATE = 10, 120, 600


def last_norm(curve):
    """The gradient norm at the last step."""
    return curve["grad_norm"].iloc[-1]


def against(runs):
    """Sharpness against the gradient norm at three places of each training, a line for each seed."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    for _, of_seed in runs.sort_values("steps").groupby("seed"):
        axes.plot(of_seed["last_norm"], of_seed["sharpness"], color="0.8", linewidth=0.5)
    for steps, at_steps in runs.groupby("steps"):
        axes.scatter(at_steps["last_norm"], at_steps["sharpness"], s=15, label=f"{steps} steps", zorder=2)
    axes.set(xlabel="gradient norm", ylabel="sharpness (largest eigenvalue)", xscale="log", yscale="log")
    axes.legend()
    return figure


places = (("at the start", START), ("late in training", LATE))
study = Study(
    name="smoothness",
    task=CharLM(length=20, train_size=100, validation_size=20, test_size=100),
    model=SimpleRNN(hidden=32, readout="every"),
    optimizer=SGD(lr=0.25),
    batch_size=100, steps=Sweep(START, PLATEAU, LATE), seeds=20,
    metrics=Diagnostics("full", measures=[Measure(last_norm, "norm")]),
    figures=[against],
    claims=[
        *(
            Claim(
                f"The gradient norm is larger {where} than on the plateau",
                metric="last_norm", better="higher", smallest_effect=0.05,
                treatment={"steps": steps}, baseline={"steps": PLATEAU},
            )
            for where, steps in places
        ),
        *(
            Claim(
                f"And so is the largest eigenvalue of the Hessian, {where}",
                metric="sharpness", better="higher", smallest_effect=0.4,
                treatment={"steps": steps}, baseline={"steps": PLATEAU},
            )
            for where, steps in places
        ),
    ],
    published=[
        Published(
            "Smoothness where the gradient is large less where it is least", metric="sharpness",
            theirs="above 0: the two grow together (a figure)", source="Zhang et al. 2020",
            at={"steps": LATE}, less={"steps": PLATEAU},
            differs="theirs: AWD-LSTM, lr 30, clip .25, batches, along the step; ours: RNN of 32 units, all examples, no clipping",
        ),
    ],
)  # fmt: skip
