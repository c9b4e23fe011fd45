"""A shared library without what only debuggers read works as before."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "shorten.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="has libraries of another form")


def shorten(folder):
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True)


@pytest.mark.parametrize(
    "module", ["uvloop.loop", "httptools.parser.parser", "grpc._cython.cygrpc", "pyarrow.lib"]
)
def test_shortened_library_is_smaller_and_loads(tmp_path, module):
    package = Path(importlib.util.find_spec(module.partition(".")[0]).origin).parent
    path = Path(importlib.util.find_spec(module).origin)
    shutil.copytree(package, tmp_path / package.name, symlinks=True)
    copy = tmp_path / path.relative_to(package.parent)
    before = copy.stat()
    shorten(tmp_path)
    after = copy.stat()
    assert after.st_size <= before.st_size
    assert after.st_mode == before.st_mode
    code = f"import {module} as module; print(module.__file__)"
    command = [
        sys.executable,
        "-P",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(copy)
    shorten(tmp_path)
    assert copy.stat().st_size == after.st_size


def test_debugging_symbols_go(tmp_path):
    path = Path(importlib.util.find_spec("uvloop.loop").origin)
    shutil.copy(path, tmp_path)
    shorten(tmp_path)
    assert (tmp_path / path.name).stat().st_size < path.stat().st_size / 2


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"INPUT(libm.so.6)", b"\x7fELF\x01\x01" + b"x" * 90]
)
def test_what_is_no_library_stays(tmp_path, content):
    path = tmp_path / "some.so"
    path.write_bytes(content)
    shorten(tmp_path)
    assert path.read_bytes() == content
