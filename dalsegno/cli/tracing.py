"""`predictions`, `feedback` and `lineage`: what was answered, what was true, where it came from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dalsegno.cli.output import console, print_json
from dalsegno.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from dalsegno.lineage import Lineage
    from dalsegno.serving.history import LoggedPrediction
    from dalsegno.store import Store

_LETTERS = 12
_SQL_LINES = 3


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(predictions)
    app.command()(feedback)
    app.command()(lineage)


def predictions(
    endpoint: str = typer.Argument(help="Name of the endpoint."),
    output: Path | None = typer.Option(None, help="Write .csv, .parquet or .jsonl."),
    dataset: str = typer.Option(
        "", metavar="NAME", help="Publish what the live model answered, for `run monitoring`."
    ),
    since: str = typer.Option(
        "24h", help="From then on: ISO 8601 (UTC if bare), or so long ago as 30m, 24h, 7d."
    ),
    until: str = typer.Option("", help="Up to then, in the same form; default: now."),
    label: str = typer.Option("label", help="Column of the file for labels that have come."),
    shadow: bool = typer.Option(False, "--shadow", help="Shadows' answers too."),
) -> None:
    """Write the logged predictions of an endpoint, with the labels that have come, as a table.

    The model's inputs are columns of their own names, as monitoring reads them.

    Example: dalsegno predictions titanic --since 7d --output week.parquet --label survived
    """
    from dalsegno.cli.serving import write_rows
    from dalsegno.serving import feedback as labels
    from dalsegno.serving import history
    from dalsegno.serving.served import by_live_model
    from dalsegno.settings import open_default_store

    if (output is None) == (not dataset):
        got = "neither or both of --output and --dataset"
        raise InputError(f"predictions: got {got}, want one of them")
    store = open_default_store()
    end = _read_time(until) if until else None
    frame = history.read(store, endpoint, _read_time(since), end)
    if output is None:
        return _publish(store, dataset, by_live_model(store, endpoint, frame))
    frame = frame if shadow else frame[frame["role"] != "shadow"].reset_index(drop=True)
    table = history.as_examples(labels.join(store, endpoint, frame, name=label))
    write_rows(table, output)
    known = int(table[label].notna().sum())
    text = f"wrote {len(table)} rows to {output}, {known} with a label"
    return console().print(text, markup=False, soft_wrap=True)


def feedback(
    endpoint: str = typer.Argument(help="Name of the endpoint."),
    file: Path | None = typer.Argument(
        None, help="CSV, Parquet or .jsonl with prediction_id and label, and row for batches."
    ),
    prediction: str = typer.Option("", "--id", help="Id of one prediction, in place of FILE."),
    label: float | None = typer.Option(None, help="Its label: 1 or 0."),
    row: int = typer.Option(0, min=0, help="Its row within the answer."),
    as_json: bool = typer.Option(False, "--json", help="Print what was kept as JSON."),
) -> None:
    """Tell what was true: labels that come after the predictions, joined to them by id.

    Example: dalsegno feedback titanic --id 019a8f7e-0d3c-7a41-8f4e-3b1d5c7a9e20 --label 1
    """
    from dalsegno.serving import feedback as labels
    from dalsegno.settings import open_default_store

    frame = _labels(file, prediction, label, row)
    received = labels.give(open_default_store(), endpoint, frame)
    if as_json:
        return print_json(received)
    unknown = {None: "too many to look them all up", 0: "all of logged predictions"}.get(
        received.unknown, f"{received.unknown} of predictions that are not in the log (yet)"
    )
    console().print(f"kept {received.labels} labels, {unknown}", markup=False, soft_wrap=True)
    return None


def lineage(
    prediction: str = typer.Argument(metavar="PREDICTION_ID", help="As the answer has it."),
    as_json: bool = typer.Option(False, "--json", help="Print all of it as JSON."),
) -> None:
    """Walk from a prediction back to its release, model, run, data set, SQL and commit.

    Example: dalsegno lineage 019a8f7e-0d3c-7a41-8f4e-3b1d5c7a9e20
    """
    from dalsegno.lineage import trace
    from dalsegno.settings import open_default_store

    store = open_default_store()
    found = trace(store, prediction, local_log(store))
    if as_json:
        print_json(found.as_json())
    else:
        _print_lineage(found)


def local_log(store: Store) -> Path:
    """Return where a server of this user and machine keeps predictions for a store."""
    from dalsegno.serving.cache import default_folder, log_folder

    return log_folder(default_folder(), store)


def _read_time(text: str) -> datetime:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and text[-1:] in units:
        return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"time: got {text!r}, want ISO 8601, or 30m, 24h, 7d") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _publish(store: Store, name: str, table: pd.DataFrame) -> None:
    import tempfile

    from dalsegno import datasets

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "predictions.parquet")
        table.to_parquet(path, index=False)
        made = datasets.publish(store, name, path)
    console().print(f"published {made.rows} rows as {made.ref}", markup=False, soft_wrap=True)


def _labels(file: Path | None, prediction: str, label: float | None, row: int) -> pd.DataFrame:
    import pandas as pd

    if (file is None) == (not prediction):
        raise InputError("feedback: got neither or both of FILE and --id, want one of them")
    if prediction:
        if label is None:
            raise InputError("feedback: got --id without --label, want both")
        return pd.DataFrame({"prediction_id": [prediction], "row": [row], "label": [label]})
    from dalsegno.cli.serving import read_table

    assert file is not None  # noqa: S101 (for mypy: one of them is given)
    return read_table(file)


def _print_lineage(found: Lineage) -> None:
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(escape(_prediction_line(found.prediction)))
    if found.shadow:
        tree.add(escape(f"shadow: {_prediction_line(found.shadow)}"))
    release = found.release
    at = release.created_at[:16].replace("T", " ")
    back = f" = {release.rolled_back_to}" if release.rolled_back_to else ""
    state = release.state.replace("_", " ")
    who = f"{state} by {release.who} at {at}: {release.reason}"
    branch = tree.add(escape(f"release {release.number}{back} of {release.endpoint}, {who}"))
    for line in _model_lines(found):
        branch.add(escape(line))
    features = branch.add(escape(f"features {found.features_digest[:_LETTERS] or 'unknown'}"))
    for line in [line for line in found.sql.splitlines() if line.strip()][:_SQL_LINES]:
        features.add(escape(line))
    branch.add(escape(f"commit {found.commit or 'unknown'}"))
    for gap in found.gaps:
        tree.add(escape(f"not found: {gap}"))
    console().print(tree, soft_wrap=True)


def _prediction_line(logged: LoggedPrediction) -> str:
    first = logged.rows.iloc[0]
    error = f", failed: {first['error']}" if first["error"] else ""
    more = f" and {len(logged.rows) - 1} rows more" if len(logged.rows) > 1 else ""
    return (
        f"prediction {logged.id}, {first['at']:%Y-%m-%d %H:%M:%S} UTC, {first['role']}: "
        f"probability {first['probability']:.4f}{more}{error}"
    )


def _model_lines(found: Lineage) -> list[str]:
    release, run, dataset = found.release, found.run, found.dataset
    version = f", version {release.model_version}" if release.model_version else ""
    model = f"model {release.model_sha256[:_LETTERS]}{version}, threshold {release.threshold:.4g}"
    ran = (
        f"run {run.run_id}, {run.pipeline}, {run.state}" if run else _without("run", release.run_id)
    )
    data = _without("data set", release.dataset)
    if dataset:
        data = f"data set {dataset.ref}, {dataset.rows} rows, {dataset.sha256[:_LETTERS]}"
        data += f", made by run {dataset.run_id}" if dataset.run_id else ""
    golden = [f"golden data set {release.golden}"] if release.golden else []
    return [model, ran, data, *golden]


def _without(what: str, name: str) -> str:
    return f"{what} {name}, no longer here" if name else f"{what}: none was named"
