"""`serve` and `predict`: the live release behind HTTP, or over a file of rows."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json, print_table
from dalsegno.errors import DalsegnoError, InputError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from dalsegno.releases import Release
    from dalsegno.store import Store

_SHOWN_ROWS, _SHOWN_COLUMNS = 10, 4
_ADDED = ("probability", "decision", "release", "prediction_id")
_PARQUET = b"PAR1"
_LINES = (".jsonl", ".ndjson")
_WRITTEN = (".csv", ".parquet", *_LINES)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(predict)


def serve(
    endpoints: list[str] = typer.Argument(
        metavar="ENDPOINT...", help="Names of endpoints; their releases are followed."
    ),
    host: str = typer.Option("127.0.0.1", help="Address to listen at."),
    port: int = typer.Option(8080, min=0, max=65535, help="Port to listen at; 0 takes a free one."),
    grpc_port: int | None = typer.Option(
        None, min=0, max=65535, help="Speak gRPC too, at this port; 0 takes a free one."
    ),
    callers: Path | None = typer.Option(
        None, help="TOML file of those who may ask, with digests of their tokens."
    ),
) -> None:
    """Serve the live releases by the Open Inference Protocol v2, until Ctrl-C.

    Example: dalsegno serve titanic --port 8080
    """
    from dalsegno.serving.access import TOKEN_VARIABLE, own_token
    from dalsegno.serving.server import Address
    from dalsegno.serving.server import serve as run_server
    from dalsegno.settings import open_default_store

    store = open_default_store()
    token = f"${TOKEN_VARIABLE}" if own_token() else "$TOKEN" if callers else ""

    def announce(address: Address) -> None:
        for endpoint in endpoints:
            what, command = describe(store, endpoint, address.url, token)
            where = f"{address.url} and gRPC at {address.rpc}" if address.rpc else address.url
            text = f"serving {endpoint} on {where} ({what}), Ctrl-C stops\n  {command}"
            console().print(text, markup=False, soft_wrap=True)

    logging.getLogger("dalsegno").setLevel(logging.INFO)
    run_server(
        endpoints,
        host,
        port,
        rpc_port=grpc_port,
        store=store,
        callers=callers,
        on_listening=announce,
    )


def predict(
    endpoint: str = typer.Argument(help="Name of the endpoint."),
    rows: Path = typer.Argument(help="CSV, Parquet or JSON lines (.jsonl), one row an entity."),
    url: str = typer.Option("", help="Ask the server there; default: score here."),
    output: Path | None = typer.Option(None, help="Write .csv, .parquet or .jsonl."),
    as_json: bool = typer.Option(False, "--json", help="Print a list of JSON objects."),
) -> None:
    """Score rows with the live release.

    Example: dalsegno predict titanic features.parquet --output scored.csv
    """
    if output and output.suffix not in _WRITTEN:
        raise InputError(f"--output: got {output.name!r}, want one of {', '.join(_WRITTEN)}")
    frame = read_rows(rows)
    scored = _ask(frame, endpoint, url) if url else _score(frame, endpoint)
    if output:
        write_rows(scored, output)
    if as_json:
        print_json(json.loads(scored.to_json(orient="records", double_precision=15)))
    elif output:
        console().print(f"wrote {len(scored)} rows to {output}", markup=False, soft_wrap=True)
    else:
        _print_scored(scored)


def describe(store: Store, endpoint: str, url: str, token: str = "") -> tuple[str, str]:
    """Return what is live, and a command that asks the server for a prediction.

    Args:
        store: Where the releases are.
        endpoint: Name of the endpoint.
        url: Where the server listens.
        token: The shell's variable of the token, "" if the server wants none.
    """
    from dalsegno import releases

    shown = f'curl -s -H "Authorization: Bearer {token}"' if token else "curl -s"
    address = shlex.quote(f"{url}/v2/models/{endpoint}")
    try:
        live = releases.live(store, endpoint)
        if live is None:
            return "no release yet: dalsegno run training", f"{shown} {address}"
        body = shlex.quote(json.dumps(_request(store, live), ensure_ascii=False))
    except DalsegnoError as error:  # a server starts without the store, too
        return f"the store gave no release: {error}", f"{shown} {address}"
    header = "'Content-Type: application/json'"
    return f"release {live.number}", f"{shown} {address}/infer -H {header} -d {body}"


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table of rows to score; see `read_table`.

    Raises:
        NotFoundError: There is no such file.
        InputError: It cannot be read, or it holds predictions already.
    """
    frame = read_table(path)
    taken = [name for name in _ADDED if name in frame.columns]
    if taken:
        raise InputError(f"rows {path}: got columns {taken}, want rows without predictions")
    return frame


