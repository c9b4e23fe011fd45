import numpy as np
import pandas as pd
import pytest

from dalsegno.errors import InputError
from dalsegno.monitoring.slices import each_slice, holm


def test_each_slice_gives_values_in_order():
    frame = pd.DataFrame({"sex": ["m", "f", None, "m"], "pclass": [1.0, 3.0, 3.0, 1.0]})
    found = [
        (column, value, mask.sum()) for column, value, mask in each_slice(frame, ["sex", "pclass"])
    ]
    assert found == [
        ("sex", "f", 1),
        ("sex", "m", 2),
        ("sex", "missing", 1),
        ("pclass", "1", 2),
        ("pclass", "3", 2),
    ]


def test_continuous_number_is_cut_at_quartiles():
    frame = pd.DataFrame({"fare": np.linspace(0, 1, 100)})
    assert [mask.sum() for _, _, mask in each_slice(frame, ["fare"])] == [25, 25, 25, 25]


def test_unknown_slice_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"got column 'sexx', want one of \['age', 'sex'\]"):
        list(each_slice(pd.DataFrame({"sex": ["m"], "age": [1]}), ["sexx"]))


def test_holm_steps_down_in_given_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
