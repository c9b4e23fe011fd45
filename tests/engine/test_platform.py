"""Platform settings of a compiled pipeline have their meaning here, and values stay unseen."""

import json
from pathlib import Path

import pytest
from kfp import dsl, kubernetes

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.local_platform import Folders
from dalsegno.engine.platform import recorded_settings
from dalsegno.engine.run import run_pipeline
from dalsegno.runs.reader import read_task
from dalsegno.runs.record import State
from tests.mounting import needs_mounts

IMAGE = "python:3.11"
VALUE = "s3cr3t-7f3a"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read_variables(names: list) -> dict:
    import os

    return {name: len(os.environ[name]) for name in names if name in os.environ}


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def list_folder(path: str) -> dict:
    from pathlib import Path

    return {file.name: len(file.read_bytes()) for file in Path(path).iterdir()}


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def write_file(path: str, text: str = "four") -> str:
    from pathlib import Path

    Path(path).write_text(text)
    return path


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def value_of(name: str) -> str:
    import os

    return os.environ[name]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def name_secret() -> str:
    return "named"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def sleep_long() -> None:
    import time

    time.sleep(60)


@dsl.pipeline
def secret_as_env(secret: str = "login", optional: bool = False) -> dict:
    task = read_variables(names=["PASSWORD"])
    kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={"key": "PASSWORD"})
    return task.output


@dsl.pipeline
def optional_secret() -> dict:
    task = read_variables(names=["PASSWORD", "PATH"])
    kubernetes.use_secret_as_env(
        task, secret_name="none", secret_key_to_env={"key": "PASSWORD"}, optional=True
    )
    kubernetes.use_secret_as_volume(task, secret_name="none", mount_path="/mnt/n", optional=True)
    return task.output


@dsl.pipeline
def named_by_task() -> dict:
    named = name_secret()
    task = read_variables(names=["PASSWORD"])
    kubernetes.use_secret_as_env(
        task, secret_name=named.output, secret_key_to_env={"key": "PASSWORD"}
    )
    return task.output


@dsl.pipeline
def as_volumes() -> dict:
    task = list_folder(path="/mnt/dalsegno-secret")
    kubernetes.use_secret_as_volume(task, secret_name="login", mount_path="/mnt/dalsegno-secret")
    kubernetes.use_config_map_as_volume(task, config_map_name="plain", mount_path="/dalsegno-cm")
    kubernetes.use_config_map_as_env(
        task, config_map_name="plain", config_map_key_to_env={"COLOUR": "C"}
    )
    return task.output


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def quote(path: str, quoted: str) -> None:
    with open(path) as file:
        assert quoted in file.read()
    raise ValueError(f"refused: {quoted}")


@dsl.pipeline
def quoting(quoted: str) -> None:
    task = quote(path="/mnt/dalsegno-secret/key", quoted=quoted)
    kubernetes.use_secret_as_volume(task, secret_name="login", mount_path="/mnt/dalsegno-secret")


@dsl.pipeline
def with_claim() -> dict:
    claim = kubernetes.CreatePVC(
        pvc_name_suffix="-data", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name=""
    )
    written = write_file(path="/dalsegno-data/file")
    kubernetes.mount_pvc(written, pvc_name=claim.outputs["name"], mount_path="/dalsegno-data")
    read = list_folder(path="/dalsegno-data").after(written)
    kubernetes.mount_pvc(read, pvc_name=claim.outputs["name"], mount_path="/dalsegno-data")
    kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(read)
    return read.output


@dsl.pipeline
def delete_given(name: str) -> None:
    kubernetes.DeletePVC(pvc_name=name)


@dsl.pipeline
def sub_path(inner: str = "unused") -> None:
    task = write_file(path="/dalsegno-data/file")
    kubernetes.mount_pvc(task, pvc_name="standing", mount_path="/dalsegno-data", sub_path="deep/er")
    kubernetes.empty_dir_mount(task, volume_name="scratch", mount_path="/dalsegno-empty")


@dsl.pipeline
def field(path: str = "unused") -> str:
    task = value_of(name="FIELD")
    kubernetes.use_field_path_as_env(task, env_name="FIELD", field_path="metadata.namespace")
    return task.output


@dsl.pipeline
def label() -> str:
    task = value_of(name="FIELD")
    kubernetes.add_pod_label(task, "team", "rocket")
    kubernetes.use_field_path_as_env(task, env_name="FIELD", field_path="metadata.labels['team']")
    return task.output


@dsl.pipeline
def over_tmp(path: str = "unused") -> str:
    task = write_file(path="/tmp/file")
    kubernetes.empty_dir_mount(task, volume_name="scratch", mount_path="/tmp/")
    return task.output


