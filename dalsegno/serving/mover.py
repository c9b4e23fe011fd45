"""Moves sealed segments to the store; as a module, in a process of its own.

`python -P -m dalsegno.serving.mover FOLDER` answers lines of input with lines of JSON, to the end.
So the server keeps its processor, memory and interpreter's lock for answers.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dalsegno import releases
from dalsegno.errors import DalsegnoError, InfrastructureError
from dalsegno.serving.predictions import segments
from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_BROKEN = ".broken"
_NICENESS = 10


@dataclass
class Moved:
    """What came of one go.

    Attributes:
        rows: That the store has taken.
        torn_lines: That a crash had left unreadable.
        trouble: Why the rest is still here, "" if nothing is.
    """

    rows: int = 0
    torn_lines: int = 0
    trouble: str = ""


class Mover:
    """Moves segments in this process.

    Args:
        folder: Of the log.
        store: Where batches go.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    def move(self) -> Moved:
        """Move every segment that nobody writes, up to the first that the store does not take."""
        moved = Moved()
        for path in segments(self._folder):
            try:
                self._move(path, moved)
            except Exception as error:
                known = isinstance(error, DalsegnoError)
                moved.trouble = str(error) if known else f"{type(error).__name__}: {error}"
                break
        return moved

    def close(self) -> None:
        """Nothing is held."""

    def _move(self, path: Path, moved: Moved) -> None:
        """Move one segment, locked meanwhile, unless somebody writes or moves it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        with open(descriptor, "rb") as segment:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if os.fstat(descriptor).st_nlink:
                self._ship(path, segment.read(), moved)

    def _ship(self, path: Path, content: bytes, moved: Moved) -> None:
        import pyarrow.parquet as pq

        from dalsegno.serving.batches import read_segment

        try:
            batch = read_segment(path, content)
        except InfrastructureError as error:
            _logger.error("%s; it is kept as %s", error, path.stem + _BROKEN)
            path.rename(path.with_suffix(_BROKEN))
            return
        if batch.torn_lines:
            _logger.warning("%s: %d torn lines left out", path.name, batch.torn_lines)
            moved.torn_lines += batch.torn_lines
        if batch.key:
            # a store without the release is not the one that it came from: a folder not mounted
            releases.find(self._store, batch.endpoint, batch.table["release"][0].as_py())
            buffer = io.BytesIO()
            pq.write_table(batch.table, buffer, compression="zstd")
            self._store.put(batch.key, buffer.getvalue())
            moved.rows += batch.table.num_rows
        path.unlink()


class MoverProcess:
    """Lets a child process move segments; it is started when there is something to move.

    Args:
        folder: Of the log.
        environment: Variables that name the store, besides ours.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-P", "-m", __name__, str(folder)]
        self._environment = environment
        self._child: subprocess.Popen[str] | None = None

    def move(self) -> Moved:
        """Let the child move all it can."""
        try:
            child = self._child = self._child or self._start()
            assert child.stdin is not None  # noqa: S101 (they are pipes)
            assert child.stdout is not None  # noqa: S101
            child.stdin.write("move\n")
            child.stdin.flush()
            line = child.stdout.readline()
            if line:
                return Moved(**json.loads(line))
            trouble = f"got exit code {child.wait()}, want an answer"
        except (OSError, ValueError, TypeError) as error:
            trouble = str(error)
        self.close()
        return Moved(trouble=f"the process that moves predictions: {trouble}")

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the server's; it lets this one finish
            env={**os.environ, **self._environment},
        )


def main(folder: Path) -> None:
    """Move whenever a line comes, until there come no more: the server is gone then."""
    from dalsegno.settings import open_default_store

    os.nice(_NICENESS)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    mover = Mover(folder, open_default_store())
    for _ in sys.stdin:
        sys.stdout.write(json.dumps(asdict(mover.move())) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
