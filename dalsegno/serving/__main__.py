"""`python -P -m dalsegno.serving ENDPOINT…`: the server as a process of its own."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import fields
from pathlib import Path

from dalsegno.errors import DalsegnoError
from dalsegno.serving.limits import Limits
from dalsegno.serving.server import Address, serve, stop_with_parent


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the first line of output is JSON with `url` and `rpc`."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    if given.parent:
        stop_with_parent(given.parent)

    def announce(address: Address) -> None:
        where = {"url": address.url, "rpc": address.rpc, "pid": os.getpid()}
        line = {"event": "listening", "endpoints": given.endpoints, **where}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    try:
        serve(
            given.endpoints,
            given.host,
            given.port,
            rpc_port=given.grpc_port,
            cache_dir=given.cache_dir,
            limits=_limits(given),
            callers=given.callers,
            on_listening=announce,
        )
    except DalsegnoError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("dalsegno.serving", description=__doc__)
    parser.add_argument("endpoints", nargs="+", metavar="ENDPOINT")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="for HTTP; 0 takes a free one")
    parser.add_argument("--grpc-port", type=int, help="for gRPC; 0 takes a free one")
    parser.add_argument("--cache-dir", type=Path, help="where models are kept on this machine")
    parser.add_argument("--callers", type=Path, help="TOML file of those who may ask")
    parser.add_argument("--parent", type=int, help="stop when this starting process is gone")
    for limit in fields(Limits):
        parser.add_argument(_option(limit.name), type=type(limit.default), default=limit.default)
    return parser


def _limits(given: argparse.Namespace) -> Limits:
    return Limits(**{limit.name: getattr(given, limit.name) for limit in fields(Limits)})


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


if __name__ == "__main__":
    sys.exit(main())
