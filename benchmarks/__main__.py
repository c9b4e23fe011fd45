"""Runs benchmarks one after the other, then sums up what they measured.

Run: `.venv/bin/python -m benchmarks [NAME…]`, without names all of them. Each is a process of its
own, so that none measures what another has imported.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
HELPERS = {"__init__", "__main__", "kfp_local", "load"}
Figure = dict[str, Any]


def known() -> list[str]:
    """Name every benchmark of this folder."""
    return sorted({path.stem for path in FOLDER.glob("*.py")} - HELPERS)


def play(name: str) -> tuple[int, list[str]]:
    """Run a benchmark; show its lines as they come, and return them with its exit code."""
    command = [sys.executable, "-P", "-m", f"benchmarks.{name}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            lines.append(line)
    return process.returncode, lines


def read(lines: list[str]) -> list[dict[str, Any]]:
    """Read the lines that are JSON objects."""
    return [json.loads(line) for line in lines if line.startswith("{")]


def judge(name: str, measured: float, wanted: str, ok: bool) -> Figure:
    """Make a line of the summary."""
    return {"figure": name, "measured": measured, "wanted": wanted, "ok": bool(ok)}


def judge_batches(documents: list[dict[str, Any]]) -> list[Figure]:
    """Judge the alarms of `clean_batches`."""
    found = {each["scenario"]: each for each in documents}
    clean, covariate = found["none"], found["covariate"]
    return [
        judge(
            f"alarms in {clean['batches']} clean batches",
            clean["with_alarm"],
            "<= 1",
            clean["with_alarm"] <= 1,
        ),
        judge(
            "covariate batches with an alarm",
            covariate["with_alarm"],
            f"= {covariate['batches']}",
            covariate["with_alarm"] == covariate["batches"],
        ),
    ]


def judge_gate(documents: list[dict[str, Any]]) -> list[Figure]:
    """Judge the refusals of `gate_power`; losses that nothing is wanted of are passed over."""
    figures = []
    for case in documents:
        loss, share = case["true_loss"], case["refused_share"]
        name = f"refusals at a true loss of {loss} AUC (correlation {case['correlation']})"
        if loss == 0:
            figures.append(judge(name, share, "<= 0.05", share <= 0.05))
        if loss >= 0.02:
            figures.append(judge(name, share, ">= 0.9", share >= 0.9))
    return figures


def judge_titanic(lines: list[str]) -> list[Figure]:
    """Judge the AUC of `titanic_auc`, and the lower end of the gain's interval."""
    said = "".join(lines)
    auc = float(_found(r"AUC of the line\s+(\S+)", said))
    low = float(_found(r"gain, .*\[(\S+),", said))
    return [
        judge("Titanic: mean AUC", auc, ">= 0.85", auc >= 0.85),
        judge("Titanic: gain over regression, lower end", low, "> 0", low > 0),
    ]


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if not match:
        raise LookupError(pattern)
    return match[1]


JUDGES: dict[str, Callable[[list[str]], list[Figure]]] = {
    "clean_batches": lambda lines: judge_batches(read(lines)),
    "gate_power": lambda lines: judge_gate(read(lines)),
    "titanic_auc": judge_titanic,
}


def figures_of(name: str, code: int, lines: list[str]) -> list[Figure]:
    """Give the lines of the summary: the benchmark's own, or one about its exit code."""
    figures = [figure for each in read(lines) for figure in each.get("figures", [])]
    if name in JUDGES:
        with contextlib.suppress(LookupError):  # it broke before it had measured all
            figures = JUDGES[name](lines)
    has_missed = any(not figure["ok"] for figure in figures)
    if not figures or (code and not has_missed):
        figures.append(judge(f"{name}: exit code", code, "= 0", code == 0))
    return figures


def main(names: list[str]) -> int:
    """Run benchmarks and print the summary; exit 1 when a figure is missed."""
    unknown = sorted(set(names) - set(known()))
    if unknown:
        print(f"benchmarks: got {', '.join(unknown)}, want some of {', '.join(known())}")
        return 2
    figures: list[Figure] = []
    for name in names or known():
        print(f"{name}:", flush=True)
        start = time.perf_counter()
        figures += figures_of(name, *play(name))
        print(f"  ({time.perf_counter() - start:.0f} s)\n", flush=True)
    width = max(len(figure["figure"]) for figure in figures)
    for figure in figures:
        verdict = "ok" if figure["ok"] else "MISSED"
        print(
            f"{figure['figure']:{width}}  {figure['measured']:>8}  "
            f"wanted {figure['wanted']:<8}  {verdict}"
        )
    return 0 if all(figure["ok"] for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
