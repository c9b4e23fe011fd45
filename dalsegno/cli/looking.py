"""`runs`, `show` and `logs`: look at what became of runs, here and on a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.comparing import print_changes, print_ways_on
from dalsegno.cli.output import console, print_json, print_table, seconds, shortened
from dalsegno.cli.running import print_outcome
from dalsegno.errors import InputError, NotFoundError
from dalsegno.terminal import visible, without_colours

if TYPE_CHECKING:
    from dalsegno.cluster.reading import Reading, Source
    from dalsegno.runs.record import RunRecord, TaskRecord
    from dalsegno.settings import Settings
    from dalsegno.store import Store

_LOG_LINES = 20
_FOLLOW_SECONDS, _FOLLOW_CLUSTER_SECONDS = 0.5, 3.0
_FAILED = ("failed", "lost")
_COLUMNS = ("run", "pipeline", "state", "seconds", "started", "error")

runs_app = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(runs_app, name="runs")
    app.command()(show)
    app.command()(logs)


@runs_app.callback()
def runs(
    context: typer.Context,
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    failed: bool = typer.Option(False, "--failed", help="Only those that failed or were lost."),
    cluster: bool = typer.Option(False, "--cluster", help="The runs of the cluster instead."),
    as_json: bool = typer.Option(False, "--json", help="Print a list of JSON objects."),
) -> None:
    """List the runs, newest first; `runs sync` keeps one of a cluster here."""
    if context.invoked_subcommand:
        return
    found = _cluster_runs(limit, failed=failed) if cluster else _local_runs(limit, failed=failed)
    if as_json:
        print_json(found)
    elif found:
        print_table(_COLUMNS, [_row(record) for record in found])
    else:
        kind = "failed runs" if failed else "runs"
        console().print(f"No {kind} yet. Start one: dalsegno run loop")


@runs_app.command()
def sync(
    run: str = typer.Argument(help="The run's id in Kubeflow Pipelines."),
    source: str | None = typer.Option(
        None,
        help="Where to read it: v1beta1, mlmd, log, pods or v3; default: the first that has it.",
    ),
    artifacts: bool = typer.Option(
        False, "--artifacts", help="Copy the inputs of failed tasks into the store too."
    ),
    max_gib: float = typer.Option(2.0, min=0.0, help="How much of them to copy, GiB."),
) -> None:
    """Keep a cluster's run here, before the cluster forgets it; then show, diff and replay it."""
    from dalsegno.cluster.sources import add_outputs, read_run
    from dalsegno.cluster.sync import keep_inputs, keep_run
    from dalsegno.cluster.task_logs import add_logs
    from dalsegno.settings import load_settings, open_artifact_store, open_default_store

    settings = load_settings()
    store, sources = open_default_store(settings), _sources(settings)
    reading = read_run(sources, run, source)
    if source is None:
        add_outputs(reading, sources)

    def open_bucket(uri: str, endpoint: str | None = None) -> Store:
        return open_artifact_store(uri, endpoint=endpoint, settings=settings)

    add_logs(reading, open_bucket, _tell)
    record = keep_run(store, reading)
    copied = 0
    if artifacts:
        copied = keep_inputs(store, reading, open_bucket, _tell, int(max_gib * 1024**3))
    print_outcome(record)
    origin = record.origin or {}
    kept = f"kept {len(reading.tasks)} attempts from {', '.join(origin.get('sources', []))}"
    console().print(kept + (f", {copied:,} bytes of inputs" if artifacts else ""), markup=False)
    for path, why in reading.lacking.items():
        console().print(f"  without inputs: {path}, {why}", markup=False)


def show(
    address: str = typer.Argument(help="RUN, RUN/TASK or RUN/TASK/ATTEMPT; part of a run's id do."),
    as_json: bool = typer.Option(False, "--json", help="Print the record as JSON."),
) -> None:
    """Show a run, or one task of it with inputs, outputs and log; a cluster's run by its id."""
    from dalsegno.runs.address import read_address
    from dalsegno.runs.reader import read_log
    from dalsegno.settings import load_settings, open_default_store

    settings = load_settings()
    store = open_default_store(settings)
    reading = _unknown_here(settings, store, address)
    if reading:
        run_record, task = reading.run, _task_of(reading, address)
        log = _log_of(reading, task, settings) if task and not as_json else ""
    else:
        run_record, task = read_address(store, address)
        log = read_log(store, task) if task else ""
    if as_json:
        print_json(task or run_record)
    elif task:
        _print_task(task, log)
        if task.state == "failed" and not reading:
            print_changes(store, run_record, task.task)
    else:
        print_outcome(run_record)
        if not reading:
            print_ways_on(store, run_record)
        if reading:
            console().print(f"keep it here: dalsegno runs sync {run_record.run_id}", markup=False)


