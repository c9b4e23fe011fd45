"""`replay`: play one attempt of one task again, here, on its recorded inputs."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from dalsegno.cli.options import IMAGE_MAP
from dalsegno.cli.output import print_json
from dalsegno.errors import ConfigurationError, InputError, NotFoundError
from dalsegno.terminal import visible

if TYPE_CHECKING:
    from dalsegno.replay.capsule import Capsule
    from dalsegno.replay.outcome import Replayed
    from dalsegno.replay.play import Prepared
    from dalsegno.store import Store

_DIFFERENCES = 4
DEFAULT_PORT = 5678


class Way(StrEnum):
    """How a capsule is played."""

    PROCESS = "process"
    CONTAINER = "container"
    KIND = "kind"
    CLUSTER = "cluster"


class Environment(StrEnum):
    """Which interpreter and packages a replay gets."""

    AUTO = "auto"
    HERE = "here"
    IMAGE = "image"


class OptionalPort(TyperCommand):
    """Lets `--listen` stand without a port."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        completed = list(args)
        for place, word in enumerate(completed):
            follows = completed[place + 1 : place + 2]
            if word == "--listen" and not (follows and follows[0].isdigit()):
                completed[place] = f"--listen={DEFAULT_PORT}"
        return super().parse_args(ctx, completed)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=OptionalPort)(replay)


