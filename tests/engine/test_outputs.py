import pytest

from dalsegno.engine.outputs import collect_parameters
from dalsegno.errors import InputError


def collect(tmp_path, kind, text, written=None):
    path = tmp_path / "value"
    if text is not None:
        path.write_text(text)
    outputs = {"parameters": {"value": {"outputFile": str(path)}}}
    component = {"outputDefinitions": {"parameters": {"value": {"parameterType": kind}}}}
    return collect_parameters(outputs, component, written or {})["value"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("STRING", "two\nlines\n", "two\nlines\n"),
        ("NUMBER_INTEGER", " 7\n", 7),
        ("NUMBER_DOUBLE", "2.50\n", 2.5),
        ("NUMBER_DOUBLE", "3.0", 3),
        ("BOOLEAN", "T", True),
        ("BOOLEAN", "false\n", False),
        ("LIST", "[1, 2.0]", [1, 2]),
        ("STRUCT", '{"a": [1.5]}', {"a": [1.5]}),
    ],
)
def test_output_file_is_read_by_its_type(tmp_path, kind, text, value):
    found = collect(tmp_path, kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("NUMBER_INTEGER", "1.5"),
        ("NUMBER_INTEGER", "1_000"),
        ("NUMBER_INTEGER", "٣"),
        ("NUMBER_INTEGER", "9223372036854775808"),
        ("BOOLEAN", "yes"),
        ("LIST", "{}"),
        ("STRUCT", "[]"),
        ("LIST", ""),
    ],
)
def test_output_file_of_wrong_type_is_refused(tmp_path, kind, text):
    with pytest.raises(InputError, match="'value'"):
        collect(tmp_path, kind, text)


def test_output_that_was_not_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="got no file"):
        collect(tmp_path, "STRING", None)


def test_executor_output_wins_over_the_file(tmp_path):
    assert collect(tmp_path, "STRING", "file", {"parameterValues": {"value": "said"}}) == "said"
