"""MLflow with a SQLite file: versions, aliases, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dalsegno import registry
from dalsegno.errors import InfrastructureError, InputError, NotFoundError
from dalsegno.store import digest_of
from tests.model_folder import make_model

REGISTER = """
import logging, sys
from pathlib import Path
from dalsegno import registry
logging.basicConfig(level=logging.INFO)

def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect", "socket.gethostbyname"):
        raise RuntimeError(f"network: {event} {arguments}")
    if event == "pickle.find_class":
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
path, uri, run = sys.argv[1:]
version = registry.register(Path(path), name="titanic", run_id=run, tracking_uri=uri)
registry.set_champion("titanic", version, tracking_uri=uri)
print(version)
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all: making it takes a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/deep/mlflow.db"


def test_version_carries_where_it_came_from(uri: str, tmp_path: Path) -> None:
    path = make_model(tmp_path / "a")
    metrics = {"auc": 0.85, "rows": 262, "display": "no number", "is_good": True}
    number = registry.register(
        path, name="carries", metrics=metrics, run_id="run-1", source="s3://b/m", tracking_uri=uri
    )
    (version,) = registry.versions("carries", tracking_uri=uri)
    assert (version.version, version.source) == (number, "s3://b/m")
    assert version.metrics == {"auc": 0.85, "rows": 262.0}
    assert version.tags["model_sha256"] == digest_of(path).sha256
    assert (version.tags["run_id"], version.tags["dataset"]) == ("run-1", "titanic@1")
    assert (version.tags["dataset_digest"], version.tags["commit"]) == ("d" * 64, "c" * 40)


def test_same_model_of_same_run_is_one_version(uri: str, tmp_path: Path) -> None:
    path = make_model(tmp_path / "a")
    made = [
        registry.register(path, name="once", run_id=run, tracking_uri=uri)
        for run in ("r1", "r1", "r2", "", "")
    ]
    assert made == ["1", "1", "2", "3", "4"]


def test_aliases_follow_champion_and_challenger(uri: str, tmp_path: Path) -> None:
    for name in "ab":
        path = make_model(tmp_path / name, bias=ord(name))
        registry.register(path, name="aliases", run_id=name, tracking_uri=uri)
    registry.set_champion("aliases", "1", tracking_uri=uri)
    assert [v.aliases for v in registry.versions("aliases", tracking_uri=uri)] == [
        ["champion"],
        ["challenger"],
    ]
    registry.set_champion("aliases", "2", tracking_uri=uri)
    assert [v.aliases for v in registry.versions("aliases", tracking_uri=uri)] == [[], ["champion"]]


def test_unknown_version_is_not_found(uri: str, tmp_path: Path) -> None:
    registry.register(make_model(tmp_path / "a"), name="known", tracking_uri=uri)
    with pytest.raises(NotFoundError, match="want a version that is there"):
        registry.set_champion("known", "9", tracking_uri=uri)
    assert registry.versions("unknown", tracking_uri=uri) == []


def test_folder_without_training_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got no readable training.json in 'nothing'"):
        registry.register(tmp_path / "nothing", name="titanic", tracking_uri=uri)


def test_server_that_is_away_is_named_without_password(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a")
    with pytest.raises(InfrastructureError, match=r"registry 127.0.0.1:1: got") as caught:
        registry.register(path, name="titanic", tracking_uri="http://me:secret@127.0.0.1:1")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_two_processes_share_a_fresh_database_offline(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    path = make_model(tmp_path / "a")
    both = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", REGISTER, str(path), uri, run],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for run in ("r1", "r2")
    ]
    said = [process.communicate() for process in both]
    assert sorted(out.strip() for out, _ in said) == ["1", "2"], said
    assert [err for _, err in said] == ["", ""]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "new"]
    assert sorted(item.name for item in (tmp_path / "new").iterdir()) == [
        "mlflow.db",
        "mlflow.db.lock",
    ]
