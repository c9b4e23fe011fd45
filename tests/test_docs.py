"""The README says what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from dalsegno.cli.compiling import component_names
from dalsegno.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def commands() -> dict[str, object]:
    return dict(typer.main.get_command(app).commands)


@pytest.mark.parametrize("name", component_names())
def test_component_has_readme_row(name):
    assert README.count(f"| `{name}` | ") == 1


def test_readme_names_only_commands_that_exist():
    named = set(re.findall(r"(?:\.venv/bin/)?dalsegno ([a-z]+)(?= )", README))
    assert named
    assert named <= set(commands()) | {"is"}


@pytest.mark.parametrize("name", sorted(commands()))
def test_command_has_help(name):
    command = commands()[name]
    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.name != "help")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", README, re.M))))
def test_readme_names_make_targets_that_exist(target):
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_readme_links_lead_somewhere(target):
    assert (ROOT / target).exists()
