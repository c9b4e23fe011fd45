"""The log of one task: where the launcher left it in the bucket, else what its pod says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.log_text import error_in
from dalsegno.cluster.pod_spec import EXECUTOR_LOGS
from dalsegno.cluster.reading import Reading
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.runs.record import State, TaskRecord, summarise
from dalsegno.store import Store


def add_logs(
    reading: Reading, open_store: Callable[..., Store], tell: Callable[[str], None]
) -> None:
    """Fetch the logs of the failed tasks, and from them the exceptions that were raised.

    Args:
        open_store: Opens the bucket of a URI, given `endpoint`.
        tell: Told, in a line, which log could not be had.
    """
    for task in reading.tasks:
        key = f"{task.task}/{task.attempt}"
        if task.state is not State.FAILED:
            continue
        if key not in reading.logs:
            try:
                reading.logs[key] = kept_log(task, open_store, reading.endpoint)
            except DalsegnoError as error:
                tell(f"log of {key}: not kept, {error}")
                continue
        raised = error_in(reading.logs[key])
        if raised:
            task.error = raised
            reading.run.tasks[task.task] = summarise(task)


def kept_log(
    task: TaskRecord, open_store: Callable[..., Store], endpoint: str | None = None
) -> str:
    """Return the log that the launcher uploaded.

    Raises:
        NotFoundError: There is none: the launcher was killed with the task, or publishes no logs.
        DalsegnoError: The store does not answer.
    """
    artifacts = task.executor_input.get("outputs", {}).get("artifacts", {})
    uri = next(
        (item["uri"] for item in artifacts.get(EXECUTOR_LOGS, {}).get("artifacts", [])), None
    )
    if uri is None:
        raise NotFoundError(f"log of {task.task}: got a task that publishes none, want one")
    store = open_store(uri, endpoint=endpoint)
    key = store.key_of(uri)
    for name in (f"{key}-{task.attempt - 1}", key):
        try:
            return store.get(name).decode(errors="replace")
        except NotFoundError:
            continue
    raise NotFoundError(f"{uri}: got no log there, want one")


def pod_log(api: KfpApi, reading: Reading, task: TaskRecord) -> Iterator[str]:
    """Yield what the pod of a task has printed, or what Argo archived of it.

    Raises:
        NotFoundError: Its pod is not known or gone.
    """
    pod = reading.pods.get(f"{task.task}/{task.attempt}")
    if pod is None:
        message = f"log of {task.task}/{task.attempt}: got no name of its pod, want one"
        raise NotFoundError(message, f"dalsegno show {task.run_id}")
    yield from api.pod_log(task.run_id, pod)


def follow_pod(
    api: KfpApi, look: Callable[[], tuple[Reading, TaskRecord]], pause_seconds: float
) -> Iterator[str]:
    """Yield what the pod of a task prints until the task has ended.

    KFP gives a log whole or not at all: it is asked for again and again, and told from where the
    last answer ended.

    Args:
        look: Reads the task anew.

    Raises:
        NotFoundError: The task has ended and its pod is gone.
    """
    shown = 0
    while True:
        reading, task = look()
        try:
            text = "".join(pod_log(api, reading, task))
        except NotFoundError:
            if task.state.is_final and not shown:
                raise
            text = ""  # its container is not up yet
        yield text[shown:]
        shown = max(shown, len(text))
        if task.state.is_final:
            return
        time.sleep(pause_seconds)
