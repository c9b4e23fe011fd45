"""Which program builds, and with which words."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path

import pytest

from dalsegno.errors import ConfigurationError, InfrastructureError
from dalsegno.imaging.builder import Plan, build, build_command, find_program, push, size_bytes


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, "docker", "exit 1")
    program(tmp_path, "podman", "exit 1")
    program(tmp_path, "buildah", "exit 1")
    return tmp_path


def test_first_program_that_answers_is_taken(folder):
    program(folder, "podman", "exit 0")
    program(folder, "buildah", "exit 0")
    assert find_program() == "podman"
    assert find_program("buildah") == "buildah"


def test_no_program_is_told(folder):
    with pytest.raises(ConfigurationError, match="got none of docker, podman, buildah"):
        find_program()
    with pytest.raises(ConfigurationError, match="got 'nerdctl', want one of docker"):
        find_program("nerdctl")


def test_command_lends_secrets_and_bakes_none():
    plan = Plan("base:1", "0.1.0", "abc", {"pip_config": Path("/p")}, "host")
    command = build_command("podman", "data", "data:1", plan)
    assert command[-1] == "."
    assert "id=pip_config,src=/p" in command
    given = [value for flag, value in itertools.pairwise(command) if flag == "--build-arg"]
    assert given == ["BASE_IMAGE=base:1", "COMMIT=abc"]
    assert "org.opencontainers.image.version=0.1.0" in command
    assert build_command("docker", "data", "data:1", Plan())[2:6] == [
        "--target",
        "data",
        "--tag",
        "data:1",
    ]


def test_failed_build_ends_with_its_last_lines(folder):
    program(folder, "docker", "echo step 7; echo no space left >&2; exit 3")
    with pytest.raises(InfrastructureError, match=r"(?s)exit code 3.*step 7.*no space left"):
        build("docker", "data", "data:1", Plan(), folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [("docker", "511000000"), ("podman", "511000000"), ("buildah", '[{"size": "511 MB"}]')],
)
def test_size_is_read_from_each_program(folder, name, said):
    program(folder, name, f"echo '{said}'")
    assert size_bytes(name, "data:1") == 511_000_000


def test_push_returns_the_digest(folder):
    digest = "sha256:" + 64 * "a"
    program(folder, "docker", f"""[ "$1" = push ] || echo '["x/y@{digest}", "a/data@{digest}"]'""")
    program(folder, "podman", f"echo {digest} > $3")
    assert push("docker", "a/data:1") == push("podman", "a/data:1") == f"a/data@{digest}"
