import json
from typing import Optional

import pytest
from kfp import dsl

from dalsegno.errors import InputError
from dalsegno.store import open_store
from tests.conformance.page import construct
from tests.conformance.parts import component, read, say, write
from tests.servers import BUCKET


@component
def look(values: list, settings: dict, n: int = 7, f: float = 2.0, flag: bool = True) -> str:
    import json

    return json.dumps([values, settings, n, f, flag])


@construct(
    "numbers inside lists and objects",
    "doubles, which Go writes without a fraction when they are whole: `[1.0]` arrives as `[1]`; "
    "an integer beyond 2^53 loses its last digits",
)
def test_whole_numbers_arrive_as_integers(play):
    @dsl.pipeline
    def give(values: list = [1, 2.0, [3.5]], settings: dict = {"n": 4.0}) -> str:  # noqa: B006
        return look(values=values, settings=settings).output

    assert play.output(give) == json.dumps([[1, 2, [3.5]], {"n": 4}, 7, 2.0, True])
    assert play.inputs("look") == {"values": [1, 2, [3.5]], "settings": {"n": 4}}


@construct("default values of a component", "are not in the executor input; the component has them")
def test_default_value_is_not_in_the_executor_input(play):
    @dsl.pipeline
    def give() -> str:
        return look(values=[], settings={}).output

    play.output(give)
    assert "n" not in play.inputs("look")


@component
def maybe(text: Optional[str] = None, data: Optional[dsl.Input[dsl.Dataset]] = None) -> str:
    return f"{text} {data is None}"


@construct("optional inputs", "left out when nothing is given, also through nested pipelines")
def test_optional_inputs_are_left_out(play):
    @dsl.pipeline
    def inner(text: Optional[str] = None) -> str:
        return maybe(text=text).output

    @dsl.pipeline
    def outer(text: Optional[str] = None) -> str:
        return inner(text=text).output

    assert play.output(outer) == "None True"
    assert play.inputs("inner/maybe") == {}
    assert play.output(outer, {"text": "given"}) == "given True"


@construct(
    "arguments of a run",
    "checked by the API server: unknown, missing, of the wrong type",
    "the same, with the name, what came and what was wanted",
)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "got nothing, want an integer"),
        ({"n": "one"}, "want an integer"),
        ({"n": 1.5}, "want an integer"),
        ({"n": 1, "m": 2}, "got parameter 'm'"),
    ],
)
def test_wrong_arguments_are_refused(play, arguments, message):
    @component
    def dress(n: int) -> str:
        return str(n)

    @dsl.pipeline
    def shop(n: int) -> str:
        return dress(n=n).output

    with pytest.raises(InputError, match=message):
        play(shop, arguments)


@construct(
    "artifact inputs of a pipeline",
    "cannot be given by the API; only a nested pipeline has them",
    "`--param NAME=PATH`, or a URI, or an object with `uri` and `metadata`",
)
def test_pipeline_takes_an_artifact(play, tmp_path):
    @dsl.pipeline
    def take(data: dsl.Input[dsl.Dataset]) -> str:
        return read(data=data).output

    (tmp_path / "data.txt").write_text("given")
    assert play.output(take, {"data": str(tmp_path / "data.txt")}) == "given"


@component
def describe(data: dsl.Input[dsl.Dataset]) -> str:
    return f"{open(data.path).read()} {data.metadata} {type(data).__name__}"


@dsl.pipeline
def bring(uri: str) -> str:
    brought = dsl.importer(
        artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"rows": 2, "share": 0.5}
    )
    return describe(data=brought.output).output


@construct(
    "importer",
    "registers the URI, fetched when a task reads it: `s3://`, `minio://`, `gs://`; a missing "
    "object is not noticed",
    "also a path or `file://`; a missing object fails the task that reads it, by name",
)
def test_importer_names_a_file(play, tmp_path):
    (tmp_path / "rows.txt").write_text("two")
    want = "two {'rows': 2, 'share': 0.5} Dataset"
    assert play.output(bring, {"uri": str(tmp_path / "rows.txt")}) == want
    assert play.output(bring, {"uri": f"file://{tmp_path}/rows.txt"}) == want


