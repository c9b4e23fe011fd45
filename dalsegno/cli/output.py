"""How results look: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from dalsegno.errors import DalsegnoError
from dalsegno.terminal import visible

if TYPE_CHECKING:
    from rich.console import Console

GIVEN_STORE = "_DALSEGNO_GIVEN_STORE"
"""Environment name of what `--store` was given."""

_PIPE_COLUMNS = 200  # a program or a file reads: no need to fold at 80
_WHOLE = {"run", "task", "release", "number", "state"}  # what people copy stays on one line
_COLOURS = {
    "succeeded": "green",
    "cached": "cyan",
    "running": "yellow",
    "failed": "red",
    "lost": "red",
    "cancelled": "magenta",
    "skipped": "bright_black",
}


def console() -> Console:
    """Return a console on standard output."""
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return visible_console(highlight=False, soft_wrap=False, width=width)


def visible_console(**options: Any) -> Console:
    """Return a console that no text can command: all that is printed is made visible."""
    from rich.console import Console

    class VisibleConsole(Console):
        def print(self, *objects: Any, **how: Any) -> None:
            shown = (visible(item) if isinstance(item, str) else item for item in objects)
            super().print(*shown, **how)

    return VisibleConsole(**options)


def print_json(value: Any) -> None:
    """Print a value, dataclasses included, as JSON."""
    text = json.dumps(value, indent=2, default=_plain, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
    sys.stdout.write(text + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print rows below headings; states are coloured, None is left blank."""
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console().print(table)


def fail(error: DalsegnoError) -> None:
    """Say what went wrong and which command comes next."""
    sys.stderr.write(visible(f"error: {error}\n"))
    if error.next_command:
        sys.stderr.write(visible(f"  next: {as_typed(error.next_command)}\n"))


def as_typed(command: str) -> str:
    """Write a command that comes next with the store that this one was given by `--store`."""
    store = os.environ.get(GIVEN_STORE)
    if not store or not command.startswith("dalsegno "):
        return command
    return command.replace("dalsegno", f"dalsegno --store {shlex.quote(store)}", 1)


def shortened(text: str, length: int) -> str:
    """Keep the first line, cut a longer one, and say so by an ellipsis."""
    line, _, rest = text.strip().partition("\n")
    text = f"{line} …" if rest else line
    return text if len(text) <= length else f"{text[: length - 1]}…"


def seconds(value: float | None) -> str:
    """Write a duration for a table."""
    return "" if value is None else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _cell(value: Any) -> str:
    from rich.markup import escape

    text = "" if value is None else escape(visible(str(value)))
    colour = _COLOURS.get(text)
    return f"[{colour}]{text}[/{colour}]" if colour else text


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
