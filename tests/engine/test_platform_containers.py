"""Platform settings mean the same in a container as in a process."""

from pathlib import Path

import pytest
from kfp import dsl, kubernetes

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.choice import choose_executors
from dalsegno.engine.local_platform import Folders
from dalsegno.engine.run import run_pipeline
from dalsegno.runs.record import State
from tests.containers import NETWORK

VALUE = "s3cr3t-7f3a"


@dsl.container_component
def look(seen: dsl.OutputPath(str)):
    script = """
file=$(cat /mnt/secret/key)
printf "%s %s %s " ${#PASSWORD} ${#file} $NAMESPACE > $0
touch /mnt/secret/new 2> /dev/null && echo -n writable || echo -n read-only >> $0
echo kept > /data/file
echo gone > /scratch/file
"""
    return dsl.ContainerSpec(image="tests", command=["sh", "-c", script], args=[seen])


@dsl.container_component
def who(seen: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="tests", command=["sh", "-c", "echo $(id -u) > $0"], args=[seen])


@dsl.container_component
def sleep_long():
    return dsl.ContainerSpec(image="tests", command=["sleep", "60"])


@dsl.pipeline
def looking() -> str:
    task = look()
    kubernetes.use_secret_as_env(task, secret_name="login", secret_key_to_env={"key": "PASSWORD"})
    kubernetes.use_secret_as_volume(task, secret_name="login", mount_path="/mnt/secret")
    kubernetes.use_field_path_as_env(task, env_name="NAMESPACE", field_path="metadata.namespace")
    kubernetes.mount_pvc(task, pvc_name="standing", mount_path="/data", sub_path="deep")
    kubernetes.empty_dir_mount(task, volume_name="scratch", mount_path="/scratch")
    return task.outputs["seen"]


@dsl.pipeline
def with_user() -> str:
    task = who()
    kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)
    return task.outputs["seen"]


@dsl.pipeline
def timed() -> None:
    kubernetes.set_timeout(sleep_long(), 1)


@pytest.fixture
def play(podman_engine, store, tmp_path):
    (tmp_path / "secrets" / "login").mkdir(parents=True)
    (tmp_path / "secrets" / "login" / "key").write_text(VALUE)
    folders = Folders(tmp_path / "secrets", tmp_path / "configmaps", tmp_path / "volumes")

    def run(pipeline):
        compiled = compile_object(pipeline)
        executors = choose_executors(compiled, "auto", {"*": podman_engine.image}, network=NETWORK)
        return run_pipeline(compiled, {}, store, folders=folders, executors=executors)

    return run


def test_container_gets_what_a_process_gets(play, store, tmp_path):
    record = play(looking)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    size = len(VALUE)
    assert record.outputs["parameters"]["Output"] == f"{size} {size} kubeflow read-only"
    assert (tmp_path / "volumes" / "standing" / "deep" / "file").read_text() == "kept\n"
    kept = [path for path in Path(store.uri).rglob("*") if path.is_file()]
    assert not [path for path in kept if VALUE.encode() in path.read_bytes()]


def test_container_runs_as_the_user_asked_for(play):
    record = play(with_user)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert record.outputs["parameters"]["Output"].strip() == "1000"


def test_container_past_its_timeout_is_ended(play, podman_engine):
    record = play(timed)
    assert "timed out after 1 s" in record.error
    assert podman_engine.containers(f"label=dalsegno.run={record.run_id}") == []
