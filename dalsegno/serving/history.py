"""Reads the prediction log back: one prediction by its id, or all of an endpoint's since a time."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.errors import InfrastructureError, NotFoundError
from dalsegno.serving.batches import PREFIX, read_segment
from dalsegno.serving.identity import time_of
from dalsegno.serving.predictions import segments
from dalsegno.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

INPUTS = "inputs."
_SLACK = timedelta(minutes=2)  # between an id and its answer: a request may be slow
_LONGEST_SEGMENT = timedelta(hours=1)
_NAME = re.compile(r"(\d{13})-(\d{13})-(\d+)-[0-9a-f]+-\d+\.parquet")


@dataclass(frozen=True)
class BatchName:
    """What the name of a batch tells.

    Attributes:
        key: Of the object.
        first: Time of its first answer, UTC.
        last: Time of its last.
        release: Number of the release that answered.
    """

    key: str
    first: datetime
    last: datetime
    release: int


@dataclass(frozen=True)
class LoggedPrediction:
    """One answer as it was logged.

    Attributes:
        id: Its id.
        endpoint: That was asked.
        release: Number of the release that answered.
        model_sha256: Digest of its model.
        threshold: Decision threshold (0-1).
        inputs: Datatype by name of the model's inputs that were logged.
        redacted: Inputs that were not.
        rows: One row a row of the request: see `batches.read_segment`, inputs as `inputs.<name>`.
        place: Batch or segment that holds it.
    """

    id: str
    endpoint: str
    release: int
    model_sha256: str
    threshold: float
    inputs: dict[str, str]
    redacted: list[str]
    rows: pd.DataFrame
    place: str

    def examples(self) -> pd.DataFrame:
        """Return the rows as the model took them: one column an input."""
        names = [f"{INPUTS}{name}" for name in self.inputs]
        return self.rows[names].set_axis(list(self.inputs), axis="columns")


def find(
    store: Store, prediction_id: str, log_folder: Path | None = None
) -> list[LoggedPrediction]:
    """Return what is logged under an id: the answer, and a shadow's if there was one.

    An id tells its time, so that only the batches of that moment are read.

    Args:
        store: Where the batches are.
        prediction_id: As the server's answer has it.
        log_folder: Where a server on this machine keeps what it has not moved yet.

    Raises:
        InputError: It is no id of a prediction.
        NotFoundError: There is no such prediction.
    """
    at = time_of(prediction_id)
    found = [*_in_store(store, prediction_id, at), *_here(log_folder, prediction_id)]
    if not found:
        raise NotFoundError(
            f"prediction {prediction_id}: got none in the log of {at:%Y-%m-%d %H:%M}, want one that"
            " was answered and moved to this store (that takes seconds)"
        )
    unique = {each.release: each for each in reversed(found)}
    return sorted(unique.values(), key=lambda each: each.rows["role"].iloc[0] == "shadow")


def batches(
    store: Store, endpoint: str, since: datetime, until: datetime | None = None
) -> list[BatchName]:
    """Return the batches that may hold answers of a time, by time."""
    until = until or datetime.now(UTC) + _SLACK
    day, found = (since - _LONGEST_SEGMENT).date(), []
    while day <= until.date():
        for stat in store.list(f"{PREFIX}/{endpoint}/{day.isoformat()}"):
            name = _read_name(stat.key)
            if name and name.first <= until and name.last >= since:
                found.append(name)
        day += timedelta(days=1)
    return sorted(found, key=lambda name: (name.first, name.key))


def read_batch(store: Store, key: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a batch, one row a prediction, inputs as `inputs.<name>`."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(store.get(key)), columns=columns)
    return _frame(table)


def read(
    store: Store, endpoint: str, since: datetime, until: datetime | None = None
) -> pd.DataFrame:
    """Read what was answered from a time on, one row a prediction; see `read_batch`.

    Raises:
        NotFoundError: Nothing was logged then.
    """
    import pandas as pd

    found = batches(store, endpoint, since, until)
    frames = [read_batch(store, batch.key) for batch in found]
    if not frames:
        raise NotFoundError(
            f"endpoint {endpoint!r}: got no predictions logged since {since:%Y-%m-%d %H:%M} UTC,"
            " want some"
        )
    frame = pd.concat(frames, ignore_index=True)
    inside = frame["at"] >= since
    return frame[inside & (frame["at"] <= until) if until else inside].reset_index(drop=True)


def as_examples(predictions: pd.DataFrame) -> pd.DataFrame:
    """Name the inputs' columns as the model does, where no other column has that name.

    A text that was missing came to the model as "" and is missing here again.
    """
    taken = set(predictions.columns)
    names = {
        name: name.removeprefix(INPUTS)
        for name in predictions.columns
        if name.startswith(INPUTS) and name.removeprefix(INPUTS) not in taken
    }
    inputs = predictions[list(names)]
    texts = inputs.select_dtypes("object").replace("", None)
    return predictions.assign(**texts).rename(columns=names)


def _in_store(store: Store, prediction_id: str, at: datetime) -> Iterator[LoggedPrediction]:
    import pyarrow.parquet as pq

    for endpoint in store.folders(PREFIX):
        for batch in batches(store, endpoint, at - _SLACK, at + _SLACK):
            content = io.BytesIO(store.get(batch.key))
            table = pq.read_table(content, filters=[("prediction_id", "=", prediction_id)])
            if table.num_rows:
                yield _logged(prediction_id, table, store.uri_of(batch.key))


def _here(folder: Path | None, prediction_id: str) -> Iterator[LoggedPrediction]:
    wanted = prediction_id.encode()
    for path in segments(folder) if folder else []:
        try:
            head, *lines = path.read_bytes().splitlines(keepends=True)
            mine = [line for line in lines if wanted in line]
            batch = read_segment(path, b"".join([head, *mine])) if mine else None
        except (FileNotFoundError, InfrastructureError, ValueError):
            continue  # moved meanwhile, or no segment of ours
        if batch and batch.table.num_rows:
            yield _logged(prediction_id, batch.table, str(path))


def _logged(prediction_id: str, table: pa.Table, place: str) -> LoggedPrediction:
    about: dict[str, Any] = json.loads(table.schema.metadata[b"dalsegno"])
    rows = _frame(table)
    rows = rows[rows["prediction_id"] == prediction_id].reset_index(drop=True)
    return LoggedPrediction(
        prediction_id,
        about["endpoint"],
        about["release"],
        str(rows["model_sha256"].iloc[0]),
        about["threshold"],
        about["inputs"],
        about["redacted"],
        rows,
        place,
    )


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.flatten().to_pandas()
    return frame


def _read_name(key: str) -> BatchName | None:
    found = _NAME.fullmatch(key.rpartition("/")[2])
    if not found:
        return None
    first, last = (datetime.fromtimestamp(int(found[part]) / 1000, UTC) for part in (1, 2))
    return BatchName(key, first, last + timedelta(milliseconds=1), int(found[3]))
