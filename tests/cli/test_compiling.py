"""Compiled pipelines are the same bytes each time, and the committed ones are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dalsegno.cli.compiling import check_texts, compiled_texts
from dalsegno.cli.pipelines import load_pipeline
from dalsegno.errors import InputError, NotFoundError

ROOT = Path(__file__).parents[2]
OURS = """
from components.mine import VALUE
from kfp import dsl

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def double(a: int) -> int:
    return 2 * a

@dsl.pipeline(name="doubling")
def doubling(a: int = VALUE) -> int:
    return double(a=a).output
"""


def test_committed_files_are_as_compiled():
    check_texts(compiled_texts(), ROOT / "build", is_whole=True)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_bytes_do_not_depend_on_the_process(tmp_path, seed):
    command = [sys.executable, "-P", "-m", "dalsegno", "compile", "--output", str(tmp_path)]
    subprocess.run([*command, "feature", "train_model"], check=True, env={"PYTHONHASHSEED": seed})
    for name in ("feature.yaml", "train_model.yaml"):
        assert (tmp_path / name).read_bytes() == (ROOT / "build" / name).read_bytes()


def test_differing_file_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("old")
    with pytest.raises(InputError, match=r"got 1 files that differ from the code \(a.yaml\)"):
        check_texts({"a.yaml": "new"}, tmp_path, is_whole=False)


def test_file_beside_a_components_package_of_its_own_compiles(tmp_path):
    package = tmp_path / "components"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text("VALUE = 21")
    (tmp_path / "doubling.py").write_text(OURS)
    assert load_pipeline(str(tmp_path / "doubling.py")).arguments({}) == {"a": 21}


def test_unknown_pipeline_is_answered_with_the_known_ones():
    with pytest.raises(NotFoundError, match="known are feature, inference, loop, monitoring"):
        load_pipeline("trainning")
