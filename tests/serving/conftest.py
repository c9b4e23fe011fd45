"""A store with releases, and servers that follow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.store import Store
from tests.model_folder import make_model

Promote = Callable[[float], releases.Release]
Start = Callable[..., ServerProcess]


@pytest.fixture
def promote(store: Store, tmp_path: Path) -> Promote:
    """Release a model of a bias to the endpoint `titanic`."""

    def promote_one(bias: float) -> releases.Release:
        path = tmp_path / f"model-{bias}"
        if not path.exists():
            make_model(path, bias=bias)
        return releases.promote(store, "titanic", path, reason="", who="anna", run_id=str(bias))

    return promote_one


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Iterator[Start]:
    """Start a server of the test's store and wait until it has a model."""
    with ExitStack() as servers:

        def start_one(*, uri: str = store.uri, wait: bool = True) -> ServerProcess:
            server = start_server(
                "titanic",
                log_path=tmp_path / "server.log",
                cache_dir=tmp_path / "cache",
                environment={"DALSEGNO_STORE_URI": uri},
            )
            servers.enter_context(server)
            if wait:
                wait_until_ready(server.url)
            return server

        yield start_one
