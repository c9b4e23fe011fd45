"""Shows what a task prints, and keeps it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


class _Tee:
    """A stream that writes to another one and to a file; all else is the other stream's."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._file.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def ignore(_: str) -> None:
    """Tell nobody."""


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Keep what Python code writes to standard output and error in a file, and show it as well."""
    with path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1) as file:
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (_Tee(stream, file) for stream in before)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stdout, sys.stderr = before
