"""Serve a model folder's XGBoost trees by MLflow's scoring server.

Run: `python -P serve.py MODEL_FOLDER PORT WORKERS`, in this folder's environment; it writes the
model in MLflow's form to the working directory.
"""

import os
import sys
from pathlib import Path


def main(model: str, port: str, workers: str) -> None:
    """Become MLflow."""
    import mlflow
    import xgboost

    booster = xgboost.Booster(model_file=f"{model}/model.ubj")
    mlflow.xgboost.save_model(booster, "model")
    program = str(Path(sys.executable).with_name("mlflow"))
    os.environ["PATH"] = f"{Path(program).parent}:{os.environ['PATH']}"  # it looks for uvicorn
    os.environ["UVICORN_ACCESS_LOG"] = "false"
    command = [program, "models", "serve", "--model-uri", "model", "--env-manager", "local"]
    os.execv(program, [*command, "--port", port, "--workers", workers])


if __name__ == "__main__":
    main(*sys.argv[1:])
