from typing import NamedTuple

import pytest
from kfp import dsl

from tests.conformance.page import construct
from tests.conformance.parts import component, read, say, write


@construct("outputs of a pipeline", "parameters and artifacts of its tasks")
def test_pipeline_has_outputs(play):
    class Outputs(NamedTuple):
        text: str
        data: dsl.Dataset

    @dsl.pipeline
    def outer() -> Outputs:
        written = write(text="abc")
        return Outputs(text=written.outputs["Output"], data=written.outputs["data"])

    record = play(outer)
    assert record.outputs["parameters"] == {"text": "abc"}
    (uri,) = record.outputs["artifacts"]["data"]
    assert open(uri).read() == "abc"


@construct("several outputs of a component", "a NamedTuple, by name")
def test_named_tuple_is_taken_apart(play):
    class Pair(NamedTuple):
        text: str
        number: int

    @component
    def pair() -> NamedTuple("Pair", [("text", str), ("number", int)]):
        from collections import namedtuple

        return namedtuple("Pair", ["text", "number"])("a", 1)

    @dsl.pipeline
    def outer() -> Pair:
        made = pair()
        return Pair(text=made.outputs["text"], number=made.outputs["number"])

    assert play.output(outer) == {"text": "a", "number": 1}


@construct(
    "`OutputPath` of a parameter",
    "the launcher reads the file by the declared type",
)
@pytest.mark.parametrize(("kind", "text", "value"), [(int, " 3\n", 3), (list, "[1]", [1])])
def test_output_file_is_read_by_its_type(play, kind, text, value):
    @component
    def put(text: str, number: dsl.OutputPath(int)):
        open(number, "w").write(text)

    @component
    def put_list(text: str, number: dsl.OutputPath(list)):
        open(number, "w").write(text)

    @dsl.pipeline
    def whole(text: str) -> int:
        return put(text=text).outputs["number"]

    @dsl.pipeline
    def listed(text: str) -> list:
        return put_list(text=text).outputs["number"]

    assert play.output(whole if kind is int else listed, {"text": text}) == value


@construct("an output that was not written", "a parameter fails the task; an artifact does not")
def test_unwritten_parameter_fails_and_artifact_does_not(play):
    @component
    def forget(number: dsl.OutputPath(int)):
        pass

    @component
    def leave_out(data: dsl.Output[dsl.Dataset]):
        data.metadata["rows"] = 0

    @dsl.pipeline
    def forgetful():
        forget()

    @dsl.pipeline
    def sparing():
        leave_out()

    assert "output parameter 'number': got no file" in play(forgetful).error
    assert play(sparing).state == "succeeded"


@construct("`custom_path` of an artifact", "the file is taken from there, the URI stays")
def test_custom_path_is_where_the_file_is_taken_from(play, tmp_path):
    @component
    def elsewhere(path: str, data: dsl.Output[dsl.Dataset]):
        with open(path, "w") as file:
            file.write("elsewhere")
        data.custom_path = path

    @dsl.pipeline
    def outer(path: str) -> str:
        return read(data=elsewhere(path=path).outputs["data"]).output

    assert play.output(outer, {"path": str(tmp_path / "own.txt")}) == "elsewhere"
    assert play.task("elsewhere").outputs["data"][0]["uri"].startswith(play.store.uri)


@construct("returned artifacts, `dsl.get_uri`", "a component makes the artifact and returns it")
def test_component_returns_an_artifact(play):
    @component
    def make() -> dsl.Dataset:
        data = dsl.Dataset(uri=dsl.get_uri(), metadata={"rows": 1})
        with open(data.path, "w") as file:
            file.write("made")
        return data

    @dsl.pipeline
    def outer() -> str:
        return read(data=make().output).output

    assert play.output(outer) == "made"
    assert play.task("make").outputs["Output"][0]["sha256"]


@construct("folders as artifacts", "every file below the URI")
def test_folder_is_an_artifact(play):
    @component
    def fill(data: dsl.Output[dsl.Dataset]):
        import os

        os.makedirs(os.path.join(data.path, "deep"))
        for name in ("a", "deep/b"):
            open(os.path.join(data.path, name), "w").write(name)

    @component
    def names(data: dsl.Input[dsl.Dataset]) -> list[str]:
        from pathlib import Path

        folder = Path(data.path)
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

    @dsl.pipeline
    def outer() -> list:
        return names(data=fill().outputs["data"]).output

    assert play.output(outer) == ["a", "deep/b"]


@construct("metrics", "metadata of an artifact without a file")
def test_metrics_need_no_file(play):
    @component
    def measure(metrics: dsl.Output[dsl.Metrics]):
        metrics.log_metric("auc", 0.5)

    @dsl.pipeline
    def outer():
        measure()

    assert play(outer).state == "succeeded"
    output = play.task("measure").executor_output["artifacts"]["metrics"]["artifacts"][0]
    assert output["metadata"] == {"auc": 0.5}
    assert play.task("measure").outputs["metrics"][0]["sha256"] is None


@construct("embedded artifacts", "a file or folder inside the compiled component")
def test_embedded_file_reaches_the_component(play, tmp_path):
    (tmp_path / "words.txt").write_text("inside")

    @dsl.component(
        base_image="python:3.11",
        install_kfp_package=False,
        embedded_artifact_path=str(tmp_path / "words.txt"),
    )
    def use(words: dsl.EmbeddedInput[dsl.Dataset]) -> str:
        return open(words.path).read()

    @dsl.pipeline
    def outer() -> str:
        return say(text=use().output).output

    assert play.output(outer) == "inside"