def replay(
    address: str = typer.Argument(
        "",
        help="RUN/TASK[/ATTEMPT], or a part of it that no other has; RUN alone means its failed "
        "task; or a capsule's FILE or folder.",
    ),
    prediction: str = typer.Option(
        "", "--prediction", metavar="ID", help="Let the model answer a logged prediction again."
    ),
    way: Way = typer.Option(
        Way.PROCESS,
        "--in",
        help="This process, a container of the task's image, the kind cluster of this "
        "machine, or the cluster of the settings.",
    ),
    image_map: list[str] = IMAGE_MAP,
    pdb: bool = typer.Option(False, "--pdb", help="Stop in the debugger where the task fails."),
    listen: int | None = typer.Option(
        None,
        "--listen",
        metavar="[PORT]",
        min=0,
        max=65535,
        help=f"Wait for an IDE on 127.0.0.1 (default: {DEFAULT_PORT}; 0: any free port).",
    ),
    env: Environment = typer.Option(
        Environment.AUTO,
        "--env",
        help="Packages: of this environment, or of the task's image (made once by uv, and kept); "
        "auto is here unless the component installs what is not here.",
    ),
    current: bool = typer.Option(
        False, "--current", help="Play the function as its file has it now, edited or not."
    ),
    verdict: bool = typer.Option(
        True, "--verdict/--no-verdict", help="Compare with the record; decides the exit code."
    ),
    yes: bool = typer.Option(False, "--yes", help="Play code that came from elsewhere unasked."),
    max_bytes: int | None = typer.Option(
        None, min=1, help="Most that a FILE may take unpacked; default: 16 GiB."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print outcome and verdict as JSON."),
) -> None:
    """Play a task again, on exactly the inputs that it had.

    Exits 0 when the record is reproduced or a failed task now passes, else 1.

    Example: dalsegno replay 7f3a/train-model --pdb
    """
    if pdb and listen is not None:
        raise InputError("replay: got --pdb and --listen, want one of them")
    if bool(address) == bool(prediction):
        raise InputError("replay: got none or both of RUN/TASK and --prediction, want one of them")
    if prediction:
        from dalsegno.cli.predicting import replay_prediction

        return replay_prediction(prediction, pdb=pdb, listen=listen, as_json=as_json)
    if way is not Way.PROCESS and (pdb or listen is not None or current):
        raise InputError(f"replay: got --in {way} with --pdb, --listen or --current, want none")
    capsule, store = obtain(address, yes=yes, max_bytes=max_bytes)
    tell_capsule(capsule)
    if way is Way.CONTAINER:
        outcome = play_in_container(capsule, image_map)
    elif way is not Way.PROCESS:
        from dalsegno.cli.remote_replay import play_there

        outcome = play_there(capsule, tell, is_kind=way is Way.KIND)
    elif env is Environment.IMAGE or (env is Environment.AUTO and installs_more(capsule)):
        outcome = play_with_image_packages(capsule, pdb=pdb, listen=listen, current=current)
    else:
        outcome = play_in_process(capsule, pdb=pdb, listen=listen, current=current, quiet=as_json)
    finish(capsule, outcome, store, judged=verdict, as_json=as_json)
    return None


def obtain(
    address: str, *, yes: bool = False, max_bytes: int | None = None
) -> tuple[Capsule, Store | None]:
    """Open the capsule that an address, a file or a folder names; ask before foreign code.

    Returns:
        The capsule, and the store of its run where that is known.
    """
    path = Path(address)
    if path.is_file():
        return _foreign(_unpacked(path, max_bytes), address, yes=yes), None
    if path.is_dir() and (path / "capsule.json").is_file():
        from dalsegno.replay.capsule import open_capsule

        return _foreign(open_capsule(path.absolute()), address, yes=yes), None
    refuse_absent(path)
    return build(address)


def refuse_absent(path: Path) -> None:
    """Refuse what can only be meant as a file or folder, and is not there.

    Raises:
        NotFoundError: It would be taken for the address of a task otherwise.
    """
    is_path = path.is_absolute() or str(path).startswith(("..", "~"))
    if not path.exists() and (is_path or path.suffix in {".capsule", ".zip"}):
        raise NotFoundError(f"capsule {path}: got no such file or folder, want one")


def build(address: str) -> tuple[Capsule, Store]:
    """Build the capsule of a recorded task."""
    from dalsegno.replay.build import build_capsule
    from dalsegno.replay.find import find_task
    from dalsegno.replay.shelf import place_of, touch, trust
    from dalsegno.settings import open_default_store

    store = open_default_store()
    run, record = find_task(store, address)
    capsule = build_capsule(store, run, record, place_of(store, record), tell)
    trust(capsule)
    touch(capsule)
    return capsule, store


def _unpacked(path: Path, max_bytes: int | None) -> Capsule:
    from dalsegno.replay.archive import MAX_BYTES, unpack
    from dalsegno.replay.shelf import file_shelf

    return unpack(path, file_shelf(), max_bytes or MAX_BYTES)


def _foreign(capsule: Capsule, address: str, *, yes: bool) -> Capsule:
    """Ask before code runs that came from elsewhere; once is enough for one capsule."""
    from dalsegno.replay.shelf import is_trusted, trust

    if not yes and not is_trusted(capsule):
        command = f"dalsegno replay {address} --yes"
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigurationError(
                f"capsule {address}: got code from elsewhere, want your word that it may run "
                f"(look at it: dalsegno capsule show {address} --source)",
                command,
            )
        tell(f"{address}: task {capsule.manifest.task!r} brings code that runs with your rights")
        tell(f"  look at it: dalsegno capsule show {address} --source")
        if not typer.confirm("Play it?", err=True):
            raise ConfigurationError(f"capsule {address}: not played", command)
    trust(capsule)
    return capsule


def tell(line: str) -> None:
    """Print a line for people, beside what the task prints."""
    sys.stderr.write(visible(line) + "\n")


def tell_capsule(capsule: Capsule) -> None:
    """Say where the capsule is, and how this environment differs from the recorded one."""
    from dalsegno.replay.versions import version_differences

    inputs = capsule.manifest.kept_inputs
    size = sum(item.size_bytes for item in inputs)
    noun = "input" if len(inputs) == 1 else "inputs"
    tell(f"capsule  {shown(capsule.folder)} ({len(inputs)} {noun}, {size:,} bytes)")
    found = version_differences(capsule)
    if found:
        more = f" and {len(found) - _DIFFERENCES} more" if len(found) > _DIFFERENCES else ""
        tell(f"differs  {'; '.join(found[:_DIFFERENCES])}{more}")
    for name in capsule.manifest.left_out:
        if name not in os.environ:
            tell(f"left out {name}: it looks like a secret; set it here if the task needs it")


def tell_code(prepared: Prepared) -> None:
    """Say which text of the function is played."""
    place, edited = prepared.code.place, prepared.code.edited
    tell(f"code     {shown(place.path)}:{place.line} {prepared.code.function.__name__}")
    if edited:
        tell(
            f"         edited since at {shown(edited.path)}:{edited.line}: played as recorded; "
            "--current plays it as it is now"
        )


def play_in_process(
    capsule: Capsule, *, pdb: bool, listen: int | None, current: bool, quiet: bool = False
) -> Replayed:
    """Play a capsule in this process, or in a fork of it when nobody looks inside."""
    from dalsegno.replay import debugger
    from dalsegno.replay.play import play, play_mounted, prepare_replay
    from dalsegno.replay.supervise import play_in_child
    from dalsegno.replay.surroundings import VOLUMES_FOLDER
    from dalsegno.store.base import remove

    is_mounting = not pdb and listen is None
    prepared = prepare_replay(capsule, tell, current=current, is_mounting=is_mounting)
    tell_code(prepared)
    if pdb:
        return play(prepared, debugger.stop_in_pdb, is_logged=False)
    if listen is not None:
        write_configurations(capsule)
        host, port = debugger.listen(listen)
        tell(f"waiting  for an IDE at {host}:{port}, as {shown(capsule.folder)}/.vscode has it")
        debugger.wait_for_ide()
        return play(prepared, debugger.stop_in_ide, is_logged=False)

    def play_it() -> None:
        if quiet:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        play_mounted(prepared)

    try:
        outcome = play_in_child(prepared.outcome, play_it)
    finally:
        remove(prepared.outcome.folder / VOLUMES_FOLDER)
    write_configurations(capsule)  # afterwards, so that nobody waits for it
    return outcome


def play_in_container(capsule: Capsule, image_map: list[str]) -> Replayed:
    """Play a capsule in a container of the task's image."""
    from dalsegno.engine.pull import parse_image_map
    from dalsegno.replay import container
    from dalsegno.settings import load_settings

    settings = load_settings()
    return container.play_in_container(
        capsule,
        parse_image_map(image_map),
        tell,
        engine=settings.container_engine,
        network=settings.container_network,
    )


def installs_more(capsule: Capsule) -> bool:
    """Say whether the component installs, when it starts, what this environment does not have."""
    if not any("pip install" in part for part in capsule.record.command):
        return False
    from dalsegno.engine.packages import are_installed_here, packages_of

    return not are_installed_here(packages_of(capsule.record.command))


def play_with_image_packages(
    capsule: Capsule, *, pdb: bool, listen: int | None, current: bool
) -> Replayed:
    """Play a capsule with an interpreter that has the packages of the task's image."""
    from dalsegno.replay.image_environment import code_path, image_python, play_with

    python = image_python(capsule, tell)
    tell(f"python   {shown(python)}")
    write_configurations(capsule, str(python), {"PYTHONPATH": str(code_path())})
    options = ["--pdb"] * pdb + ["--current"] * current
    if listen is not None:
        options.append(f"--listen={listen}")
    return play_with(python, capsule, options, tell)


def write_configurations(
    capsule: Capsule, python: str = sys.executable, variables: dict[str, str] | None = None
) -> None:
    """Write what VS Code and PyCharm start a replay with, into the capsule's folder."""
    from dalsegno.replay.ide import write_configurations as write

    write(capsule, python, variables or {})


def finish(
    capsule: Capsule, outcome: Replayed, store: Store | None, *, judged: bool, as_json: bool
) -> None:
    """Print what came of a replay and end with the exit code that says it."""
    from dalsegno.cli.verdict import print_verdict, verdict_json, verdict_on

    found = verdict_on(capsule, outcome, store) if judged else None
    code = found.exit_code if found else min(abs(outcome.exit_code), 1)
    if as_json:
        fields = {"outcome": outcome, "verdict": verdict_json(found) if found else None}
        print_json({name: value for name, value in fields.items() if value is not None})
        raise typer.Exit(code)
    if outcome.error:
        tell(f"failed   {outcome.error['type']}: {outcome.error['message']}{_where(outcome)}")
    tell(f"replay   {outcome.number}, outputs in {shown(outcome.folder / 'outputs')}")
    if found:
        print_verdict(found)
    raise typer.Exit(code)


def _where(outcome: Replayed) -> str:
    error = outcome.error or {}
    return f" ({shown(Path(error['file']))}:{error['line']})" if error.get("file") else ""


def shown(path: Path) -> str:
    """Write a path, relative to the current directory where it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
