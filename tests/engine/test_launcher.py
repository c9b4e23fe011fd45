"""What a container task executes and what is read back, row by row as in KFP's Go sources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dalsegno.engine.golang import general, json_text, positional
from dalsegno.engine.launcher import (
    command_line,
    left_over,
    resolve_args,
    resolve_text,
)
from dalsegno.errors import InputError

X, Y = "{{$.inputs.parameters['x']}}", "{{$.inputs.parameters['y']}}"
OUT = "{{$.outputs.parameters['sum'].output_file}}"


def executor_input(**parameters: Any) -> dict[str, Any]:
    def one(uri: str) -> dict[str, Any]:
        return {"artifacts": [{"name": "data", "uri": uri, "metadata": {"rows": 3}}]}

    return {
        "inputs": {
            "parameterValues": parameters,
            "artifacts": {"data": one("s3://bucket/in/data"), "odd": one("https://host/odd")},
        },
        "outputs": {
            "parameters": {"sum": {"outputFile": "/tmp/kfp/outputs/sum"}},
            "artifacts": {"model": one("minio://local/store/model")},
            "outputFile": "/minio/local/store/output_metadata.json",
        },
    }


@pytest.mark.parametrize(
    ("number", "positionally", "generally", "as_json"),
    [
        (3, "3", "3", "3"),
        (3.0, "3", "3", "3"),
        (-0.5, "-0.5", "-0.5", "-0.5"),
        (0.001, "0.001", "0.001", "0.001"),
        (0.00001, "0.00001", "1e-05", "0.00001"),
        (1e-7, "0.0000001", "1e-07", "1e-7"),
        (1234567.5, "1234567.5", "1.2345675e+06", "1234567.5"),
        (123456.5, "123456.5", "123456.5", "123456.5"),
        (1e20, "100000000000000000000", "1e+20", "100000000000000000000"),
        (1e21, "1" + "0" * 21, "1e+21", "1e+21"),
        (2**53 + 1, "9007199254740992", "9007199254740992", "9007199254740992"),
    ],
)
def test_numbers_are_written_as_go_writes_them(
    number: float, positionally: str, generally: str, as_json: str
) -> None:
    assert (positional(number), general(number), json_text(number)) == (
        positionally,
        generally,
        as_json,
    )


def test_json_is_compact_sorted_and_escaped() -> None:
    value = {"b": [1.0, 2.5, True, None, "é<&>"], "a": {"z": "\u2028", "y": 1e-7}}
    assert json_text(value) == (
        '{"a":{"y":1e-7,"z":"\\u2028"},"b":[1,2.5,true,null,"é\\u003c\\u0026\\u003e"]}'
    )
    assert json_text("<&>", escapes_html=False) == '"<&>"'


@pytest.mark.parametrize(
    ("value", "by_driver", "by_launcher"),
    [
        ("text", "text", "text"),
        (42, "42", "42"),
        (1e-5, "1e-05", "0.00001"),
        (1.5e-7, "1.5e-07", "0.00000015"),
        (1e21, "1e+21", "1" + "0" * 21),
        (True, "true", "true"),
        ([1.0, "a<b"], '[1,"a\\u003cb"]', '[1,"a\\u003cb"]'),
        ({"b": 1, "a": None}, '{"a":null,"b":1}', '{"a":null,"b":1}'),
    ],
)
def test_parameters_are_filled_in_by_type(value: Any, by_driver: str, by_launcher: str) -> None:
    # The driver leaves alone what stands beside an output; the launcher writes that.
    line = command_line(["prog", f"-{X}-"], [f"{X} > {OUT}"], executor_input(x=value), {})
    assert line == ["prog", f"-{by_driver}-", f"{by_launcher} > /tmp/kfp/outputs/sum"]


@pytest.mark.parametrize(
    ("placeholder", "text"),
    [
        ("{{$.inputs.artifacts['data'].uri}}", "s3://bucket/in/data"),
        ("{{$.inputs.artifacts['data'].path}}", "/s3/bucket/in/data"),
        ("{{$.inputs.artifacts['odd'].uri}}", "https://host/odd"),
        ("{{$.outputs.artifacts['model'].uri}}", "minio://local/store/model"),
        ("a{{$.outputs.artifacts['model'].path}}/b", "a/minio/local/store/model/b"),
        (OUT, "/tmp/kfp/outputs/sum"),
    ],
)
def test_artifacts_are_filled_in_anywhere(placeholder: str, text: str) -> None:
    assert command_line(["prog"], [placeholder], executor_input(), {}) == ["prog", text]


@pytest.mark.parametrize(
    "placeholder",
    [
        "{{$.inputs.artifacts['odd'].path}}",
        "{{$.inputs.artifacts['data'].metadata['rows']}}",
        "{{$.outputs.output_file}}",
    ],
)
def test_what_the_launcher_does_not_know_stays_and_is_named(placeholder: str) -> None:
    line = command_line(["prog"], [f"x={placeholder}"], executor_input(), {})
    assert line == ["prog", f"x={placeholder}"]
    assert left_over(line, {}) == [placeholder]


def test_text_that_was_given_is_not_called_left_over() -> None:
    assert left_over(["echo", "{{$.mine}}"], {"x": "say {{$.mine}}"}) == []


def test_executor_input_is_filled_in_with_defaults() -> None:
    component = {"inputDefinitions": {"parameters": {"y": {"defaultValue": 2.0}, "x": {}}}}
    first, second = command_line(["{{$}}", "{{$}}"], [], executor_input(x="<a>"), component)
    assert first == second
    assert "<a>" in first
    want = executor_input(x="<a>", y=2)
    assert json.loads(first) == want


def test_default_values_reach_arguments_beside_an_output_only() -> None:
    component = {"inputDefinitions": {"parameters": {"y": {"defaultValue": 2.0}}}}
    line = command_line(["prog"], [f"{Y} > {OUT}"], executor_input(), component)
    assert line == ["prog", "2 > /tmp/kfp/outputs/sum"]
    with pytest.raises(InputError, match="parameter 'y': got nothing, want a value"):
        command_line(["prog"], [Y], executor_input(), component)


def test_first_word_gets_outputs_filled_in_never() -> None:
    assert command_line([OUT], [], executor_input(), {}) == [OUT]


def if_present(then: Any, otherwise: Any = None, name: str = "x") -> str:
    inner = {"InputName": name, "Then": then}
    if otherwise is not None:
        inner["Else"] = otherwise
    return json.dumps({"IfPresent": inner})


@pytest.mark.parametrize(
    ("arg", "parameters", "resolved"),
    [
        (if_present(["--x", X]), {"x": "1"}, ["--x", "1"]),
        (if_present(["--x", X]), {}, []),
        (if_present(["--x", X]), {"x": None}, []),
        (if_present(["--x", X], ["--no", Y]), {"y": 2}, ["--no", "2"]),
        (if_present(X, "none"), {"x": True}, ["true"]),
        (if_present(X, "none"), {}, ["none"]),
        (if_present(["-n"], name="data"), {}, []),
        (f"{X}-{Y}", {"x": 1, "y": "b"}, ["1-b"]),
        (f"{X} > {OUT}", {"x": 1}, [f"{X} > {OUT}"]),
        (if_present([OUT], ["bye"]), {"x": 1}, [if_present([OUT], ["bye"])]),
        (json.dumps({"Concat": ["a-", X]}), {"x": 1}, [json.dumps({"Concat": ["a-", "1"]})]),
    ],
)
def test_driver_resolves_conditions_and_parameters(
    arg: str, parameters: dict[str, Any], resolved: list[str]
) -> None:
    assert resolve_args([arg], parameters) == resolved


@pytest.mark.parametrize("then", [["--flag", 123], {"a": 1}, 5])
def test_condition_with_anything_but_strings_is_refused(then: Any) -> None:
    with pytest.raises(InputError, match="want strings"):
        resolve_args([if_present(then)], {"x": True})


def test_malformed_condition_is_refused() -> None:
    with pytest.raises(InputError, match="IfPresent: got"):
        resolve_args(['{"IfPresent": {"Then": '], {})


def test_empty_command_is_refused() -> None:
    with pytest.raises(InputError, match="command: got none"):
        command_line([], [], executor_input(), {})


def test_image_may_be_a_parameter() -> None:
    image = "{{$.inputs.parameters['pipelinechannel--image']}}"
    given = executor_input(**{"pipelinechannel--image": "alpine:3"})
    assert resolve_text(image, given) == "alpine:3"
    assert resolve_text("python:3.11", given) == "python:3.11"
    with pytest.raises(InputError, match="got no parameter 'pipelinechannel--image'"):
        resolve_text(image, executor_input())
