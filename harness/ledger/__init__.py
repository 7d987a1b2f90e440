"""The ledger: what survives. Trials in Optuna, records in MLflow, files on disk; nothing else imports optuna or mlflow."""
