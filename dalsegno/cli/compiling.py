"""`compile`: write every pipeline and component as KFP YAML, or check what is committed."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import typer

from dalsegno.cli.output import console
from dalsegno.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile")(compile_all)


def compile_all(
    names: list[str] = typer.Argument(None, help="Pipelines or components; default: all of ours."),
    output: Path = typer.Option(Path("build"), help="Folder for the YAML files."),
    check: bool = typer.Option(False, "--check", help="Write nothing; fail where a file differs."),
) -> None:
    """Compile pipelines and components to KFP v2 YAML, the same bytes each time."""
    texts = compiled_texts(names or None)
    if check:
        check_texts(texts, output, is_whole=not names)
        console().print(f"{len(texts)} files in {output} are as compiled")
        return
    output.mkdir(parents=True, exist_ok=True)
    for file_name, text in texts.items():
        (output / file_name).write_text(text)
    console().print(f"wrote {len(texts)} files to {output}")


def compiled_texts(names: list[str] | None = None) -> dict[str, str]:
    """Compile by name: pipelines first, then components; default all of ours.

    Returns:
        YAML text by file name.
    """
    from dalsegno.cli.pipelines import compile_object, known_pipelines, load_pipeline

    ours = {name: point.load for name, point in known_pipelines().items()}
    ours |= {name: _component_loader(name) for name in component_names()}
    if names is None:
        names = list(ours)
    texts = {}
    for name in names:
        pipeline = compile_object(ours[name]()) if name in ours else load_pipeline(name)
        texts[f"{Path(name).stem}.yaml"] = pipeline.text
    return texts


def component_names() -> list[str]:
    """List our components: the folders of the package `components`."""
    package = importlib.import_module("components")
    return sorted(item.name for item in pkgutil.iter_modules(package.__path__) if item.ispkg)


def check_texts(texts: dict[str, str], folder: Path, *, is_whole: bool) -> None:
    """Compare compiled texts with the files of a folder.

    Raises:
        InputError: A file differs, is missing, or (of the whole) is left over.
    """
    there = {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}
    differing = [name for name, text in texts.items() if there.get(name) != text]
    if is_whole:
        differing += sorted(set(there) - set(texts))
    if differing:
        raise InputError(
            f"{folder}: got {len(differing)} files that differ from the code "
            f"({', '.join(differing[:3])}), want none",
            "make compile",
        )


def _component_loader(name: str) -> Any:
    def load() -> Any:
        return getattr(importlib.import_module(f"components.{name}.component"), name)

    return load
