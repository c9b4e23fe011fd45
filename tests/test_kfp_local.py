"""Our pipelines are plain KFP: `kfp.local`, which knows nothing of Dalsegno, runs them too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dalsegno import datasets
from dalsegno.store import Store

PLAY = """
import sys
from pathlib import Path
from benchmarks import kfp_local
kfp_local.start(Path(sys.argv[1]))
from pipelines.feature import feature
from pipelines.simulation import simulation
print("REFERENCE", feature().outputs["Output"], flush=True)
print("REFERENCE", simulation(rows=200).outputs["Output"], flush=True)
"""


def play(store: Store, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLAY, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "DALSEGNO_STORE_URI": store.uri, "DALSEGNO_CONFIG": ""},
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def test_feature_and_simulation_run_on_plain_kfp_local(store: Store, tmp_path: Path) -> None:
    said = play(store, tmp_path)
    references = [line.split()[1] for line in said.splitlines() if line.startswith("REFERENCE")]
    assert references == ["titanic@1", "dataset://titanic-arrivals@1"]
    assert datasets.resolve(store, "titanic@1").rows == 1309
    assert datasets.resolve(store, "titanic-arrivals@1").number == 1
    assert list(store.folders("runs")) == []
