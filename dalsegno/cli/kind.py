"""`kind up`, `kind load`, `kind down`: a cluster on this machine."""

from __future__ import annotations

import typer

from dalsegno.cli.output import console
from dalsegno.images import FAMILIES, PREFIX, image_name

commands = typer.Typer(
    no_args_is_help=True, help="A kind cluster with KFP and our manifests, for trying things out."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="kind")


@commands.command()
def up(
    forward: bool = typer.Option(True, help="Then forward the ports, until Ctrl-C."),
) -> None:
    """Create the cluster, or bring it up to date: KFP 2.17.0, MLflow, the model server."""
    from dalsegno.imaging import kind
    from dalsegno.imaging.context import ROOT

    kind.up(ROOT, _tell)
    _tell("the images come by: make kind-load")
    if forward:
        _tell("forwarding until Ctrl-C: KFP http://127.0.0.1:8888, its UI http://127.0.0.1:8080,")
        _tell("  object store 127.0.0.1:9000, MLflow http://127.0.0.1:5000")
        _forward()


@commands.command()
def load() -> None:
    """Build the images, load them into the cluster, and compile pipelines for them."""
    from importlib.metadata import version

    from dalsegno.cli.compiling import renamed_texts, write_texts
    from dalsegno.cli.imaging import build_all
    from dalsegno.commit import current_commit
    from dalsegno.imaging import kind
    from dalsegno.imaging.builder import Plan
    from dalsegno.imaging.context import ROOT, context_tag

    kind.check_programs()
    tag = context_tag()
    names = {family: image_name(family, PREFIX, tag) for family in FAMILIES}
    build_all("docker", names, Plan(version=version("dalsegno"), commit=current_commit()))
    kind.load(ROOT, names, _tell)
    write_texts(renamed_texts(None, names), ROOT / "build" / "kind")


@commands.command()
def down() -> None:
    """Delete the cluster and all that is in it."""
    from dalsegno.imaging import kind

    kind.down()


def _forward() -> None:
    from dalsegno.imaging import kind

    processes = kind.forward()
    try:
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.terminate()


def _tell(text: str) -> None:
    console().print(text, markup=False, soft_wrap=True)
