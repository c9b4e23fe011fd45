"""Tells what format an artifact has: by its name where that says it, else by its content."""

from __future__ import annotations

import codecs
import csv
import io
from enum import StrEnum
from pathlib import Path

HEAD_BYTES = 64 * 1024
_DELIMITERS = ",\t;|"
_ROWS_LOOKED_AT = 50
_BY_SUFFIX = {".csv": "csv", ".tsv": "csv", ".json": "json", ".txt": "text", ".html": "text"}
_MODEL_SUFFIXES = {".onnx", ".ubj", ".ubjson", ".safetensors", ".pb", ".pt", ".npz", ".npy"}


class Format(StrEnum):
    """What is known about the content of a file or folder."""

    FOLDER = "folder"
    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"

    @property
    def is_table(self) -> bool:
        """Whether it has rows and named columns."""
        return self in {Format.PARQUET, Format.CSV}


def format_of(path: Path) -> Format:
    """Return the format of a file or folder; of a file only the first 64 KiB are read."""
    if path.is_dir():
        return Format.FOLDER
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    text = _text(head)
    if text is None or path.suffix in _MODEL_SUFFIXES:
        return Format.BINARY
    if path.suffix in _BY_SUFFIX:
        return Format(_BY_SUFFIX[path.suffix])
    if text.lstrip()[:1] in {"{", "["}:
        return Format.JSON
    return Format.CSV if _is_table(text, is_whole=len(head) < HEAD_BYTES) else Format.TEXT


def delimiter_of(path: Path) -> str:
    """Return what separates the columns of a CSV file: what its first line has most of."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return _delimiter(file.readline(HEAD_BYTES))


def _text(head: bytes) -> str | None:
    if b"\0" in head:
        return None
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        return decoder.decode(head, final=len(head) < HEAD_BYTES)  # it may end inside a character
    except UnicodeDecodeError:
        return None


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _is_table(text: str, *, is_whole: bool) -> bool:
    lines = text.splitlines(keepends=True)
    if not is_whole:
        lines = lines[:-1]
    if not lines:
        return False
    delimiter = _delimiter(lines[0])
    reader = csv.reader(io.StringIO("".join(lines[:_ROWS_LOOKED_AT])), delimiter=delimiter)
    try:
        widths = [len(row) for row in reader if row]
    except csv.Error:
        return False
    return len(widths) > 1 and widths[0] > 1 and len(set(widths)) == 1
