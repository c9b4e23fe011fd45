"""`run`, `runs` and `show`: start pipelines and look at what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json, print_table, seconds
from dalsegno.errors import InputError, TaskFailedError

if TYPE_CHECKING:
    from dalsegno.engine.spec import Pipeline
    from dalsegno.engine.warm import WarmWorkers
    from dalsegno.runs.record import RunRecord, TaskRecord

_LOG_LINES = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(runs)
    app.command()(show)


def run(
    pipeline: str = typer.Argument(
        help="feature, training, inference, monitoring, loop, simulation; FILE.py[:FUNCTION]; "
        "or a compiled FILE.yaml"
    ),
    param: list[str] = typer.Option(
        [], "--param", "-p", metavar="NAME=VALUE", help="A pipeline parameter; JSON for lists."
    ),
    use_case: Path | None = typer.Option(
        None, help="Folder with settings.toml and features.sql that fill the parameters."
    ),
    jobs: int | None = typer.Option(None, min=1, help="Tasks at once; default: the cores."),
    as_json: bool = typer.Option(False, "--json", help="Print the run's record as JSON."),
) -> None:
    """Run a pipeline on this machine and keep its record.

    Example: dalsegno run training --param dataset=titanic --param trials=40
    """
    from dalsegno.cli.pipelines import load_pipeline
    from dalsegno.cli.progress import Progress

    compiled = load_pipeline(pipeline)
    arguments = parse_arguments(compiled, param, use_case)
    with Progress(compiled.name, is_quiet=as_json) as progress:
        record = start(compiled, arguments, jobs=jobs, listener=progress.tell)
    if as_json:
        print_json(record)
    else:
        print_outcome(record)
    raise_if_failed(record)


def start(
    pipeline: Pipeline,
    arguments: dict[str, Any],
    *,
    jobs: int | None,
    listener: Any,
    workers: WarmWorkers | None = None,
) -> RunRecord:
    """Run a compiled pipeline in the default store."""
    from dalsegno.engine.local_platform import Folders
    from dalsegno.engine.run import run_pipeline
    from dalsegno.settings import load_settings, open_default_store

    settings = load_settings()
    store = open_default_store(settings)
    environment = settings.environment()
    return run_pipeline(
        pipeline,
        arguments,
        store,
        environment=environment,
        jobs=jobs,
        listener=listener,
        workers=workers,
        folders=Folders(
            Path(settings.secrets_dir),
            Path(settings.config_maps_dir),
            Path(settings.volumes_dir) if settings.volumes_dir else None,
        ),
    )


def runs(
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    as_json: bool = typer.Option(False, "--json", help="Print a list of JSON objects."),
) -> None:
    """List the runs, newest first."""
    from dalsegno.runs.reader import list_runs
    from dalsegno.settings import open_default_store

    found = list_runs(open_default_store(), limit)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No runs yet. Start one: dalsegno run loop")
        return
    print_table(
        ("run", "pipeline", "state", "seconds", "started", "error"),
        [
            (
                record.run_id,
                record.pipeline,
                record.state,
                seconds(record.seconds),
                record.created_at[:19],
                (record.error or "")[:60],
            )
            for record in found
        ],
    )


def show(
    address: str = typer.Argument(help="RUN, RUN/TASK or RUN/TASK/ATTEMPT; part of a run's id do."),
    as_json: bool = typer.Option(False, "--json", help="Print the record as JSON."),
) -> None:
    """Show a run, or one task of it with inputs, outputs and log."""
    from dalsegno.runs.address import read_address
    from dalsegno.settings import open_default_store

    store = open_default_store()
    run_record, task = read_address(store, address)
    if as_json:
        print_json(task or run_record)
    elif task:
        from dalsegno.runs.reader import read_log

        _print_task(task, read_log(store, task))
        if task.state == "failed":
            from dalsegno.cli.comparing import print_changes

            print_changes(store, run_record, task.task)
    else:
        print_outcome(run_record)


def parse_arguments(pipeline: Pipeline, given: list[str], use_case: Path | None) -> dict[str, Any]:
    """Read `NAME=VALUE` arguments, on top of a use case's settings."""
    from dalsegno.engine.values import parse_argument

    arguments: dict[str, Any] = {}
    if use_case:
        from pipelines.use_case import load_use_case

        settings = load_use_case(use_case)
        arguments = {name: settings[name] for name in pipeline.parameters if name in settings}
    for item in given:
        name, separator, text = item.partition("=")
        if not separator:
            raise InputError(f"--param: got {item!r}, want NAME=VALUE")
        arguments[name] = parse_argument(name, text, pipeline.parameters.get(name, {}))
    return arguments


