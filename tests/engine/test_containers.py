"""Tasks in real containers: what goes in, what comes out, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.choice import choose_executors
from dalsegno.engine.run import run_pipeline
from dalsegno.errors import ConfigurationError, InputError
from dalsegno.runs.reader import list_runs, read_log, read_task
from dalsegno.runs.record import RunRecord, State, TaskRecord
from dalsegno.store import S3Access, Store, open_store
from tests.containers import NETWORK, Podman
from tests.engine import container_samples as samples
from tests.engine.test_faults import wait_for

Play = Callable[..., RunRecord]


@pytest.fixture
def play(podman_engine: Podman, store: Store) -> Play:
    """Run a pipeline object, its containers made from the tests' image."""

    def run(component: Any, mode: str = "auto", base: str = "", **arguments: Any) -> RunRecord:
        compiled = compile_object(component)
        images = {"*": base or podman_engine.image}
        executors = choose_executors(compiled, mode, images, network=NETWORK)
        return run_pipeline(compiled, arguments, arguments.pop("store", store), executors=executors)

    return run


@pytest.fixture(autouse=True)
def _leaves_no_container(podman_engine: Podman, store: Store) -> Any:
    yield
    assert podman_engine.containers(store.uri) == []


def task_of(store: Store, record: RunRecord, task: str = "run-script") -> TaskRecord:
    return read_task(store, record, task)


def log_of(store: Store, record: RunRecord, task: str = "run-script") -> str:
    return read_log(store, task_of(store, record, task))


def test_artifacts_go_from_containers_to_containers_and_processes(play, store, podman_engine):
    record = play(samples.chain)
    assert record.state is State.SUCCEEDED, record.error
    assert record.outputs["parameters"] == {"Output": "hello"}
    written, read = (task_of(store, record, name) for name in ("write", "read"))
    assert written.executor_output["parameterValues"] == {"length": 5}
    uri = written.outputs["data"][0]["uri"]
    assert Path(uri).read_text() == "hello"
    assert read.executor_output["parameterValues"] == {
        "text": "hello",
        "where": f"/minio/local{uri} minio://local{uri}",
    }
    assert read.executor_input["inputs"]["artifacts"]["data"]["artifacts"][0]["uri"] == uri
    assert [task.executor for task in (written, read)] == ["container", "container"]
    assert (written.image, written.image_used) == ("tests", podman_engine.image)
    assert task_of(store, record, "read-in-python").executor == "process"


def test_lightweight_python_runs_in_its_image_when_asked(play, store):
    record = play(samples.whole_in_containers, mode="container")
    assert record.state is State.SUCCEEDED, record.error
    task = task_of(store, record, "describe")
    data, copy = (task.inputs["data"][0]["uri"], task.outputs["copy"][0]["uri"])
    assert record.outputs["parameters"] == {"Output": f"/minio/local{data} /minio/local{copy} 0"}
    [model] = task.executor_output["artifacts"]["copy"]["artifacts"]
    assert (model["uri"], model["metadata"]) == (copy, {"factor": 3})
    assert Path(copy).read_text() == "ababab"
    assert "I am in a container, to <stderr>" in log_of(store, record, "describe")


def test_image_user_can_write_outputs(play, store, podman_engine):
    record = play(samples.whole_in_containers, mode="container", base=podman_engine.other_image)
    assert record.state is State.SUCCEEDED, record.error
    assert record.outputs["parameters"]["Output"].endswith(" 1234")
    written = Path(task_of(store, record, "write").outputs["data"][0]["uri"])
    assert written.parent.stat().st_mode & 0o777 == 0o755


def test_custom_path_outside_of_outputs_is_kept(play, store):
    record = play(samples.custom_path, mode="container")
    assert record.state is State.SUCCEEDED, record.error
    assert record.outputs["parameters"] == {"Output": "from elsewhere"}


def test_artifacts_travel_through_an_object_store(play, s3_server: S3Access):
    remote = open_store("s3://tests/containers", s3_server)
    record = play(samples.chain, store=remote)
    assert record.state is State.SUCCEEDED, record.error
    assert record.outputs["parameters"] == {"Output": "hello"}
    read = task_of(remote, record, "read")
    uri = read.inputs["data"][0]["uri"]
    path = uri.replace("s3://", "/s3/")
    assert read.executor_output["parameterValues"]["where"] == f"{path} {uri}"


