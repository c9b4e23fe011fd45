"""`demo`: the whole loop on the real Titanic passengers, scripted and checked."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_table, seconds
from dalsegno.errors import InputError, TaskFailedError

if TYPE_CHECKING:
    import pandas as pd

    from dalsegno.engine.warm import WarmWorkers
    from dalsegno.runs.record import RunRecord
    from dalsegno.serving.process import ServerProcess

ENDPOINT = "titanic"
_MARKER = "demo.json"
_SETTINGS = 'store_uri = ".dalsegno"\n'
_TRIALS = 10
_SMALLEST = 1e-6
_SHOWN, _WIDE = 5, 110


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    folder: Path = typer.Argument(Path("demo"), help="Where to work; made anew each time."),
    jobs: int | None = typer.Option(None, min=1, help="Tasks at once; default: the cores."),
) -> None:
    """Run the whole loop on the Titanic passengers: train, release, serve, drift, roll back."""
    from dalsegno.engine.warm import WarmWorkers

    prepare(folder)
    with WarmWorkers() as workers:
        story = Story(folder.absolute(), workers, jobs)
        try:
            first_run(story)
            second_run(story)
        finally:
            story.write()
    story.tell()


def prepare(folder: Path) -> None:
    """Make an empty demo folder, in place of an earlier demo's.

    Raises:
        InputError: Something else is in the folder.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise InputError(f"{folder}: got a folder that is in use, want an empty one")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).write_text("{}")
    (folder / "dalsegno.toml").write_text(_SETTINGS)
    os.environ["DALSEGNO_STORE_URI"] = str(folder.absolute() / ".dalsegno")


@dataclass
class Story:
    """What the demo did, step by step."""

    folder: Path
    workers: WarmWorkers
    jobs: int | None
    started: float = field(default_factory=time.monotonic)
    runs: list[tuple[str, RunRecord]] = field(default_factory=list)
    findings: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)

    def run(self, step: str, pipeline: str, **arguments: Any) -> RunRecord:
        """Run one pipeline and show its progress."""
        from dalsegno.cli.pipelines import load_pipeline
        from dalsegno.cli.progress import Progress
        from dalsegno.cli.running import start

        console().print(f"\n{step}", markup=False)
        compiled = load_pipeline(pipeline)
        with Progress(pipeline) as progress:
            record = start(
                compiled, arguments, jobs=self.jobs, listener=progress.tell, workers=self.workers
            )
        self.runs.append((step, record))
        return record

    def succeed(self, step: str, pipeline: str, **arguments: Any) -> Any:
        """Run a pipeline that must succeed, and return its output."""
        record = self.run(step, pipeline, **arguments)
        self.check(record.state == "succeeded", f"{step}: got {record.error}, want success")
        return record.outputs["parameters"]["Output"]

    def check(self, holds: bool, message: str) -> None:
        """Stop the demo where something is not as it must be.

        Raises:
            TaskFailedError: It is not.
        """
        if not holds:
            record = self.runs[-1][1]
            raise TaskFailedError(f"demo: {message}", f"dalsegno show {record.run_id}")

    def returned(self, task: str) -> dict[str, Any]:
        """Return the output parameters of a task of the last run."""
        return dict(self._output(task).get("parameterValues", {}))

    def verdict(self, task: str) -> dict[str, Any]:
        """Return what the gate decided in the last run: `blessed` and `reasons`."""
        return dict(self._output(task)["artifacts"]["verdict"]["artifacts"][0]["metadata"])

    def _output(self, task: str) -> dict[str, Any]:
        from dalsegno.runs.reader import read_task
        from dalsegno.settings import open_default_store

        record = read_task(open_default_store(), self.runs[-1][1], task)
        return record.executor_output or {}

    def keep_report(self, name: str, task: str) -> None:
        """Copy the HTML report of a task of the last run to where a person finds it."""
        from dalsegno.runs.reader import read_task
        from dalsegno.settings import open_default_store

        record = read_task(open_default_store(), self.runs[-1][1], task)
        target = self.folder / "reports" / f"{name}.html"
        target.parent.mkdir(exist_ok=True)
        uri = record.executor_input["outputs"]["artifacts"]["report"]["artifacts"][0]["uri"]
        shutil.copyfile(uri, target)
        self.reports[name] = str(target)

    def write(self) -> None:
        """Write `demo.json`."""
        import json
        from dataclasses import asdict

        steps = [
            {"step": step, "run_id": run.run_id, "state": run.state, "seconds": run.seconds}
            | {"tasks": {path: asdict(task) for path, task in run.tasks.items()}}
            for step, run in self.runs
        ]
        took = round(time.monotonic() - self.started, 1)
        document = {"seconds": took, **self.findings, "reports": self.reports, "steps": steps}
        (self.folder / _MARKER).write_text(json.dumps(document, indent=1))

    def tell(self) -> None:
        """Print the summary."""
        out = console()
        rows = [
            (step.partition(":")[0], path, task.state, seconds(task.seconds))
            for step, run in self.runs
            for path, task in run.tasks.items()
        ]
        print_table(("step", "task", "state", "seconds"), rows, title="Tasks")
        for name, value in self.findings.items():
            text = f"  {name.replace('_', ' '):28} {_plain(value)}"
            out.print(text, markup=False, soft_wrap=True)
        out.print(f"  {'seconds':28} {time.monotonic() - self.started:.1f}", markup=False)
        out.print("\nReports, to open in a browser:")
        for path in self.reports.values():
            out.print(f"  {path}", markup=False, soft_wrap=True)
        failed = next(run.run_id for _, run in self.runs if run.state == "failed")
        out.print(f"\nTry next, in {self.folder}:", markup=False, soft_wrap=True)
        command = os.path.relpath(Path(sys.executable).with_name("dalsegno"), self.folder)
        looks = ("runs", f"show {failed}", f"replay {failed}")
        for line in (*looks, f"releases {ENDPOINT}", f"serve {ENDPOINT}"):
            out.print(f"  {command} {line}", markup=False, soft_wrap=True)


