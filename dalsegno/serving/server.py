"""Runs the model server until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dalsegno.errors import ConfigurationError
from dalsegno.serving.cache import ReleaseCache, default_folder, log_folder
from dalsegno.store import Store
from dalsegno.store.keys import check_name

if TYPE_CHECKING:
    import uvicorn

    from dalsegno.serving.limits import Limits
    from dalsegno.serving.recording import LogOptions, Recorder
    from dalsegno.serving.service import Service

_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048
_YOUNG_OBJECTS = 50_000


@dataclass(frozen=True)
class Address:
    """Where a server listens: the URL for HTTP, `host:port` for gRPC, "" if it is not spoken."""

    url: str
    rpc: str = ""


def serve(
    endpoints: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    rpc_port: int | None = None,
    store: Store | None = None,
    cache_dir: Path | None = None,
    limits: Limits | None = None,
    callers: Path | None = None,
    log: LogOptions | None = None,
    on_listening: Callable[[Address], None] | None = None,
) -> None:
    """Serve endpoints until SIGTERM or SIGINT; requests under way are then answered first.

    Args:
        endpoints: Whose releases are followed.
        host: Address to listen at.
        port: Port for HTTP; 0 takes a free one.
        rpc_port: Port for gRPC; 0 takes a free one, None speaks none.
        store: Where the releases are; that of the settings if not given.
        cache_dir: Where models are kept on this machine.
        limits: What callers may ask.
        callers: File of those who may ask; see `dalsegno.serving.access`.
        log: How predictions are logged; as the settings say if not given.
        on_listening: Is told where once it listens; models may load after that.

    Raises:
        ConfigurationError: A port is taken, the cache cannot be written, or the callers' file is
            not as it must be.
    """
    import uvloop

    from dalsegno.serving.access import read_access
    from dalsegno.serving.endpoint import Endpoint
    from dalsegno.serving.follower import Follower
    from dalsegno.serving.limits import Limits
    from dalsegno.serving.service import Service

    store = store or _default_store()
    folder = _writable(cache_dir or default_folder())
    cache = ReleaseCache(folder, store)
    served = {check_name(name, "endpoint"): Endpoint(name) for name in endpoints}
    service = Service(served, limits or Limits(), read_access(callers))
    recorder = _recorder(log_folder(folder, store), store, log, service)
    followers = [Follower(store, endpoint, cache) for endpoint in served.values()]
    with (
        _listen(host, port) as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as run,
    ):
        for follower in followers:
            follower.start()
        run.run(_serve(service, listening, host, rpc_port, on_listening))
        for follower in followers:
            follower.stop()
        if recorder:
            recorder.stop()


def _recorder(
    folder: Path, store: Store, options: LogOptions | None, service: Service
) -> Recorder | None:
    """Begin to log what the endpoints answer, unless the settings say not to."""
    from dalsegno.serving.recording import Recorder, options_of
    from dalsegno.settings import load_settings

    settings = load_settings()
    options = options or options_of(settings)
    if options is None:
        return None
    environment = {**settings.environment(), "DALSEGNO_STORE_URI": store.uri}
    recorder = Recorder(folder, store, options, environment)
    for endpoint in service.endpoints.values():
        endpoint.on_prediction = recorder.record
        endpoint.on_failure = recorder.record_failure
    recorder.report(service.metrics)
    recorder.start()
    return recorder


async def _serve(
    service: Service,
    listening: socket.socket,
    host: str,
    rpc_port: int | None,
    on_listening: Callable[[Address], None] | None,
) -> None:
    server = _http_server(service)
    rpc, rpc_address = None, ""
    if rpc_port is not None:
        from dalsegno.serving.rpc import start_rpc

        rpc, rpc_address = await start_rpc(service, host, rpc_port)
    stopping = asyncio.Event()
    _stop_on_signals(server, service, stopping)
    if on_listening:
        on_listening(Address(_url(listening), rpc_address))
    gc.collect()
    gc.freeze()  # what lives as long as the server is not looked through again
    gc.set_threshold(_YOUNG_OBJECTS)
    async with asyncio.TaskGroup() as serving:
        serving.create_task(server.serve(sockets=[listening]))
        if rpc:
            await stopping.wait()
            serving.create_task(rpc.stop(service.limits.drain_seconds))


def _http_server(service: Service) -> uvicorn.Server:
    import uvicorn

    from dalsegno.serving.app import App
    from dalsegno.serving.connection import connection_class

    app = App(service)
    config = uvicorn.Config(
        app,
        http=connection_class(app, service.limits.arrival_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing asks for the address of a caller
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(service.limits.drain_seconds),
    )
    return uvicorn.Server(config)


def stop_with_parent(parent: int) -> None:
    """Let this process stop, as on SIGTERM, when the one that started it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def _stop_on_signals(server: uvicorn.Server, service: Service, stopping: asyncio.Event) -> None:
    """Make a stop on demand a success: not ready at once, then no new connections, then drained.

    A second signal does not wait until load balancers have seen it.
    """
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True
        stopping.set()

    def handle(*_: object) -> None:
        wait = 0.0 if service.gate.is_draining else service.limits.leave_seconds
        service.gate.is_draining = True
        loop.call_soon_threadsafe(loop.call_later, wait, stop)

    setattr(server, "handle_exit", handle)  # noqa: B010 (uvicorn has no other way)
    for number in (signal.SIGTERM, signal.SIGINT):  # until uvicorn listens to them
        signal.signal(number, handle)


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
