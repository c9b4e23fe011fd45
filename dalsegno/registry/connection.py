"""How MLflow is reached, quietly: no telemetry, no log of its own, its errors turned into ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dalsegno.errors import DalsegnoError, InfrastructureError, NotFoundError

MISSING, EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
SQLITE = "sqlite:///"

# Read when MLflow is imported. Nothing leaves the machine but calls to the tracking server.
SWITCHES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def mlflow_error() -> Any:
    """Return the class of MLflow's errors."""
    from mlflow.exceptions import MlflowException

    return MlflowException


def _database_errors() -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    return (OSError, SQLAlchemyError)


@contextmanager
def connect(tracking_uri: str | None) -> Iterator[Any]:
    """Open MLflow.

    Args:
        tracking_uri: MLflow's tracking URI; that of the settings if not given.

    Raises:
        NotFoundError: What was asked for is not there.
        InfrastructureError: MLflow cannot be reached, or fails.
    """
    uri = tracking_uri or _default_uri()
    MlflowClient = _import_client()
    try:
        _make_database(uri, MlflowClient)
        yield MlflowClient(uri, registry_uri=uri)
    except DalsegnoError:
        raise
    except mlflow_error() as error:
        if error.error_code == MISSING:
            raise NotFoundError(f"registry: got {error}, want a version that is there") from error
        raise _failure(uri, error) from _without_password(uri, error)
    except _database_errors() as error:
        raise _failure(uri, error) from _without_password(uri, error)


def _failure(uri: str, error: Exception) -> InfrastructureError:
    credentials, _, place = uri.partition("://")[2].rpartition("@")
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    shown = reason.replace(f"{credentials}@", "")[:200] if credentials else reason[:200]
    return InfrastructureError(f"registry {place}: got {shown}, want MLflow to answer")


def _without_password(uri: str, error: Exception) -> Exception | None:
    return None if "@" in uri else error  # the cause would show it


def _default_uri() -> str:
    from dalsegno.settings import load_settings

    return load_settings().mlflow_tracking_uri


def _import_client() -> Any:
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow.telemetry import set_telemetry_client
    from mlflow.tracking import MlflowClient

    set_telemetry_client()  # once more: MLflow may have been imported before the switches were set
    return MlflowClient


def _make_database(uri: str, client_class: Any) -> None:
    """Make MLflow's tables in a file beside the place, and move it there whole.

    Of several processes one makes them; killed midway it leaves no half-made database.
    """
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    if path.exists():
        return
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        fresh = path.with_name(f"{path.name}.new")
        fresh.unlink(missing_ok=True)
        with _unsynced():
            client = client_class(f"{SQLITE}{fresh}", registry_uri=f"{SQLITE}{fresh}")
            client.search_experiments(max_results=1)
        with fresh.open("rb") as made:
            os.fsync(made.fileno())
        os.replace(fresh, path)


@contextmanager
def _unsynced() -> Iterator[None]:
    """Let new connections to SQLite not wait for the disk, at each of 70 commits."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)
