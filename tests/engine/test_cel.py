"""Conditions mean what they mean on the cluster, where cel-go evaluates them."""

from __future__ import annotations

import pytest

from dalsegno.engine.cel import condition_holds, select
from dalsegno.errors import InputError

VALUE = "inputs.parameter_values['x']"


@pytest.mark.parametrize(
    ("expression", "value", "holds"),
    [
        (f"{VALUE} == 'it\\'s'", "it's", True),
        (f"{VALUE} == 1", 1, True),
        (f"{VALUE} == 1.5", 1.5, True),
        (f"int({VALUE}) > 5", 6, True),
        (f"{VALUE} == '5'", 5, False),
        (f"{VALUE} == true", True, True),
        (f"{VALUE} != true", True, False),
        (f"!({VALUE} == 'a') && {VALUE} != 'b'", "c", True),
        (f"'a' in {VALUE}", ["a"], True),
    ],
)
def test_condition_is_evaluated(expression, value, holds):
    assert condition_holds(expression, {"x": value}) is holds


@pytest.mark.parametrize("expression", ["not CEL at all", f"{VALUE} + 1", f"{VALUE}['y'] == 1"])
def test_wrong_condition_is_named(expression):
    with pytest.raises(InputError, match=r"expression|condition"):
        condition_holds(expression, {"x": "text"})


def test_selector_takes_item_of_object():
    assert select('parseJson(string_value)["a"]', {"a": [1, 2.5]}) == [1, 2.5]
