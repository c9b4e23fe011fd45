"""The example for CI runs commands that exist."""

from __future__ import annotations

import re

import typer.main
import yaml

from dalsegno.cli.main import app
from dalsegno.imaging.context import ROOT

TEXT = (ROOT / "docs" / "ci.example.yaml").read_text()


def options_of(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]
    return {option for parameter in command.params for option in parameter.opts}


def test_it_uses_options_and_targets_that_exist():
    for line in re.findall(r"\.venv/bin/dalsegno (images|compile) (.+)", TEXT):
        assert set(re.findall(r"--[a-z-]+", line[1])) <= options_of(line[0])
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)$", TEXT, re.M):
        assert re.search(rf"^{target}:", makefile, re.M)


def test_it_pins_runners_and_gives_least_rights():
    document = yaml.safe_load(TEXT)
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert "latest" not in job["runs-on"]
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert "run" in step or re.fullmatch(r"[\w/-]+@v\d+", step["uses"])
