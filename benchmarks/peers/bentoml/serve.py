"""Serve a model folder's XGBoost trees by BentoML.

Run: `python -P serve.py MODEL_FOLDER PORT WORKERS`, in this folder's environment.
"""

import os
import sys
from pathlib import Path


def main(model: str, port: str, workers: str) -> None:
    """Become BentoML."""
    program = str(Path(sys.executable).with_name("bentoml"))
    given = {"PEER_MODEL": model, "PEER_WORKERS": workers, "BENTOML_DO_NOT_TRACK": "true"}
    command = [program, "serve", "service:Titanic", "--working-dir", str(Path(__file__).parent)]
    os.execve(program, [*command, "--port", port], {**os.environ, **given})


if __name__ == "__main__":
    main(*sys.argv[1:])
