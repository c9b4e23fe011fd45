"""The files of an image, and the digest that is its tag."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dalsegno.errors import ConfigurationError
from dalsegno.images import FAMILIES, image_name
from dalsegno.imaging.context import ROOT, context_files, context_tag


@pytest.fixture
def checkout(tmp_path):
    for name in [".dockerignore", *map(str, context_files())]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_context_holds_code_and_locks_and_nothing_else():
    files = [str(path) for path in context_files()]
    assert "dalsegno/images.py" in files
    assert "pipelines/titanic/settings.toml" in files
    assert {path.split("/")[0] for path in files} == {
        "components",
        "dalsegno",
        "docker",
        "pipelines",
        "pyproject.toml",
        "requirements",
    }
    assert not [path for path in files if "__pycache__" in path or path.endswith(".in.pyc")]


def test_tag_follows_the_content_alone(checkout):
    before = context_tag(checkout)
    assert before == context_tag()
    (checkout / "README.md").write_text("not in the context")
    cached = checkout / "dalsegno" / "__pycache__" / "x.pyc"
    cached.parent.mkdir()
    cached.write_bytes(b"bytecode")
    (checkout / "dalsegno" / "images.py").touch()
    assert context_tag(checkout) == before


@pytest.mark.parametrize("name", ["components/train_model/logic.py", "requirements/data.txt"])
def test_tag_changes_with_code_and_locks(checkout, name):
    before = context_tag(checkout)
    path = checkout / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert context_tag(checkout) != before


def test_tag_changes_with_a_name(checkout):
    before = context_tag(checkout)
    (checkout / "dalsegno" / "labels.py").rename(checkout / "dalsegno" / "label.py")
    assert context_tag(checkout) != before


def test_installed_package_has_no_context(tmp_path):
    with pytest.raises(ConfigurationError, match="want a checkout"):
        context_tag(tmp_path)


def test_names_have_a_tag_or_a_digest():
    digest = "sha256:" + 64 * "0"
    assert image_name("data", "here/", "1") == "here/data-python:1"
    assert image_name("mlflow", "here", digest) == f"here/mlflow@{digest}"


def test_every_family_is_a_target():
    text = (ROOT / "docker" / "Dockerfile").read_text()
    for family in FAMILIES:
        assert f"FROM runtime AS {family}\n" in text
        assert f"requirements/{family}.txt" in text


@pytest.mark.parametrize(
    "path", sorted(Path(ROOT, "requirements").glob("*.txt")), ids=lambda p: p.name
)
def test_locks_are_by_hash_and_name_no_index(path):
    text = path.read_text()
    pins = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert pins
    assert all("==" in line and line.endswith("\\") for line in pins)
    assert "://" not in text
