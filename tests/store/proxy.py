"""A connection that breaks, for real: forwards bytes to a server and cuts the answers off."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class BrokenLine:
    """Listens on the loopback interface, and forwards to a server.

    Args:
        target: `host:port` of the server.
        cuts: For each of the first connections, after how many bytes of answer it is cut; those
            that follow are left alone.
    """

    def __init__(self, target: str, cuts: list[int]) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._cuts = list(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def cuts_left(self) -> int:
        return len(self._cuts)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                limit = self._cuts.pop(0) if self._cuts else None
                for source, sink, until in ((client, server, None), (server, client, limit)):
                    threading.Thread(
                        target=_forward, args=(source, sink, until), daemon=True
                    ).start()


def _forward(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
    with suppress(OSError):
        passed = 0
        while data := source.recv(65536):
            if limit is not None and passed + len(data) > limit:
                break
            sink.sendall(data)
            passed += len(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
