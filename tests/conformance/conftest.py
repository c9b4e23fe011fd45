"""Plays pipelines written in a test, each in a store of its own."""

from __future__ import annotations

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.reader import read_log, read_task
from dalsegno.store import open_store
from tests.servers import gcs_server, s3_server  # noqa: F401


@pytest.fixture(scope="session")
def workers():
    with WarmWorkers() as found:
        found.load([])
        yield found


class Player:
    """Runs pipelines in one store and looks at what became of their tasks."""

    def __init__(self, folder, workers):
        self.store = open_store(str(folder / "store"))
        self.workers = workers
        self.record = None

    def __call__(self, pipeline, arguments=None, **options):
        """Run a pipeline, whatever becomes of it."""
        options.setdefault("workers", self.workers)
        self.record = run_pipeline(compile_object(pipeline), arguments or {}, self.store, **options)
        return self.record

    def output(self, pipeline, arguments=None, **options):
        """Run a pipeline that must succeed, and return its output."""
        record = self(pipeline, arguments, **options)
        assert record.state == "succeeded", record.error
        parameters = record.outputs.get("parameters", {})
        return parameters["Output"] if set(parameters) == {"Output"} else parameters

    def task(self, path, attempt=None):
        """Read the record of a task of the last run."""
        return read_task(self.store, self.record, path, attempt)

    def inputs(self, path):
        """Return the input parameters that a task of the last run was given."""
        return self.task(path).executor_input["inputs"]["parameterValues"]

    def log(self, path):
        """Return what a task of the last run printed."""
        return read_log(self.store, self.task(path))

    def states(self):
        """Return the states of the tasks of the last run, by path."""
        return {path: str(task.state) for path, task in self.record.tasks.items()}


@pytest.fixture
def play(tmp_path, workers):
    return Player(tmp_path, workers)
