import pytest
from kfp import dsl, kubernetes

from dalsegno.engine.local_platform import Folders
from tests.conformance.page import construct
from tests.conformance.parts import component, say
from tests.mounting import needs_mounts


@pytest.fixture
def folders(tmp_path):
    secret, settings = tmp_path / "secrets/db", tmp_path / "configmaps/colours"
    secret.mkdir(parents=True)
    settings.mkdir(parents=True)
    (secret / "password").write_text("not-shown")
    (settings / "sky").write_text("blue")
    return Folders(tmp_path / "secrets", tmp_path / "configmaps", tmp_path / "volumes")


@component
def size_of(name: str) -> int:
    import os

    return len(os.environ.get(name, ""))


@component
def text_at(path: str) -> str:
    with open(path) as file:
        return file.read()


@component
def put_at(path: str, text: str):
    with open(path, "w") as file:
        file.write(text)


@construct(
    "secrets and config maps as variables",
    "of the pod, from the namespace",
    "from the folders `secrets/`, `configmaps/`; never recorded ([platform](platform.md))",
)
def test_secret_reaches_the_task_and_no_record(play, folders):
    @dsl.pipeline
    def outer() -> int:
        task = size_of(name="PASSWORD")
        kubernetes.use_secret_as_env(task, "db", {"password": "PASSWORD"})
        return task.output

    assert play.output(outer, folders=folders) == len("not-shown")
    kept = [play.store.get(item.key) for item in play.store.list("runs")]
    assert not any(b"not-shown" in data for data in kept)


@construct("secrets and config maps as variables")
def test_missing_secret_fails_the_task_by_name(play, folders):
    @dsl.pipeline
    def outer() -> int:
        task = size_of(name="PASSWORD")
        kubernetes.use_secret_as_env(task, "absent", {"password": "PASSWORD"})
        return task.output

    assert "secret 'absent', key 'password': got nothing" in play(outer, folders=folders).error


@construct("secrets and config maps as files", "mounted, read-only", "the same, at the same path")
@needs_mounts
def test_config_map_is_a_file(play, folders):
    @dsl.pipeline
    def outer() -> str:
        task = text_at(path="/etc/colours/sky")
        kubernetes.use_config_map_as_volume(task, "colours", "/etc/colours")
        return task.output

    assert play.output(outer, folders=folders) == "blue"


@construct(
    "`CreatePVC`, `mount_pvc`, `DeletePVC`",
    "a claim that tasks share; the driver makes and deletes it",
    "a folder; one that was there before is never deleted",
)
@needs_mounts
def test_claim_is_shared_by_tasks(play, folders):
    @dsl.pipeline
    def outer() -> str:
        claim = kubernetes.CreatePVC(
            pvc_name_suffix="-shared", access_modes=["ReadWriteMany"], size="1Gi"
        )
        put = put_at(path="/data/text", text="shared")
        got = text_at(path="/data/text").after(put)
        for task in (put, got):
            kubernetes.mount_pvc(task, claim.outputs["name"], "/data")
        kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(got)
        return got.output

    assert play.output(outer, folders=folders) == "shared"
    assert list((folders.volumes).iterdir()) == []


@construct("`empty_dir_mount`", "an empty folder for the pod", "for the attempt")
@needs_mounts
def test_empty_dir_is_there(play, folders):
    @component
    def use(path: str) -> int:
        import os

        found = len(os.listdir(path))
        open(os.path.join(path, "file"), "w").close()
        return found

    @dsl.pipeline
    def outer() -> int:
        task = use(path="/scratch")
        kubernetes.empty_dir_mount(task, "scratch", "/scratch")
        return task.output

    assert play.output(outer, folders=folders) == 0


@construct("`set_timeout`", "the pod's active deadline", "the task is ended and has failed")
def test_task_is_ended_at_its_timeout(play, folders):
    @component
    def sleep():
        import time

        time.sleep(60)

    @dsl.pipeline
    def outer():
        kubernetes.set_timeout(sleep(), 1)

    assert "timed out after 1 s" in play(outer, folders=folders).error


@construct(
    "what has no meaning here", "tolerations, node selectors, …", "named once a run, in a note"
)
def test_setting_without_meaning_is_named(play, folders):
    @dsl.pipeline
    def outer():
        kubernetes.add_node_selector(say(text="a"), "disk", "ssd")

    play(outer, folders=folders)
    assert any("node selector" in note for note in play.record.notices), play.record.notices


@construct(
    "`packages_to_install`",
    "pip, in the pod, every time",
    "this environment where it has them, else a cached one made by uv",
)
def test_package_that_is_here_needs_no_environment(play):
    @dsl.component(
        base_image="python:3.11", packages_to_install=["pyyaml"], install_kfp_package=False
    )
    def dump() -> str:
        import yaml

        return yaml.safe_dump({"a": 1})

    @dsl.pipeline
    def outer() -> str:
        return dump().output

    assert play.output(outer) == "a: 1\n"


@construct(
    "`dsl.TaskConfig`, `task_config_passthroughs`",
    "the driver fills the input with fragments of a pod's specification, secrets by name",
    "the same; node affinity stays empty",
)
def test_task_config_names_what_a_task_hands_on(play, folders):
    @dsl.component(
        base_image="python:3.11",
        install_kfp_package=False,
        task_config_passthroughs=[dsl.TaskConfigField.ENV, dsl.TaskConfigField.RESOURCES],
    )
    def hand_on(config: dsl.TaskConfig) -> list:
        return [config.env, config.resources]

    @dsl.pipeline
    def outer() -> list:
        task = hand_on().set_memory_limit("1Gi")
        kubernetes.use_secret_as_env(task, "db", {"password": "PASSWORD"})
        return task.output

    secret = {"name": "db", "key": "password", "optional": False}
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": secret}}]
    assert play.output(outer, folders=folders) == [env, {"limits": {"memory": "1Gi"}}]
