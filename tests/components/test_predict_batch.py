from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.predict_batch import logic
from components.predict_batch.component import predict_batch
from dalsegno.errors import InputError, NotFoundError
from tests.model_folder import make_model, probability


class Halver:
    """Scores half the feature; notes how many rows it saw at a time."""

    threshold = 0.25

    def __init__(self) -> None:
        self.features = ["half"]
        self.seen: list[int] = []

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        self.seen.append(len(frame))
        return (frame["half"].to_numpy() / 2).astype(np.float32)


def test_predict_adds_three_columns() -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "half": [0.0, 0.5, 1.0]})
    done = logic.predict(frame, Halver(), release=7)
    assert list(done.columns) == ["id", "half", "probability", "decision", "release"]
    assert done.probability.tolist() == [0.0, 0.25, 0.5]
    assert done.decision.tolist() == [0, 1, 1]
    assert done.release.tolist() == [7, 7, 7]


def test_predict_file_streams_in_batches(tmp_path: Path) -> None:
    rows = 25_000
    frame = pd.DataFrame({"id": np.arange(rows), "half": np.linspace(0, 1, rows)})
    frame.to_parquet(tmp_path / "in", row_group_size=7_000)
    model = Halver()
    done = logic.predict_file(tmp_path / "in", model, 3, tmp_path / "out", batch_rows=4_000)
    assert max(model.seen) <= 4_000
    read = pd.read_parquet(tmp_path / "out")
    pd.testing.assert_frame_equal(read, logic.predict(frame, Halver(), 3))
    assert done == logic.Predictions(rows, 0.5)


def test_predict_file_keeps_every_column_as_it_was(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, None], pa.int32()),
            "at": pa.array([0, 1], pa.timestamp("us")),
            "tags": pa.array([["x"], []], pa.list_(pa.string())),
            "half": pa.array([0.5, 1.0], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "in")
    logic.predict_file(tmp_path / "in", Halver(), 1, tmp_path / "out")
    assert pq.read_table(tmp_path / "out").select(table.column_names).equals(table)


def test_no_rows_give_no_rows_with_all_columns(tmp_path: Path) -> None:
    pd.DataFrame({"id": pd.Series([], dtype=str), "half": pd.Series([], dtype=float)}).to_parquet(
        tmp_path / "in"
    )
    done = logic.predict_file(tmp_path / "in", Halver(), 1, tmp_path / "out")
    assert done == logic.Predictions(0, 0.0)
    read = pq.read_schema(tmp_path / "out")
    assert read.names == ["id", "half", "probability", "decision", "release"]
    assert [str(read.field(name).type) for name in logic.ADDED] == ["double", "int64", "int64"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"]}, r"examples: got columns \['id'\], want \['half'\] among them"),
        ({"half": [1.0], "decision": [1]}, r"got columns \['decision'\], want rows without pred"),
    ],
    ids=["missing", "predicted"],
)
def test_wrong_columns_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    pd.DataFrame(columns).to_parquet(tmp_path / "in")
    with pytest.raises(InputError, match=message):
        logic.predict_file(tmp_path / "in", Halver(), 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unreadable_and_torn_examples_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"examples: got an unreadable file \(.*\), want Parquet"):
        logic.predict_file(tmp_path / "in", Halver(), 1, tmp_path / "out")
    pd.DataFrame({"half": ["x"]}).to_parquet(tmp_path / "text")
    with pytest.raises(TypeError):
        logic.predict_file(tmp_path / "text", Halver(), 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predict_batch_scores_with_the_real_model(tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": ["a", "b"], "sex": ["female", "male"], "age": [20.0, 60.0]})
    rows.to_parquet(tmp_path / "in")
    folder = make_model(tmp_path / "model", bias=-1.0)
    model = dsl.Model(uri=str(folder))
    predictions = dsl.Dataset(uri=str(tmp_path / "out"))
    predict_batch.python_func(dsl.Dataset(uri=str(tmp_path / "in")), model, predictions, release=2)
    read = pd.read_parquet(predictions.path)
    wanted = [probability("female", 20, -1.0), probability("male", 60, -1.0)]
    assert read.probability.tolist() == pytest.approx(wanted, abs=1e-6)
    assert read.decision.tolist() == [1, 0]
    assert predictions.metadata == {"rows": 2, "positive_share": 0.5, "release": 2}


def test_predict_batch_wants_a_champion(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    model = dsl.Model(uri=str(tmp_path / "empty"))
    out = dsl.Dataset(uri=str(tmp_path / "out"))
    with pytest.raises(NotFoundError, match="got no champion, want a released model"):
        predict_batch.python_func(dsl.Dataset(uri=str(tmp_path / "in")), model, out)
