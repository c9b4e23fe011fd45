"""`resume`: go on where a run stopped, with what it did before taken over."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.options import COLD, IMAGE_MAP, JOBS
from dalsegno.cli.output import console, print_json
from dalsegno.errors import ConfigurationError

if TYPE_CHECKING:
    from dalsegno.engine.spec import Pipeline
    from dalsegno.replay.resume import Decision, Resumption
    from dalsegno.runs.record import RunRecord
    from dalsegno.store import Store


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(resume)


def resume(
    run: str = typer.Argument(help="The run that stopped; part of its id does."),
    since: str | None = typer.Option(
        None, "--from", metavar="TASK", help="Run this task again, and all that comes after it."
    ),
    recorded: bool = typer.Option(
        False, "--recorded", help="Play the pipeline as that run recorded it, not as it is now."
    ),
    param: list[str] = typer.Option(
        [], "--param", "-p", metavar="NAME=VALUE", help="Another value for a pipeline parameter."
    ),
    jobs: int | None = JOBS,
    in_: str = typer.Option(
        "auto",
        "--in",
        metavar="auto|process|container",
        help="What tasks run in, as for `run`.",
    ),
    image_map: list[str] = IMAGE_MAP,
    cold: bool = COLD,
    as_json: bool = typer.Option(False, "--json", help="Print record and decisions as JSON."),
) -> None:
    """Start a new run that takes over what a run did before it stopped.

    A task is taken over when its component is the same, its inputs hold the same, it succeeded,
    and what it wrote is there and unchanged. Code that a component imports is not looked at: name
    the first task that it touches by --from. Exit tasks always run again.

    Example: dalsegno resume 7f3a
    """
    from dalsegno.cli.progress import Progress
    from dalsegno.cli.running import parse_arguments, print_outcome, raise_if_failed, start
    from dalsegno.replay.resume import Resumption
    from dalsegno.runs.reader import find_run
    from dalsegno.settings import open_default_store

    store = open_default_store()
    earlier = find_run(store, run)
    pipeline = _pipeline(store, earlier, recorded=recorded)
    resumption = Resumption(store, earlier, pipeline, since)
    arguments = {**earlier.parameters, **parse_arguments(pipeline, param, None)}
    with Progress(pipeline.name, is_quiet=as_json) as progress:
        record = start(
            pipeline,
            arguments,
            jobs=jobs,
            listener=progress.tell,
            mode=in_,
            image_map=image_map,
            is_cold=cold,
            lookup=resumption.lookup,
            is_caching=since is None,
            resumed_from=earlier.run_id,
        )
    if as_json:
        print_json({"run": asdict(record), "decisions": _decisions(record, resumption)})
    else:
        print_outcome(record)
        _print_decisions(record, resumption)
    raise_if_failed(record)


def _pipeline(store: Store, earlier: RunRecord, *, recorded: bool) -> Pipeline:
    from dataclasses import replace

    from dalsegno.cli.pipelines import load_pipeline
    from dalsegno.replay.resume import recorded_pipeline

    if recorded:
        return replace(recorded_pipeline(store, earlier), source=earlier.source)
    if earlier.source is None:
        raise ConfigurationError(
            f"run {earlier.run_id}: got no record of where its pipeline came from, want one",
            f"dalsegno resume {earlier.run_id} --recorded",
        )
    return load_pipeline(earlier.source)


def _decisions(record: RunRecord, resumption: Resumption) -> list[Decision]:
    """Return what became of each task that was decided on, in the order of the run."""
    found = resumption.decisions
    return [found[path] for path in record.tasks if path in found]


def _print_decisions(record: RunRecord, resumption: Resumption) -> None:
    out = console()
    decisions: list[Any] = _decisions(record, resumption)
    width = max((len(decision.task) for decision in decisions), default=0)
    out.print(f"resumed from {resumption.earlier.run_id}", markup=False, soft_wrap=True)
    for decision in decisions:
        verb = "reused" if decision.reused_from else "ran"
        out.print(
            f"  {verb:6}  {decision.task:{width}}  {decision.why}", markup=False, soft_wrap=True
        )
