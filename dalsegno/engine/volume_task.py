"""Runs the tasks that make and delete persistent volume claims.

On a cluster the driver does their work itself (`createPVC` and `deletePVC` in
backend/src/v2/driver/k8s.go); their images never run.
"""

from __future__ import annotations

from dalsegno.engine.context import Context, TaskEvent
from dalsegno.engine.resolve import Result
from dalsegno.engine.task import Task, new_record
from dalsegno.engine.volumes import CREATE, DELETE
from dalsegno.errors import DalsegnoError
from dalsegno.runs.record import State, message_of, timestamp


async def run_volume_task(context: Context, task: Task) -> Result:
    """Make or delete a volume, and record it as a task."""
    volumes, parameters = context.platform.volumes, task.inputs.parameters
    record = new_record(context, task, 1, {"inputs": {"parameterValues": parameters}})
    record.state, record.executor, record.started_at = State.SUCCEEDED, "driver", timestamp()
    outputs = {}
    try:
        if task.executor["container"]["image"] == CREATE:
            outputs = {"name": volumes.create(parameters)}
            record.executor_output = {"parameterValues": outputs}
        elif left := volumes.delete(str(parameters["pvc_name"])):
            context.platform.tell(left)
    except (DalsegnoError, OSError) as error:
        record.state = State.FAILED
        record.error = {"type": type(error).__name__, "message": str(error)}
    record.seconds, record.finished_at = 0.0, timestamp()
    context.recorder.task(record)
    context.listener(TaskEvent(task.path, record.state, 1, 0.0, message_of(record)))
    return Result(record.state, outputs, error=message_of(record))


def is_volume_task(executor: dict[str, object]) -> bool:
    """Whether the driver does a task's work, on volumes."""
    container = executor.get("container")
    return isinstance(container, dict) and container.get("image") in {CREATE, DELETE}
