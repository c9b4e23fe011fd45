"""`run`: start pipelines and say what became of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.options import COLD, IMAGE_MAP, JOBS
from dalsegno.cli.output import as_typed, console, print_json, print_table, seconds, shortened
from dalsegno.errors import InputError, TaskFailedError

if TYPE_CHECKING:
    from dalsegno.engine.spec import Pipeline
    from dalsegno.engine.warm import WarmWorkers
    from dalsegno.runs.record import RunRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


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
    jobs: int | None = JOBS,
    cache: bool = typer.Option(
        True, help="Take over results of equal tasks where the pipeline allows it, as KFP does."
    ),
    in_: str = typer.Option(
        "auto",
        "--in",
        metavar="auto|process|container",
        help="What tasks run in: auto is a process for lightweight Python, else the task's image.",
    ),
    image_map: list[str] = IMAGE_MAP,
    cold: bool = COLD,
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
        record = start(
            compiled,
            arguments,
            jobs=jobs,
            listener=progress.tell,
            mode=in_,
            image_map=image_map,
            is_cold=cold,
            is_caching=cache,
        )
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
    mode: str = "auto",
    image_map: list[str] | None = None,
    is_cold: bool = False,
    **options: Any,
) -> RunRecord:
    """Run a compiled pipeline in the default store.

    Args:
        mode: What tasks run in: auto, process or container.
        image_map: `FROM=TO` of images.
        is_cold: Fork no task; the given workers decide that where there are some.
        options: Others of `run_pipeline`.
    """
    from dalsegno.engine.choice import choose_executors
    from dalsegno.engine.local_platform import Folders
    from dalsegno.engine.pull import parse_image_map
    from dalsegno.engine.run import run_pipeline
    from dalsegno.engine.warm import WarmWorkers
    from dalsegno.settings import load_settings, open_default_store

    settings = load_settings()
    executors = choose_executors(
        pipeline,
        mode,
        parse_image_map(image_map or []),
        engine=settings.container_engine,
        network=settings.container_network,
    )
    store = open_default_store(settings)
    environment = settings.environment()
    with telling_how_to_go_on():
        return run_pipeline(
            pipeline,
            arguments,
            store,
            environment=environment,
            jobs=jobs,
            listener=listener,
            workers=workers or (WarmWorkers(is_cold=True) if is_cold else None),
            executors=executors,
            folders=Folders(
                Path(settings.secrets_dir),
                Path(settings.config_maps_dir),
                Path(settings.volumes_dir) if settings.volumes_dir else None,
            ),
            **options,
        )


@contextlib.contextmanager
def telling_how_to_go_on() -> Iterator[None]:
    """Name the run that a signal stopped, and how to go on with it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if stop.args:
            command = as_typed(f"dalsegno resume {stop.args[0]}")
            sys.stderr.write(f"stopped: run {stop.args[0]}\n  next: {command}\n")
        raise


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
            (path, task.state, seconds(task.seconds), shortened(task.error or "", 70))
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
    from dalsegno.cli.comparing import changes_beside, replay_command
    from dalsegno.settings import open_default_store

    store = open_default_store()
    lines = changes_beside(store, record, failed)
    reason = record.tasks[failed].error or record.error
    message = f"task {failed!r} failed in run {record.run_id}: {reason}"
    raise TaskFailedError("\n  ".join([message, *lines]), replay_command(store, record, failed))