@dsl.pipeline
def over_root() -> None:
    kubernetes.empty_dir_mount(sleep_long(), volume_name="scratch", mount_path="/../")


@dsl.pipeline
def named_claim() -> None:
    kubernetes.CreatePVC(
        pvc_name="mine", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name=""
    )


@dsl.component(
    base_image=IMAGE,
    install_kfp_package=False,
    task_config_passthroughs=[
        dsl.TaskConfigField.ENV,
        dsl.TaskConfigField.RESOURCES,
        dsl.TaskConfigField.KUBERNETES_VOLUMES,
        dsl.TaskConfigField.KUBERNETES_TOLERATIONS,
        dsl.TaskConfigField.KUBERNETES_NODE_SELECTOR,
    ],
)
def handing_on(names: list, config: dsl.TaskConfig) -> list:
    import os

    return [name for name in names if name in os.environ] + [vars(config)]


@dsl.pipeline
def handed_on() -> list:
    task = handing_on(names=["PASSWORD", "COLOUR"]).set_env_variable("COLOUR", "blue")
    task.set_cpu_limit("2").set_memory_request("1Gi")
    kubernetes.use_secret_as_env(task, secret_name="login", secret_key_to_env={"key": "PASSWORD"})
    kubernetes.use_config_map_as_volume(task, config_map_name="plain", mount_path="/dalsegno-cm")
    kubernetes.mount_pvc(task, pvc_name="standing", mount_path="/dalsegno-data", sub_path="deep")
    kubernetes.add_node_selector(task, "disk", "fast")
    kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoSchedule")
    return task.output


@dsl.pipeline
def timed() -> None:
    kubernetes.set_timeout(sleep_long(), 1)


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(active_deadline_seconds=1))
def limited() -> None:
    sleep_long()


@pytest.fixture
def folders(tmp_path):
    for path, text in {
        "secrets/login/key": VALUE,
        "secrets/named.env": f"# a comment\nexport key='{VALUE}'\n",
        "configmaps/plain.env": "COLOUR=blue\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return Folders(tmp_path / "secrets", tmp_path / "configmaps", tmp_path / "volumes")


@pytest.fixture
def play(store, folders):
    def run(pipeline, **arguments):
        return run_pipeline(compile_object(pipeline), arguments, store, folders=folders)

    return run


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("pipeline", "arguments", "output"),
    [
        pytest.param(secret_as_env, {}, {"PASSWORD": len(VALUE)}, id="folder"),
        pytest.param(secret_as_env, {"secret": "named"}, {"PASSWORD": len(VALUE)}, id="env-file"),
        pytest.param(named_by_task, {}, {"PASSWORD": len(VALUE)}, id="named-by-task"),
        pytest.param(as_volumes, {}, {"key": len(VALUE)}, id="volume", marks=needs_mounts),
        pytest.param(with_claim, {}, {"file": 4}, id="claim", marks=needs_mounts),
        pytest.param(field, {}, "kubeflow", id="field-path"),
        pytest.param(label, {}, "rocket", id="label"),
    ],
)
def test_setting_reaches_the_task(play, pipeline, arguments, output):
    record = play(pipeline, **arguments)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert record.outputs["parameters"]["Output"] == output


@pytest.mark.parametrize("pipeline", [secret_as_env, pytest.param(as_volumes, marks=needs_mounts)])
def test_value_of_secret_is_kept_nowhere(play, store, pipeline):
    record = play(pipeline)
    assert record.state is State.SUCCEEDED
    assert VALUE.encode() not in everything_in(Path(store.uri))


@needs_mounts
@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (f"{VALUE}\n", VALUE),
        (f"user={VALUE}\nport=1\n", f"user={VALUE}"),
        (json.dumps({"accounts": [{"password": VALUE}]}), VALUE),
    ],
    ids=["whole", "line", "json"],
)
def test_error_that_quotes_a_mounted_secret_is_masked(play, store, folders, text, quoted):
    (folders.secrets / "login" / "key").write_text(text)
    record = play(quoting, quoted=quoted)
    assert record.error == "ValueError: refused: ***"
    assert read_task(store, record, "quote").error["message"] == "refused: ***"


@needs_mounts
def test_record_names_the_settings_without_values(play, store):
    record = play(as_volumes)
    kept = read_task(store, record, "list-folder").platform
    settings = recorded_settings(kept)
    assert settings is not None
    assert [item.variable for item in settings.variables] == ["C"]
    assert [item.name for item in settings.volumes] == ["login", "plain"]
    assert recorded_settings({}) is None


