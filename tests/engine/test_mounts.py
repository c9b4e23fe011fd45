"""A process gets folders at absolute paths, and the machine's own tree stays as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dalsegno.engine.mounts
from tests.mounting import needs_mounts

pytestmark = needs_mounts

READ = """
import importlib.util, json, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("mounts", sys.argv[1])
mounts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mounts)
asked = json.loads(sys.argv[2])
mounts.enter(asked, Path(sys.argv[3]), sys.argv[4:])
"""


def play(code: str, mounts: list[dict[str, object]], root: Path, *kept: Path) -> str:
    root.mkdir(exist_ok=True)
    path = dalsegno.engine.mounts.__file__
    command = [sys.executable, "-P", "-c", READ + code, path, json.dumps(mounts)]
    command += map(str, [root, *kept])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "key").write_text("value")
    return tmp_path / "source"


@pytest.mark.parametrize("target", ["/no-such-root/deep/er", "/mnt/no-such-folder", "/mnt"])
def test_folder_is_found_at_its_path(folder, tmp_path, target):
    was_there = os.path.exists(target)
    code = f"print(Path('{target}/key').read_text(), os.path.exists('/etc/passwd'), os.getcwd())"
    seen = play(code, [{"source": str(folder), "target": target}], tmp_path / "root")
    assert seen == f"value True {os.getcwd()}"
    assert os.path.exists(target) == was_there


def test_what_is_written_stays_in_the_source(folder, tmp_path):
    code = "Path('/no-such-root/new').write_text('kept')"
    play(code, [{"source": str(folder), "target": "/no-such-root"}], tmp_path / "root")
    assert (folder / "new").read_text() == "kept"


def test_read_only_folder_refuses_to_be_written(folder, tmp_path):
    code = """
try:
    Path('/no-such-root/new').write_text('x')
except OSError as error:
    print(error.strerror)
"""
    mounts = [{"source": str(folder), "target": "/no-such-root", "is_read_only": True}]
    assert play(code, mounts, tmp_path / "root") == "Read-only file system"


def test_neighbours_of_a_path_stay_in_sight(folder, tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "file").write_text("old")
    (tmp_path / "beside" / "link").symlink_to("file")
    target = tmp_path / "beside" / "mounted"
    code = f"print(sorted(os.listdir('{target.parent}')), Path('{target.parent}/link').read_text())"
    seen = play(code, [{"source": str(folder), "target": str(target)}], tmp_path / "root")
    assert seen == "['file', 'link', 'mounted'] old"
    assert not target.exists()


def test_path_that_a_mount_hides_can_be_kept(folder, tmp_path):
    (tmp_path / "beside").write_text("hidden")
    kept = tmp_path / "kept"
    kept.mkdir()
    code = f"print(sorted(os.listdir('{tmp_path}'))); Path('{kept}/new').write_text('kept')"
    mounts = [{"source": str(folder), "target": str(tmp_path)}]
    assert play(code, mounts, tmp_path / "root", kept) == "['kept', 'key']"
    assert (kept / "new").read_text() == "kept"


def test_path_through_a_link_is_mounted_in_sight(folder, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    mounts = [
        {"source": str(folder), "target": str(tmp_path / "link" / "deep")},
        {"source": str(folder), "target": "/no-such-root"},
    ]
    code = f"print(Path('{tmp_path}/link/deep/key').read_text())"
    assert play(code, mounts, tmp_path / "root") == "value"
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_ordinary_user_can_mount(folder, tmp_path):
    (tmp_path / "root").mkdir()
    for path in [tmp_path, *tmp_path.parents][:4]:
        path.chmod(0o755)
    python = "/usr/bin/python3"
    mounts = json.dumps([{"source": str(folder), "target": "/no-such-root"}])
    code = READ + "print(Path('/no-such-root/key').read_text(), os.getuid())"
    path = tmp_path / "mounts.py"
    path.write_text(Path(dalsegno.engine.mounts.__file__).read_text())
    done = subprocess.run(
        [python, "-c", code, str(path), mounts, str(tmp_path / "root")],
        capture_output=True,
        text=True,
        user=65534,
        check=False,
        cwd="/",
    )
    assert done.stdout.strip() == "value 65534", done.stderr
