"""`replay --prediction`: a released model answers a logged prediction once more, here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json
from dalsegno.cli.tracing import local_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from dalsegno.serving.again import PlayedPrediction


def replay_prediction(prediction_id: str, *, pdb: bool, listen: int | None, as_json: bool) -> None:
    """Let the model that answered answer again, in a debugger if asked for; exit 1 if it differs.

    Raises:
        InputError: It is no id, or columns were redacted.
        NotFoundError: There is no such prediction.
    """
    from dalsegno.serving.again import play_prediction
    from dalsegno.settings import open_default_store

    store = open_default_store()
    call = _in_pdb if pdb else _in_ide(listen) if listen is not None else None
    played = play_prediction(store, prediction_id, local_log(store), call=call)
    if as_json:
        print_json(_as_json(played))
    else:
        _print(played)
    if not played.is_identical:
        raise typer.Exit(1)


def _in_pdb(predict: Callable[..., Any], rows: Any) -> Any:
    """Stop at the first line of `predict`; `step` goes on into the encoding and the graph."""
    from pdb import Pdb

    return Pdb(skip=["importlib.*"]).runcall(predict, rows)


def _in_ide(port: int) -> Callable[..., Any]:
    def call(predict: Callable[..., Any], rows: Any) -> Any:
        from dalsegno.replay import debugger

        host, taken = debugger.listen(port)
        sys.stderr.write(f"waiting for an IDE on {host}:{taken}\n")
        debugger.wait_for_ide()
        import debugpy

        debugpy.breakpoint()
        return predict(rows)

    return call


def _as_json(played: PlayedPrediction) -> dict[str, Any]:
    return {
        "prediction_id": played.logged.id,
        "endpoint": played.logged.endpoint,
        "release": played.release,
        "recorded": played.recorded.tolist(),
        "played": played.played.tolist(),
        "identical": played.is_identical,
    }


def _print(played: PlayedPrediction) -> None:
    rows = len(played.recorded)
    verdict = "identical"
    if not played.is_identical:
        verdict = f"differs, by up to {played.largest_difference:.3g}"
    console().print(
        f"prediction {played.logged.id}: release {played.release} of {played.logged.endpoint}, "
        f"{rows} row{'s' if rows > 1 else ''}\n"
        f"  recorded {played.recorded[0]:.6f}, now {played.played[0]:.6f}: {verdict}",
        markup=False,
        soft_wrap=True,
    )
