"""What came of a replay, as it is kept in the capsule's folder.

<capsule>/replays/<n>/outcome.json
<capsule>/replays/<n>/log.txt
<capsule>/replays/<n>/outputs/…
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dalsegno.errors import NotFoundError

_FILE = "outcome.json"


@dataclass(frozen=True)
class Replayed:
    """One replay of a capsule.

    Attributes:
        number: 1 for the first replay of the capsule.
        folder: Where its outputs, log and outcome are.
        way: `process`, `container` or `cluster`.
        parameters: Output parameters by name.
        artifacts: Places of the output artifacts by name; a place may be empty (metrics, say).
        metadata: Metadata of the output artifacts, in the same order.
        error: None, or what `engine.executor.describe_error` tells, and `source_line`: the line
            in the source text of the component, None where the error is in another file. A
            recorded error has it as `line`, because the engine runs that text as a file.
        exit_code: Negative when a signal ended the task; 1 when its code failed.
        seconds: Time in the task's own code.
        log: What the task wrote to its standard output and error.
    """

    number: int
    folder: Path
    way: str
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[Path]] = field(default_factory=dict)
    metadata: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    exit_code: int = 0
    seconds: float | None = None

    @property
    def log(self) -> Path:
        """Where the log is."""
        return self.folder / "log.txt"


def write_outcome(outcome: Replayed) -> None:
    """Keep an outcome in its folder, whole or not at all."""
    fields = asdict(outcome)
    del fields["folder"]
    partial = outcome.folder / f".{_FILE}.{os.getpid()}"
    partial.write_text(json.dumps(fields, indent=1, default=str))
    partial.replace(outcome.folder / _FILE)


def read_outcome(folder: Path) -> Replayed:
    """Read the outcome of one replay.

    Raises:
        NotFoundError: The replay was stopped before it ended, or there is none.
    """
    try:
        fields = json.loads((folder / _FILE).read_text())
    except FileNotFoundError as error:
        raise NotFoundError(f"replay {folder}: got no outcome, want one that ended") from error
    places = {name: [Path(item) for item in found] for name, found in fields["artifacts"].items()}
    return Replayed(**{**fields, "folder": folder, "artifacts": places})


def replays(capsule: Path) -> list[int]:
    """List the numbers of a capsule's replays, oldest first."""
    folder = capsule / "replays"
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def new_replay(capsule: Path) -> tuple[int, Path]:
    """Make the folder of the next replay; several may be asked for at once."""
    number = max(replays(capsule), default=0) + 1
    while True:
        folder = capsule / "replays" / str(number)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return number, folder
