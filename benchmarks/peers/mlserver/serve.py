"""Serve a model folder's XGBoost trees by MLServer.

Run: `python -P serve.py MODEL_FOLDER PORT WORKERS`, in this folder's environment; it writes its
settings to the working directory. With 0 workers MLServer infers in the process that listens.
"""

import json
import os
import sys
from pathlib import Path


def main(model: str, port: str, workers: str) -> None:
    """Become MLServer."""
    settings = {
        "debug": False,
        "http_port": int(port),
        "grpc_port": 0,
        "metrics_port": 0,
        "parallel_workers": int(workers),
        "gzip_enabled": False,
    }
    titanic = {
        "name": "titanic",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": f"{model}/model.ubj"},
    }
    Path("settings.json").write_text(json.dumps(settings))
    Path("model-settings.json").write_text(json.dumps(titanic))
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", "."])


if __name__ == "__main__":
    main(*sys.argv[1:])