def test_output_parameters_have_their_types(play, store):
    values = task_of(store, play(samples.types), "all-types").executor_output["parameterValues"]
    assert values == {
        "whole": 3,
        "real": 1.5,
        "yes": True,
        "text": "text\n",
        "items": [1, 2],
        "fields": {"a": 1},
    }
    assert [type(item) for item in (values["whole"], *values["items"])] == [int, int, int]


def test_conditions_reach_the_command(play, store):
    record = play(samples.conditions)
    first, second = (task_of(store, record, f"conditional{n}") for n in ("", "-2"))
    assert first.executor_output["parameterValues"]["seen"] == (
        '--none|{"Concat": ["a-", "f"]}|xfy|'
    )
    assert second.executor_output["parameterValues"]["seen"] == (
        '--extra|e|{"Concat": ["a-", "g"]}|xgy|'
    )
    assert '[dalsegno: {"Concat": stays as it is, as on a cluster]' in log_of(
        store, record, "conditional"
    )


def test_exit_code_is_believed(play, store):
    record = play(samples.script, script="echo fine; echo 'no such column' >&2; exit 42")
    assert record.state is State.FAILED
    task = task_of(store, record)
    assert task.exit_code == 42
    assert task.error["message"] == "the container ended with exit code 42: no such column"
    assert log_of(store, record) == "fine\nno such column\n"


def test_missing_program_is_named(play, store):
    record = play(samples.script, script="exec no-such-program")
    assert task_of(store, record).exit_code == 127
    assert "no-such-program" in record.error


def test_image_may_be_a_parameter(play, store, podman_engine):
    task = task_of(store, play(samples.image_by_parameter, image=podman_engine.image))
    assert task.image == "{{$.inputs.parameters['pipelinechannel--image']}}"
    assert task.image_used == podman_engine.image


def test_missing_image_is_named_with_the_way_out(play, store):
    record = play(samples.script, base="localhost:1/no/such:image", script="true")
    assert record.state is State.FAILED
    assert record.error.startswith(
        "task 'run-script': image 'localhost:1/no/such:image': not here, and podman cannot pull it"
    )
    error = task_of(store, record).error
    assert error["next_command"] == ("dalsegno run ... --image-map localhost:1/no/such:image=IMAGE")


def test_output_that_is_missing_fails_only_for_parameters(play, store):
    record = play(samples.forgetful)
    assert record.error.startswith("output parameter 'number': got no file")
    assert record.state is State.FAILED


def test_link_that_leads_out_of_an_output_is_refused(play, store):
    assert play(samples.linking).error == (
        "output 'inner': got a link that leads out, want content"
    )


