"""Fixtures that many tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dalsegno.engine.run import run_pipeline
from dalsegno.engine.spec import Pipeline
from dalsegno.runs.record import RunRecord
from dalsegno.store import Store, open_store

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell started us in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.servers", "tests.containers"]


@pytest.fixture(autouse=True)
def _clean_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DALSEGNO_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in an empty folder."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def run(store: Store) -> Callable[..., RunRecord]:
    """Compile a pipeline object and run it in the test's store."""
    from dalsegno.cli.pipelines import compile_object

    def play(component: Any, **arguments: Any) -> RunRecord:
        compiled = component if isinstance(component, Pipeline) else compile_object(component)
        return run_pipeline(compiled, arguments, store)

    return play
