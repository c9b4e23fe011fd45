"""Labels that come after the prediction, joined to it by its id.

`feedback/<endpoint>/<day of the prediction>/<time>-<draw>.parquet`; of several labels for one row
the one that came last counts.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from dalsegno.errors import InputError
from dalsegno.serving import history
from dalsegno.serving.identity import time_of
from dalsegno.store import Store
from dalsegno.store.keys import check_name

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "feedback"
_ROW = ["prediction_id", "row"]
_SLACK = timedelta(minutes=2)
_MOST_BATCHES = 500
_MOST_ROWS = 2**31 - 1


@dataclass(frozen=True)
class Received:
    """What came of labels.

    Attributes:
        labels: Rows that were kept.
        unknown: Of them, those whose prediction is not in the log (yet); None if it was too much
            to look.
    """

    labels: int
    unknown: int | None


def give(
    store: Store, endpoint: str, labels: pd.DataFrame, *, now: datetime | None = None
) -> Received:
    """Keep labels.

    Args:
        store: Where they are kept.
        endpoint: Whose predictions they are of.
        labels: Columns `prediction_id` and `label` (a number), and `row` within the answer where
            a request had several; 0 without the column.
        now: When they came, UTC.

    Raises:
        InputError: A column is missing, an id is none, or a label is no number.
    """
    check_name(endpoint, "endpoint")
    labels = _check(labels)
    at = now or datetime.now(UTC)
    times = {name: time_of(name) for name in labels["prediction_id"].unique()}
    days = labels["prediction_id"].map(lambda name: times[name].date().isoformat())
    for day, part in labels.assign(at=at).groupby(days):
        buffer = io.BytesIO()
        part.to_parquet(buffer, index=False)
        name = f"{int(at.timestamp() * 1000)}-{secrets.token_hex(6)}.parquet"
        store.put(f"{PREFIX}/{endpoint}/{day}/{name}", buffer.getvalue())
    return Received(len(labels), _count_unknown(store, endpoint, labels, times.values()))


def labels_between(store: Store, endpoint: str, since: datetime, until: datetime) -> pd.DataFrame:
    """Return the labels of predictions of a time: `prediction_id`, `row`, `label`; one a row."""
    import pandas as pd

    frames = []
    day = (since - _SLACK).date()
    while day <= (until + _SLACK).date():
        for stat in store.list(f"{PREFIX}/{endpoint}/{day.isoformat()}"):
            frames.append(pd.read_parquet(io.BytesIO(store.get(stat.key))))
        day += timedelta(days=1)
    if not frames:
        kinds: dict[str, Any] = {"prediction_id": str, "row": "int32", "label": float}
        return pd.DataFrame(columns=list(kinds)).astype(kinds)
    given = pd.concat(frames, ignore_index=True)
    last = given.sort_values("at", kind="stable").drop_duplicates(_ROW, keep="last")
    return last[[*_ROW, "label"]].reset_index(drop=True)


def join(
    store: Store, endpoint: str, predictions: pd.DataFrame, *, name: str = "label"
) -> pd.DataFrame:
    """Add the labels that have come to predictions, as a column; NaN where none has."""
    if predictions.empty:
        return predictions.assign(**{name: []})
    at = predictions["at"]
    labels = labels_between(store, endpoint, at.min(), at.max()).rename(columns={"label": name})
    return predictions.merge(labels, on=_ROW, how="left")


def _check(labels: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    missing = [name for name in ("prediction_id", "label") if name not in labels.columns]
    if missing:
        columns = list(map(str, labels.columns))[:10]
        raise InputError(f"feedback: got columns {columns}, want also {missing}")
    if not len(labels):
        raise InputError("feedback: got 0 rows, want at least 1")
    values = pd.to_numeric(labels["label"], errors="coerce").astype(float)
    unsound = ~np.isfinite(values)
    if unsound.any():
        got = f"no number in {int(unsound.sum())} of {len(values)} rows"
        raise InputError(f"feedback: got {got}, want labels as numbers")
    return pd.DataFrame(
        {
            "prediction_id": labels["prediction_id"].astype(str),
            "row": _row_numbers(labels),
            "label": values,
        }
    )


def _row_numbers(labels: pd.DataFrame) -> pd.Series[int]:
    import pandas as pd

    given = labels["row"] if "row" in labels.columns else pd.Series(0, index=labels.index)
    rows = pd.to_numeric(given, errors="coerce").fillna(-1)
    if not (rows.between(0, _MOST_ROWS) & (rows % 1 == 0)).all():
        raise InputError("feedback: got a row that is no number from 0, want the row of the answer")
    return rows.astype("int32")


def _count_unknown(
    store: Store, endpoint: str, labels: pd.DataFrame, times: Iterable[datetime]
) -> int | None:
    import pandas as pd

    moments = sorted(times)
    found = history.batches(store, endpoint, moments[0] - _SLACK, moments[-1] + _SLACK)
    wanted = [
        batch
        for batch in found
        if any(batch.first - _SLACK <= at <= batch.last + _SLACK for at in moments)
    ]
    if len(wanted) > _MOST_BATCHES:
        return None
    frames = [history.read_batch(store, batch.key, _ROW) for batch in wanted]
    if not frames:
        return len(labels)
    logged = pd.MultiIndex.from_frame(pd.concat(frames)[_ROW])
    asked = pd.MultiIndex.from_frame(labels[_ROW])
    return int((~asked.isin(logged)).sum())
