"""`publish`, `submit`, `cancel`, `retry`, `schedule` and `cluster check`: work with a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json, print_table
from dalsegno.errors import InputError, TaskFailedError

if TYPE_CHECKING:
    from dalsegno.cluster.api import KfpApi
    from dalsegno.cluster.publishing import Published
    from dalsegno.cluster.schedules import Schedule
    from dalsegno.cluster.timing import Timing
    from dalsegno.engine.spec import Pipeline
    from dalsegno.settings import Settings
    from dalsegno.store import Store

PIPELINE = typer.Argument(
    help="feature, training, inference, monitoring, loop, simulation; FILE.py[:FUNCTION]; or a "
    "compiled FILE.yaml"
)
PARAM = typer.Option(
    [], "--param", "-p", metavar="NAME=VALUE", help="A pipeline parameter; JSON for lists."
)
HOST = typer.Option(None, help="URL of KFP's API server or UI; default: DALSEGNO_KFP_HOST.")
NAMESPACE = typer.Option(None, help="Namespace of the runs, where KFP serves several users.")
TOKEN = typer.Option(None, help="Bearer token; better: DALSEGNO_KFP_TOKEN.", show_default=False)
EXPERIMENT = typer.Option(None, help="Name of the group of runs; made if it is not there.")
IMAGE_PREFIX = typer.Option(
    "", help="Registry and folder of the images; default: DALSEGNO_IMAGE_PREFIX, else ours."
)
TAG = typer.Option(
    "",
    help="Tag of the images; default: DALSEGNO_IMAGE_TAG; with a prefix: of the build context.",
)
DIGESTS = typer.Option(None, help="Images by digest, as `dalsegno images --push` wrote them.")

cluster_app = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (publish, submit, cancel, retry, schedule, schedules, unschedule):
        app.command()(command)
    app.add_typer(cluster_app, name="cluster")


@cluster_app.callback()
def cluster() -> None:
    """Look whether a cluster is as runs and their replay need it."""


def publish(
    pipeline: str = PIPELINE,
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
    image_prefix: str = IMAGE_PREFIX,
    tag: str = TAG,
    digests: Path | None = DIGESTS,
) -> None:
    """Upload a pipeline to the cluster, as a version that is named by its digest."""
    compiled = _load(pipeline, image_prefix, tag, digests)
    _say_published(_publish(_api(host, namespace, token), compiled))


def submit(
    pipeline: str = PIPELINE,
    param: list[str] = PARAM,
    use_case: Path | None = typer.Option(
        None, help="Folder with settings.toml and features.sql that fill the parameters."
    ),
    experiment: str | None = EXPERIMENT,
    wait: bool = typer.Option(False, "--wait", help="Wait for its end; exit 1 if it fails."),
    timeout: float | None = typer.Option(None, min=1, help="Seconds to wait at most."),
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
    image_prefix: str = IMAGE_PREFIX,
    tag: str = TAG,
    digests: Path | None = DIGESTS,
) -> None:
    """Run a pipeline on the cluster; its parameters are checked here first.

    Example: dalsegno submit training --param dataset=titanic --wait
    """
    from dalsegno.cluster import publishing

    compiled = _load(pipeline, image_prefix, tag, digests)
    arguments = _arguments(compiled, param, use_case)
    api = _api(host, namespace, token)
    run_id = publishing.submit(api, _publish(api, compiled), arguments, experiment=experiment)
    console().print(f"run {run_id}", markup=False, soft_wrap=True)
    if not wait:
        console().print(f"look at it: dalsegno show {run_id}", markup=False, soft_wrap=True)
        return
    run = publishing.wait_for(
        api, run_id, lambda state: console().print(f"  {state}", markup=False), timeout
    )
    _raise_if_failed(run, run_id)


def cancel(
    run: str = typer.Argument(help="The run's id."),
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
) -> None:
    """Stop a run on the cluster."""
    _api(host, namespace, token).cancel_run(run)
    console().print(f"run {run} is being cancelled", markup=False, soft_wrap=True)


def retry(
    run: str = typer.Argument(help="The run's id."),
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
) -> None:
    """Start the failed tasks of a cluster's run again, with the same code and inputs."""
    _api(host, namespace, token).retry_run(run)
    console().print(f"run {run} goes on from its failed tasks", markup=False, soft_wrap=True)


