"""What is measured of the weights of least validation loss: what early stopping would have chosen (Prechelt 1998)."""

from harness.engine.copies import BestWeights
from harness.engine.feed import Feed
from harness.engine.final_metrics import generalization
from harness.engine.measuring import unchanged
from harness.engine.members import Members
from harness.engine.stability import Array

MEASURED = ("train_loss", "test_loss", "test_error", "gap")
"""What is measured of the best weights as of the last ones, under `best_…`."""


def best_metrics(
    best: BestWeights, population: Members, feed: Feed, runs: list[int], present: dict[str, Array], measured_at: Array
) -> dict[str, Array]:
    """`best_step`, `best_validation_loss` and what is `MEASURED` of those weights, (member,) each; changes no member.

    Args:
        best: the weights.
        population: the members, at the weights that were measured.
        feed: their examples.
        runs: who they are, by their places in the beginning.
        present: what was measured of the weights that they have now, which are often the best ones.
        measured_at: (run,) the steps of these.
    """
    found, other = present, best.step[runs] != measured_at[runs]
    if other.any():
        with unchanged(population):
            found = {name: values.copy() for name, values in present.items()}
            for whole in best.put(runs):
                with unchanged(population):  # the noise of evaluation is the same, however many steps are measured
                    measured = generalization(population, feed)
                for name, values in measured.items():
                    found[name][whole & other] = values[whole & other]
    of_best = {f"best_{name}": found[name] for name in MEASURED if name in found}
    return {"best_step": best.step[runs], "best_validation_loss": best.loss[runs]} | of_best
