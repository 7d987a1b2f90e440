"""Records: a finished trial's way to disk, into MLflow and to Optuna's `tell`, and back into tables."""
