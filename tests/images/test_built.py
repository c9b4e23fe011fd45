"""The built images: `make images` first; `IMAGES=PREFIX:TAG` names others."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from dalsegno.cli.compiling import component_names
from dalsegno.errors import ConfigurationError
from dalsegno.images import FAMILIES, PREFIX, image_name
from dalsegno.imaging.builder import find_program, size_bytes
from dalsegno.imaging.context import context_tag

MEGABYTE = 1_000_000
MOST_MEGABYTES = {"data": 900, "training": 900, "serving": 350}
TASK_FAMILIES = ["data", "training"]
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(f"components.{name}.logic")
"""
PARQUET = """
import io
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
from pyarrow import json
table = json.read_json(io.BytesIO(b'{"id": "a", "x": [1, 2]}'))
flat = pa.table({"x": pc.list_flatten(table["x"].chunk(0)), "id": ["a", "b"]})
file = io.BytesIO()
pq.write_table(flat, file, compression="zstd")
print(pq.read_table(file, filters=[("id", "=", "b")]).to_pylist())
"""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def program():
    return find_engine()


def find_engine() -> str:
    for name in ("podman", "docker"):
        try:
            return find_program(name)
        except ConfigurationError:
            continue
    return pytest.skip("got neither podman nor docker here")


def chosen_images() -> tuple[str, str]:
    """Return prefix and tag."""
    prefix, _, tag = os.environ.get("IMAGES", f"{PREFIX}:{context_tag()}").rpartition(":")
    return prefix, tag


@pytest.fixture(scope="module")
def image(program, family):
    name = image_name(family, *chosen_images())
    found = subprocess.run([program, "image", "inspect", name], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"got no image {name} here: make images")
    return name


def run(program, image, *command):
    """Run a command as a pod would: read-only, without network and rights."""
    options = ["--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    full = [program, "run", *options, f"--entrypoint={command[0]}", image, *command[1:]]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_user_is_a_number_and_not_root(program, image):
    shown = subprocess.run([program, "image", "inspect", image], capture_output=True, check=True)
    config = json.loads(shown.stdout)[0]["Config"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.version"]
    assert len(config["Labels"]["org.opencontainers.image.revision"]) == 40
    assert "HOME=/tmp" in config["Env"]


def test_shell_and_certificates_are_there_but_no_compiler_and_no_pip(program, image):
    script = "test -s /etc/ssl/certs/ca-certificates.crt && mktemp >/dev/null && echo $HOME"
    assert run(program, image, "sh", "-c", script) == (0, "/tmp\n")
    for absent in ("gcc", "cc", "make"):
        assert run(program, image, "sh", "-c", f"command -v {absent}")[0] != 0
    assert run(program, image, "python3", "-m", "pip", "--version")[0] != 0


def test_no_secret_of_the_build_is_left(program, image):
    code, said = run(program, image, "sh", "-c", "ls -A /run/secrets 2>/dev/null; env")
    assert code == 0
    assert "PIP" not in said


def test_components_import_what_they_need(program, image, family):
    if family not in TASK_FAMILIES:
        pytest.skip("runs no components")
    names = components_of(family)
    assert names
    assert run(program, image, "python3", "-c", IMPORT, *names) == (0, "")


def test_server_starts(program, image, family):
    if family != "serving":
        pytest.skip("is no server")
    code, said = run(program, image, "python3", "-P", "-m", "dalsegno.serving", "--help")
    assert code == 0, said
    assert run(program, image, "python3", "-c", "import dalsegno.model") == (0, "")


def test_server_can_log_predictions(program, image, family):
    if family != "serving":
        pytest.skip("is no server")
    assert run(program, image, "python3", "-c", PARQUET) == (0, "[{'x': 2, 'id': 'b'}]\n")


def test_size_stays_within_its_bound(program, image, family):
    if family not in MOST_MEGABYTES:
        pytest.skip("has no bound")
    assert size_bytes(program, image) <= MOST_MEGABYTES[family] * MEGABYTE


def components_of(family):
    from importlib import import_module, util

    names = []
    for name in component_names():
        component = getattr(import_module(f"components.{name}.component"), name)
        image = component.component_spec.implementation.container.image
        if image == FAMILIES[family] and util.find_spec(f"components.{name}.logic"):
            names.append(name)
    return names
