"""Serve a model folder's XGBoost trees by MLServer.

Run: `python -P serve.py MODEL_FOLDER PORT WORKERS KIND`, in this folder's environment; it writes
its settings to the working directory. With 0 workers MLServer infers in the process that listens.
`native` is MLServer's own XGBoost runtime, `row` that of `runtime.py`.
"""

import json
import os
import sys
from pathlib import Path

RUNTIMES = {
    "native": "mlserver_xgboost.XGBoostModel",
    "row": "benchmarks.peers.mlserver.runtime.Rows",
}


def main(model: str, port: str, workers: str, kind: str) -> None:
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
        "implementation": RUNTIMES[kind],
        "parameters": {"uri": f"{model}/model.ubj"},
    }
    Path("settings.json").write_text(json.dumps(settings))
    Path("model-settings.json").write_text(json.dumps(titanic))
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", "."])


if __name__ == "__main__":
    main(*sys.argv[1:])
