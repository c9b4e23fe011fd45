"""`python -P -m dalsegno.replay CAPSULE`: what an IDE starts to play a capsule in its debugger.

An error of the task leaves this program as it was raised, so that any debugger stops at it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dalsegno.errors import DalsegnoError, InputError
from dalsegno.terminal import visible

_MISUSED = 2


def main(arguments: list[str]) -> None:
    """Play the capsule in the folder that is named, in this very process."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in {"", str(Path.cwd())}:
        del sys.path[0]  # a `components` folder of the current directory is not ours
    try:
        replay(arguments)
    except DalsegnoError as error:
        sys.stderr.write(visible(f"error: {error}\n"))
        if error.next_command:
            sys.stderr.write(f"  next: {error.next_command}\n")
        sys.exit(_MISUSED)


def replay(arguments: list[str]) -> None:
    """Open, check and play a capsule.

    Raises:
        InputError: It is none, was changed, or came from elsewhere and nobody agreed to its code.
    """
    from dalsegno.replay.capsule import open_capsule
    from dalsegno.replay.debugger import stop_in_ide, stop_in_pdb
    from dalsegno.replay.play import play, play_mounted, prepare_replay
    from dalsegno.replay.shelf import is_trusted, trust
    from dalsegno.replay.surroundings import taken_over

    options = _parser().parse_args(arguments)
    capsule = open_capsule(options.capsule.absolute())
    if options.yes:
        trust(capsule)
    if not is_trusted(capsule):
        raise InputError(
            f"capsule {capsule.folder}: got code from elsewhere, want your word that it may run",
            f"{sys.executable} -P -m dalsegno.replay {capsule.folder} --yes",
        )
    raised: list[BaseException] = []

    def stop(error: BaseException) -> None:
        raised.append(error)
        stop_in_ide(error)

    surroundings = taken_over()
    prepared = prepare_replay(capsule, _tell, current=options.current, surroundings=surroundings)
    if options.listen is not None:
        _wait(options.listen)
    if options.folder_to:  # started by the command line, which reads the outcome
        options.folder_to.write_text(str(prepared.outcome.folder))
        if not options.pdb and options.listen is None:
            play_mounted(prepared)
            return
        play(prepared, stop_in_pdb if options.pdb else stop, is_logged=False)
        return
    outcome = play(prepared, stop_in_pdb if options.pdb else stop, is_logged=False)
    if raised:
        raise raised[0]
    _tell(f"replay {outcome.number}: passes, outputs in {outcome.folder / 'outputs'}")


def _wait(port: int) -> None:
    from dalsegno.replay import debugger

    host, port = debugger.listen(port)
    _tell(f"waiting  for an IDE at {host}:{port}")
    debugger.wait_for_ide()


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dalsegno.replay", description="Play a capsule here.")
    parser.add_argument("capsule", type=Path, help="Folder of a capsule.")
    parser.add_argument("--yes", action="store_true", help="Play code from elsewhere unasked.")
    parser.add_argument("--current", action="store_true", help="Play the function as it is now.")
    parser.add_argument("--pdb", action="store_true", help="Stop where the task fails.")
    parser.add_argument("--listen", type=int, help="Wait for an IDE at this port; 0: any.")
    parser.add_argument("--folder-to", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