def first_run(story: Story) -> None:
    """Real passengers: train, release, serve, predict, monitor."""
    blessed = story.succeed("1 loop: real passengers, no champion yet", "loop", trials=_TRIALS)
    verdict = story.verdict("compare-models")
    story.check(blessed, f"the gate refused: {verdict['reasons']}")
    action = story.returned("condition-1/monitor-predictions")["action"]
    story.check(action == "none", f"monitoring asks for {action!r}, want 'none'")
    story.findings["auc_first"] = story.returned("evaluate-model")["Output"]
    story.keep_report("1-evaluation", "evaluate-model")
    story.keep_report("1-gate", "compare-models")
    story.keep_report("1-monitoring", "condition-1/monitor-predictions")


def second_run(story: Story) -> None:
    """Simulated arrivals beside a live server: quiet, broken, drifted; retrain and roll back."""
    from dalsegno.serving.process import start_server

    settings = _environment()
    log_path = story.folder / "server.log"
    with start_server(ENDPOINT, log_path=log_path, environment=settings) as server:
        first = ask(story, server, release=1)
        story.findings["served_by_first"] = _shares(first)
        quiet_batch(story)
        broken_batch(story)
        reference = drifted_batch(story)
        retrain(story, reference)
        second = ask(story, server, release=2)
        story.findings["served_by_second"] = _shares(second)
        story.findings["releases"] = roll_back()
        again = ask(story, server, release=3)
        same = (again["probability"] - first["probability"]).abs().max() < _SMALLEST
        story.check(bool(same), "after the rollback the server answers unlike the first release")
        differs = (second["probability"] - first["probability"]).abs().max() > _SMALLEST
        story.check(bool(differs), "the second release answers like the first")


def quiet_batch(story: Story) -> None:
    """Passengers like those of the training: no alarm."""
    uri = story.succeed("2 arrivals: like before", "simulation", rows=1500, seed=11)
    story.findings["alarms_quiet"] = _monitor(story, "2 quiet", uri, "none")


def broken_batch(story: Story) -> None:
    """Broken tables: the line stops, and the champion goes on."""
    uri = story.succeed("3 arrivals: broken", "simulation", scenario="broken", rows=1500, seed=12)
    record = story.run(
        "3 features: must stop", "feature", tables_uri=uri, dataset="titanic-traffic"
    )
    states = {path: task.state for path, task in record.tasks.items()}
    stopped = states["validate-examples"] == "failed" and all(
        states[name] == "skipped" for name in ("build-features", "publish-dataset")
    )
    story.check(stopped, f"broken examples went on: {states}")
    story.findings["broken"] = (record.tasks["validate-examples"].error or "").splitlines()
    story.keep_report("3-broken", "validate-examples")


