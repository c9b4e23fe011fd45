"""Compares a recorded artifact with a new one, each by its format, in bounded memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from dalsegno.replay.formats import Format, format_of
from dalsegno.replay.tables import compare_csv, compare_parquet
from dalsegno.replay.values import (
    IDENTICAL,
    Comparison,
    Difference,
    Match,
    Shown,
    Tolerance,
    compare_values,
    differs,
    equal,
)
from dalsegno.store import digest_of
from dalsegno.store.digest import files_of

_WHOLE_JSON_BYTES = 64 * 1024 * 1024
_LINE_BYTES = 1024 * 1024
_LISTED = 3


def compare_paths(old: Path, new: Path, tolerance: Tolerance | None = None) -> Comparison:
    """Compare two files or folders.

    Args:
        old: What was recorded.
        new: What came now.
        tolerance: Of floating-point numbers in tables and JSON; default: 1e-6 relative (1e-5
            for columns of 32 bits), 1e-9 absolute.

    Returns:
        Identical (byte by byte), equal within tolerance, or the first difference.
    """
    tolerance = tolerance or Tolerance()
    kinds = format_of(old), format_of(new)
    if Format.FOLDER in kinds:
        if kinds[0] != kinds[1]:
            return differs("kind", *(_kind(kind) for kind in kinds))
        return _compare_folders(old, new, tolerance)
    return IDENTICAL if _same_bytes(old, new) else _compare_files(old, new, kinds, tolerance)


def _compare_files(
    old: Path, new: Path, kinds: tuple[Format, Format], tolerance: Tolerance
) -> Comparison:
    kind = _common(*kinds)
    if kind is None:
        return differs("format", *(Shown(kind) for kind in kinds))
    compared = _COMPARE[kind](old, new, tolerance)
    if compared.match is Match.IDENTICAL:
        note = f"other bytes ({kind} written another way), the same values"
        return Comparison(Match.EQUAL, None, note)
    if kind.is_table and compared.first and compared.first.where.startswith("column "):
        return _look_for_order(compared, old, new)
    return compared


def _look_for_order(compared: Comparison, old: Path, new: Path) -> Comparison:
    """Say so where tables differ by nothing but the order of their rows."""
    from dalsegno.replay.profile import have_same_rows

    if have_same_rows(old, new):
        return replace(compared, note="the same rows in another order")
    return compared


def _common(old: Format, new: Format) -> Format | None:
    """Return the format to compare in; a CSV file without rows, say, looks like text."""
    if old is new:
        return old
    texts = {Format.CSV, Format.JSON, Format.TEXT}
    if not {old, new} <= texts:
        return None
    return Format.CSV if {old, new} == {Format.CSV, Format.TEXT} else Format.TEXT


def _compare_folders(old: Path, new: Path, tolerance: Tolerance) -> Comparison:
    mine, its = dict(files_of(old)), dict(files_of(new))
    missing, extra = sorted(set(mine) - set(its)), sorted(set(its) - set(mine))
    if missing or extra:
        return differs("files", Shown(_list(missing)), Shown(_list(extra)), "missing -> extra")
    found = {name: compare_paths(path, its[name], tolerance) for name, path in mine.items()}
    others = {name: item for name, item in found.items() if item.match is Match.DIFFERS}
    if others:
        return _differing(others, len(found))
    deviations = {
        f"{name}: {key}": value
        for name, item in found.items()
        for key, value in item.deviations.items()
    }
    notes = [f"{name}: {item.note}" for name, item in found.items() if item.match is Match.EQUAL]
    if notes and not deviations:
        return Comparison(Match.EQUAL, None, notes[0])
    return equal(deviations)


def _differing(others: dict[str, Comparison], files: int) -> Comparison:
    """Tell the first difference of the first file that differs, and how many files do."""
    name, found = next(iter(others.items()))
    first = found.first or Difference("", "", "")
    where = f"file {name!r}" + (f", {first.where}" if first.where else "")
    count = f"{len(others)} of {files} files" if len(others) > 1 else f"no other of {files} files"
    note = f"{found.note}; {count}" if found.note else count
    return Comparison(Match.DIFFERS, Difference(where, first.old, first.new), note)


def _compare_json(old: Path, new: Path, tolerance: Tolerance) -> Comparison:
    if max(old.stat().st_size, new.stat().st_size) > _WHOLE_JSON_BYTES:
        return _compare_text(old, new, tolerance)
    try:
        left, right = (json.loads(path.read_bytes()) for path in (old, new))
    except (ValueError, RecursionError):
        return _compare_text(old, new, tolerance)
    return compare_values({"$": left}, {"$": right}, tolerance)


def _compare_text(old: Path, new: Path, _: Tolerance) -> Comparison:
    with old.open("rb") as mine, new.open("rb") as its:
        for number, (left, right) in enumerate(zip_longest(_lines(mine), _lines(its)), 1):
            if left != right:
                return differs(f"line {number}", _show_line(left), _show_line(right))
    return IDENTICAL


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(_LINE_BYTES), b"")


def _show_line(line: bytes | None) -> str:
    if line is None:
        return Shown("end of file")
    return line.decode(errors="replace").rstrip("\r\n")


def _compare_binary(old: Path, new: Path, _: Tolerance) -> Comparison:
    left, right = digest_of(old), digest_of(new)
    if left == right:
        return IDENTICAL
    shown = (Shown(f"{item.sha256[:12]} ({item.size_bytes} bytes)") for item in (left, right))
    return differs("SHA-256", *shown)


_COMPARE: dict[Format, Callable[[Path, Path, Tolerance], Comparison]] = {
    Format.PARQUET: compare_parquet,
    Format.CSV: compare_csv,
    Format.JSON: _compare_json,
    Format.TEXT: _compare_text,
    Format.BINARY: _compare_binary,
}


def _same_bytes(old: Path, new: Path) -> bool:
    if old.stat().st_size != new.stat().st_size:
        return False
    with old.open("rb") as mine, new.open("rb") as its:
        left, right = (hashlib.file_digest(file, "sha256").digest() for file in (mine, its))
    return left == right


def _kind(kind: Format) -> Shown:
    return Shown("a folder" if kind is Format.FOLDER else "a file")


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + more
