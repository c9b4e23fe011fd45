"""How often monitoring raises an alarm on batches in which nothing has changed.

Run: `.venv/bin/python -m benchmarks.clean_batches`. A model is trained once on the real passengers;
100 generated batches without a drift are predicted and looked at, then 20 of each other scenario.
Wanted: at most 1 alarm in 100 clean batches, an alarm for every `covariate` batch.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from kfp import dsl

from components.assemble_examples import logic as splits
from components.build_features import logic as features
from components.generate_passengers.component import generate_passengers
from components.ingest_examples.component import ingest_examples
from components.monitor_predictions import logic as monitoring
from components.monitor_predictions.findings import Baseline, Findings, MonitorSettings
from components.train_model import logic as training
from dalsegno.model import ScoringModel
from pipelines import titanic

ENTITY, TARGET = titanic.PARAMETERS["entity"], titanic.PARAMETERS["target"]
SLICES, SQL = titanic.PARAMETERS["slices"], titanic.PARAMETERS["sql"]
CASES = {"none": 100, "covariate": 20, "label": 20, "concept": 20}


def build(tables: Path, output: Path) -> pd.DataFrame:
    """Build the features of one folder of tables."""
    features.build_features(tables, output, SQL, ENTITY, 1.0, 0)
    return pd.read_parquet(output)


def train(frame: pd.DataFrame, folder: Path) -> ScoringModel:
    """Train on the splits of the real passengers, as the training pipeline does."""
    settings = splits.AssemblySettings(ENTITY, TARGET, titanic.PARAMETERS["leaks"])
    parts = splits.assemble(frame, frame.head(0), settings)
    names = [name for name in frame.columns if name not in (ENTITY, TARGET)]
    impute_by = titanic.PARAMETERS["impute_by"]
    model = training.train(
        parts.train,
        parts.validation,
        training.TrainingSettings(names, {}, ENTITY, TARGET, impute_by),
    )
    folder.mkdir()
    for name, content in training.model_files(model, training.Lineage()).items():
        (folder / name).write_bytes(content)
    return ScoringModel.load(folder)


def prepare(scratch: Path) -> tuple[Path, ScoringModel]:
    """Bring in the real passengers, and train on them."""
    donors = dsl.Dataset(uri=str(scratch / "donors"))
    ingest_examples.python_func(donors, tables_uri=titanic.PARAMETERS["tables_uri"])
    frame = build(Path(donors.path), scratch / "features")
    return Path(donors.path), train(frame, scratch / "model")


def look(scratch: Path, donors: Path, model: ScoringModel, scenario: str, seed: int) -> Findings:
    """Generate a batch of 1,000-2,000 passengers, predict it, and look at it."""
    rows = int(np.random.default_rng(seed).integers(1000, 2001))
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        examples = dsl.Dataset(uri=f"{name}/examples")
        generate_passengers.python_func(
            dsl.Dataset(uri=str(donors)), examples, scenario=scenario, rows=rows, seed=seed
        )
        frame = build(Path(examples.path), Path(name) / "features")
    scores = model.predict(frame)
    return monitoring.monitor(
        frame.assign(probability=scores, decision=(scores >= model.threshold).astype(int)),
        Baseline.read(scratch / "model"),
        MonitorSettings(),
        entity=ENTITY,
        target=TARGET,
        slices=SLICES,
    )


def main() -> None:
    """Print one JSON line a scenario."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        donors, model = prepare(scratch)
        for scenario, batches in CASES.items():
            start = time.perf_counter()
            found = [look(scratch, donors, model, scenario, s) for s in range(batches)]
            subjects = [f"{a.kind} {a.subject}" for each in found for a in each.alarms]
            line = {
                "scenario": scenario,
                "batches": batches,
                "with_alarm": sum(bool(each.alarms) for each in found),
                "alarms": {s: subjects.count(s) for s in sorted(set(subjects))},
                "seconds_a_batch": (time.perf_counter() - start) / batches,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
