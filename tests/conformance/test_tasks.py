import os

import pytest
from kfp import dsl

from tests.conformance.page import construct
from tests.conformance.parts import component, read, say, write


@component
def fail_below(marker: str, tries: int) -> int:
    import os

    with open(marker, "a") as file:
        file.write("x")
    done = os.path.getsize(marker)
    if done < tries:
        raise RuntimeError(f"try {done}")
    return done


@construct(
    "`set_retry` with backoff",
    "Argo starts the pod again, up to so many times, each after a longer wait",
    "the same; every attempt keeps its own record and log",
)
@pytest.mark.parametrize(("retries", "state"), [(2, "succeeded"), (1, "failed")])
def test_task_is_tried_again(play, tmp_path, retries, state):
    @dsl.pipeline
    def stubborn(marker: str):
        fail_below(marker=marker, tries=3).set_retry(
            retries, backoff_duration="0s", backoff_factor=2
        )

    assert play(stubborn, {"marker": str(tmp_path / "marker")}).state == state
    assert os.path.getsize(tmp_path / "marker") == retries + 1
    assert play.task("fail-below", 1).error["message"] == "try 1"


@component
def environ(name: str) -> str:
    import os

    return os.environ.get(name, "unset")


@construct(
    "`set_env_variable`",
    "only the image's and the task's variables are there",
    "on top of this process' own variables",
)
def test_task_has_its_variables(play):
    @dsl.pipeline
    def outer() -> str:
        return environ(name="COLOUR").set_env_variable("COLOUR", "red").output

    assert play.output(outer) == "red"
    assert play.task("environ").environment == {"COLOUR": "red"}


@construct(
    "caching: `set_caching_options`, `cache_key`",
    "on unless switched off; by ids of the input artifacts, image string and command; files that "
    "are gone are not noticed",
    "on where the pipeline says so (`--no-cache` runs everything); by content of the inputs and of "
    "the code, so that equal data made anew is a hit; a missing file is a miss",
)
def test_equal_task_is_taken_over(play):
    @dsl.pipeline
    def outer(text: str) -> str:
        written = write(text=text)
        written.set_caching_options(False)
        return read(data=written.outputs["data"]).output

    assert play.output(outer, {"text": "a"}) == "a"
    first = play.record.run_id
    assert play.output(outer, {"text": "a"}) == "a"
    assert play.states() == {"write": "succeeded", "read": "cached"}
    assert play.task("read").reused_from == f"{first}/read/1"
    assert play.output(outer, {"text": "b"}) == "b"
    assert play.states()["read"] == "succeeded"


@construct("caching: `set_caching_options`, `cache_key`")
def test_missing_output_is_a_miss(play):
    @dsl.pipeline
    def outer():
        write(text="a")

    play(outer)
    os.remove(play.task("write").outputs["data"][0]["uri"])
    play(outer)
    assert play.states() == {"write": "succeeded"}
    play(outer)
    assert play.states() == {"write": "cached"}


@construct("caching: `set_caching_options`, `cache_key`")
def test_cache_key_stands_for_everything_else(play):
    @dsl.pipeline
    def outer(text: str) -> str:
        made = say(text=text)
        made.set_caching_options(True, cache_key="always-the-same")
        return made.output

    assert play.output(outer, {"text": "a"}) == "a"
    assert play.output(outer, {"text": "b"}) == "a"


@construct("caching: `set_caching_options`, `cache_key`")
def test_caching_can_be_switched_off_for_a_run(play):
    @dsl.pipeline
    def outer():
        write(text="a")

    play(outer)
    play(outer, is_caching=False)
    assert play.states() == {"write": "succeeded"}


@construct("`set_display_name`", "shown in the UI", "the task keeps its address")
def test_display_name_changes_no_address(play):
    @dsl.pipeline
    def outer():
        say(text="a").set_display_name("A fine name")

    play(outer)
    assert play.states() == {"say": "succeeded"}


@construct("`additional_funcs`", "their source is shipped with the component")
def test_additional_functions_are_there(play):
    def twice(text):
        return text * 2

    @dsl.component(base_image="python:3.11", install_kfp_package=False, additional_funcs=[twice])
    def double(text: str) -> str:
        return twice(text)

    @dsl.pipeline
    def outer() -> str:
        return double(text="ab").output

    assert play.output(outer) == "abab"


@construct("a task that ends its own process", "exit code and failure are believed")
@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_is_believed(play, code):
    @component
    def leave(code: int):
        import sys

        sys.exit(code)

    @dsl.pipeline
    def outer(code: int):
        leave(code=code)

    assert play(outer, {"code": code}).state == ("failed" if code else "succeeded")


@construct("cold and warm workers", "every task starts cold", "forked from a warm parent; `--cold`")
def test_warm_and_cold_give_the_same(play):
    from dalsegno.engine.warm import WarmWorkers

    @dsl.pipeline
    def outer() -> str:
        return read(data=write(text="same").outputs["data"]).output

    warm = play.output(outer, is_caching=False), play.task("write").executor_output
    with WarmWorkers(is_cold=True) as cold_workers:
        cold = play.output(outer, is_caching=False, workers=cold_workers)
    assert warm[0] == cold
    assert warm[1]["parameterValues"] == play.task("write").executor_output["parameterValues"]
