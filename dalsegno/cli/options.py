"""Options that several commands have, each said once."""

from __future__ import annotations

import typer

COLD: bool = typer.Option(False, "--cold", help="Start every process afresh, fork none.")
IMAGE_MAP: list[str] = typer.Option(
    [], metavar="FROM=TO", help="Use image TO for FROM, both of which may hold *; repeatable."
)
JOBS: int | None = typer.Option(None, min=1, help="Tasks at once; default: the cores.")