def test_environment_is_the_tasks_alone(play, store, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hidden")
    record = play(samples.with_environment, script='echo "$GREETING $PATH [$MY_TOKEN]"')
    assert log_of(store, record) == "two\nlines /bin []\n"


def test_memory_limit_ends_a_task_and_is_named(play, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hungry = "head -c 200000000 /dev/zero | cat > /dev/null; x=$(yes | head -c 200000000)"
    record = play(samples.limited, script=hungry)
    if "refuses it" in str(record.error):
        pytest.skip(f"podman sets no limits here: {record.error}")
    assert record.state is State.FAILED
    task = task_of(store, record)
    assert task.exit_code == 137
    assert "memory" in task.error["message"]
    assert "32 MiB" in task.error["message"]
    assert not (tmp_path / "oom").exists()


def test_timeout_stops_the_container(play, store, monkeypatch):
    monkeypatch.setattr("dalsegno.engine.task.prepare", _impatient())
    started = time.monotonic()
    record = play(samples.script, script="trap 'exit 0' TERM; sleep 60 & wait")
    assert time.monotonic() - started < 20
    assert record.state is State.FAILED
    assert task_of(store, record).error["type"] == "TimedOut"


def test_tasks_run_side_by_side_with_a_log_each(play, store):
    record = play(samples.many, scripts=["echo one", "echo two"])
    loop = "for-loop-1-iteration-{}/run-script"
    assert [log_of(store, record, loop.format(n)) for n in (0, 1)] == ["one\n", "two\n"]


def test_big_output_is_bounded(play, store):
    record = play(samples.script, script="yes 0123456789abcde | head -c 90000000; echo the end")
    assert record.state is State.SUCCEEDED
    log = log_of(store, record)
    assert 2**26 <= len(log) < 2**26 + 100_000
    assert log.endswith("the end\n")
    assert "bytes of output left out here]" in log


def test_task_that_forks_and_dies_leaves_nothing(play, store):
    record = play(samples.script, script="setsid sleep 1000 & kill -KILL $$")
    assert record.state in {State.FAILED, State.SUCCEEDED}
    assert task_of(store, record).exit_code is not None


def test_docker_client_does_the_same(docker_engine, store):
    compiled = compile_object(samples.whole_in_containers)
    executors = choose_executors(
        compiled, "container", {"*": docker_engine.image}, engine="docker", network=NETWORK
    )
    record = run_pipeline(compiled, {"text": "x"}, store, executors=executors)
    assert record.state is State.SUCCEEDED, record.error
    assert "/minio/local" in record.outputs["parameters"]["Output"]


def test_docker_exit_codes_are_believed(docker_engine, store):
    compiled = compile_object(samples.script)
    images = {"*": docker_engine.image}
    executors = choose_executors(compiled, "auto", images, engine="docker", network=NETWORK)
    arguments = {"script": "echo last words; exit 3"}
    record = run_pipeline(compiled, arguments, store, executors=executors)
    assert record.error == "the container ended with exit code 3: last words"


def start(tmp_path: Path, store: Store, image: str, script: str) -> subprocess.Popen[str]:
    compiled = tmp_path / "pipeline.yaml"
    compiled.write_text(compile_object(samples.script).text)
    command = [sys.executable, "-P", "-m", "dalsegno", "run", str(compiled), "-p"]
    return subprocess.Popen(
        [*command, f"script={script}", "--image-map", f"tests={image}"],
        env={
            **os.environ,
            "DALSEGNO_STORE_URI": store.uri,
            "DALSEGNO_CONTAINER_NETWORK": NETWORK,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_output(store: Store) -> None:
    wait_for(lambda: any(Path(store.uri).glob("runs/*/tasks/*/1/log.txt")))
    [log] = Path(store.uri).glob("runs/*/tasks/*/1/log.txt")
    wait_for(lambda: "ready" in log.read_text())


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_removes_its_container(tmp_path, store, podman_engine, signal_):
    script = "trap 'echo stopping; exit 0' TERM; echo ready; sleep 100 & wait"
    engine = start(tmp_path, store, podman_engine.image, script)
    wait_for_output(store)
    engine.send_signal(signal_)
    engine.wait(20)
    assert podman_engine.containers(store.uri) == []
    [record] = list_runs(store)
    task = task_of(store, record)
    assert (record.state, task.state) == (State.CANCELLED, State.CANCELLED)
    assert read_log(store, task) == "ready\nstopping\n"


def test_killed_engine_leaves_no_container(tmp_path, store, podman_engine):
    engine = start(tmp_path, store, podman_engine.image, "echo ready; sleep 100")
    wait_for_output(store)
    assert len(podman_engine.containers(store.uri)) == 1
    engine.kill()
    engine.wait()
    wait_for(lambda: not podman_engine.containers(store.uri))
    [record] = list_runs(store)
    assert task_of(store, record).state is State.LOST


def test_log_that_fills_the_disk_is_cut_and_the_task_goes_on(play, small_disk):
    small = open_store(str(small_disk / "store"))
    record = play(samples.script, store=small, script="seq 3000000; exit 0")
    assert record.state is State.SUCCEEDED
    assert read_task(small, record, "run-script").state is State.SUCCEEDED


def test_output_that_fills_the_disk_is_a_clear_error(play, small_disk):
    small = open_store(str(small_disk / "store"))
    play(samples.filling, store=small)
    [record] = list_runs(small)
    assert (record.state, record.finished_at is not None) == (State.FAILED, True)
    assert "No space left on device" in record.error


def test_process_mode_refuses_container_components(store):
    compiled = compile_object(samples.chain)
    with pytest.raises(InputError, match=r"tasks 'read' \(tests\), 'write' \(tests\)"):
        choose_executors(compiled, "process")


def test_missing_engine_is_refused_before_anything_runs(store, monkeypatch, tmp_path):
    compiled = compile_object(samples.chain)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="podman: not installed; docker: not") as caught:
        run_pipeline(compiled, {}, store)
    assert "for tasks 'read' (tests), 'write' (tests)" in str(caught.value)
    assert store.folders("runs") == []


def test_engine_that_does_not_answer_is_no_engine(monkeypatch, tmp_path):
    broken = tmp_path / "docker"
    broken.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ConfigurationError, match="docker: Cannot connect to the Docker daemon"):
        choose_executors(compile_object(samples.chain), engine=str(broken))


def _impatient() -> Callable[..., Any]:
    from dalsegno.engine.task import prepare

    def impatient(*arguments: Any) -> Any:
        work = prepare(*arguments)
        work.timeout_seconds = 3.0
        return work

    return impatient
