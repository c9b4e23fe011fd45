"""What is sent to KFP is what its API server accepts, read by the same protobufs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dalsegno.cluster.go_yaml import dump, for_go
from tests.cluster import pipelines
from tests.kfp.protobufs import read_as_the_server_does

COMPILED = sorted((Path(__file__).parents[2] / "build").glob("*.yaml"))


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_committed_text_is_accepted(path):
    text = path.read_text()
    read_as_the_server_does(text)
    assert list(yaml.safe_load_all(for_go(text))) == list(yaml.safe_load_all(text))


@pytest.mark.parametrize("name", pipelines.NAMES)
def test_small_pipeline_is_accepted(name, tmp_path):
    from kfp import compiler

    path = str(tmp_path / "small.yaml")
    compiler.Compiler().compile(getattr(pipelines, name), path)
    read_as_the_server_does(Path(path).read_text())


@pytest.mark.parametrize("text", ["1e3", "12e45", "08", "-1e-5", "0o17", "y"])
def test_string_that_go_takes_for_another_type_is_quoted(text):
    """yaml.v3's resolve.go: floats by a wider pattern than PyYAML's, octal as 0o."""
    written = dump([{"value": text, "number": 1e-05}])
    assert f"value: '{text}'" in written
    assert yaml.safe_load(written) == {"value": text, "number": 1e-05}
    assert f"'{text}'" in for_go(yaml.safe_dump({"value": text}))


def test_other_text_is_sent_as_it_is():
    text = "# made by hand\nname: x\nvalue: 5\n"
    assert for_go(text) is text
