"""Inputs that come from outside of a run: artifacts, other stores, the workspace, placeholders."""

import json

import pytest
from kfp import dsl

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.errors import InputError
from dalsegno.runs.reader import read_task
from dalsegno.store import open_store
from tests.engine.samples import add, fail, read, write
from tests.servers import BUCKET

component = dsl.component(base_image="python:3.11", install_kfp_package=False)


@component
def show(text: str) -> str:
    return text


@component
def tell(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state} {status.pipeline_task_name} {status.error_message}"


@component
def first_line(data: dsl.Input[dsl.Dataset]) -> str:
    return open(data.path).readline()


@component
def keep(folder: str) -> str:
    import os

    with open(os.path.join(folder, "kept.txt"), "w") as file:
        file.write("kept")
    return folder


@component
def find(folder: str) -> str:
    import os

    return open(os.path.join(folder, "kept.txt")).read()


@component
def path_of(data: dsl.Input[dsl.Dataset]) -> str:
    return open(data.path).read()


@dsl.pipeline
def take(data: dsl.Input[dsl.Dataset], suffix: str = "!") -> str:
    return read(data=data, suffix=suffix).output


@dsl.pipeline
def take_nested(data: dsl.Input[dsl.Dataset]) -> str:
    return take(data=data).output


@dsl.pipeline
def format_text(name: str) -> str:
    return show(text=f"hello {name}, from {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}").output


@dsl.pipeline(
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(
            size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={})
        )
    )
)
def share() -> str:
    first = keep(folder=dsl.WORKSPACE_PATH_PLACEHOLDER)
    return find(folder=dsl.WORKSPACE_PATH_PLACEHOLDER).after(first).output


@dsl.pipeline
def end_told() -> None:
    end = tell()
    with dsl.ExitHandler(end, name="guarded"):
        fail()


@dsl.pipeline
def bring(uri: str) -> str:
    brought = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, reimport=False)
    return first_line(data=brought.output).output


@dsl.pipeline(
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(
            size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={})
        )
    )
)
def bring_to_workspace(uri: str) -> str:
    brought = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, download_to_workspace=True)
    return path_of(data=brought.output).output


@pytest.fixture
def play(tmp_path):
    def run(pipeline, arguments=None, where=None):
        compiled = compile_object(pipeline)
        return run_pipeline(compiled, arguments or {}, where or open_store(str(tmp_path / "store")))

    return run


def output(record):
    assert record.state == "succeeded", record.error
    return record.outputs["parameters"]["Output"]


@pytest.mark.parametrize("pipeline", [take, take_nested], ids=["root", "nested"])
def test_pipeline_takes_an_artifact_by_path(play, tmp_path, pipeline):
    (tmp_path / "data.csv").write_text("given")
    given = {"uri": str(tmp_path / "data.csv"), "metadata": {"length": 5}}
    assert output(play(pipeline, {"data": given})) == "given!:5"


def test_missing_artifact_argument_is_named(play, tmp_path):
    with pytest.raises(InputError, match="artifact 'data' of pipeline 'take': got nothing"):
        play(take)
    with pytest.raises(InputError, match="where nothing is"):
        play(take, {"data": str(tmp_path / "absent")})


def test_placeholder_inside_a_string_is_filled_in(play):
    record = play(format_text, {"name": "Ada"})
    # The driver fills in a run's placeholders only where they are the whole value.
    assert output(record) == "hello Ada, from {{$.pipeline_job_name}}"


def test_recorded_input_is_what_the_driver_hands_over(play, tmp_path):
    record = play(format_text, {"name": "Ada"})
    task = read_task(open_store(str(tmp_path / "store")), record, "show")
    text = task.executor_input["inputs"]["parameterValues"]["text"]
    assert text.startswith("hello {{$.inputs.parameters['pipelinechannel--name']}}, from")


def test_workspace_is_shared_by_the_tasks_of_a_run(play, tmp_path):
    record = play(share)
    assert output(record) == "kept"
    task = read_task(open_store(str(tmp_path / "store")), record, "keep")
    assert task.executor_input["inputs"]["parameterValues"]["folder"] == "/kfp-workspace"


def test_final_status_is_as_the_driver_writes_it(play, tmp_path):
    record = play(end_told)
    task = read_task(open_store(str(tmp_path / "store")), record, "tell")
    assert task.executor_input["inputs"]["parameterValues"]["status"]["error"] == {}
    assert task.executor_output["parameterValues"]["Output"] == "FAILED exit-handler-1 None"


@pytest.fixture
def s3(s3_server, monkeypatch, tmp_path):
    monkeypatch.setenv("DALSEGNO_S3_ENDPOINT", s3_server.endpoint)
    monkeypatch.setenv("DALSEGNO_S3_ACCESS_KEY", s3_server.access_key)
    monkeypatch.setenv("DALSEGNO_S3_SECRET_KEY", s3_server.secret_key)
    monkeypatch.setenv("DALSEGNO_S3_SECURE", "false")
    return open_store(f"s3://{BUCKET}/{tmp_path.name}", s3_server)


@pytest.fixture
def gcs(gcs_server, tmp_path):
    return open_store(f"gs://{BUCKET}/{tmp_path.name}")


@pytest.mark.parametrize("server", ["s3", "gcs"])
@pytest.mark.parametrize("pipeline", [bring, bring_to_workspace], ids=["artifact", "workspace"])
def test_importer_brings_a_file_from_another_store(play, request, server, pipeline):
    store = request.getfixturevalue(server)
    store.put("elsewhere/data.txt", b"one\n")
    assert output(play(pipeline, {"uri": store.uri_of("elsewhere/data.txt")})) == "one\n"


def test_importer_brings_a_file_from_the_runs_own_store(play, s3):
    s3.put("elsewhere/data.txt", b"one\n")
    record = play(bring, {"uri": s3.uri_of("elsewhere/data.txt")}, where=s3)
    assert output(record) == "one\n"


def test_importer_of_nothing_fails_the_reader_by_name(play, s3):
    record = play(bring, {"uri": s3.uri_of("absent.txt")})
    assert record.state == "failed"
    assert "nothing at" in record.error


def test_values_reach_a_task_as_go_writes_them(play, tmp_path):
    @component
    def look(values: list, settings: dict) -> str:
        import json

        return json.dumps([values, settings])

    @dsl.pipeline
    def looked(values: list = [1.0, 2.5, [3.0]], settings: dict = {"n": 1.0, "f": 0.5}) -> str:  # noqa: B006
        return look(values=values, settings=settings).output

    assert json.loads(output(play(looked))) == [[1, 2.5, [3]], {"n": 1, "f": 0.5}]
    assert "1.0" not in output(play(looked))


def test_add_is_still_plain(play):
    @dsl.pipeline
    def plain(a: int) -> int:
        return add(a=a).output

    assert output(play(plain, {"a": 1})) == 2


def test_artifact_of_a_task_goes_into_a_nested_pipeline(play):
    @dsl.pipeline
    def outer() -> str:
        written = write(text="abc")
        return take_nested(data=written.outputs["data"]).output

    assert output(play(outer)) == "abc!:3"
