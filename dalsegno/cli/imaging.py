"""`images`: build the container images, print their sizes, push them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dalsegno.cli.output import console, print_table
from dalsegno.errors import InputError
from dalsegno.images import FAMILIES, PREFIX, image_name

if TYPE_CHECKING:
    from dalsegno.imaging.builder import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(images)


def images(
    families: list[str] = typer.Argument(
        None, help="data, training, serving, mlflow; default all."
    ),
    prefix: str = typer.Option(PREFIX, help="Registry and folder before the images' names."),
    tag: str = typer.Option("", help="Default: the digest of the build context."),
    base_image: str = typer.Option("", help="What they start from; default: the Dockerfile's."),
    builder: str = typer.Option("", help="docker, podman or buildah; default: the first that is."),
    pip_config: Path | None = typer.Option(
        None, envvar="PIP_CONFIG_FILE", help="Lend the build pip's configuration."
    ),
    certificates: Path | None = typer.Option(
        None, envvar="SSL_CERT_FILE", help="Lend the build CA certificates."
    ),
    network: str = typer.Option("", help="Network of the build, such as host."),
    push: bool = typer.Option(False, "--push", help="Push them, and write their digests."),
    digests: Path = typer.Option(Path("digests.json"), help="File for the digests."),
) -> None:
    """Build the images of the components, the server and MLflow.

    Example: dalsegno images data training --prefix registry.example/team --push
    """
    from importlib.metadata import version

    from dalsegno.commit import current_commit
    from dalsegno.imaging import builder as building
    from dalsegno.imaging.context import context_tag

    unknown = sorted(set(families or []) - set(FAMILIES))
    if unknown:
        raise InputError(f"family: got {unknown[0]!r}, want one of {', '.join(FAMILIES)}")
    names = {
        family: image_name(family, prefix, tag or context_tag()) for family in families or FAMILIES
    }
    program = building.find_program(builder)
    lent = {"pip_config": pip_config, "certificates": certificates}
    secrets = {name: path.absolute() for name, path in lent.items() if path and path.is_file()}
    plan = building.Plan(
        base_image, version("dalsegno"), current_commit(), secrets=secrets, network=network
    )
    build_all(program, names, plan)
    if push:
        pushed = {family: building.push(program, name) for family, name in names.items()}
        digests.write_text(json.dumps(pushed, indent=2) + "\n")
        console().print(f"wrote {digests}", markup=False, soft_wrap=True)


def build_all(program: str, names: dict[str, str], plan: Plan) -> None:
    """Build images by family, and print their sizes."""
    from dalsegno.imaging import builder as building
    from dalsegno.imaging.context import ROOT

    rows = []
    for family, name in names.items():
        console().print(f"building {name} with {program}", markup=False, soft_wrap=True)
        building.build(program, family, name, plan, ROOT)
        rows.append((name, f"{building.size_bytes(program, name) / 1e6:.0f}"))
    print_table(("image", "MB"), rows)
