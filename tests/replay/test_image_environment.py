"""A replay gets the packages of the task's image, made once by uv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dalsegno.errors import InputError
from dalsegno.images import DATA, TRAINING
from dalsegno.replay.image_environment import code_path, image_python, lock_of
from dalsegno.replay.log import ignore
from dalsegno.replay.versions import version_differences
from tests.engine import samples, test_packages

DALSEGNO = str(Path(sys.executable).with_name("dalsegno"))


@pytest.mark.parametrize("options", [(), ("--env", "image")], ids=["auto", "image"])
def test_task_that_installs_gets_its_packages(options, run, store):
    record = run(test_packages.installing)
    assert record.state == "succeeded", record.error
    done = subprocess.run(
        [DALSEGNO, "replay", record.run_id + "/version-of", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DALSEGNO_STORE_URI": store.uri},
    )
    assert done.returncode == 0, done.stderr
    assert "verdict: reproduced" in done.stdout
    (launch,) = Path(store.uri).glob("capsules/**/.vscode/launch.json")
    start = json.loads(launch.read_text())["configurations"][0]
    assert "environments" in start["python"]
    command = [start["python"], *start["pythonArgs"], "-m", start["module"], *start["args"]]
    again = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **start["env"]}
    )
    assert again.returncode == 0, again.stderr
    assert "passes" in again.stderr


def test_image_of_ours_goes_by_its_lock():
    assert lock_of(DATA).name == "data.txt"
    assert lock_of("localhost:5000/mine/training-python@sha256:abc").name == "training.txt"
    assert lock_of(TRAINING.partition(":")[0] + ":9").name == "training.txt"
    assert lock_of("python:3.11") is None


def test_image_that_nothing_is_known_of_is_refused(run, capsule_of):
    capsule = capsule_of(f"{run(samples.chain).run_id}/add")
    with pytest.raises(InputError, match="none of ours, and a component that installs nothing"):
        image_python(capsule, ignore)


def test_other_interpreter_sees_our_code_alone():
    names = {path.name for path in code_path().iterdir()}
    assert names == {"dalsegno", "components", "debugpy"}


def test_differing_versions_are_named(run, capsule_of):
    capsule = capsule_of(f"{run(samples.chain).run_id}/add")
    assert version_differences(capsule) == []
    environment = capsule.manifest.environment
    environment["python"] = "3.9.1"
    environment["packages"] |= {"kfp": "1.0", "absent-here": "2"}
    assert version_differences(capsule) == [
        f"python {sys.version.split()[0]}, recorded 3.9.1",
        "kfp 2.17.0, recorded 1.0",
        "absent-here missing, recorded 2",
    ]
