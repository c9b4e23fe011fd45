"""Compute features from raw tables with one SQL query."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dalsegno.errors import InputError, NotFoundError

_HASHES = 1 << 32


def features_digest(sql: str, entity: str, sample_share: float, seed: int) -> str:
    """Name a way to build features: SHA-256 of the query and the settings, in hexadecimal."""
    settings = json.dumps([sql, entity, sample_share, seed])
    return hashlib.sha256(settings.encode()).hexdigest()


@dataclass(frozen=True)
class Features:
    """What was written.

    Attributes:
        rows: Row count.
        columns: Names, in order.
    """

    rows: int
    columns: list[str]


def build_features(
    tables: Path, output: Path, sql: str, entity: str, sample_share: float = 1.0, seed: int = 0
) -> Features:
    """Run the query over the tables; write one row an entity, sorted by it.

    The query sees the tables and nothing else: no other file, no network. Same tables, query, share
    and seed give the same bytes. The sample is drawn from the entities after the query ran, so
    that aggregates are those of all rows, and an entity's luck does not depend on the other rows.

    Args:
        tables: Folder of `<table>.parquet`.
        output: Parquet file to write.
        sql: One SELECT over the tables, in DuckDB's dialect.
        entity: Column that identifies a row.
        sample_share: Share of the entities to keep (0-1].
        seed: Of the sample.

    Raises:
        InputError: The query fails, or `entity` is missing, null or repeated.
        NotFoundError: There are no tables.
    """
    if not 0 < sample_share <= 1:
        raise InputError(f"sample_share: got {sample_share}, want above 0 and at most 1")
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=output.parent, prefix=".spill-") as spill,
        duckdb.connect(config={"threads": 2, "temp_directory": spill}) as connection,
    ):
        _open_tables(connection, tables, output)
        columns = _define(connection, sql, entity)
        try:
            rows = _write(connection, output, entity, sample_share, seed)
            _check_entity(connection, output, entity)
        except BaseException:
            output.unlink(missing_ok=True)
            raise
    return Features(rows, columns)


def _open_tables(connection: duckdb.DuckDBPyConnection, tables: Path, output: Path) -> None:
    paths = sorted(tables.glob("*.parquet"))
    if not paths:
        raise NotFoundError(f"{tables}: got no Parquet file, want <table>.parquet")
    for path in paths:
        view = path.stem.replace('"', '""')
        try:
            connection.execute(
                f'CREATE VIEW "{view}" AS SELECT * FROM read_parquet({_literal(path)})'  # noqa: S608
            )
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{path.name}: got an unreadable file ({reason}), want a whole Parquet file"
            ) from error
    allowed = ", ".join(_literal(path) for path in [*paths, output])
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _define(connection: duckdb.DuckDBPyConnection, sql: str, entity: str) -> list[str]:
    """Make the query a view; its text stands last and whole, so that DuckDB's line is its line."""
    try:
        kinds = [statement.type for statement in duckdb.extract_statements(sql)]
        if kinds != [duckdb.StatementType.SELECT]:
            names = [str(kind).rpartition(".")[2] for kind in kinds] or "nothing"
            raise InputError(f"sql: got {names}, want one SELECT")
        connection.execute(f"CREATE TEMP VIEW dalsegno_features AS {sql}")
    except duckdb.Error as error:
        raise _failed(error) from error
    found = connection.execute("DESCRIBE dalsegno_features").fetchall()
    columns = [name for name, *_ in found]
    if entity not in columns:
        raise InputError(f"sql: got columns {columns}, want {entity!r} among them")
    return columns


def _write(
    connection: duckdb.DuckDBPyConnection, output: Path, entity: str, share: float, seed: int
) -> int:
    key = _quoted(entity)
    luck = f"CAST('0x' || substr(md5(CAST({key} AS VARCHAR) || ':{int(seed)}'), 1, 8) AS UBIGINT)"
    drawn = f"WHERE {key} IS NULL OR {luck} < {share * _HASHES!r}" if share < 1 else ""
    query = f"SELECT * FROM dalsegno_features {drawn} ORDER BY {key} NULLS FIRST"  # noqa: S608
    form = "(FORMAT parquet, USE_TMP_FILE false)"  # only `output` itself may be written
    try:
        written = connection.execute(f"COPY ({query}) TO {_literal(output)} {form}")
    except duckdb.Error as error:
        raise _failed(error) from error
    return int(written.fetchall()[0][0])


def _check_entity(connection: duckdb.DuckDBPyConnection, output: Path, entity: str) -> None:
    key = _quoted(entity)
    rows, filled, distinct = connection.execute(
        f"SELECT count(*), count({key}), count(DISTINCT {key})"  # noqa: S608
        f" FROM read_parquet({_literal(output)})"
    ).fetchall()[0]
    if filled < rows:
        raise InputError(f"features.{entity}: got {rows - filled} nulls, want none")
    if distinct < rows:
        raise InputError(
            f"features.{entity}: got {distinct} entities in {rows} rows, want one row an entity"
        )


def _failed(error: duckdb.Error) -> InputError:
    reason, _, place = str(error).strip().partition("\n")
    return InputError(f"sql: got {reason}, want a query that runs\n{place}".rstrip())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
