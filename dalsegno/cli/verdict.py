"""Prints the verdict on a replay."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.cli.output import console

if TYPE_CHECKING:
    from dalsegno.replay.capsule import Capsule
    from dalsegno.replay.outcome import Replayed
    from dalsegno.replay.verdict import Verdict
    from dalsegno.store import Store


def verdict_on(capsule: Capsule, replayed: Replayed, store: Store | None) -> Verdict:
    """Judge a replay by its record.

    Args:
        store: Of the recorded run; None where it is not known.
    """
    from dalsegno.replay.recorded import fetch_into
    from dalsegno.replay.verdict import judge

    with tempfile.TemporaryDirectory(prefix="dalsegno-") as folder:
        return judge(capsule, replayed, fetch_into(Path(folder), store))


def print_verdict(verdict: Verdict) -> None:
    """Print how a replay ended, then each output and each reason on a line."""
    out = console()
    colour = "green" if verdict.ending.is_good else "red"
    out.print(f"verdict: [{colour}]{verdict.ending}[/{colour}]", soft_wrap=True)
    width = max((len(item.name) for item in verdict.outputs), default=0)
    for item in verdict.outputs:
        line = f"  {item.kind:9}  {item.name:{width}}  {item.comparison}"
        out.print(line, markup=False, soft_wrap=True)
    for reason in verdict.reasons:
        out.print(f"  {reason}", markup=False, soft_wrap=True)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as it is printed by `--json`."""
    return {**asdict(verdict), "exit_code": verdict.exit_code}
