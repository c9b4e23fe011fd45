"""The command line: parsing, printing, exit codes. Everything heavy is imported in a command."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

import typer

from dalsegno.cli import (
    capsules,
    cluster,
    comparing,
    compiling,
    demo,
    imaging,
    kind,
    looking,
    releasing,
    replaying,
    resuming,
    running,
    serving,
    tracing,
)
from dalsegno.cli.output import GIVEN_STORE, fail
from dalsegno.errors import DalsegnoError, TaskFailedError

FAILED, MISUSED, STOPPED = 1, 2, 130

app = typer.Typer(
    name="dalsegno",
    help="Run, inspect and release Kubeflow pipelines here; every task can be played again.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    running,
    looking,
    cluster,
    replaying,
    comparing,
    resuming,
    capsules,
    compiling,
    releasing,
    serving,
    tracing,
    imaging,
    kind,
    demo,
):
    module.register(app)


@app.callback()
def options(
    store: str | None = typer.Option(
        None, "--store", help="Object store: a folder, s3://…, minio://…, gs://…"
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Settings come from dalsegno.toml and DALSEGNO_… variables; options win over both."""
    if store:
        os.environ["DALSEGNO_STORE_URI"] = os.environ[GIVEN_STORE] = store
    if debug:
        os.environ["_DALSEGNO_DEBUG"] = "1"
    if not debug:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # of a retry only its end is news
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Run the command line; one line and the next command for every error that is ours."""
    with _errors():
        app()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except DalsegnoError as error:
        if os.environ.get("_DALSEGNO_DEBUG"):
            raise
        fail(error)
        sys.exit(FAILED if isinstance(error, TaskFailedError) else MISUSED)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