def logs(
    address: str = typer.Argument(help="RUN/TASK or RUN/TASK/ATTEMPT, here or on a cluster."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until the task has ended."),
) -> None:
    """Print what a task wrote to its standard output and error."""
    from dalsegno.settings import load_settings, open_default_store

    settings = load_settings()
    store = open_default_store(settings)
    if "/" not in address.strip("/"):
        raise InputError(f"address: got {address!r}, want RUN/TASK", f"dalsegno show {address}")
    reading = _unknown_here(settings, store, address) or _without_log(settings, store, address)
    parts = (
        _cluster_log(settings, reading, address, follow=follow)
        if reading
        else _local_log(store, address, follow=follow)
    )
    for part in parts:
        sys.stdout.write(part)
        sys.stdout.flush()


def read_cluster_run(settings: Settings, run_id: str) -> Reading:
    """Read a run from the cluster that the settings name."""
    from dalsegno.cluster.sources import read_run

    return read_run(_sources(settings), run_id)


def _sources(settings: Settings) -> list[Source]:
    from dalsegno.cluster.access import cluster_access
    from dalsegno.cluster.sources import open_sources
    from dalsegno.settings import open_artifact_store

    def open_bucket(uri: str) -> Store:
        return open_artifact_store(uri, settings=settings)

    return open_sources(cluster_access(settings), settings.kfp_pipeline_root, open_bucket)


def _unknown_here(settings: Settings, store: Store, address: str) -> Reading | None:
    """Read a run from the cluster if it is one of a cluster and the store does not have it."""
    from dalsegno.runs.reader import CLUSTER_RUN_ID, run_ids

    run_id = address.strip("/").partition("/")[0]
    if not CLUSTER_RUN_ID.fullmatch(run_id) or run_id in run_ids(store):
        return None
    return _from_cluster(settings, run_id, f"run {run_id}")


def _without_log(settings: Settings, store: Store, address: str) -> Reading | None:
    """Read a cluster's run anew where the log of the task is not kept here."""
    from dalsegno.runs.address import read_address
    from dalsegno.runs.reader import read_log

    run, task = read_address(store, address)
    if task is None or not run.origin or read_log(store, task):
        return None
    return _from_cluster(settings, run.run_id, f"log of {address}")


def _from_cluster(settings: Settings, run_id: str, subject: str) -> Reading:
    if not settings.kfp_host:
        message = f"{subject}: got one of a cluster that is not kept here, want its host"
        raise NotFoundError(message, "export DALSEGNO_KFP_HOST=http://HOST:PORT")
    return read_cluster_run(settings, run_id)


def _task_of(reading: Reading, address: str) -> TaskRecord | None:
    _, _, rest = address.strip("/").partition("/")
    if not rest:
        return None
    known = {f"{task.task}/{task.attempt}": task for task in reading.tasks}
    last = {task.task: task for task in reading.tasks}
    found = last.get(rest) or known.get(rest)
    if found is None:
        names = ", ".join(sorted(last)) or "none"
        raise NotFoundError(
            f"task {rest!r} of run {reading.run.run_id}: no record, tasks are {names}",
            f"dalsegno show {reading.run.run_id}",
        )
    return found


def _log_of(reading: Reading, task: TaskRecord, settings: Settings) -> str:
    try:
        return "".join(_cluster_log(settings, reading, f"{task.run_id}/{task.task}/{task.attempt}"))
    except NotFoundError:
        return ""


def _cluster_log(
    settings: Settings, reading: Reading, address: str, *, follow: bool = False
) -> Iterator[str]:
    from dalsegno.cluster.access import cluster_access
    from dalsegno.cluster.api import KfpApi
    from dalsegno.cluster.task_logs import follow_pod, kept_log, pod_log
    from dalsegno.errors import DalsegnoError
    from dalsegno.settings import open_artifact_store

    task = _task_of(reading, address)
    if task is None:
        return
    key = f"{task.task}/{task.attempt}"
    if key in reading.logs:
        yield reading.logs[key]
        return
    if task.state.is_final:
        try:
            yield kept_log(task, open_artifact_store, reading.endpoint)
            return
        except DalsegnoError as error:
            _tell(f"bucket: {error}")
    api = KfpApi(cluster_access(settings))
    if not follow or task.state.is_final:
        yield from pod_log(api, reading, task)
        return

    def look() -> tuple[Reading, TaskRecord]:
        now = read_cluster_run(settings, task.run_id)
        return now, _task_of(now, address) or task

    yield from follow_pod(api, look, _FOLLOW_CLUSTER_SECONDS)


def _local_log(store: Store, address: str, *, follow: bool) -> Iterator[str]:
    from dalsegno.runs.address import read_address
    from dalsegno.runs.reader import read_log

    shown = 0
    while True:
        _, task = read_address(store, address)
        if task is None:
            return
        text = read_log(store, task)
        yield text[shown:]
        shown = len(text)
        if not follow or task.state.is_final:
            return
        time.sleep(_FOLLOW_SECONDS)


def _local_runs(limit: int, *, failed: bool) -> list[RunRecord]:
    from dalsegno.runs.reader import list_runs
    from dalsegno.settings import open_default_store

    store = open_default_store()
    if not failed:
        return list_runs(store, limit)
    return [record for record in list_runs(store) if record.state in _FAILED][:limit]


def _cluster_runs(limit: int, *, failed: bool) -> list[RunRecord]:
    from dalsegno.cluster.access import cluster_access
    from dalsegno.cluster.api import KfpApi, equals
    from dalsegno.cluster.compiled import from_struct
    from dalsegno.cluster.reading import run_record
    from dalsegno.settings import load_settings

    access = cluster_access(load_settings())
    filters = {"filter": equals("state", "FAILED")} if failed else {}
    return [
        run_record(item["run_id"], item, from_struct(item.get("pipeline_spec") or {}), access.host)
        for item in KfpApi(access).runs(limit, **filters)
    ]


def _row(record: RunRecord) -> tuple[Any, ...]:
    return (
        record.run_id,
        record.pipeline,
        record.state,
        seconds(record.seconds),
        record.created_at[:19],
        shortened(record.error or "", 60),
    )


def _print_task(task: TaskRecord, log: str) -> None:
    out = console()
    out.print(
        f"task {task.task}, attempt {task.attempt} of run {task.run_id}",
        markup=False,
        soft_wrap=True,
    )
    took = f"  {seconds(task.seconds)} s" if task.seconds is not None else ""
    out.print(f"  state      {task.state}{took}", markup=False, soft_wrap=True)
    for name, value in task.executor_input.get("inputs", {}).get("parameterValues", {}).items():
        text = str(value)
        out.print(f"  parameter  {name} = {text[:70]}", markup=False, soft_wrap=True)
    for kind, group in (("input", task.inputs), ("output", task.outputs)):
        for name, items in group.items():
            for item in items:
                out.print(f"  {kind:9}  {name}  {_content(task, item)}", markup=False)
    for name, value in ((task.executor_output or {}).get("parameterValues") or {}).items():
        out.print(f"  returned   {name} = {str(value)[:70]}", markup=False, soft_wrap=True)
    if task.error:
        where = f" ({task.error['file']}:{task.error['line']})" if task.error.get("file") else ""
        out.print(
            f"  error      {task.error['type']}: {task.error['message']}{where}", markup=False
        )
    lines = without_colours(log).splitlines()
    if lines:
        out.print(f"  log        last {min(len(lines), _LOG_LINES)} of {len(lines)} lines:")
        out.print(
            "\n".join(f"    {line}" for line in lines[-_LOG_LINES:]), markup=False, soft_wrap=True
        )


def _content(task: TaskRecord, item: dict[str, Any]) -> str:
    if item["sha256"] is None and task.executor == "kubernetes":
        return f"not fetched  {item['uri']}"
    digest = item["sha256"][:12] if item["sha256"] else "no file, metadata alone"
    return f"{item['size_bytes'] or 0} bytes  {digest}  {item['uri']}"


def _tell(line: str) -> None:
    sys.stderr.write(visible(f"note: {line}\n"))