def schedule(
    pipeline: str = PIPELINE,
    cron: str | None = typer.Option(
        None, help="Minute, hour, day, month, weekday, in the server's zone; Sunday is 0."
    ),
    every: str | None = typer.Option(None, help="Interval: 90s, 30m, 6h, 1d."),
    param: list[str] = PARAM,
    use_case: Path | None = typer.Option(
        None, help="Folder with settings.toml and features.sql that fill the parameters."
    ),
    name: str | None = typer.Option(None, help="Name of the schedule; default: the pipeline's."),
    update: bool = typer.Option(False, "--update", help="Replace the one of that name."),
    catch_up: bool = typer.Option(False, "--catch-up", help="Run missed slots later."),
    max_concurrency: int = typer.Option(1, min=1, max=10, help="Runs of it at once."),
    start: str | None = typer.Option(None, help="ISO 8601 time before which it does not fire."),
    end: str | None = typer.Option(None, help="ISO 8601 time after which it does not fire."),
    time_zone: str | None = typer.Option(None, help="The server's alone is possible: UTC."),
    experiment: str | None = EXPERIMENT,
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
    image_prefix: str = IMAGE_PREFIX,
    tag: str = TAG,
    digests: Path | None = DIGESTS,
) -> None:
    """Run a pipeline on the cluster again and again.

    Example: dalsegno schedule monitoring --cron "0 6 * * 1-5"
    """
    from dalsegno.cluster.schedules import Schedule
    from dalsegno.cluster.timing import check_zone, parse_timing

    check_zone(time_zone)
    timing = parse_timing(cron, every, start, end)
    compiled = _load(pipeline, image_prefix, tag, digests)
    arguments = _arguments(compiled, param, use_case)
    api = _api(host, namespace, token)
    wanted = Schedule(
        name or compiled.name,
        _publish(api, compiled),
        timing,
        arguments,
        catch_up,
        max_concurrency,
        experiment,
    )
    _say_scheduled(wanted, _place(api, wanted, update=update))


def schedules(
    as_json: bool = typer.Option(False, "--json", help="Print a list of JSON objects."),
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
) -> None:
    """List the schedules of the cluster."""
    from dalsegno.cluster.schedules import describe, is_on

    found = _api(host, namespace, token).schedules()
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No schedules. Make one: dalsegno schedule monitoring --cron '0 6 * * *'")
        return
    rows = [
        (
            item.get("display_name"),
            "on" if is_on(item) else "off",
            describe(item),
            "no" if item.get("no_catchup") else "yes",
            item.get("max_concurrency", "1"),
            item["recurring_run_id"],
        )
        for item in found
    ]
    print_table(("name", "state", "fires", "catch up", "at once", "id"), rows)
    names = [item.get("display_name") for item in found]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        console().print(
            f"{names.count(name)} schedules are named {name}: an update of it was broken off, or "
            "somebody made a second; dalsegno schedule … --update leaves one",
            markup=False,
        )


def unschedule(
    name: str = typer.Argument(help="Name or id of the schedule."),
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
) -> None:
    """Remove a schedule; the runs that it started stay."""
    from dalsegno.cluster.schedules import delete_schedules

    count = delete_schedules(_api(host, namespace, token), name)
    console().print(f"removed {count} schedule{'s' * (count > 1)} {name}", markup=False)


