"""`python -P -m dalsegno.serving ENDPOINT`: the server as a process of its own."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from dalsegno.errors import DalsegnoError
from dalsegno.serving.server import serve, stop_with_parent


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the first line of output is JSON with the server's `url`."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    if given.parent:
        stop_with_parent(given.parent)

    def announce(url: str) -> None:
        line = {"event": "listening", "endpoint": given.endpoint, "url": url, "pid": os.getpid()}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    try:
        serve(
            given.endpoint, given.host, given.port, cache_dir=given.cache_dir, on_listening=announce
        )
    except DalsegnoError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("dalsegno.serving", description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--cache-dir", type=Path, help="where models are kept on this machine")
    parser.add_argument("--parent", type=int, help="stop when this starting process is gone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