def drifted_batch(story: Story) -> str:
    """Other passengers, labelled: the drift alarm, which asks for retraining."""
    uri = story.succeed(
        "4 arrivals: drifted", "simulation", scenario="covariate", rows=9000, seed=13
    )
    story.findings["alarms_drifted"] = _monitor(story, "4 drifted", uri, "retrain")
    story.keep_report("4-drift", "monitor-predictions")
    return str(story.succeed("4 features: as training data", "feature", tables_uri=uri))


def retrain(story: Story, dataset: str) -> None:
    """Train on the new data: refused on the stale golden data set, blessed on a renewed one."""
    uri = story.succeed(
        "5 arrivals: for the golden data set",
        "simulation",
        scenario="covariate",
        rows=8000,
        seed=14,
        arrivals="titanic-reserve-raw",
    )
    reserve = story.succeed(
        "5 features: for the golden data set", "feature", tables_uri=uri, dataset="titanic-reserve"
    )
    given = {"dataset": dataset, "reserve": reserve, "trials": _TRIALS}
    blessed = story.succeed("5 training: stale golden data set", "training", **given)
    story.findings["refused_on_stale_golden"] = story.verdict("compare-models")["reasons"]
    story.check(not blessed, "the gate blessed on a stale golden data set")
    story.keep_report("5-gate-stale", "compare-models")
    blessed = story.succeed(
        "6 training: renewed golden data set", "training", renew_golden=True, **given
    )
    verdict = story.verdict("compare-models")
    story.check(blessed, f"the gate refused the challenger: {verdict['reasons']}")
    story.findings["blessed_on_renewed_golden"] = verdict["reasons"]
    story.findings["auc_second"] = story.returned("evaluate-model")["Output"]
    story.keep_report("6-gate", "compare-models")


def roll_back() -> list[str]:
    """Go back to the first release, and list all."""
    from dalsegno import releases
    from dalsegno.settings import open_default_store

    store = open_default_store()
    console().print("\n7 rollback: to release 1")
    releases.follow(
        releases.roll_back(store, ENDPOINT, to=1, reason="demo: back to the first", who="demo")
    )
    return [
        f"{item.number} {item.state}: {item.reason}" for item in releases.history(store, ENDPOINT)
    ]


def ask(story: Story, server: ServerProcess, release: int) -> pd.DataFrame:
    """Ask the server about the first passengers, once it answers with a release."""
    import tempfile

    import pandas as pd

    from dalsegno import datasets
    from dalsegno.serving.access import own_token
    from dalsegno.serving.client import infer, wait_until_ready
    from dalsegno.settings import open_default_store

    wait_until_ready(server.url, 30, endpoint=ENDPOINT, release=release)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "features"
        datasets.fetch(open_default_store(), "titanic@1", path)
        rows = pd.read_parquet(path).head(100)
        answers = infer(server.url, ENDPOINT, rows, token=own_token())
    got = sorted(set(answers["release"].astype(int)))
    story.check(got == [release], f"the server answers with release {got}, want {release}")
    console().print(
        f"  server at {server.url} answers with release {release}, mean probability "
        f"{answers['probability'].mean():.3f}",
        markup=False,
    )
    return answers


def _monitor(story: Story, step: str, uri: str, want: str) -> list[str]:
    reference = story.succeed(
        f"{step}: features", "feature", tables_uri=uri, dataset="titanic-traffic"
    )
    predicted = story.succeed(f"{step}: predictions", "inference", dataset=reference)
    action = story.succeed(f"{step}: monitoring", "monitoring", predictions=predicted)
    alarms = story.returned("monitor-predictions")["alarms"]
    found = [f"{alarm['kind']}: {alarm['subject']}: {alarm['got']}" for alarm in alarms]
    story.check(action == want, f"monitoring asks for {action!r} ({found}), want {want!r}")
    return found


def _environment() -> dict[str, str]:
    from dalsegno.settings import load_settings

    return load_settings().environment()


def _shares(answers: pd.DataFrame) -> str:
    share = float(answers["decision"].astype(int).mean())
    return f"{share:.0%} of 100 passengers predicted to survive"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if not isinstance(value, list):
        return str(value)
    shown = [_short(str(item)) for item in value[:_SHOWN]]
    if len(value) > _SHOWN:
        shown.append(f"(+{len(value) - _SHOWN} more in {_MARKER})")
    return ("\n" + " " * 31).join(shown) or "none"


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
