"""The example notebook: stored without outputs, and it runs from top to bottom in a folder of its own."""

import math
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "studies").glob("*.ipynb"))


def test_there_is_one_and_it_is_stored_without_outputs() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_a_users_own_module_and_tensors_run_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "studies/own_module.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [cell.outputs[-1]["data"] for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    runs = pd.read_parquet(tmp_path / "results" / "own_module" / "runs.parquet")
    assert len(runs) == 4 * 10
    page = shown[0]["text/html"]
    assert "Dropout lowers the test loss of a net that overfits" in page and "∞ (no clipping)" in page
    medians = runs.groupby(["model.dropout", "clipping.max_norm"])["test_loss"].median()
    assert f"{medians[0.5, math.inf]:.3g} [" in page
    (cells,) = [data["text/html"] for data in shown if "test_loss_median" in data.get("text/html", "")]
    assert f"{medians[0.0, 0.5]:.6f}" in cells
    assert any("image/png" in data for data in shown)