def print_outcome(record: RunRecord) -> None:
    """Print a run: each task with state and seconds, then how it ended."""
    out = console()
    out.print(f"run {record.run_id}", markup=False, soft_wrap=True)
    print_table(
        ("task", "state", "seconds", ""),
        [
            (path, task.state, seconds(task.seconds), (task.error or "")[:70])
            for path, task in record.tasks.items()
        ],
    )
    for notice in record.notices:
        out.print(f"  note: {notice}", markup=False, soft_wrap=True)
    for name, value in record.outputs.get("parameters", {}).items():
        out.print(f"  {name} = {value}", markup=False)
    took = f" in {seconds(record.seconds)} s" if record.seconds is not None else ""
    out.print(f"{record.pipeline} {record.state}{took}", markup=False)


def raise_if_failed(record: RunRecord) -> None:
    """Turn a run that did not succeed into the error of its first failed task.

    Raises:
        TaskFailedError: A task failed.
    """
    if record.state == "succeeded":
        return
    failed = next((path for path, task in record.tasks.items() if task.state == "failed"), None)
    if failed is None:
        message = f"run {record.run_id}: {record.error}"
        raise TaskFailedError(message, f"dalsegno show {record.run_id}")
    from dalsegno.cli.comparing import changes_beside
    from dalsegno.settings import open_default_store

    lines = changes_beside(open_default_store(), record, failed)
    message = f"task {failed!r} failed in run {record.run_id}: {record.error}"
    verb = "replay" if record.tasks[failed].attempts else "show"  # without an attempt: no inputs
    raise TaskFailedError(
        "\n  ".join([message, *lines]), f"dalsegno {verb} {record.run_id}/{failed}"
    )


def _print_task(task: TaskRecord, log: str) -> None:
    out = console()
    out.print(
        f"task {task.task}, attempt {task.attempt} of run {task.run_id}",
        markup=False,
        soft_wrap=True,
    )
    out.print(f"  state      {task.state}  {seconds(task.seconds)} s", markup=False, soft_wrap=True)
    for name, value in task.executor_input.get("inputs", {}).get("parameterValues", {}).items():
        text = str(value)
        out.print(f"  parameter  {name} = {text[:70]}", markup=False, soft_wrap=True)
    for kind, group in (("input", task.inputs), ("output", task.outputs)):
        for name, items in group.items():
            for item in items:
                digest = item["sha256"][:12] if item["sha256"] else "no file, metadata alone"
                size = item["size_bytes"] or 0
                out.print(
                    f"  {kind:9}  {name}  {size} bytes  {digest}  {item['uri']}", markup=False
                )
    for name, value in ((task.executor_output or {}).get("parameterValues") or {}).items():
        out.print(f"  returned   {name} = {str(value)[:70]}", markup=False, soft_wrap=True)
    if task.error:
        where = f" ({task.error['file']}:{task.error['line']})" if task.error.get("file") else ""
        out.print(
            f"  error      {task.error['type']}: {task.error['message']}{where}", markup=False
        )
    lines = log.splitlines()
    if lines:
        out.print(f"  log        last {min(len(lines), _LOG_LINES)} of {len(lines)} lines:")
        out.print(
            "\n".join(f"    {line}" for line in lines[-_LOG_LINES:]), markup=False, soft_wrap=True
        )
