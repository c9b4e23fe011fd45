"""The page that compares the cluster with the local engine, written from the tests themselves.

A test says by `@construct(...)` which row of the table it shows. `make parity` writes the page; a
test compares what is there with what would be written.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

PAGE = Path(__file__).parents[2] / "docs/parity.md"
_MODULES = ("control_flow", "loops", "inputs", "outputs", "tasks", "containers", "platform")
_HEAD = """\
# What runs here as it runs on a cluster

Every row is shown by tests in [tests/conformance](../tests/conformance), which also write this page
(`make parity`). *Cluster* is what the driver and the launcher of KFP 2.17 do; *here* is the local
engine, `dalsegno run`.

A real KFP 2.17, built from its source, has run the tasks of the pipelines in
[recorded_pipelines.py](../tests/conformance/recorded_pipelines.py). What its driver handed to each
task is in [recorded](../tests/conformance/recorded), and `test_recorded.py` holds the local engine
to it: values of every type (defaults, optional, constants, outputs, in lists and objects), loops
and `Collected`, parameters inside strings, metadata of artifacts, nested pipelines, and the status
that an exit task is told. Seen there, too: a container's arguments, `ConcatPlaceholder` left as it
is, `dsl.TaskConfig` filled in, a default value that fails a command line, and a loop inside a loop
that fails as the outer one's list is not known there. ML Metadata was the real store, on SQLite
instead of MySQL; it gave 2^53 + 1 in an artifact's metadata back as 9007199254740990, which is not
so here. What else the rows say of a cluster rests on KFP's source.

| construct | cluster | here | shown by |
|---|---|---|---|
"""
Test = TypeVar("Test", bound=Callable[..., None])


@dataclass
class Row:
    """One construct of KFP."""

    construct: str
    cluster: str
    here: str
    module: str
    tests: list[str] = field(default_factory=list)


ROWS: dict[str, Row] = {}


def construct(name: str, cluster: str = "", here: str = "the same") -> Callable[[Test], Test]:
    """Let a test show a row; the first test of a row says what the row says."""

    def register(test: Test) -> Test:
        row = ROWS.setdefault(name, Row(name, cluster, here, test.__module__))
        assert row.cluster, f"{name}: the first test of a row says what the cluster does"
        row.tests.append(test.__name__)
        return test

    return register


def render() -> str:
    """Write the page."""
    modules = [f"tests.conformance.test_{name}" for name in _MODULES]
    for module in modules:
        importlib.import_module(module)
    rows = [
        f"| {row.construct} | {row.cluster} | {row.here} | {_shown(row.tests)} |"
        for row in sorted(ROWS.values(), key=lambda row: modules.index(row.module))
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _shown(tests: list[str]) -> str:
    return ", ".join(f"`{test}`" for test in dict.fromkeys(tests))
