"""`releases`, `promote` and `rollback`: what an endpoint serves, and what it serves next."""

from __future__ import annotations

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json, print_table
from dalsegno.errors import DalsegnoError, InfrastructureError, InputError

if TYPE_CHECKING:
    from dalsegno.releases import Listed, Release
    from dalsegno.runs.record import TaskRecord
    from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_COLUMNS = ("no", "state", "model", "ver", "dataset", "who", "when", "reason")
_DIGEST_LETTERS = 12
_OUTPUT = "model"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(releases)
    app.command()(promote)
    app.command()(rollback)


def releases(
    endpoint: str = typer.Argument("", help="Default: every endpoint with what it serves."),
    at: str = typer.Option("", metavar="TIME", help="What was live then: ISO 8601, UTC if bare."),
    repair: bool = typer.Option(
        False, "--repair", help="Point the registry's alias `champion` to the live release first."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print a list of JSON objects."),
) -> None:
    """List the releases of an endpoint, newest first.

    Example: dalsegno releases titanic --at 2026-03-01T12:00
    """
    from dalsegno.settings import open_default_store

    store = open_default_store()
    moment = _read_time(at) if at else None
    if repair:
        _repair(store, endpoint)
    found = _find(store, endpoint, moment)
    if as_json:
        print_json([{**item.release.as_json(), "status": item.status} for item in found])
    elif found:
        _print_listing(found, endpoint)
    elif moment:
        console().print(f"Nothing was live at {moment.isoformat()}.", markup=False)
    else:
        console().print("No releases yet. Make one: dalsegno run training")


def promote(
    endpoint: str = typer.Argument(help="Name of the endpoint."),
    model: str = typer.Argument(help="A model folder, or RUN/TASK with the output `model`."),
    reason: str = typer.Option("promoted by hand", help="Why, in a few words."),
    who: str = typer.Option("", help="Who releases; default: your user name."),
    expected: int | None = typer.Option(
        None, min=0, help="Refuse unless this release is live; 0 for none."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the release as JSON."),
) -> None:
    """Make a model the one that an endpoint serves, without the gate, by hand.

    Example: dalsegno promote titanic training-3f9a/train-model --reason "fixes fares"
    """
    from dalsegno import releases
    from dalsegno.settings import open_default_store

    store = open_default_store()
    live = releases.live(store, endpoint)
    seen = live.number if live else 0
    with tempfile.TemporaryDirectory() as scratch:
        path, run_id = _locate(store, model, Path(scratch, _OUTPUT))
        release = releases.promote(
            store,
            endpoint,
            path,
            reason=reason,
            who=who or user_name(),
            evidence={"by": "hand"},
            version=_registered(endpoint, path, run_id) if run_id else "",
            run_id=run_id,
            expected=seen if expected is None else expected,
        )
    releases.follow(release)
    _print_release(release, as_json=as_json)


def rollback(
    endpoint: str = typer.Argument(help="Name of the endpoint."),
    to: int | None = typer.Option(
        None, min=1, help="Release to return to; default: what was live before."
    ),
    reason: str = typer.Option("rolled back by hand", help="Why, in a few words."),
    who: str = typer.Option("", help="Who rolls back; default: your user name."),
    as_json: bool = typer.Option(False, "--json", help="Print the release as JSON."),
) -> None:
    """Make the model of an earlier release live again, as a new release.

    Example: dalsegno rollback titanic --to 3 --reason "AUC fell on Saturday"
    """
    from dalsegno import releases
    from dalsegno.settings import open_default_store

    release = releases.roll_back(
        open_default_store(),
        endpoint,
        to,
        reason=reason,
        who=who or user_name(),
        evidence={"by": "hand"},
    )
    releases.follow(release)
    _print_release(release, as_json=as_json)


def user_name() -> str:
    """Return the name of the user, `unknown` for an account without one."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _read_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--at: got {text!r}, want ISO 8601 as in 2026-03-01T12:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _repair(store: Store, endpoint: str) -> None:
    from dalsegno import releases

    if not endpoint:
        raise InputError("--repair: got no endpoint, want one", "dalsegno releases")
    if not releases.repair(store, endpoint):
        raise InfrastructureError(
            f"alias 'champion' of {endpoint!r}: got an error of the registry, want it to follow",
            f"dalsegno releases {endpoint} --repair",
        )


def _find(store: Store, endpoint: str, at: datetime | None) -> list[Listed]:
    from dalsegno import releases

    if endpoint:
        listed = releases.listing(store, endpoint)
        if at is None:
            return listed
        then = releases.live_at(store, endpoint, at)
        return [item for item in listed if item.release == then]
    names = releases.endpoints(store)
    return [item for name in names for item in _latest(store, name, at)]


def _latest(store: Store, endpoint: str, at: datetime | None) -> list[Listed]:
    from dalsegno import releases

    if at:
        return _find(store, endpoint, at)
    live = releases.live(store, endpoint)
    return [releases.Listed(live, "live")] if live else []


def _print_listing(found: list[Listed], endpoint: str) -> None:
    rows = [_row(item) for item in found]
    if endpoint:
        print_table(_COLUMNS, rows, title=f"releases of {endpoint}")
        return
    named = [(item.release.endpoint, *row) for item, row in zip(found, rows, strict=True)]
    print_table(("endpoint", *_COLUMNS), named)


def _row(item: Listed) -> tuple[Any, ...]:
    release = item.release
    back = f" = {release.rolled_back_to}" if release.rolled_back_to else ""
    return (
        f"{release.number}{back}",
        item.status,
        release.model_sha256[:_DIGEST_LETTERS],
        release.model_version,
        release.dataset,
        release.who,
        release.created_at[:16].replace("T", " "),
        release.reason,
    )


def _print_release(release: Release, *, as_json: bool) -> None:
    if as_json:
        print_json(release)
        return
    back = f", that of release {release.rolled_back_to}" if release.rolled_back_to else ""
    console().print(
        f"release {release.number} of {release.endpoint} is live: "
        f"model {release.model_sha256[:_DIGEST_LETTERS]}{back}",
        markup=False,
        soft_wrap=True,
    )


def _locate(store: Store, model: str, target: Path) -> tuple[Path, str]:
    """Find a model; returns its folder and the run that trained it, "" if it came as a folder."""
    from dalsegno.runs.address import read_address

    path = Path(model)
    if path.is_dir() or path.is_absolute() or model.startswith(".") or "/" not in model:
        return path, ""
    _, task = read_address(store, model)
    if task is None:
        raise InputError(f"model: got {model!r}, want RUN/TASK or a model folder", "dalsegno runs")
    artifact = _model_artifact(task)
    store.download(store.key_of(artifact["uri"]), target, sha256=artifact["sha256"])
    return target, task.run_id


def _model_artifact(task: TaskRecord) -> dict[str, Any]:
    subject, look = f"task {task.task!r}", f"dalsegno show {task.run_id}/{task.task}"
    if not task.state.is_success:
        raise InputError(f"{subject}: got the state {task.state}, want succeeded", look)
    declared = task.component_spec.get("outputDefinitions", {}).get("artifacts", {})
    title = declared.get(_OUTPUT, {}).get("artifactType", {}).get("schemaTitle")
    found = task.outputs.get(_OUTPUT, [])
    if title != "system.Model" or not found or not found[0]["sha256"]:
        got = ", ".join(task.outputs) or "none"
        raise InputError(f"{subject}: got outputs {got}, want a Model named {_OUTPUT!r}", look)
    return found[0]


def _registered(endpoint: str, path: Path, run_id: str) -> str:
    """Return the version under which the registry knows a run's model, "" if it does not."""
    from dalsegno.registry.versions import MODEL_SHA256, RUN_ID, versions
    from dalsegno.store import digest_of

    wanted = (digest_of(path).sha256, run_id)
    try:
        known = versions(endpoint)
    except DalsegnoError as error:
        _logger.warning("the release will name no version of the registry: %s", error)
        return ""
    same = [v for v in known if (v.tags.get(MODEL_SHA256), v.tags.get(RUN_ID)) == wanted]
    return same[-1].version if same else ""
