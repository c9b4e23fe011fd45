"""The kind cluster: what is absent is told, and images get into the manifests."""

from __future__ import annotations

import stat

import pytest
import yaml

from dalsegno.errors import ConfigurationError, InfrastructureError
from dalsegno.images import FAMILIES
from dalsegno.imaging import kind
from tests.manifests.rendering import (
    MANIFESTS,
    SERVERS,
    containers,
    kustomize,
    of_kind,
    pods,
    render,
)

ROOT = MANIFESTS.parent
ALL = ("kind", "docker", "kubectl")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that puts a program of its own on the path; all write what they do."""
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(kind.shutil, "which", lambda name: (tmp_path / name).exists() or None)

    def add(name, script="exit 0"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return log

    return add


@pytest.mark.parametrize("absent", ALL)
def test_absent_program_is_named(programs, absent):
    for name in set(ALL) - {absent}:
        programs(name)
    with pytest.raises(ConfigurationError, match=rf"got no program '{absent}' here.*https://"):
        kind.up(ROOT, print)


def test_docker_that_does_not_answer_is_told(programs):
    for name in ALL:
        programs(name, "exit 1" if name == "docker" else "exit 0")
    with pytest.raises(ConfigurationError, match="no answer from Docker"):
        kind.down()


def test_up_installs_kfp_then_ours(programs):
    for name in ALL:
        log = programs(name)
    told = []
    kind.up(ROOT, told.append)
    done = log.read_text().splitlines()
    assert "kind create cluster --name dalsegno --wait 120s" in done
    applied = [line.rpartition("manifests/")[2] for line in done if " apply " in line]
    assert applied == ["kfp/cluster", "kfp", "overlays/kind"]
    assert all("--context kind-dalsegno" in line for line in done if line.startswith("kubectl"))


def test_up_keeps_a_cluster_that_is_there(programs):
    for name in ALL:
        log = programs(name, "echo dalsegno")
    kind.up(ROOT, print)
    assert "create cluster" not in log.read_text()


def test_load_without_a_cluster_says_how_to_get_one(programs):
    for name in ALL:
        programs(name)
    with pytest.raises(InfrastructureError, match="got none named dalsegno") as caught:
        kind.load(ROOT, {}, print)
    assert caught.value.next_command == "make kind-up"


def test_failed_step_names_the_command(programs):
    for name in ALL:
        programs(name, "echo dalsegno; exit 7" if name == "kubectl" else "echo dalsegno")
    with pytest.raises(InfrastructureError, match="exit code 7"):
        kind.up(ROOT, print)


@pytest.mark.parametrize("server", SERVERS)
def test_images_get_into_the_manifests(server):
    names = {family: f"here/{family}:1" for family in FAMILIES}
    text = kind.with_images(yaml.safe_dump_all(render("kind", server)), names)
    documents = list(yaml.safe_load_all(text))
    used = {item["image"] for pod in pods(documents).values() for item in containers(pod)}
    assert used == {"here/serving:1", "here/mlflow:1", "docker.io/library/postgres:17.6"}
    assert len(of_kind(documents, "Secret")) == 4


def test_forwarded_services_are_there():
    documents = list(yaml.safe_load_all(kustomize(MANIFESTS / "overlays" / "kind")))
    ours = {item["metadata"]["name"]: item for item in of_kind(documents, "Service")}
    for namespace, service, ports in kind.FORWARDS:
        if namespace == "dalsegno":
            there = int(ports.partition(":")[2])
            name = service.removeprefix("service/")
            assert there in {port["port"] for port in ours[name]["spec"]["ports"]}
