"""`capsule`: one task with its inputs and its code, to look at, to send, to clear away."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dalsegno.cli.output import console, print_json
from dalsegno.cli.replaying import build, refuse_absent, shown
from dalsegno.errors import InputError
from dalsegno.terminal import visible

if TYPE_CHECKING:
    from dalsegno.replay.capsule import Manifest
    from dalsegno.runs.record import TaskRecord

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_VALUE_LENGTH = 70

app = typer.Typer(
    help="One task with its inputs and its code: look at it, send it, clear it away.",
    no_args_is_help=True,
)


def register(main: typer.Typer) -> None:
    """Add the commands."""
    main.add_typer(app, name="capsule")


@app.command()
def export(
    address: str = typer.Argument(help="RUN/TASK[/ATTEMPT]; RUN alone means its failed task."),
    file: Path = typer.Argument(help="File to write, such as task.capsule."),
) -> None:
    """Write a task's capsule as one file, to be played on another machine.

    Example: dalsegno capsule export 7f3a/train-model train.capsule
    """
    from dalsegno.replay.archive import export_capsule

    capsule, _ = build(address)
    size = export_capsule(capsule, file)
    out = console()
    out.print(f"{file}: {capsule.manifest.address}, {size:,} bytes", markup=False, soft_wrap=True)
    out.print(f"  play it anywhere: dalsegno replay {file}", markup=False, soft_wrap=True)
    for name in capsule.manifest.left_out:
        out.print(f"  left out {name}: it looks like a secret", markup=False)


@app.command()
def show(
    address: str = typer.Argument(help="A capsule's FILE or folder, or RUN/TASK[/ATTEMPT]."),
    source: bool = typer.Option(False, "--source", help="Print the source text of the component."),
    as_json: bool = typer.Option(False, "--json", help="Print manifest and record as JSON."),
) -> None:
    """Show what a capsule holds; nothing of it is run.

    Example: dalsegno capsule show train.capsule --source
    """
    manifest, record, text = _read(address)
    if source:
        if text is None:
            raise InputError(f"capsule {address}: got a container component, want Python source")
        typer.echo(visible(text))
    elif as_json:
        print_json({"manifest": manifest, "record": record})
    else:
        _print(manifest, record)


@app.command()
def prune(
    older_than: str | None = typer.Option(
        None, help="Remove those not used for so long, such as 30d, 12h, 2w; 0d removes all."
    ),
    keep: int | None = typer.Option(None, min=0, help="Keep so many of the last used at most."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be removed."),
) -> None:
    """Remove capsules that were not used for long; they are built anew when they are asked for.

    Without options it goes by the setting `capsule_retention_days`.

    Example: dalsegno capsule prune --older-than 7d
    """
    from dalsegno.replay.shelf import file_shelf, kept_capsules, remove_capsule, shelf, to_prune
    from dalsegno.settings import load_settings, open_default_store

    settings = load_settings()
    age = parse_age(older_than) if older_than else None
    if age is None and keep is None:
        age = timedelta(days=settings.capsule_retention_days)
    roots = (shelf(open_default_store(settings)), file_shelf())
    kept = kept_capsules(*roots)
    doomed = to_prune(kept, age, keep)
    out = console()
    for item in doomed:
        if not dry_run:
            remove_capsule(item, next(root for root in roots if item.folder.is_relative_to(root)))
        out.print(f"  {item.address}  {item.size_bytes:,} bytes", markup=False, soft_wrap=True)
    freed = sum(item.size_bytes for item in doomed)
    verb = "would remove" if dry_run else "removed"
    out.print(f"{verb} {len(doomed)} of {len(kept)} capsules, {freed:,} bytes")


def parse_age(text: str) -> timedelta:
    """Read an age such as `30d`.

    Raises:
        InputError: It is no number with a unit behind it.
    """
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if found is None:
        raise InputError(f"--older-than: got {text!r}, want a number and m, h, d or w, such as 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _read(address: str) -> tuple[Manifest, TaskRecord, str | None]:
    from dalsegno.replay.archive import read_texts
    from dalsegno.replay.capsule import SOURCE, open_capsule

    path = Path(address)
    if path.is_file():
        manifest, record, texts = read_texts(path)
        return manifest, record, texts[SOURCE].decode() if SOURCE in texts else None
    refuse_absent(path)
    is_folder = path.is_dir() and (path / "capsule.json").is_file()
    capsule = open_capsule(path) if is_folder else build(address)[0]
    text = capsule.source.read_text("utf-8") if capsule.source else None
    return capsule.manifest, capsule.record, text


def _print(manifest: Manifest, record: TaskRecord) -> None:
    _line("capsule", f"{manifest.address} of pipeline {manifest.pipeline}")
    _line("state", f"{record.state}{_error(record)}")
    _line("component", f"{record.component}, image {record.image or 'none'}")
    environment = manifest.environment
    packages = len(environment.get("packages", {}))
    _line("code", f"commit {manifest.commit or 'unknown'}")
    _line("python", f"{environment.get('python') or record.python}, {packages} packages recorded")
    for name, value in record.executor_input.get("inputs", {}).get("parameterValues", {}).items():
        _line("parameter", f"{name} = {str(value)[:_VALUE_LENGTH]}")
    for name, items in manifest.inputs.items():
        for item in items:
            what = f"{item.size_bytes:,} bytes  {item.sha256[:12]}" if item.sha256 else "no file"
            _line("input", f"{name}  {what}  {item.uri}")
    for name, value in record.environment.items():
        _line("variable", f"{name} = {value[:_VALUE_LENGTH]}")
    for name in manifest.left_out:
        _line("left out", f"{name}: it looks like a secret")
    for source in manifest.sources:
        _line("source", shown(Path(source)))


def _line(subject: str, text: Any) -> None:
    console().print(f"{subject:10} {text}", markup=False, soft_wrap=True)


def _error(record: TaskRecord) -> str:
    return f", {record.error['type']}: {record.error['message']}" if record.error else ""
