"""`python -P -m dalsegno.replay CAPSULE`: what an IDE starts to play a capsule in its debugger.

An error of the task leaves this program as it was raised, so that any debugger stops at it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dalsegno.errors import DalsegnoError, InputError

_MISUSED = 2


def main(arguments: list[str]) -> None:
    """Play the capsule in the folder that is named, in this very process."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in {"", str(Path.cwd())}:
        del sys.path[0]  # a `components` folder of the current directory is not ours
    try:
        replay(arguments)
    except DalsegnoError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.next_command:
            sys.stderr.write(f"  next: {error.next_command}\n")
        sys.exit(_MISUSED)


def replay(arguments: list[str]) -> None:
    """Open, check and play a capsule.

    Raises:
        InputError: It is none, was changed, or came from elsewhere and nobody agreed to its code.
    """
    from dalsegno.replay.capsule import open_capsule
    from dalsegno.replay.debugger import stop_in_ide
    from dalsegno.replay.play import play, prepare_replay
    from dalsegno.replay.shelf import is_trusted, trust

    names = [name for name in arguments if name not in {"--yes", "--current"}]
    if len(names) != 1:
        raise InputError(f"dalsegno.replay: got {len(names)} capsules, want one folder")
    capsule = open_capsule(Path(names[0]).absolute())
    if "--yes" in arguments:
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

    prepared = prepare_replay(capsule, current="--current" in arguments)
    outcome = play(prepared, stop, is_logged=False)
    if raised:
        raise raised[0]
    sys.stderr.write(f"replay {outcome.number}: passes, outputs in {outcome.folder / 'outputs'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
