"""Compiled pipelines are the same bytes each time, and the committed ones are up to date."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dalsegno.cli.compiling import check_texts, compiled_texts, other_images
from dalsegno.cli.pipelines import load_pipeline
from dalsegno.errors import InputError, NotFoundError
from dalsegno.images import DATA, rename_images
from dalsegno.imaging.context import context_tag

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


def test_missing_changed_and_left_over_files_are_told_apart(tmp_path):
    (tmp_path / "a.yaml").write_text("old")
    (tmp_path / "c.yaml").write_text("gone")
    texts = {"a.yaml": "new", "b.yaml": "new"}
    with pytest.raises(InputError) as caught:
        check_texts(texts, tmp_path, is_whole=True)
    wanted = r"1 missing (b.yaml); 1 changed (a.yaml); 1 left over (c.yaml)"
    assert wanted in str(caught.value)
    assert caught.value.next_command == f"rm {tmp_path}/c.yaml"
    with pytest.raises(InputError, match=r"got 1 missing \(b.yaml\); 1 changed"):
        check_texts(texts, tmp_path, is_whole=False)


def test_images_are_renamed_to_the_tag_of_the_context():
    renamed = other_images("registry.example/team/", "", None)
    text = rename_images(compiled_texts(["train_model"])["train_model.yaml"], renamed)
    assert f"image: registry.example/team/training-python:{context_tag()}\n" in text
    assert "ghcr.io" not in text


def test_images_are_renamed_to_digests(tmp_path):
    path = tmp_path / "digests.json"
    name = "registry.example/data-python@sha256:" + 64 * "a"
    path.write_text(json.dumps({"data": name}))
    assert rename_images(f"image: {DATA}", other_images("", "", path)) == f"image: {name}"
    with pytest.raises(InputError, match="want one or the other"):
        other_images("registry.example", "", path)


@pytest.mark.parametrize("text", ["[", "[]", '{"data": "data:1"}', '{"other": "x@sha256:1"}'])
def test_wrong_digests_are_refused(tmp_path, text):
    path = tmp_path / "digests.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"digests .*want (JSON|NAME@sha256)"):
        other_images("", "", path)


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
