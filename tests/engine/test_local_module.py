"""Containerised Python components whose module is here run as processes."""

import pytest

from dalsegno.cli.pipelines import load_pipeline
from dalsegno.engine.local_module import find_module
from dalsegno.engine.run import run_pipeline
from dalsegno.runs.record import State

COMPONENT = """
from kfp import dsl
from greeting import words

@dsl.component(base_image="python:3.11", target_image="registry.example/greet:1")
def greet(name: str) -> str:
    return words.greet(name)
"""
PIPELINE = """
from kfp import dsl
from src.greet import greet

@dsl.pipeline
def greeting_pipeline(name: str = "Ada") -> str:
    return greet(name=name).output
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    for path, text in {
        "src/__init__.py": "",
        "src/greet.py": COMPONENT,
        "greeting/__init__.py": "",
        "greeting/words.py": "def greet(name):\n    return f'Hello, {name}!'\n",
        "pipeline.py": PIPELINE,
    }.items():
        (tmp_path / "project" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "project"


def test_component_runs_from_its_module(project, store):
    record = run_pipeline(load_pipeline(str(project / "pipeline.py")), {}, store)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert record.outputs["parameters"]["Output"] == "Hello, Ada!"


def test_changed_module_is_not_taken_from_the_cache(project, store):
    run_pipeline(load_pipeline(str(project / "pipeline.py")), {}, store)
    changed = COMPONENT.replace("words.greet(name)", "name")
    (project / "src" / "greet.py").write_text(changed)
    record = run_pipeline(load_pipeline(str(project / "pipeline.py")), {}, store)
    assert record.outputs["parameters"]["Output"] == "Ada"


def test_module_is_found_by_config_of_kfp(project, monkeypatch):
    (project / "kfp_config.ini").write_text("[Components]\ngreet = src/greet.py\n")
    command = ["python3", "-m", "kfp.dsl.executor_main"]
    args = ["--executor_input", "{{$}}", "--function_to_execute", "greet"]
    assert find_module(command, args) is None
    monkeypatch.chdir(project)
    found = find_module(command, args)
    assert found is not None
    assert found.path == project / "src" / "greet.py"
    assert find_module(command, [*args[:-1], "other"]) is None


@pytest.mark.parametrize("name", ["src/greet.py", "none.py"])
def test_named_module_is_the_only_one(project, monkeypatch, name):
    monkeypatch.chdir(project)
    args = ["--function_to_execute", "greet", "--component_module_path", name]
    found = find_module(["python3", "-m", "kfp.dsl.executor_main"], args)
    assert (found is not None) is (name == "src/greet.py")
