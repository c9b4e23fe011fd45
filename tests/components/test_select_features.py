from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from components.select_features import logic
from components.select_features.component import select_features
from dalsegno.errors import InputError
from tests.people import draw_people

PEOPLE = draw_people(500)


def select(people: pd.DataFrame, **settings: float) -> logic.Selection:
    return logic.select(people, entity="person_id", target="survived", **settings)


def test_selection_ranks_by_gain() -> None:
    selection = select(PEOPLE, gain_share=0.99)
    assert next(iter(selection.gain_shares)) in {"sex", "title"}
    assert sum(selection.gain_shares.values()) == pytest.approx(1)
    assert selection.gain_shares["constant"] == 0.0
    assert "constant" not in selection.kept
    assert selection == select(PEOPLE, gain_share=0.99)


@pytest.mark.parametrize("gain_share", [0.3, 0.7, 0.9, 1.0])
def test_selection_is_the_smallest_with_the_share(gain_share: float) -> None:
    selection = select(PEOPLE, gain_share=gain_share)
    shares = [selection.gain_shares[name] for name in selection.kept]
    assert sum(shares) >= gain_share - 1e-9
    assert sum(shares[:-1]) < gain_share
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("people", "gain_share", "message"),
    [
        (PEOPLE, 0.0, "gain_share: got 0.0, want above 0"),
        (PEOPLE.assign(survived=1), 0.9, "training split: got 0 rows with 'survived' 0"),
        (PEOPLE[["person_id", "survived", "constant"]], 0.9, "features: got no gain from any"),
    ],
    ids=["share", "one-label", "constant"],
)
def test_selection_refuses(people: pd.DataFrame, gain_share: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select(people, gain_share=gain_share)


def test_select_features_returns_names_and_report(tmp_path: Path) -> None:
    PEOPLE.to_parquet(tmp_path / "train")
    report = dsl.HTML(uri=str(tmp_path / "out" / "report"))
    kept = select_features.python_func(
        dsl.Dataset(uri=str(tmp_path / "train")), report, "person_id", "survived"
    )
    html = Path(report.path).read_text()
    assert kept == select(PEOPLE).kept
    assert "<svg" in html
    assert all(name in html for name in PEOPLE.columns.drop(["person_id", "survived"]))
