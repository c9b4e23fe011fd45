"""`compile`: write every pipeline and component as KFP YAML, or check what is committed."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import typer

from dalsegno import images
from dalsegno.cli.output import console
from dalsegno.errors import InputError, NotFoundError

_SHOWN = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile")(compile_all)


def compile_all(
    names: list[str] = typer.Argument(None, help="Pipelines or components; default: all of ours."),
    output: Path = typer.Option(Path("build"), help="Folder for the YAML files."),
    check: bool = typer.Option(False, "--check", help="Write nothing; fail where a file differs."),
    image_prefix: str = typer.Option("", help="Registry and folder of the images; default: ours."),
    tag: str = typer.Option("", help="Tag of the images; with --image-prefix: of the context."),
    digests: Path | None = typer.Option(
        None, help="Images by digest, as `dalsegno images --push` wrote them."
    ),
) -> None:
    """Compile pipelines and components to KFP v2 YAML, the same bytes each time.

    Example: dalsegno compile --image-prefix registry.example/team --output build/team
    """
    texts = renamed_texts(names or None, other_images(image_prefix, tag, digests))
    if check:
        check_texts(texts, output, is_whole=not names)
        console().print(f"{len(texts)} files in {output} are as compiled")
        return
    write_texts(texts, output)


def write_texts(texts: dict[str, str], folder: Path) -> None:
    """Write texts by file name into a folder, and say so."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    console().print(f"wrote {len(texts)} files to {folder}")


def other_images(prefix: str, tag: str, digests: Path | None) -> dict[str, str]:
    """Name the images to compile for, by family; none where the constants are wanted.

    Raises:
        InputError: Both a name and digests are given, or the digests cannot be read.
    """
    if digests is not None:
        if prefix or tag:
            raise InputError("--digests: got --image-prefix or --tag too, want one or the other")
        return _read_digests(digests)
    if not prefix and not tag:
        return {}
    if not tag:
        from dalsegno.imaging.context import context_tag

        tag = context_tag()
    return {name: images.image_name(name, prefix or images.PREFIX, tag) for name in images.FAMILIES}


def renamed_texts(names: list[str] | None, renamed: dict[str, str]) -> dict[str, str]:
    """Compile as `compiled_texts` does, for other images by family."""
    texts = compiled_texts(names)
    return {name: images.rename_images(text, renamed) for name, text in texts.items()}


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
        InputError: A file is missing, differs, or (of the whole) is left over.
    """
    there = {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}
    found = {
        "missing": [name for name in texts if name not in there],
        "changed": [name for name, text in texts.items() if there.get(name, text) != text],
        "left over": [name for name in there if is_whole and name not in texts],
    }
    told = [f"{len(names)} {what} ({_some(names)})" for what, names in found.items() if names]
    if told:
        command = "make compile"
        if found["left over"]:
            command = f"rm {' '.join(str(folder / name) for name in found['left over'])}"
        raise InputError(f"{folder}: got {'; '.join(told)}, want what the code gives", command)


def _some(names: list[str]) -> str:
    more = f", {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _read_digests(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise NotFoundError(f"digests {path}: no such file", "dalsegno images --push")
    try:
        named: dict[str, str] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"digests {path}: got {error}, want JSON") from error
    is_right = isinstance(named, dict) and all(
        family in images.FAMILIES and isinstance(name, str) and "@sha256:" in name
        for family, name in named.items()
    )
    if not is_right:
        known = ", ".join(images.FAMILIES)
        raise InputError(f"digests {path}: got other content, want NAME@sha256:… by {known}")
    return named


def _component_loader(name: str) -> Any:
    def load() -> Any:
        return getattr(importlib.import_module(f"components.{name}.component"), name)

    return load