def read_table(path: Path) -> pd.DataFrame:
    """Read a table: Parquet by its content, CSV and JSON lines by the name's ending.

    Whole numbers stay whole where some are missing, and only an empty CSV field is missing.

    Raises:
        NotFoundError: There is no such file.
        InputError: It cannot be read.
    """
    if not path.is_file():
        raise NotFoundError(f"rows: got no file at {path}, want CSV, Parquet or JSON lines")
    try:
        return _read(path)
    except (ValueError, OSError) as error:
        raise InputError(f"rows {path}: got an unreadable file ({error}), want a table") from error


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the form that the name's ending tells.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        if path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        elif path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_json(path, orient="records", lines=True, double_precision=15)
    except OSError as error:
        raise InputError(f"--output {path}: got {error}, want a file to write") from error


def _request(store: Store, live: Release) -> dict[str, Any]:
    """Make a request out of the first row that came with a model."""
    inputs = json.loads(store.get(f"{live.model_key}/signature.json"))["inputs"]
    row = json.loads(store.get(f"{live.model_key}/example.json"))["rows"][0]
    return {
        "inputs": [{**item, "shape": [1, 1], "data": [row.get(item["name"])]} for item in inputs]
    }


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    with path.open("rb") as file:
        if file.read(len(_PARQUET)) == _PARQUET:
            return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(
            path, dtype_backend="numpy_nullable", keep_default_na=False, na_values=[""]
        )
    if path.suffix in _LINES:
        lines = path.read_text(encoding="utf-8").splitlines()
        documents = [json.loads(line) for line in lines if line.strip()]
        if any(not isinstance(document, dict) for document in documents):
            raise ValueError("a line is no JSON object")
        return pd.DataFrame(documents, dtype=object).convert_dtypes()
    raise ValueError("neither Parquet nor named .csv or .jsonl")


def _score(frame: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    import tempfile

    from components.predict_batch import logic
    from dalsegno import releases
    from dalsegno.model import ScoringModel
    from dalsegno.settings import open_default_store

    store = open_default_store()
    live = releases.live(store, endpoint)
    if live is None:
        raise releases.log.unknown(store, endpoint)
    with tempfile.TemporaryDirectory() as scratch:
        model = ScoringModel.load(releases.fetch_model(store, live, Path(scratch, "model")))
        return logic.predict(frame, model, live.number)


def _ask(frame: pd.DataFrame, endpoint: str, url: str) -> pd.DataFrame:
    from dalsegno.serving.access import own_token
    from dalsegno.serving.client import infer

    answered = infer(url, endpoint, frame, token=own_token())
    return frame.assign(**{str(name): column for name, column in answered.items()})


def _print_scored(scored: pd.DataFrame) -> None:
    given = [name for name in scored.columns if name not in _ADDED][:_SHOWN_COLUMNS]
    head = scored.head(_SHOWN_ROWS)
    table = [
        (*("" if _plain(row[name]) is None else row[name] for name in given), *_result(row))
        for row in head.to_dict("records")
    ]
    print_table((*map(str, given), "probability", "decision"), table)
    release = f"release {scored['release'].iloc[0]}, " if len(scored) else ""
    more = "; all of them: --output FILE" if len(scored) > len(head) else ""
    console().print(f"{release}{len(head)} of {len(scored)} rows{more}", markup=False)


def _result(row: dict[Any, Any]) -> tuple[str, int]:
    return f"{row['probability']:.4f}", int(row["decision"])


def _plain(value: Any) -> Any:
    import pandas as pd

    return None if pd.isna(value) else value
