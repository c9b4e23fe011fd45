"""Our pipelines are plain KFP: `kfp.local`, which knows nothing of Dalsegno, runs them too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dalsegno import datasets, releases
from dalsegno.store import Store

PLAY = """
import sys
from pathlib import Path
from benchmarks import kfp_local
kfp_local.start(Path(sys.argv[1]))
from pipelines.feature import feature
from pipelines.inference import inference
from pipelines.monitoring import monitoring
from pipelines.simulation import simulation
from pipelines.training import training

def tell(task):
    print("REFERENCE", task.outputs["Output"], flush=True)
    return task.outputs["Output"]

tell(feature())
arrivals = tell(simulation(rows=6000))
tell(feature(tables_uri=arrivals, dataset="titanic-reserve"))
tell(training(reserve="titanic-reserve", trials=2))
tell(inference())
tell(monitoring())
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


def test_our_pipelines_run_on_plain_kfp_local(store: Store, tmp_path: Path) -> None:
    said = play(store, tmp_path)
    references = [line.split()[1] for line in said.splitlines() if line.startswith("REFERENCE")]
    assert references == [
        "titanic@1",
        "dataset://titanic-arrivals@1",
        "titanic-reserve@1",
        "True",
        "titanic-predictions@1",
        "none",
    ]
    assert releases.live(store, "titanic").number == 1
    assert datasets.resolve(store, "titanic@1").rows == 1309
    assert datasets.resolve(store, "titanic-arrivals@1").number == 1
    assert list(store.folders("runs")) == []
