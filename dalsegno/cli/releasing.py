"""`releases`, `promote` and `rollback`: what an endpoint serves, and what it serves next."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json, print_table
from dalsegno.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from dalsegno.releases import Listed, Release, Standing
    from dalsegno.store import Store

_COLUMNS = ("no", "state", "model", "ver", "dataset", "who", "when", "reason")
_DIGEST_LETTERS = 12


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(releases)
    app.command()(promote)
    app.command()(rollback)
    app.command()(prune)


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
    elif endpoint:
        _repair_if_behind(store, endpoint)
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
    model: str = typer.Argument(
        "", help="A model folder, or RUN/TASK with the output `model`; default: the canary."
    ),
    canary: int | None = typer.Option(
        None,
        metavar="PERCENT",
        min=0,
        max=100,
        help="Let it answer that share, beside the champion.",
    ),
    shadow: bool = typer.Option(
        False, "--shadow", help="Ask it too, log its answers, and show them to nobody."
    ),
    key: str = typer.Option(
        "", metavar="COLUMN", help="Input column that keeps an entity on one side of a canary."
    ),
    when: str = typer.Option(
        "", metavar="CONDITIONS", help="Promote the canary when these hold, or else stop it."
    ),
    timeout: float = typer.Option(
        3600.0, min=0, help="Seconds to wait for --when's evidence, and for --wait."
    ),
    wait: list[str] = typer.Option(
        [], metavar="URL", help="Wait until this server's replicas follow; repeatable."
    ),
    reason: str = typer.Option("promoted by hand", help="Why, in a few words."),
    who: str = typer.Option("", help="Who releases; default: your user name."),
    expected: int | None = typer.Option(
        None, min=0, help="Refuse unless this release is the latest; 0 for none."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the release as JSON."),
) -> None:
    """Make a model the one that an endpoint serves, or try it as a canary first.

    CONDITIONS are, with commas between: requests, labels, errors, p99_ms, p99_ratio, score_drift,
    agreement, auc, auc_loss; each with >=, <=, > or < and a number or percentage.

    Example: dalsegno promote titanic 3f9a/train-model --canary 10 --when "requests>=500,errors<=1%"
    """
    from dalsegno.cli import canary as trying
    from dalsegno.settings import open_default_store

    wanted = trying.Wanted(endpoint, canary, shadow, key, when, timeout, reason, who or user_name())
    trying.check(wanted, model, wait)
    release = trying.release(open_default_store(), wanted, model, expected, quiet=as_json)
    _print_release(release, as_json=as_json)
    followed = trying.wait_for(wait, release, timeout) if wait else True
    if not followed or (when and release.state != "promoted"):
        raise typer.Exit(1)


def rollback(
    endpoint: str = typer.Argument(help="Name of the endpoint."),
    to: int | None = typer.Option(
        None, min=1, help="Release to return to; default: what was live before."
    ),
    reason: str = typer.Option("rolled back by hand", help="Why, in a few words."),
    who: str = typer.Option("", help="Who rolls back; default: your user name."),
    drill: bool = typer.Option(
        False, "--drill", help="Rehearse it on a copy with a server, and tell how long it takes."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the release as JSON."),
) -> None:
    """Make the model of an earlier release live again, as a new release; or stop the canary.

    Example: dalsegno rollback titanic --to 3 --reason "AUC fell on Saturday"
    """
    from dalsegno import releases
    from dalsegno.settings import open_default_store

    store = open_default_store()
    if drill:
        return _drill(store, endpoint, to, as_json=as_json)
    release = releases.roll_back(
        store,
        endpoint,
        to,
        reason=reason,
        who=who or user_name(),
        evidence={"by": "hand"},
    )
    releases.follow(release, store=store)
    _print_release(release, as_json=as_json)
    return None


def prune(
    older_than: float = typer.Option(
        24.0, "--older-than", metavar="HOURS", min=1, help="Only what nobody touched for so long."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only tell what would go."),
    as_json: bool = typer.Option(False, "--json", help="Print what was found as JSON."),
) -> None:
    """Remove kept models that no release of any endpoint names.

    Example: dalsegno prune --dry-run
    """
    from dalsegno import releases
    from dalsegno.settings import open_default_store

    done = releases.prune_models(
        open_default_store(), older_than_seconds=older_than * 3600, dry_run=dry_run
    )
    if as_json:
        return print_json(done)
    did = "would remove" if dry_run else "removed"
    text = f"{did} {len(done.removed)} models that no release names; kept {done.kept}"
    console().print("\n".join([text, *done.removed]), markup=False, soft_wrap=True)
    return None


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


def _repair_if_behind(store: Store, endpoint: str) -> None:
    from dalsegno import releases

    if not releases.repair_if_behind(store, endpoint):
        sys.stderr.write(f"warning: the registry's aliases of {endpoint} do not follow yet\n")


def _drill(store: Store, endpoint: str, to: int | None, *, as_json: bool) -> None:
    from dalsegno.serving.drill import drill_rollback

    done = drill_rollback(store, endpoint, to)
    if as_json:
        return print_json(done)
    console().print(
        f"drill of {endpoint}: release {done.left} -> model of {done.returned_to} on a copy; "
        f"{endpoint} was not touched\n"
        f"  tested and released in {done.test_seconds:.2f} s, "
        f"first answer after {done.answer_seconds:.2f} s, "
        f"{done.failed} of {done.requests} requests failed meanwhile",
        markup=False,
        soft_wrap=True,
    )
    return None


def _find(store: Store, endpoint: str, at: datetime | None) -> list[Listed]:
    from dalsegno import releases

    if endpoint:
        listed = releases.listing(store, endpoint)
        if at is None:
            return listed
        return _as_it_stood(releases.standing_at(store, endpoint, at))
    names = releases.endpoints(store)
    return [item for name in names for item in _latest(store, name, at)]


def _as_it_stood(standing: Standing | None) -> list[Listed]:
    from dalsegno import releases

    if standing is None:
        return []
    canary = standing.canary
    beside = [releases.Listed(canary, "shadow" if canary.shadow else "canary")] if canary else []
    return [*beside, releases.Listed(standing.champion, "live")]


def _latest(store: Store, endpoint: str, at: datetime | None) -> list[Listed]:
    from dalsegno import releases

    if at:
        return _find(store, endpoint, at)
    return _as_it_stood(releases.standing(store, endpoint))


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
    share = f" {release.canary_traffic_percent} %" if item.status == "canary" else ""
    return (
        f"{release.number}{back}",
        f"{item.status}{share}",
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
    what = "is live"
    if release.state == "canary":
        share = f"answers {release.canary_traffic_percent} %"
        how = "is asked in the shadow" if release.shadow else share
        what = f"{how} beside release {release.champion}"
    console().print(
        f"release {release.number} of {release.endpoint} {what}: "
        f"model {release.model_sha256[:_DIGEST_LETTERS]}{back}",
        markup=False,
        soft_wrap=True,
    )