@cluster_app.command()
def check(
    as_json: bool = typer.Option(False, "--json", help="Print a list of JSON objects."),
    host: str | None = HOST,
    namespace: str | None = NAMESPACE,
    token: str | None = TOKEN,
) -> None:
    """Look at endpoint, version, namespace, store and rights; say what is missing."""
    from dalsegno.cluster.access import cluster_access
    from dalsegno.cluster.api import KfpApi
    from dalsegno.cluster.checking import check_cluster
    from dalsegno.cluster.kubernetes_api import KubernetesApi
    from dalsegno.cluster.mlmd import open_metadata_store
    from dalsegno.settings import load_settings, open_artifact_store

    settings = load_settings()
    access = cluster_access(settings, host, namespace, token)

    def open_bucket(uri: str) -> Store:
        return open_artifact_store(uri, settings=settings)

    found = list(
        check_cluster(
            KfpApi(access),
            open_metadata_store(access),
            KubernetesApi(access),
            settings.kfp_pipeline_root,
            open_bucket,
        )
    )
    if as_json:
        print_json(found)
    else:
        for item in found:
            console().print(f"{item.state:8} {item.subject}: {item.detail}", markup=False)
            if item.mend and item.state != "ok":
                console().print(f"         mend: {item.mend}", markup=False, soft_wrap=True)
    missing = [item.subject for item in found if item.state == "missing"]
    if missing:
        raise TaskFailedError(f"cluster {access.host}: missing {', '.join(missing)}")


def _api(host: str | None, namespace: str | None, token: str | None) -> KfpApi:
    from dalsegno.cluster.access import cluster_access
    from dalsegno.cluster.api import KfpApi
    from dalsegno.settings import load_settings

    settings: Settings = load_settings()
    return KfpApi(cluster_access(settings, host, namespace, token))


def _load(name: str, prefix: str, tag: str, digests: Path | None) -> Pipeline:
    from dalsegno.cli.compiling import other_images
    from dalsegno.cli.pipelines import load_pipeline
    from dalsegno.engine.spec import parse_pipeline
    from dalsegno.images import rename_images
    from dalsegno.settings import load_settings

    compiled = load_pipeline(name)
    if digests is None and not prefix and not tag:
        settings = load_settings()
        prefix, tag = settings.image_prefix or "", settings.image_tag or ""
    renamed = rename_images(compiled.text, other_images(prefix, tag, digests))
    return parse_pipeline(renamed, name) if renamed != compiled.text else compiled


def _arguments(compiled: Pipeline, param: list[str], use_case: Path | None) -> dict[str, Any]:
    """Read the parameters, and refuse here what the cluster would fail on later."""
    from dalsegno.cli.running import parse_arguments

    given = parse_arguments(compiled, param, use_case)
    try:
        checked = compiled.arguments(given)
    except InputError as error:
        option = (error.next_command or "").partition("... ")[2]
        raise InputError(str(error), f"dalsegno submit … {option}" if option else None) from error
    return {name: checked[name] for name in given}


def _publish(api: KfpApi, compiled: Pipeline) -> Published:
    from dalsegno.cluster import publishing

    description = str(compiled.spec["pipelineInfo"].get("description", ""))
    return publishing.publish(api, compiled.name, compiled.text, compiled.sha256, description)


def _place(api: KfpApi, wanted: Schedule, *, update: bool) -> str:
    from dalsegno.cluster.schedules import create_schedule, update_schedule

    if not update:
        return "made" if create_schedule(api, wanted) else "is there already, as wanted"
    return "updated" if update_schedule(api, wanted) else "made"


def _say_published(published: Published) -> None:
    what = "uploaded" if published.is_new else "is there already"
    console().print(
        f"pipeline {published.pipeline}, version {published.version} {what}", markup=False
    )


def _say_scheduled(wanted: Schedule, what: str) -> None:
    out = console()
    out.print(f"schedule {wanted.name} {what}", markup=False)
    for moment in _firings(wanted.timing):
        out.print(f"  fires {moment:%a %Y-%m-%d %H:%M:%S} UTC", markup=False)


def _firings(timing: Timing) -> list[datetime]:
    return timing.firings(datetime.now(UTC))


def _raise_if_failed(run: dict[str, Any], run_id: str) -> None:
    from dalsegno.cluster.reading import state_of

    state = state_of(run.get("state", ""))
    if state.is_success:
        return
    raise TaskFailedError(
        f"run {run_id} {state}", f"dalsegno runs sync {run_id} && dalsegno replay {run_id}"
    )
