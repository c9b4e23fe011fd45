"""Runs the model server until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dalsegno.errors import ConfigurationError
from dalsegno.serving.cache import ReleaseCache, default_folder
from dalsegno.store import Store
from dalsegno.store.keys import check_name

if TYPE_CHECKING:
    import uvicorn

    from dalsegno.serving.app import Limits

_KEEP_ALIVE_SECONDS = 75
_DRAIN_SECONDS = 30
_BACKLOG = 2048


def serve(
    endpoint: str,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    store: Store | None = None,
    cache_dir: Path | None = None,
    limits: Limits | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve an endpoint until SIGTERM or SIGINT; requests under way are then answered first.

    Args:
        endpoint: Whose releases are followed.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        store: Where the releases are; that of the settings if not given.
        cache_dir: Where models are kept on this machine.
        limits: What a caller may ask.
        on_listening: Is told the server's URL once it listens; models may load after that.

    Raises:
        ConfigurationError: The port is taken, or the cache cannot be written.
    """
    import uvicorn

    from dalsegno.serving.app import Limits, make_app
    from dalsegno.serving.endpoint import Endpoint
    from dalsegno.serving.follower import Follower

    store = store or _default_store()
    cache = ReleaseCache(_writable(cache_dir or default_folder()), store)
    served = Endpoint(check_name(endpoint, "endpoint"))
    follower = Follower(store, served, cache)
    app = make_app({endpoint: served}, limits or Limits())
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    with _listen(host, port) as listening:
        server = uvicorn.Server(config)
        _stop_on_signals(server)
        follower.start()
        if on_listening:
            on_listening(_url(listening))
        server.run(sockets=[listening])
        follower.stop()


def stop_with_parent(parent: int) -> None:
    """Let this process stop, as on SIGTERM, when the one that started it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def _stop_on_signals(server: uvicorn.Server) -> None:
    """Make a stop on demand a success: uvicorn drains, then raises the signal once more."""

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _default_store() -> Store:
    from dalsegno.settings import open_default_store

    return open_default_store()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(
            f"address {host}:{port}: got {reason}, want a free one",
            "dalsegno serve ENDPOINT --port 0",
        ) from error
    # asyncio does so only for sockets made with the protocol named; answers would wait 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cache {folder}: got {error.strerror}, want a folder") from error
    return folder
