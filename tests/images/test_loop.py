"""The whole loop in its images, container by container, on a real S3 server and MLflow's image."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from dalsegno import releases
from dalsegno.cli.compiling import renamed_texts, write_texts
from dalsegno.images import FAMILIES, image_name
from dalsegno.store import open_store
from pipelines.settings import SECRET
from tests.images.test_built import chosen_images, find_engine
from tests.manifests.rendering import pods, render
from tests.servers import BUCKET, free_ports, s3_server

__all__ = ["s3_server"]
READY_SECONDS = 90


@pytest.fixture(scope="module")
def program():
    return find_engine()


@pytest.fixture(scope="module")
def names(program):
    prefix, tag = chosen_images()
    names = {family: image_name(family, prefix, tag) for family in FAMILIES}
    for name in names.values():
        found = subprocess.run(
            [program, "image", "inspect", name], capture_output=True, check=False
        )
        if found.returncode:
            pytest.skip(f"got no image {name} here: make images")
    return names


@contextlib.contextmanager
def container(program, arguments):
    """Run a container in the background for the time of the block."""
    command = [program, "run", "--rm", "--detach", *arguments]
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    try:
        yield
    finally:
        remove = [program, "rm", "--force", started.stdout.strip()]
        subprocess.run(remove, capture_output=True, check=False)


@pytest.fixture(scope="module")
def mlflow_uri(program, names):
    (port,) = free_ports(1)
    told = ["--env=MLFLOW_BACKEND_STORE_URI=sqlite:////tmp/mlflow.db"]
    told += ["--env=MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"]
    arguments = ["--host=127.0.0.1", f"--port={port}", "--workers=1"]
    limits = ["--network=host", "--read-only", "--tmpfs=/tmp"]
    with container(program, [*limits, *told, names["mlflow"], *arguments]):
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"


def wait_for(url):
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@pytest.fixture(scope="module")
def settings(s3_server, mlflow_uri):
    """Return the content of the Secret."""
    return {
        "DALSEGNO_STORE_URI": f"s3://{BUCKET}/images",
        "DALSEGNO_MLFLOW_URI": mlflow_uri,
        "DALSEGNO_S3_ENDPOINT": s3_server.endpoint,
        "DALSEGNO_S3_ACCESS_KEY": s3_server.access_key,
        "DALSEGNO_S3_SECRET_KEY": s3_server.secret_key,
        "DALSEGNO_S3_SECURE": "false",
    }


@pytest.fixture(scope="module")
def looped(tmp_path_factory, names, settings, program):
    """Run the loop once, and return what the command said."""
    folder = tmp_path_factory.mktemp("loop")
    secret = folder / "secrets" / SECRET
    secret.mkdir(parents=True)
    for key, value in settings.items():
        (secret / key).write_text(value)
    write_texts(renamed_texts(["loop"], names), folder)
    command = [sys.executable, "-P", "-m", "dalsegno", "run", str(folder / "loop.yaml")]
    engine = {
        "DALSEGNO_SECRETS_DIR": str(folder / "secrets"),
        "DALSEGNO_CONTAINER_NETWORK": "host",
        "DALSEGNO_CONTAINER_ENGINE": program,
    }
    return subprocess.run(
        [*command, "--in", "container", "--param", "trials=2", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | settings | engine,
    )


@pytest.mark.timeout(900)
def test_loop_runs_in_its_images(looped, settings, s3_server):
    assert looped.returncode == 0, looped.stderr
    assert json.loads(looped.stdout)["state"] == "succeeded"
    assert settings["DALSEGNO_S3_SECRET_KEY"] not in looped.stdout + looped.stderr
    live = releases.live(open_store(settings["DALSEGNO_STORE_URI"], s3_server), "titanic")
    assert live is not None
    assert live.model_version == "1"


@pytest.mark.timeout(900)
def test_server_serves_the_release_as_the_manifests_start_it(looped, settings, names, program):
    assert looped.returncode == 0, looped.stderr
    (pod,) = (
        pod for name, pod in pods(render("kind", "server")).items() if name == "Deployment/titanic"
    )
    http, rpc = free_ports(2)
    ports = {"--port=8080": f"--port={http}", "--grpc-port=8081": f"--grpc-port={rpc}"}
    arguments = [ports.get(item, item) for item in pod["spec"]["containers"][0]["args"]]
    variables = [f"--env={key}={value}" for key, value in settings.items()]
    limits = ["--read-only", "--tmpfs=/tmp", "--tmpfs=/cache", "--cap-drop=ALL", "--network=host"]
    with container(program, [*limits, *variables, names["serving"], *arguments]):
        wait_for(f"http://127.0.0.1:{http}/v2/health/ready")
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/v2/models/titanic") as answer:
            assert json.loads(answer.read())["versions"] == ["1"]


@pytest.mark.timeout(120)
def test_task_without_the_secret_says_so(names, program):
    code = "from dalsegno.settings import open_default_store; open_default_store()"
    command = [program, "run", "--rm", "--network=none", names["data"], "python3", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "store: got 'unset://dalsegno-settings', want" in done.stderr
