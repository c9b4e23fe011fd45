"""A small HTTP load generator: one process, one event loop, requests written once.

Run: `python -m benchmarks.load URL PATH BODY_FILE SECONDS CONNECTIONS [RATE]`. Without a rate each
connection asks again as soon as it is answered. With one, requests leave at their times whatever
the server does, and their latency counts from there: a slow answer is not left out.
"""

import asyncio
import gc
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop


class Connection(asyncio.Protocol):
    """One connection; at most one request is under way on it."""

    def __init__(self, load: "Load") -> None:
        """Belong to a load."""
        self.load = load
        self.buffer = b""
        self.since = 0.0
        self.is_closing = False

    def connection_made(self, transport: Any) -> None:
        """Be free."""
        self.transport = transport

    def ask(self, since: float) -> None:
        """Send the request; its latency counts from a time."""
        self.since = since
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        """Read an answer, and be free again when it is whole."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        body, self.buffer = self.buffer[end + 4 :], b""
        self.is_closing = b"connection: close" in head
        self.load.answered(self, int(head[9:12]), body)

    def connection_lost(self, error: Exception | None) -> None:
        """Count what was under way as failed."""
        self.load.lost(self)


class Load:
    """Requests to one server, and what came of them."""

    def __init__(self, request: bytes, rate: float) -> None:
        """Take the request as it goes over the wire, and how many a second (0: all there are)."""
        self.request, self.rate = request, rate
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}
        self.releases: dict[str, int] = {}
        self.free: deque[Connection] = deque()
        self.due: deque[float] = deque()
        self.is_over = False

    def answered(self, connection: Connection, status: int, body: bytes) -> None:
        """Note an answer, and use the connection again."""
        now = time.perf_counter()
        self.latencies.append(now - connection.since)
        connection.since = 0.0
        self._count(str(status), body)
        if self.is_over or connection.is_closing:
            return
        if self.rate == 0:
            connection.ask(now)
        elif self.due:
            connection.ask(self.due.popleft())
        else:
            self.free.append(connection)

    def lost(self, connection: Connection) -> None:
        """Note a connection that the server ended."""
        if connection.since and not self.is_over:
            self.statuses["lost"] = self.statuses.get("lost", 0) + 1

    def _count(self, status: str, body: bytes) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.rate:
            found = body.split(b'"model_version":"', 1)
            release = found[1].split(b'"', 1)[0].decode() if len(found) > 1 else ""
            self.releases[release] = self.releases.get(release, 0) + 1

    async def play(self, host: str, port: int, seconds: float, connections: int) -> None:
        """Ask for a time."""
        loop = asyncio.get_running_loop()
        opened: list[Connection] = []
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self), host, port)
            opened.append(connection)
        start = time.perf_counter()
        if self.rate == 0:
            for connection in opened:
                connection.ask(time.perf_counter())
            await asyncio.sleep(seconds)
        else:
            self.free.extend(opened)
            await self._keep_rate(start, seconds)
        self.is_over = True
        self.seconds = time.perf_counter() - start
        for connection in opened:
            connection.transport.close()

    async def _keep_rate(self, start: float, seconds: float) -> None:
        for count in range(int(self.rate * seconds)):
            due = start + count / self.rate
            delay = due - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            if self.free:  # a timer may be early by half a millisecond
                self.free.popleft().ask(min(due, time.perf_counter()))
            else:
                self.due.append(due)
        deadline = time.perf_counter() + 5
        wanted = int(self.rate * seconds)
        while sum(self.statuses.values()) < wanted and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)

    def report(self) -> dict[str, Any]:
        """Sum up: `per_second`, `p50_ms`, `p99_ms`, answers by status and by release."""
        found = sorted(self.latencies) or [0.0]
        return {
            "requests": len(self.latencies),
            "per_second": round(len(self.latencies) / self.seconds, 1),
            "p50_ms": round(1000 * found[len(found) // 2], 2),
            "p99_ms": round(1000 * found[int(len(found) * 0.99)], 2),
            "max_ms": round(1000 * found[-1], 2),
            "statuses": self.statuses,
            "releases": self.releases,
            "unanswered": len(self.due),
        }


def request_of(path: str, body: bytes) -> bytes:
    """Write a request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: server\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main(url: str, path: str, body: str, seconds: str, connections: str, rate: str = "0") -> None:
    """Print the report as JSON."""
    address = urlsplit(url)
    gc.disable()  # its pauses would be taken for the server's
    load = Load(request_of(path, Path(body).read_bytes()), float(rate))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            load.play(address.hostname or "", address.port or 80, float(seconds), int(connections))
        )
    print(json.dumps(load.report()))


if __name__ == "__main__":
    main(*sys.argv[1:])