def test_variables_that_a_task_hands_on_are_not_its_own(play):
    record = play(handed_on)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    secret = {"name": "login", "key": "key", "optional": False}
    assert record.outputs["parameters"]["Output"] == [
        {
            "affinity": None,
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "node_selector": {"disk": "fast"},
            "env": [
                {"name": "COLOUR", "value": "blue"},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": secret}},
            ],
            "volumes": [
                {"name": "standing", "persistentVolumeClaim": {"claimName": "standing"}},
                {"name": "plain", "configMap": {"name": "plain", "optional": False}},
            ],
            "volume_mounts": [
                {"name": "standing", "mountPath": "/dalsegno-data", "subPath": "deep"},
                {"name": "plain", "mountPath": "/dalsegno-cm"},
            ],
            "resources": {"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}},
        }
    ]


@needs_mounts
def test_optional_secret_may_be_missing(play):
    record = play(optional_secret)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert list(record.outputs["parameters"]["Output"]) == ["PATH"]


def test_missing_secret_is_named_with_its_place(play, folders):
    record = play(secret_as_env, secret="other")
    assert record.state is State.FAILED
    assert "secret 'other', key 'key'" in record.error
    assert str(folders.secrets / "other" / "key") in record.error


def test_missing_key_is_answered_with_known_ones(play, folders):
    (folders.secrets / "login" / "key").rename(folders.secrets / "login" / "user")
    record = play(secret_as_env)
    assert "its keys: user" in record.error
    assert VALUE not in record.error


@pytest.mark.parametrize("name", ["../login", "/etc", "a..b", "Login", ""])
def test_secret_name_never_leaves_its_folder(play, name):
    record = play(secret_as_env, secret=name)
    assert record.state is State.FAILED
    assert "want lower-case letters" in record.error


@pytest.mark.parametrize("line", [VALUE, f"{VALUE}+/=x"])
def test_broken_file_is_told_without_its_text(play, folders, line):
    (folders.secrets / "broken.env").write_text(f"# two lines\n{line}\n")
    record = play(secret_as_env, secret="broken")
    assert "broken.env, line 2: got something else, want KEY=VALUE" in record.error
    assert VALUE not in record.error


@needs_mounts
@pytest.mark.parametrize("text", [b"\xff\xfe", b"a\0b"])
def test_bytes_are_files_but_no_variable(play, folders, text):
    (folders.secrets / "login" / "key").write_bytes(text)
    assert "want UTF-8 without NUL" in play(secret_as_env).error
    assert play(as_volumes).outputs["parameters"]["Output"] == {"key": len(text)}


@needs_mounts
def test_claim_is_gone_after_its_deletion(play, folders):
    play(with_claim)
    assert list(folders.volumes.iterdir()) == []


def test_claim_of_another_run_is_never_deleted(play, folders):
    (folders.volumes / "mine").mkdir(parents=True)
    record = play(delete_given, name="mine")
    assert record.state is State.SUCCEEDED
    assert (folders.volumes / "mine").is_dir()
    assert "was not made by this run" in record.notices[0]


def test_claim_that_exists_is_not_made_again(play):
    assert play(named_claim).state is State.SUCCEEDED
    assert "volume 'mine': got one already at" in play(named_claim).error


@needs_mounts
def test_folder_can_be_mounted_over_the_scratch_folder(play):
    record = play(over_tmp)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert not Path("/tmp/file").exists()


def test_root_is_no_mount_path(play):
    assert "mount path: got '/../'" in play(over_root).error


def test_deleting_no_claim_fails(play):
    assert "volume 'none': got nothing" in play(delete_given, name="none").error


@needs_mounts
def test_claim_that_was_not_there_is_told(play, folders):
    record = play(sub_path)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert (folders.volumes / "standing" / "deep" / "er" / "file").read_text() == "four"
    assert "volume 'standing' was not there and starts empty" in record.notices[0]


def test_task_past_its_timeout_is_ended(play, store):
    record = play(timed)
    assert record.state is State.FAILED
    assert "timed out after 1 s" in record.error
    assert read_task(store, record, "sleep-long").seconds < 30


def test_run_past_its_deadline_is_ended(play):
    record = play(limited)
    assert record.state is State.FAILED
    assert record.error == "timed out after 1 s, the active deadline of the pipeline"
    assert record.tasks["sleep-long"].state is State.CANCELLED
    assert record.seconds < 30


def test_newline_at_the_end_of_a_value_is_told(play, folders):
    (folders.secrets / "login" / "key").write_text(VALUE + "\n")
    record = play(secret_as_env)
    assert record.notices == [
        "secret 'login', key 'key' ends in a newline, which is part of its value, as on a cluster"
    ]
