"""What of a task's environment may enter a capsule: names that the pipeline sets, no secrets."""

from __future__ import annotations

import re
from dataclasses import replace

from dalsegno.engine.masking import masked
from dalsegno.runs.record import TaskRecord

_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|BEARER|COOKIE|(API|ACCESS|SIGNING)_?KEY"
    r"|(^|_)(KEY|PWD|PAT|AUTH|DSN)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"://[^/\s:@]+:[^/\s@]+@"  # a password in a URL
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{30,}|\bxox[abprs]-"
)


def without_secrets(record: TaskRecord) -> tuple[TaskRecord, list[str]]:
    """Return the record as it may enter a capsule, and the names whose values did not.

    A record holds only variables that the pipeline sets by value; those from Kubernetes secrets
    are never recorded. What is left out here was written in the pipeline, but by its name or form
    it is a secret all the same.
    """
    left_out = sorted(
        name
        for name, value in record.environment.items()
        if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value)
    )
    kept = {name: value for name, value in record.environment.items() if name not in left_out}
    error = masked(record.error, [record.environment[name] for name in left_out])
    return replace(record, environment=kept, error=error), left_out
