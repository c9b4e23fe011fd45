"""Recurring runs: one of a name, made and changed so that none is lost and none fires twice.

KFP cannot change a recurring run. A new one is made that is off, the old one is switched off, the
new one on, and the old one is removed. Whatever call is broken off in between, the next one finds
the wanted one among those of the name, and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dalsegno.cluster.api import Item, KfpApi
from dalsegno.cluster.publishing import Published, experiment_id, experiment_name
from dalsegno.cluster.timing import Timing
from dalsegno.errors import ConflictError, InputError, NotFoundError

_MAX_CONCURRENCY = 10  # KFP cuts to it in silence


@dataclass(frozen=True)
class Schedule:
    """What is to be run, and when.

    Attributes:
        name: Display name; by it the schedule is found again.
        arguments: Parameters of each run.
        catch_up: Whether slots that were missed are run later.
        max_concurrency: How many runs of it at once.
        experiment: Name of the group of its runs.
    """

    name: str
    published: Published
    timing: Timing
    arguments: dict[str, Any] = field(default_factory=dict)
    catch_up: bool = False
    max_concurrency: int = 1
    experiment: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.max_concurrency <= _MAX_CONCURRENCY:
            got = self.max_concurrency
            raise InputError(f"--max-concurrency: got {got}, want 1 to {_MAX_CONCURRENCY}")

    def body(self, *, on: bool) -> Item:
        """Return the API's `RecurringRun`; whether to catch up is always said."""
        return {
            "display_name": self.name,
            "pipeline_version_reference": self.published.reference,
            "runtime_config": {"parameters": self.arguments},
            "trigger": self.timing.trigger(),
            "max_concurrency": str(self.max_concurrency),
            "no_catchup": not self.catch_up,
            "mode": "ENABLE" if on else "DISABLE",
        }


def create_schedule(api: KfpApi, schedule: Schedule) -> bool:
    """Make a schedule.

    Returns:
        Whether it was made; False where the very same is there and on.

    Raises:
        ConflictError: There is another of that name, or an unfinished update of it.
    """
    found = schedules_named(api, schedule.name)
    if len(found) == 1 and _is(found[0], schedule) and is_on(found[0]):
        return False
    if found:
        what = "one of that name" if len(found) == 1 else f"{len(found)} of that name"
        message = f"schedule {schedule.name!r}: got {what} already, want none"
        raise ConflictError(message, "dalsegno schedule … --update")
    api.create_schedule(_with_experiment(api, schedule, schedule.body(on=True)))
    return True


def update_schedule(api: KfpApi, schedule: Schedule) -> int:
    """Put a schedule in the place of those of its name; finishes an update that was broken off.

    Returns:
        How many were there before.
    """
    found = schedules_named(api, schedule.name)
    same = sorted((item for item in found if _is(item, schedule)), key=is_on, reverse=True)
    wanted = same[0] if same else None
    if wanted is None:
        body = _with_experiment(api, schedule, schedule.body(on=False))
        wanted = api.create_schedule(body)
    old = [item for item in found if _id(item) != _id(wanted)]
    for item in old:
        if is_on(item):
            api.switch_schedule(_id(item), on=False)
    if not is_on(wanted):
        api.switch_schedule(_id(wanted), on=True)
    for item in old:
        api.delete_schedule(_id(item))
    return len(found)


def delete_schedules(api: KfpApi, name: str) -> int:
    """Remove the schedules of a name, or the one of an id; the runs they started stay.

    Raises:
        NotFoundError: There is none.
    """
    known = api.schedules()
    found = [item for item in known if name in (item.get("display_name"), _id(item))]
    if not found:
        names = ", ".join(sorted({str(item.get("display_name")) for item in known})) or "none"
        raise NotFoundError(
            f"schedule {name!r}: not found, known are {names}", "dalsegno schedules"
        )
    for item in found:
        api.switch_schedule(_id(item), on=False)
        api.delete_schedule(_id(item))
    return len(found)


def schedules_named(api: KfpApi, name: str) -> list[Item]:
    """Return the schedules of a name; more than one while an update is under way."""
    return [item for item in api.schedules() if item.get("display_name") == name]


def is_on(item: Item) -> bool:
    """Say whether a schedule fires."""
    return bool(item.get("status") == "ENABLED")


def describe(item: Item) -> str:
    """Say in a few words when a schedule fires."""
    trigger = item.get("trigger") or {}
    if cron := (trigger.get("cron_schedule") or {}).get("cron"):
        seconds, _, five = cron.partition(" ")
        return five if seconds == "0" and len(five.split()) == 5 else f"{cron} (seconds first)"  # noqa: PLR2004
    return f"every {(trigger.get('periodic_schedule') or {}).get('interval_second', '?')} s"


def _is(item: Item, schedule: Schedule) -> bool:
    """Compare what the server has with what is wanted, whichever way it writes times."""
    wanted = schedule.body(on=True)
    version = item.get("pipeline_version_reference") or {}
    given = (item.get("runtime_config") or {}).get("parameters") or {}
    return (
        version == wanted["pipeline_version_reference"]
        and given == schedule.arguments
        and str(item.get("max_concurrency", "1")) == wanted["max_concurrency"]
        and bool(item.get("no_catchup", False)) == wanted["no_catchup"]
        and _plain(item.get("trigger")) == _plain(wanted["trigger"])
    )


def _plain(trigger: Item | None) -> dict[str, Any]:
    parts = (trigger or {}).get("cron_schedule") or (trigger or {}).get("periodic_schedule") or {}
    return {name: _value(name, value) for name, value in parts.items() if _is_set(value)}


def _is_set(value: Any) -> bool:
    return bool(value) and not str(value).startswith("1970-")


def _value(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name.endswith("_time") else str(value)


def _with_experiment(api: KfpApi, schedule: Schedule, body: Item) -> Item:
    name = experiment_name(api, schedule.experiment)
    if name:
        body["experiment_id"] = experiment_id(api, name)
    return body


def _id(item: Item) -> str:
    return str(item["recurring_run_id"])
