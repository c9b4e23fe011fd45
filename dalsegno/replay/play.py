"""Plays a capsule in this process, through KFP's own executor."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dalsegno.engine.executor import describe_error, prepare
from dalsegno.engine.masking import masked, secrets_in
from dalsegno.engine.outputs import collect_parameters
from dalsegno.engine.placeholders import as_recorded
from dalsegno.errors import InputError
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.code import Code, load_code
from dalsegno.replay.log import ignore, logged
from dalsegno.replay.outcome import Replayed, new_replay, write_outcome
from dalsegno.replay.places import filled_inputs_of, outputs_in
from dalsegno.replay.surroundings import VOLUMES_FOLDER, Surroundings, enter, surroundings_of
from dalsegno.replay.variables import variables
from dalsegno.terminal import visible

WORKSPACE_FOLDER = "workspace"
STORE_VARIABLE = "DALSEGNO_STORE_URI"
OnError = Callable[[BaseException], None]


@dataclass(frozen=True)
class Prepared:
    """A replay that is ready to start.

    Attributes:
        outcome: What is known of it so far.
        code: The task's function.
        local: Executor input with paths of this machine.
        surroundings: What platform settings add.
    """

    capsule: Capsule
    outcome: Replayed
    code: Code
    local: dict[str, Any]
    surroundings: Surroundings = field(default_factory=Surroundings)


def prepare_replay(
    capsule: Capsule,
    tell: Callable[[str], None] = ignore,
    *,
    current: bool = False,
    is_mounting: bool = False,
    surroundings: Surroundings | None = None,
) -> Prepared:
    """Load the code of a capsule and make a fresh folder for its outputs.

    Args:
        tell: Told, in a line, what the task had and is not to be had here.
        current: Take the function as it stands in its file now; see `load_code`.
        is_mounting: Whether `play_mounted` is to play it; who asks for that clears up afterwards.
        surroundings: Of the task, where they are known already; default: they are looked up.

    Raises:
        InputError: It is no lightweight Python component, or its code cannot be loaded.
    """
    if capsule.source is None:
        raise InputError(
            f"task {capsule.record.task!r}: got a container component ({capsule.record.image}), "
            "want a lightweight Python component",
            f"dalsegno replay {capsule.manifest.address} --in container",
        )
    files = [Path(name) for name in capsule.manifest.sources]
    code = load_code(capsule.source, function_of(capsule), files, current=current)
    number, folder = new_replay(capsule.folder)
    workspace = folder / WORKSPACE_FOLDER
    local = {
        "inputs": filled_inputs_of(capsule, workspace),
        "outputs": outputs_in(capsule, folder / "outputs"),
    }
    if workspace.exists():
        tell(f"note     the run's workspace ended with it: an empty one is at {workspace}")
    started = Replayed(number, folder, "process")
    if surroundings is None:
        scratch = folder / VOLUMES_FOLDER
        surroundings = surroundings_of(capsule, scratch, tell, is_mounting=is_mounting)
    return Prepared(capsule, started, code, local, surroundings)


def function_of(capsule: Capsule) -> str:
    """Return the name of the component's function."""
    args = capsule.record.args
    try:
        return args[args.index("--function_to_execute") + 1]
    except (ValueError, IndexError) as error:
        raise InputError(f"component: got arguments {args}, want a function's name") from error


def play(
    prepared: Prepared, on_error: OnError | None = None, *, is_logged: bool = True
) -> Replayed:
    """Run the task's code and keep what came of it.

    Args:
        on_error: Called with what the code raised, while its frames are alive.
        is_logged: Whether what the code prints is kept besides being shown.

    Raises:
        KeyboardInterrupt: The replay was stopped; it has no outcome.
    """
    error: dict[str, Any] | None = None
    log = logged(prepared.outcome.log) if is_logged else contextlib.nullcontext()
    with variables({**_environment(prepared.capsule), **prepared.surroundings.variables}), log:
        started = time.perf_counter()
        try:
            execute = prepare(prepared.code.function, prepared.local)
            started = time.perf_counter()
            execute()
        except KeyboardInterrupt:
            raise
        except BaseException as caught:
            error = masked(_describe(caught, prepared.code), _secrets(prepared))
            if error and on_error:
                on_error(caught)
            elif error:
                _print_traceback(caught)
        seconds = time.perf_counter() - started
    outcome = replace(prepared.outcome, error=error, exit_code=int(bool(error)), seconds=seconds)
    outcome = with_outputs(outcome, prepared.capsule, prepared.local)
    write_outcome(outcome)
    return outcome


