"""A batch of predictions: one sealed segment as a Parquet file in the store, one row a prediction.

`predictions/<endpoint>/<day>/<first ms>-<last ms>-<release>-<segment>.parquet`. Name and content
follow from the segment alone, so that moving it twice changes nothing; the times in the name lead
from an id, which tells its own time, to the few batches that may hold it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.errors import InfrastructureError
from dalsegno.serving.predictions import FORMAT

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "predictions"
_MILLISECONDS = 1000
_MIN_BLOCK = 1 << 20


@dataclass(frozen=True)
class Batch:
    """What was read of a segment.

    Attributes:
        endpoint: Whose predictions these are.
        table: One row a prediction; see `read_segment`.
        torn_lines: Lines left out, unreadable after a crash.
        key: Where the store keeps it; "" without a row.
    """

    endpoint: str
    table: pa.Table
    torn_lines: int
    key: str


def read_segment(path: Path, content: bytes) -> Batch:
    """Read a segment, as far as it was written.

    Args:
        path: For the batch's name.
        content: The segment's bytes; a line that is not whole is passed over.

    Returns:
        Columns: `prediction_id`, `row` (within the answer, from 0), `request_id`, `at` (UTC),
        `release`, `model_sha256`, `role` (champion, canary or shadow), `caller`, `entity` (the key
        that the traffic is split by), `seconds` (of the whole answer), `error`, `probability`,
        `decision`, and `inputs`, a struct of the model's inputs as it took them.

    Raises:
        InfrastructureError: The header is no header of ours.
    """
    import pyarrow as pa

    head, _, body = content.partition(b"\n")
    header = _header(path, head)
    lines = body[: body.rfind(b"\n") + 1]
    torn = int(len(lines) < len(body))
    try:
        answers = _parse(lines, header["inputs"])
    except pa.ArrowInvalid:
        sound = [line for line in lines.splitlines() if _is_sound(line)]
        torn += lines.count(b"\n") - len(sound)
        answers = _parse(b"".join(line + b"\n" for line in sound), header["inputs"])
    table = _rows(answers, header)
    return Batch(header["endpoint"], table, torn, _key(path, header, table))


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        if header["format"] == FORMAT:
            return dict(header)
        got = f"format {header['format']}"
    except (ValueError, KeyError, TypeError):
        got = "no header"
    raise InfrastructureError(f"segment {path.name}: got {got}, want format {FORMAT}")


def _is_sound(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _parse(lines: bytes, inputs: dict[str, str]) -> pa.Table:
    """Parse answers, one a row, by Arrow: it works without the interpreter's lock."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    kinds = {"FP32": pa.list_(pa.float32()), "BYTES": pa.list_(pa.string())}
    texts = ("id", "request", "role", "caller", "key", "error")
    schema = pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("at", pa.int64()),
            ("seconds", pa.float64()),
            ("probability", pa.list_(pa.float32())),
            ("inputs", pa.struct([(name, kinds[kind]) for name, kind in inputs.items()])),
        ]
    )
    if not lines:
        return schema.empty_table()
    return arrow_json.read_json(
        pa.BufferReader(lines),
        read_options=arrow_json.ReadOptions(
            use_threads=False, block_size=max(len(lines), _MIN_BLOCK)
        ),
        parse_options=arrow_json.ParseOptions(explicit_schema=schema),
    ).combine_chunks()


def _rows(answers: pa.Table, header: dict[str, Any]) -> pa.Table:
    """Spread the answers, which hold a list a column, over rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = _chunk(answers["probability"])
    parents = pc.list_parent_indices(lists)
    probability = pc.list_flatten(lists)
    started = pc.take(pc.subtract(lists.offsets, lists.offsets[0]), parents)
    row = pc.subtract(pa.array(np.arange(len(parents), dtype=np.int32)), started)

    def spread(name: str) -> Any:
        return pc.take(_chunk(answers[name]), parents)

    values = _chunk(answers["inputs"])
    inputs = {name: pc.list_flatten(pc.struct_field(values, name)) for name in header["inputs"]}
    zeros = np.zeros(len(parents), dtype=np.int64)
    struct = pa.StructArray.from_arrays(list(inputs.values()), list(inputs)) if inputs else None
    threshold = pa.scalar(header["threshold"], pa.float32())
    columns = {
        "prediction_id": spread("id"),
        "row": row,
        "request_id": spread("request"),
        "at": pc.cast(spread("at"), pa.timestamp("us", "UTC")),
        "release": pa.array([header["release"]], pa.int64()).take(zeros),
        "model_sha256": pa.array([header["model_sha256"]]).take(zeros),
        "role": spread("role"),
        "caller": spread("caller"),
        "entity": spread("key"),
        "seconds": spread("seconds"),
        "error": spread("error"),
        "probability": probability,
        "decision": pc.cast(pc.greater_equal(probability, threshold), pa.int64()),
        **({"inputs": struct} if struct is not None else {}),
    }
    table = pa.table(columns)
    about = {key: header[key] for key in ("endpoint", "release", "threshold", "inputs", "redacted")}
    return table.replace_schema_metadata({"dalsegno": json.dumps(about)})


def _chunk(column: pa.ChunkedArray) -> Any:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _key(path: Path, header: dict[str, Any], table: pa.Table) -> str:
    import pyarrow.compute as pc

    if not table.num_rows:
        return ""
    span = pc.min_max(table["at"]).as_py()
    first, last = (int(span[name].timestamp() * _MILLISECONDS) for name in ("min", "max"))
    day = datetime.fromtimestamp(first / _MILLISECONDS, UTC).date().isoformat()
    return f"{PREFIX}/{header['endpoint']}/{day}/{first}-{last}-{path.stem}.parquet"
