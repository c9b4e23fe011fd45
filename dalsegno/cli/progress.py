"""Progress of a run: what works now in a live line, what ended in lines that stay."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dalsegno.cli.output import visible_console
from dalsegno.terminal import visible

if TYPE_CHECKING:
    from rich.live import Live

    from dalsegno.engine.context import TaskEvent

_MARKS = {
    "succeeded": ("✓", "green"),
    "cached": ("=", "cyan"),
    "failed": ("✗", "red"),
    "skipped": ("-", "bright_black"),
    "cancelled": ("!", "magenta"),
}


class Progress:
    """Prints a line for every task that ends; on a terminal also which ones work.

    Args:
        title: What runs.
        is_quiet: Print nothing.
    """

    def __init__(self, title: str, *, is_quiet: bool = False) -> None:
        self.title = title
        self.is_quiet = is_quiet
        self.working: dict[str, float] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if not self.is_quiet:
            from rich.live import Live

            console = visible_console(highlight=False)
            self._live = Live(console=console, get_renderable=self._line, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self.working.clear()
            self._live.stop()

    def tell(self, event: TaskEvent) -> None:
        """Show one event."""
        if not self._live:
            return
        if event.state == "running":
            self.working[event.path] = time.monotonic()
            return
        if event.state == "pending":
            self._live.console.print(
                f"    {event.path}: {event.message}", markup=False, soft_wrap=True
            )
            return
        self.working.pop(event.path, None)
        mark, colour = _MARKS.get(event.state, ("?", "yellow"))
        took = f"{event.seconds:6.2f} s" if event.seconds is not None else " " * 8
        why = f"  {_first_line(event.message)}" if event.message else ""
        from rich.markup import escape

        self._live.console.print(
            f"  [{colour}]{mark}[/{colour}] {took}  {escape(self.title)}/{escape(event.path)}"
            f"[dim]{escape(why)}[/dim]",
            soft_wrap=not sys.stdout.isatty(),
        )

    def _line(self) -> str:
        if not self.working or not sys.stdout.isatty():
            return ""
        now = time.monotonic()
        tasks = ", ".join(f"{path} {now - since:.0f} s" for path, since in self.working.items())
        return visible(f"  … {tasks}")


def _first_line(message: str) -> str:
    line = message.strip().splitlines()[0] if message.strip() else ""
    return line if len(line) <= 100 else line[:97] + "..."  # noqa: PLR2004
