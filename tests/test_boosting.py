from __future__ import annotations

import subprocess
import sys

import pytest

from dalsegno.boosting import DEFAULTS, check_hyper_parameters
from dalsegno.errors import InputError


def test_hyper_parameters_are_completed_and_whole() -> None:
    checked = check_hyper_parameters({"max_depth": 3.0, "learning_rate": 1})
    assert checked == {**DEFAULTS, "max_depth": 3, "learning_rate": 1.0}
    assert isinstance(checked["max_depth"], int)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"depth": 3}, r"got \['depth'\], want some of"), ({"max_depth": "3"}, "got no number for")],
    ids=["unknown", "text"],
)
def test_hyper_parameters_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_hyper_parameters(given)


def test_xgboost_comes_without_scikit_learn() -> None:
    code = (
        "import sys; from dalsegno.boosting import import_xgboost; import_xgboost().DMatrix;"
        "assert 'sklearn' not in sys.modules; import sklearn.metrics"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
