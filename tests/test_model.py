from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dalsegno.errors import InputError
from dalsegno.model import ScoringModel
from tests.people import FEATURES, draw_people, write_trained

ROWS = pd.DataFrame(
    {
        "sex": ["female", "male", None],
        "age": [30.0, 8.0, np.nan],
        "title": ["mrs", "child", "mr"],
        "fare": [10.0, 20.0, 30.0],
        "deck": ["A", None, "unseen"],
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> ScoringModel:
    return ScoringModel.load(folder)


def test_model_tells_about_itself(model: ScoringModel) -> None:
    assert model.features == FEATURES
    assert (model.signature["entity"], model.signature["target"]) == ("person_id", "survived")
    assert model.training["seed"] == 0
    assert 0 < model.threshold < 1
    assert "probability" in model.baseline["columns"]


def test_model_scores_rows(model: ScoringModel) -> None:
    scores = model.predict(ROWS.assign(extra="passed over"))
    assert (scores.dtype, scores.shape) == (np.float32, (3,))
    assert scores[0] > 0.5
    assert scores.tolist() == [model.predict(ROWS.iloc[[row]])[0] for row in range(3)]
    assert model.predict(ROWS.head(0)).shape == (0,)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.astype({"age": object}),
        lambda rows: rows.assign(age=pd.array([30, 8, None], dtype="Int64")),
        lambda rows: rows.assign(age=pd.Series([30, 8, None], dtype=object)),
        lambda rows: rows.assign(deck=pd.array(["A", None, "other"], dtype="string")),
        lambda rows: rows.astype({"sex": "category"}),
        lambda rows: rows.assign(fare=[10, 20, 30])[FEATURES[::-1]],
        lambda rows: rows.assign(sex=["female", "male", ""], deck=["A", "", "Z"]),
        lambda rows: rows.set_index(pd.Index([7, 7, 7])),
    ],
    ids=["object", "Int64", "None", "string", "category", "int-reversed", "empty", "index"],
)
def test_model_scores_the_same_whatever_the_types(model: ScoringModel, change: Any) -> None:
    assert model.predict(change(ROWS)).tolist() == model.predict(ROWS).tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.drop(columns=["sex", "age"]), r"want \['sex', 'age'\]"),
        (ROWS.assign(age=["30", "8", None]), "column 'age': got str in 2 of 3 rows, want numbers"),
        (ROWS.assign(fare=np.inf), "column 'fare': got infinity in 3 of 3 rows"),
    ],
    ids=["missing", "text", "infinite"],
)
def test_model_refuses_rows(model: ScoringModel, rows: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.predict(rows)


def test_model_passes_its_self_test(folder: Path, tmp_path: Path) -> None:
    ScoringModel.load(folder).self_test()
    example = json.loads((folder / "example.json").read_text())
    example["probability"][0] += 1e-3
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "example.json").write_text(json.dumps(example))
    with pytest.raises(InputError, match="model 'copy': got other probabilities"):
        ScoringModel.load(copy).self_test()


def test_example_holds_a_row_without_any_value(folder: Path) -> None:
    example = json.loads((folder / "example.json").read_text())
    assert len(example["rows"]) == len(example["probability"]) == 8
    assert set(example["rows"][-1].values()) == {None}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", None, r"got no \['model.onnx'\]"),
        ("model.onnx", b"torn", "model graph: got what ONNX Runtime cannot read"),
        ("signature.json", b"{", "model file 'signature.json': got broken JSON"),
        ("training.json", b"[]", "model file 'training.json': got list, want an object"),
        ("training.json", b"{}", "model folder 'copy': got broken documents"),
    ],
    ids=["missing", "torn", "broken", "list", "no-threshold"],
)
def test_model_folder_is_refused(
    folder: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        ScoringModel.load(copy)


def test_thread_count_changes_no_score(folder: Path, model: ScoringModel) -> None:
    people = draw_people(1000, seed=4)
    two = ScoringModel.load(folder, threads=2)
    np.testing.assert_allclose(two.predict(people), model.predict(people), rtol=0, atol=1e-6)
