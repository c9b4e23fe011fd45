"""A replay finds again what platform settings gave the task: secrets, config maps, volumes."""

import shutil
from pathlib import Path

import pytest
from kfp import dsl, kubernetes

from dalsegno.cli.comparing import replay_command
from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.masking import masked
from dalsegno.engine.run import run_pipeline
from dalsegno.replay.surroundings import platform_variables
from dalsegno.runs.reader import find_run, read_task
from tests.engine import test_platform as settings
from tests.mounting import needs_mounts
from tests.replay.test_command import Command, assert_one_line, command  # noqa: F401

folders = settings.folders
VALUE = settings.VALUE


@dsl.component(base_image=settings.IMAGE, install_kfp_package=False)
def look_around(paths: list, expected: int) -> list:
    import os
    from pathlib import Path

    found = sorted(file.name for path in paths for file in Path(path).iterdir())
    found += [name for name in ("PASSWORD", "COLOUR") if name in os.environ]
    assert len(found) == expected, found
    (Path(paths[-1]) / "left").write_text("behind")
    return found


@dsl.component(
    base_image=settings.IMAGE, install_kfp_package=False, packages_to_install=["iniconfig==2.0.0"]
)
def look_with_packages(path: str) -> str:
    import os
    from pathlib import Path

    return os.environ["PASSWORD"][:2] + next(Path(path).iterdir()).name


@dsl.component(base_image=settings.IMAGE, install_kfp_package=False)
def telling() -> None:
    import os

    raise KeyError(f"cannot log in with {os.environ['PASSWORD']} and {os.environ['API_TOKEN']!r}")


@dsl.pipeline
def told() -> None:
    task = telling().set_env_variable("API_TOKEN", "by-value-7f3a")
    kubernetes.use_secret_as_env(task, "login", secret_key_to_env={"key": "PASSWORD"})


@dsl.pipeline
def surrounded() -> list:
    paths = ["/dalsegno-secret", "/dalsegno-data", "/dalsegno-empty"]
    task = look_around(paths=paths, expected=4)
    kubernetes.use_secret_as_env(task, "named", secret_key_to_env={"key": "PASSWORD"})
    kubernetes.use_config_map_as_env(task, "plain", config_map_key_to_env={"COLOUR": "COLOUR"})
    kubernetes.use_secret_as_volume(task, "named", mount_path="/dalsegno-secret")
    kubernetes.mount_pvc(task, pvc_name="standing", mount_path="/dalsegno-data")
    kubernetes.empty_dir_mount(task, volume_name="scratch", mount_path="/dalsegno-empty")
    return task.output


@dsl.pipeline
def with_packages() -> str:
    task = look_with_packages(path="/dalsegno-secret")
    kubernetes.use_secret_as_env(task, "named", secret_key_to_env={"key": "PASSWORD"})
    kubernetes.use_secret_as_volume(task, "login", mount_path="/dalsegno-secret")
    return task.output


@pytest.fixture
def platform_run(store, folders, tmp_path, monkeypatch):
    """Run a pipeline whose secrets, config maps and volumes are beside the store."""
    monkeypatch.setenv("DALSEGNO_VOLUMES_DIR", str(folders.volumes))
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    monkeypatch.chdir(tmp_path)
    (folders.volumes / "standing").mkdir(parents=True)
    (folders.volumes / "standing" / "table").write_text("kept")

    def run(pipeline):
        return run_pipeline(compile_object(pipeline), {}, store, folders=folders).run_id

    return run


@needs_mounts
def test_replay_in_a_process_has_all_that_the_task_had(platform_run, command, store):  # noqa: F811
    done = command("replay", f"{platform_run(surrounded)}/look-around")
    assert done.returncode == 0, done.stderr
    assert "verdict: reproduced" in done.stdout
    assert "left out" not in done.stderr
    cache = Path(store.uri).parent
    kept = [path for path in cache.rglob("*") if path.is_file() and "secrets" not in path.parts]
    assert not [path for path in kept if VALUE.encode() in path.read_bytes()]
    assert not list(cache.rglob("replays/*/volumes"))


@needs_mounts
def test_replay_with_packages_has_them_too(platform_run, command):  # noqa: F811
    done = command("replay", f"{platform_run(with_packages)}/look-with-packages")
    assert done.returncode == 0, done.stderr
    assert "verdict: reproduced" in done.stdout


@needs_mounts
def test_missing_config_map_takes_no_secret_along(platform_run, capsule_of, folders):
    run_id = platform_run(surrounded)
    shutil.rmtree(folders.config_maps)
    told: list[str] = []
    found = platform_variables(capsule_of(f"{run_id}/look-around"), told.append)
    assert found == {"PASSWORD": VALUE}
    assert [line.split(":")[0] for line in told] == ["left out config map 'plain', key 'COLOUR'"]


@needs_mounts
def test_debugger_goes_without_volumes_and_says_so(platform_run, command):  # noqa: F811
    address = f"{platform_run(surrounded)}/look-around/1"
    done = command("replay", address, "--pdb")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("left out")]
    assert "volume 'standing' at /dalsegno-data" in line
    assert line.endswith(f"next: dalsegno replay {address} --in container")


def test_task_that_makes_a_volume_is_refused_by_name(platform_run, command):  # noqa: F811
    run_id = platform_run(settings.named_claim)
    done = command("replay", f"{run_id}/createpvc")
    assert_one_line(done, "'createpvc' .*makes or deletes a volume, which runs no code")


def test_failure_to_make_a_volume_leads_to_no_replay(platform_run, store):
    platform_run(settings.named_claim)
    failed = find_run(store, platform_run(settings.named_claim))
    assert replay_command(store, failed, "createpvc") == f"dalsegno show {failed.run_id}/createpvc"


def test_error_never_quotes_a_secret(platform_run, capsule_of, command, store):  # noqa: F811
    run = find_run(store, platform_run(told))
    record = read_task(store, run, "telling")
    message = (record.error or {})["message"]
    assert "cannot log in with *** and" in message
    assert VALUE not in f"{run.error} {run.tasks}"
    capsule = capsule_of(f"{run.run_id}/telling")
    assert "by-value" not in str(capsule.record)
    done = command("replay", f"{run.run_id}/telling", API_TOKEN="by-value-7f3a")
    kept = [path for path in capsule.folder.rglob("*.json") if VALUE in path.read_text()]
    assert ("verdict: failure reproduced" in done.stdout, kept) == (True, [])
    assert not [value for value in (VALUE, "by-value") if value in done.stdout]


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("no s3cret", "s3cret\n"),
        ("no a\\nlong", "a\nlong"),
        ("no two-lines", "one-line\ntwo-lines"),
    ],
    ids=["newline", "repr", "line"],
)
def test_secret_is_masked_in_every_form(message, value):
    assert masked({"type": "E", "message": message}, [value]) == {"type": "E", "message": "no ***"}
