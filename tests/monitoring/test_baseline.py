import json

import numpy as np
import pandas as pd
import pytest

from dalsegno.monitoring.baseline import sketch_model


def test_baseline_keeps_auc_of_all_rows_and_of_slices():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 100)
    frame = pd.DataFrame({"sex": ["m"] * 100 + ["f"] * 100, "probability": rng.random(200)})
    frame.loc[:99, "probability"] = labels[:100]
    found = sketch_model(frame, labels)
    scores = found["columns"]["sex"]["scores"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (scores["m"]["auc"], scores["m"]["auc_error"]) == (1.0, 0.0)
    assert scores["f"]["auc"] == pytest.approx(0.5, abs=0.15)
    assert scores["f"]["auc"] < found["quality"]["auc"] < 1
    assert found["quality"]["rows"] == 200


def test_baseline_has_no_auc_of_rare_labels():
    frame = pd.DataFrame({"sex": ["m"] * 50 + ["f"] * 5, "probability": np.linspace(0, 1, 55)})
    found = sketch_model(frame, np.arange(55) % 2)
    assert "auc" in found["quality"]
    assert "auc" not in found["columns"]["sex"]["scores"]["f"]
