"""Bring tables of CSV or Parquet files into one form."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dalsegno.errors import InputError, NotFoundError

SUFFIXES = (".csv", ".parquet")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT"})
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Table:
    """One table as it was written.

    Attributes:
        name: File name without its suffix.
        rows: Row count.
        columns: Type of every column, as DuckDB names it.
    """

    name: str
    rows: int
    columns: dict[str, str]


def read_tables(source: Path, output: Path) -> list[Table]:
    """Write every CSV or Parquet file of a folder as `<table>.parquet`.

    A whole number in a column named `id` or `…_id`, or in a column that several tables share, is a
    key and becomes a string; everything else keeps the narrowest type that holds all its values.

    Args:
        source: Folder of `<table>.csv` (UTF-8, comma, header) and `<table>.parquet`, or one file.
        output: Folder to write to; made when it is not there.

    Raises:
        NotFoundError: There is no table.
        InputError: A file cannot be read, or two files are one table.
    """
    files = find_tables(source)
    output.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": 2}) as connection:
        types = {name: _column_types(connection, path) for name, path in files.items()}
        keys = _keys(types)
        return [
            _write(connection, name, path, types[name], keys, output)
            for name, path in files.items()
        ]


def find_tables(source: Path) -> dict[str, Path]:
    """Return the file of every table by its name, sorted; other files are passed over."""
    if not source.exists():
        raise NotFoundError(f"{source}: got nothing there, want a folder of CSV or Parquet files")
    paths = [source] if source.is_file() else sorted(source.iterdir())
    found: dict[str, Path] = {}
    for path in paths:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = _table_name(path)
            twin = next((p for n, p in found.items() if n.lower() == name.lower()), None)
            if twin:
                raise InputError(f"{path.name}: got table {name!r} again, want it in {twin.name}")
            found[name] = path
    if not found:
        got = ", ".join(path.name for path in paths[:5]) or "no file"
        raise NotFoundError(f"{source}: got {got}, want files ending in {' or '.join(SUFFIXES)}")
    return found


def _table_name(path: Path) -> str:
    if not _NAME.fullmatch(path.stem):
        raise InputError(
            f"{path.name}: got table name {path.stem!r}, want a letter, then letters, digits and _"
        )
    return path.stem


def _column_types(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: got an empty file, want a header and rows")
    if path.suffix.lower() == ".csv":
        _check_encoding(path)
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {_scan(path)}").fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise _unreadable(path, error) from error
    return {name: kind for name, kind, *_ in found}


def _check_encoding(path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read_bytes = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at = read_bytes + error.start
                raise InputError(
                    f"{path.name}: got bytes that are not UTF-8 (at byte {at}), want UTF-8 text"
                ) from error
            if "\0" in text:
                raise InputError(f"{path.name}: got NUL characters, want UTF-8 text")
            read_bytes += len(chunk)


def _keys(types: dict[str, dict[str, str]]) -> set[str]:
    count = Counter(column for columns in types.values() for column in columns)
    return {
        column
        for column, tables in count.items()
        if tables > 1 or column.lower() == "id" or column.lower().endswith("_id")
    }


def _write(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    types: dict[str, str],
    keys: set[str],
    output: Path,
) -> Table:
    kept = {
        column: "VARCHAR" if column in keys and kind in _INTEGERS else kind
        for column, kind in types.items()
    }
    columns = ", ".join(f"CAST({_quoted(c)} AS {kind}) AS {_quoted(c)}" for c, kind in kept.items())
    target = _literal(output / f"{name}.parquet")
    query = f"COPY (SELECT {columns} FROM {_scan(path, kept)}) TO {target} (FORMAT parquet)"  # noqa: S608
    try:
        (rows,) = connection.execute(query).fetchall()[0]
    except duckdb.Error as error:
        raise _unreadable(path, error) from error
    return Table(name, rows, kept)


def _scan(path: Path, types: dict[str, str] | None = None) -> str:
    """Return the table function for a file; with `types` a CSV file is not looked through again."""
    if path.suffix.lower() == ".parquet":
        return f"read_parquet({_literal(path)})"
    form = "header = true, delim = ',', quote = '\"', escape = '\"', encoding = 'utf-8'"
    if types is None:
        return f"read_csv({_literal(path)}, {form}, sample_size = -1)"
    fixed = ", ".join(f"{_literal(column)}: {_literal(kind)}" for column, kind in types.items())
    return f"read_csv({_literal(path)}, {form}, auto_detect = false, columns = {{{fixed}}})"


def _unreadable(path: Path, error: duckdb.Error) -> InputError:
    kind = path.suffix.lower().lstrip(".")
    want = "comma-separated UTF-8 text with a header" if kind == "csv" else "a whole Parquet file"
    reason = str(error).strip().splitlines()[0]
    return InputError(f"{path.name}: got an unreadable file ({reason}), want {want}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