def play_mounted(prepared: Prepared) -> Replayed:
    """Run the task's code with its volumes at their paths, in a process that ends afterwards."""
    kept = [prepared.capsule.folder, prepared.outcome.folder, prepared.code.place.path.parent]
    refused = enter(prepared.surroundings, kept)
    if refused is None:
        return play(prepared)
    outcome = replace(prepared.outcome, error=refused, exit_code=1)
    write_outcome(outcome)
    return outcome


def with_outputs(
    outcome: Replayed,
    capsule: Capsule,
    local: dict[str, Any],
    written: dict[str, Any] | None = None,
) -> Replayed:
    """Add the outputs that a task wrote to the outcome of its replay.

    Args:
        local: Executor input with paths of this machine.
        written: Executor output with paths of this machine; None: read it from its file.
    """
    output_file = Path(local["outputs"]["outputFile"])
    if written is None:
        written = json.loads(output_file.read_text()) if output_file.is_file() else {}
    artifacts: dict[str, list[Path]] = {}
    metadata: dict[str, list[dict[str, Any]]] = {}
    for name, planned in local["outputs"]["artifacts"].items():
        said = (written.get("artifacts", {}).get(name, {}).get("artifacts") or [{}])[0]
        first = planned["artifacts"][0]
        artifacts[name] = [Path(said.get("custom_path") or said.get("uri") or first["uri"])]
        metadata[name] = [{**first.get("metadata", {}), **said.get("metadata", {})}]
    outcome = replace(outcome, artifacts=artifacts, metadata=metadata)
    if outcome.error:
        return outcome
    try:
        component = capsule.record.component_spec
        values = collect_parameters(local["outputs"], component, written)
    except InputError as error:
        missing = {"type": type(error).__name__, "message": str(error), "file": None, "line": None}
        return replace(outcome, error={**missing, "source_line": None}, exit_code=1)
    workspace = outcome.folder / WORKSPACE_FOLDER
    return replace(outcome, parameters=as_recorded(values, workspace))


def _describe(caught: BaseException, code: Code) -> dict[str, Any] | None:
    if isinstance(caught, SystemExit) and caught.code in {None, 0}:
        return None
    error = describe_error(caught)
    if isinstance(caught, SystemExit):
        error["message"] = f"the task exited with {caught.code!r}"
    return {**error, "source_line": code.source_line(error["file"], error["line"])}


def _secrets(prepared: Prepared) -> list[str]:
    """Return the values that stay out of the outcome, as they stayed out of the record."""
    capsule = prepared.capsule
    given = [os.environ[name] for name in capsule.manifest.left_out if name in os.environ]
    around = prepared.surroundings
    return [*secrets_in(capsule.record.platform, around.variables, around.mounts), *given]


def _print_traceback(caught: BaseException) -> None:
    """Print the traceback from the task's own code on, as Python would."""
    from dalsegno.replay.frames import task_frames

    shown = traceback.TracebackException.from_exception(caught)
    kept = task_frames(shown.stack)
    shown.stack = traceback.StackSummary.from_list(kept)
    sys.stderr.write(visible("".join(shown.format())))


def _environment(capsule: Capsule) -> dict[str, str]:
    """Return the variables that the task had."""
    given = {"_KFP_RUNTIME": "true", **capsule.record.environment}
    if capsule.manifest.store_uri:
        given.setdefault(STORE_VARIABLE, os.environ.get(STORE_VARIABLE, capsule.manifest.store_uri))
    return given
