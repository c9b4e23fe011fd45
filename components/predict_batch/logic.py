"""Score a table of any size with a model, a bounded number of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dalsegno.errors import InputError

BATCH_ROWS = 65_536
ADDED = {"probability": pa.float64(), "decision": pa.int64(), "release": pa.int64()}


class Scorer(Protocol):
    """What is needed of a model; `ScoringModel` has it."""

    features: list[str]
    threshold: float

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """Return probabilities (0-1) of shape (rows,)."""


@dataclass(frozen=True)
class Predictions:
    """What was written.

    Attributes:
        rows: Row count.
        positive_share: Share of decisions that are 1 (0-1); 0 without rows.
    """

    rows: int
    positive_share: float


def predict(frame: pd.DataFrame, model: Scorer, release: int) -> pd.DataFrame:
    """Return the rows with `probability` (0-1), `decision` (0 or 1) and `release` behind them."""
    _check_columns(list(frame.columns), model)
    probability, decision = _score(frame, model)
    return frame.assign(probability=probability, decision=decision, release=release)


def predict_file(
    examples: Path, model: Scorer, release: int, output: Path, batch_rows: int = BATCH_ROWS
) -> Predictions:
    """Write every column of a Parquet file with `probability`, `decision` and `release`.

    Args:
        examples: Parquet, one row an entity, every feature among its columns.
        model: Scores the rows.
        release: Number of the release that the model is; 0 when it was never released.
        output: Parquet file to write, rows in the same order; without rows when there are none.
        batch_rows: Rows in memory at a time.

    Raises:
        InputError: A feature is missing, or the file is unreadable or holds predictions already.
    """
    try:
        source = pq.ParquetFile(examples)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"examples: got an unreadable file ({error}), want Parquet") from error
    with source:
        _check_columns(source.schema_arrow.names, model)
        try:
            return _stream(source, model, release, output, batch_rows)
        except BaseException:
            output.unlink(missing_ok=True)
            raise


def _stream(
    source: pq.ParquetFile, model: Scorer, release: int, output: Path, batch_rows: int
) -> Predictions:
    schema = source.schema_arrow
    for name, kind in ADDED.items():
        schema = schema.append(pa.field(name, kind))
    rows = positives = 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(output, schema) as writer:
        for batch in source.iter_batches(batch_size=batch_rows):
            frame = batch.select(model.features).to_pandas()
            probability, decision = _score(frame, model)
            added = [probability, decision, np.full(len(decision), release)]
            arrays = [pa.array(v, kind) for v, kind in zip(added, ADDED.values(), strict=True)]
            writer.write_batch(pa.record_batch([*batch.columns, *arrays], schema=schema))
            rows, positives = rows + len(decision), positives + int(decision.sum())
    return Predictions(rows, positives / rows if rows else 0.0)


def _score(frame: pd.DataFrame, model: Scorer) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    probability = np.asarray(model.predict(frame), dtype=np.float64)
    return probability, (probability >= model.threshold).astype(np.int64)


def _check_columns(columns: list[str], model: Scorer) -> None:
    missing = [name for name in model.features if name not in columns]
    if missing:
        raise InputError(f"examples: got columns {columns}, want {missing} among them")
    taken = [name for name in ADDED if name in columns]
    if taken:
        raise InputError(f"examples: got columns {taken}, want rows without predictions")