@construct("importer")
@pytest.mark.parametrize("scheme", ["s3", "minio", "gs"])
def test_importer_fetches_from_object_stores(play, request, monkeypatch, tmp_path, scheme):
    access = None
    if scheme == "gs":
        request.getfixturevalue("gcs_server")
    else:
        access = request.getfixturevalue("s3_server")
        for name in ("endpoint", "access_key", "secret_key"):
            monkeypatch.setenv(f"DALSEGNO_S3_{name.upper()}", getattr(access, name))
        monkeypatch.setenv("DALSEGNO_S3_SECURE", "false")
    store = open_store(f"{scheme}://{BUCKET}/{tmp_path.name}", access)
    store.put("rows.txt", b"far")
    assert play.output(bring, {"uri": store.uri_of("rows.txt")}).startswith("far ")


@construct(
    "placeholders of a run and a task",
    "filled in where they are the whole value: job name, resource name and id, task name and id, "
    "times in whole seconds; the pipeline root is left as it is",
    "the same; the job name is the run's id",
)
def test_placeholders_are_filled_in(play):
    @component
    def tell(
        name: str, resource: str, job: str, task: str, task_id: str, made: str, root: str
    ) -> list:
        return [name, resource, job, task, task_id, made, root]

    @dsl.pipeline(name="named-pipeline")
    def placed() -> list:
        return tell(
            name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            resource=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
            job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            task=dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
            task_id=dsl.PIPELINE_TASK_ID_PLACEHOLDER,
            made=dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
            root=dsl.PIPELINE_ROOT_PLACEHOLDER,
        ).output

    found = play.output(placed)
    assert found[0] == found[2] == play.record.run_id
    assert found[1].startswith("named-pipeline-")
    assert found[3] == "tell"
    assert found[4]
    assert found[5] == f"{play.record.created_at[:19]}Z"
    assert found[6] == "{{$.pipeline_root}}"


@construct(
    "parameters inside a string",
    "`f'hello {name}'` is filled in by the launcher, in the text of the executor input",
    "the same; a value with quotes, which breaks that JSON on the cluster, goes through",
)
@pytest.mark.parametrize("name", ["Ada", 'Ada "the first"'])
def test_parameter_inside_a_string_is_filled_in(play, name):
    @dsl.pipeline
    def greet(name: str) -> str:
        return say(text=f"hello {name}").output

    assert play.output(greet, {"name": name}) == f"hello {name}"


@construct(
    "artifact metadata",
    "travels with the artifact through ML Metadata: whole doubles arrive as integers, booleans as "
    '0 and 1, a list as `{"list": …}`, an object as `{"struct": …}`; null fails the task; '
    "`display_name` and `store_session_info` are added",
    "the same, but nothing is added",
)
def test_metadata_reaches_the_reader(play):
    @component
    def say_much(out: dsl.Output[dsl.Model], is_null: bool) -> None:
        out.metadata.update({"a": 1.0, "b": True, "c": [1.0, False], "d": {"e": 2.0}, "f": 0.5})
        if is_null:
            out.metadata["g"] = None

    @component
    def tell(model: dsl.Input[dsl.Model]) -> dict:
        return model.metadata

    @dsl.pipeline
    def hand_over(is_null: bool) -> dict:
        return tell(model=say_much(is_null=is_null).outputs["out"]).output

    assert play.output(hand_over, {"is_null": False}) == {
        "a": 1,
        "b": 1,
        "c": {"list": [1, False]},
        "d": {"struct": {"e": 2}},
        "f": 0.5,
    }
    record = play(hand_over, {"is_null": True})
    assert "got null for metadata 'g'" in record.error

    @dsl.pipeline
    def hand_on() -> str:
        return describe(data=write(text="abc").outputs["data"]).output

    assert play.output(hand_on) == "abc {'length': 3} Dataset"
