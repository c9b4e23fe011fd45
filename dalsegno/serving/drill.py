"""Rehearses a rollback on a shadow endpoint: the same models, a real server, a clock."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dalsegno import releases
from dalsegno.errors import InfrastructureError
from dalsegno.releases import Release
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.settings import Settings, load_settings
from dalsegno.store import Store, open_store
from dalsegno.store.base import remove

_FOLDER = "drills"
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Drill:
    """How long a rollback takes here.

    Attributes:
        endpoint: Whose releases were rehearsed.
        left: Number of the release that was left.
        returned_to: Number of the one that was returned to.
        test_seconds: To fetch and test the earlier model and to create the release.
        answer_seconds: From the command to the first answer of the earlier model.
        requests: Answered meanwhile.
        failed: Of them, how many failed.
    """

    endpoint: str
    left: int
    returned_to: int
    test_seconds: float
    answer_seconds: float
    requests: int
    failed: int


def drill_rollback(
    store: Store, endpoint: str, to: int | None = None, *, settings: Settings | None = None
) -> Drill:
    """Roll back on a copy of an endpoint below `drills/` of the store; the endpoint is not touched.

    Args:
        store: Where the releases are.
        endpoint: Name of the endpoint.
        to: Release to return to; what was live before if not given.
        settings: How a server reaches the store; as they are now if not given.

    Raises:
        NotFoundError: There is no such release, or none before the live one.
        InfrastructureError: A server did not start, or the earlier model never answered.
    """
    live, target = _choose(store, endpoint, to)
    settings = settings or load_settings()
    folder = f"{_FOLDER}/{secrets.token_hex(6)}"
    copy = open_store(f"{store.uri}/{folder}", settings.s3_access())
    try:
        with tempfile.TemporaryDirectory() as scratch:
            body = _copy(store, copy, [target, live], Path(scratch))
            environment = {**settings.environment(), "DALSEGNO_STORE_URI": copy.uri}
            environment["DALSEGNO_PREDICTION_LOG"] = "false"
            with start_server(
                endpoint,
                log_path=Path(scratch, "server.log"),
                cache_dir=Path(scratch, "cache"),
                environment=environment,
            ) as server:
                wait_until_ready(server.url, _ANSWER_SECONDS, endpoint=endpoint, release=2)
                return _measure(copy, endpoint, server, body, live, target)
    finally:
        _remove(store, copy, folder)


def _remove(store: Store, copy: Store, folder: str) -> None:
    for found in list(store.list(folder)):
        store.delete(found.key)
    if "://" not in copy.uri:  # a folder keeps more than its objects
        remove(Path(copy.uri))
        with contextlib.suppress(OSError):  # another drill goes on
            Path(copy.uri).parent.rmdir()


def _choose(store: Store, endpoint: str, to: int | None) -> tuple[Release, Release]:
    live = releases.live(store, endpoint)
    if live is None:
        raise releases.log.unknown(store, endpoint)
    before = to or releases.log.previous(releases.history(store, endpoint))
    return live, releases.find(store, endpoint, before)


def _copy(store: Store, copy: Store, wanted: list[Release], scratch: Path) -> dict[str, Any]:
    """Release the models anew in the copy; returns a request that both can answer."""
    import json

    inputs: dict[str, Any] = {}
    for number, release in enumerate(wanted):
        path = releases.fetch_model(store, release, scratch / f"model-{number}")
        releases.promote(
            copy, release.endpoint, path, reason="drill", who="drill", run_id=str(number)
        )
        row = json.loads((path / "example.json").read_bytes())["rows"][0]
        for item in json.loads((path / "signature.json").read_bytes())["inputs"]:
            inputs[item["name"]] = {**item, "shape": [1, 1], "data": [row[item["name"]]]}
    return {"inputs": list(inputs.values())}


def _measure(
    copy: Store,
    endpoint: str,
    server: ServerProcess,
    body: Mapping[str, Any],
    live: Release,
    target: Release,
) -> Drill:
    began = time.perf_counter()
    made = releases.roll_back(copy, endpoint, reason="drill", who="drill")
    tested = time.perf_counter() - began
    requests = failed = 0
    with httpx.Client(base_url=server.url, trust_env=False, timeout=_ANSWER_SECONDS) as client:
        while time.perf_counter() - began < _ANSWER_SECONDS:
            answer = client.post(f"/v2/models/{endpoint}/infer", json=body)
            requests += 1
            failed += not answer.is_success
            if answer.is_success and answer.json()["model_version"] == str(made.number):
                seconds = time.perf_counter() - began
                return Drill(
                    endpoint, live.number, target.number, tested, seconds, requests, failed
                )
            time.sleep(0.005)
    want = f"an answer of release {made.number} within {_ANSWER_SECONDS:g} s"
    raise InfrastructureError(
        f"drill of {endpoint!r}: got {requests} others ({failed} failed), want {want}"
    )
