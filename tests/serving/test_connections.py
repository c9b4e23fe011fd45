"""Callers that are slow, gone, half-closed or no HTTP at all; and a server that is told to stop."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.store import open_store
from tests.model_folder import make_model
from tests.serving.test_access import PATH, ROW

BODY = json.dumps(ROW).encode()
WHOLE = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    store = open_store(str(folder / "store"))
    releases.promote(store, "titanic", make_model(folder / "model"), reason="", who="anna")
    with start_server(
        "titanic",
        log_path=folder / "log",
        cache_dir=folder / "cache",
        environment={"DALSEGNO_STORE_URI": store.uri},
        options=["--arrival-seconds", "1"],
    ) as started:
        wait_until_ready(started.url)
        yield started
        assert "Traceback" not in (folder / "log").read_text()


def connect(server: ServerProcess) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def read_all(opened: socket.socket) -> bytes:
    said = b""
    while part := opened.recv(4096):
        said += part
    return said


def test_half_closed_connection_is_answered(server: ServerProcess) -> None:
    with connect(server) as opened:
        opened.sendall(WHOLE)
        opened.shutdown(socket.SHUT_WR)
        said = read_all(opened)
    assert said.startswith(b"HTTP/1.1 200 OK")
    assert b'"probability"' in said


@pytest.mark.parametrize("sent", [b"", WHOLE[:20], WHOLE[:-10]], ids=["nothing", "head", "body"])
def test_slow_caller_is_not_waited_for(server: ServerProcess, sent: bytes) -> None:
    begun = time.monotonic()
    with connect(server) as opened:
        opened.sendall(sent)
        said = read_all(opened)
    assert 0.5 < time.monotonic() - begun < 5
    assert said.startswith(b"HTTP/1.1 408 ") if sent else said == b""


@pytest.mark.parametrize("sent", [WHOLE[:20], WHOLE[:-10]], ids=["head", "body"])
def test_caller_that_goes_away_costs_nothing(server: ServerProcess, sent: bytes) -> None:
    for _ in range(20):
        with connect(server) as opened:
            opened.sendall(sent)
    deadline = time.monotonic() + 5
    while "dalsegno_in_flight 0.0" not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < deadline


def test_what_is_no_http_is_told_so(server: ServerProcess) -> None:
    with connect(server) as opened:
        opened.sendall(b"\x16\x03\x01\x02\x00\x01\x00 hello\r\n\r\n")
        said = read_all(opened)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2]) == {
        "error": "request: got what is no HTTP, want HTTP/1.1"
    }


def test_requests_may_be_sent_ahead_of_answers(server: ServerProcess) -> None:
    with connect(server) as opened:
        opened.sendall(WHOLE * 3)
        opened.shutdown(socket.SHUT_WR)
        said = read_all(opened)
    assert said.count(b"HTTP/1.1 200 OK") == 3


def test_body_larger_than_allowed_is_refused_before_it_came(server: ServerProcess) -> None:
    with connect(server) as opened:
        opened.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n".encode()
        )
        said = read_all(opened)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"want at most 4194304 bytes" in said


def test_stopping_server_is_not_ready_first(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    releases.promote(store, "titanic", make_model(tmp_path / "model"), reason="", who="anna")
    server = start_server(
        "titanic",
        log_path=tmp_path / "log",
        cache_dir=tmp_path / "cache",
        environment={"DALSEGNO_STORE_URI": store.uri},
        options=["--leave-seconds", "1", "--grpc-port", "0"],
    )
    with server, httpx.Client(base_url=server.url, trust_env=False) as client:
        wait_until_ready(server.url)
        server.process.terminate()
        seen: list[int] = []
        while 503 not in seen:
            seen.append(client.get("/v2/health/ready").status_code)
        last = client.post(PATH, json=ROW)
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        with connect(server) as opened:
            opened.sendall(WHOLE)
            said = read_all(opened)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in said
        stopped = threading.Thread(target=server.process.wait)
        stopped.start()
        stopped.join(10)
        assert server.process.returncode == 0


def test_requests_in_pieces_are_answered_alike(server: ServerProcess) -> None:
    head, _, body = WHOLE.partition(b"\r\n\r\n")
    pieces = [WHOLE[:9], WHOLE[9:40], WHOLE[40 : len(head) + 4], body[:7], body[7:] + WHOLE]
    with connect(server) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            opened.sendall(piece)
            time.sleep(0.02)  # so that it is read apart
        opened.shutdown(socket.SHUT_WR)
        said = read_all(opened)
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.lower().count(b"\r\ndate: ") == 2


def test_every_way_of_sending_is_answered_in_order(server: ServerProcess) -> None:
    many = [{**each, "shape": [400], "data": each["data"] * 400} for each in ROW["inputs"]]
    bodies = {
        b"large": json.dumps({"id": "large", "inputs": many}).encode(),
        b"small": json.dumps({"id": "small", **ROW}).encode(),
        b"wrong": b'{"id": "wrong"}',
        b"very large": json.dumps({"id": "very large", **ROW}).encode() + b" " * 100_000,
    }
    order = [b"small", b"large", b"small", b"wrong", b"small", b"very large", b"small"]
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
    sent = [head + b"Content-Length: %d\r\n\r\n" % len(bodies[i]) + bodies[i] for i in order]
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(bodies[b"small"]), bodies[b"small"])
    sent.append(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
    sent.append(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
    with connect(server) as opened:
        opened.sendall(b"".join(sent))
        said = read_all(opened)
    found = said.split(b"HTTP/1.1 ")[1:]
    assert len(found) == len(sent)
    for name, answer in zip(order, found, strict=False):
        assert b'"error":"request inputs: got nothing' in answer or b'"id":"%b"' % name in answer
        assert answer.startswith(b"400 " if name == b"wrong" else b"200 ")
    assert b"\r\nconnection: close\r\n" in found[-1].lower()


def test_stopping_server_answers_what_is_arriving(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    releases.promote(store, "titanic", make_model(tmp_path / "model"), reason="", who="anna")
    server = start_server(
        "titanic",
        log_path=tmp_path / "log",
        cache_dir=tmp_path / "cache",
        environment={"DALSEGNO_STORE_URI": store.uri},
    )
    with server:
        wait_until_ready(server.url)
        with connect(server) as idle, connect(server) as arriving:
            arriving.sendall(WHOLE[:-10])
            while "dalsegno_in_flight 1.0" not in httpx.get(f"{server.url}/metrics").text:
                pass
            server.process.terminate()
            assert read_all(idle) == b""  # the server is stopping
            arriving.sendall(WHOLE[-10:])
            assert read_all(arriving).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(10) == 0
