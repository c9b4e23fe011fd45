from typing import Optional

import pytest
from kfp import dsl

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.choice import choose_executors
from tests.conformance.page import construct
from tests.conformance.parts import read
from tests.containers import NETWORK


@pytest.fixture
def contain(play, podman_engine):
    """Run a pipeline with its containers made from the tests' image."""

    def run(pipeline, arguments=None, mode="auto"):
        images = {"*": podman_engine.image}
        executors = choose_executors(compile_object(pipeline), mode, images, network=NETWORK)
        return play.output(pipeline, arguments, executors=executors)

    return run


@dsl.container_component
def shout(text: str, data: dsl.Output[dsl.Dataset], length: dsl.OutputPath(int)):
    script = 'printf "$0" > "$1"; mkdir -p "$(dirname "$2")"; printf "${#0}" > "$2"'
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-c", script], args=[text, data.path, length]
    )


@dsl.container_component
def greet(data: dsl.Input[dsl.Dataset], said: dsl.OutputPath(str), name: Optional[str] = None):
    given = dsl.IfPresentPlaceholder(input_name="name", then=["for", name], else_=["for", "nobody"])
    script = 'mkdir -p "$(dirname "$1")"; printf "%s %s %s" "$(cat "$0")" "$2" "$3" > "$1"'
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-ec", script], args=[data.path, said, given]
    )


@dsl.container_component
def joined(text: str, said: dsl.OutputPath(str)):
    script = 'mkdir -p "$(dirname "$0")"; printf "%s" "$1" > "$0"'
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-ec", script],
        args=[said, dsl.ConcatPlaceholder(["a", text])],
    )


@construct(
    "container components",
    "the task's image; artifacts at `/minio/…`, `/s3/…`, `/gcs/…`, parameters in "
    "`/tmp/kfp/outputs`",
    "the same, by podman or docker ([executors](executors.md)); `--image-map` for images that are "
    "not to be had",
)
def test_container_hands_on_artifacts_and_parameters(contain):
    @dsl.pipeline
    def outer(text: str) -> int:
        loud = shout(text=text)
        read(data=loud.outputs["data"])
        return loud.outputs["length"]

    assert contain(outer, {"text": "hello"}) == 5


@construct("`IfPresentPlaceholder`", "filled in before the command line is built")
@pytest.mark.parametrize(("name", "said"), [("Ada", "hey for Ada"), (None, "hey for nobody")])
def test_optional_words_of_a_command_line(contain, name, said):
    @dsl.pipeline
    def outer(name: Optional[str] = None) -> str:
        return greet(data=shout(text="hey").outputs["data"], name=name).outputs["said"]

    assert contain(outer, {"name": name} if name else {}) == said


@dsl.container_component
def listed(name: str = "Ada"):
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=[name])


@construct(
    "default values in a command line",
    "the driver does not know them: the task fails where its arguments name a parameter that was "
    "not given",
    "the same, and the error says so",
)
def test_default_value_fails_a_command_line(contain, play):
    @dsl.pipeline
    def outer():
        listed()

    with pytest.raises(AssertionError):
        contain(outer)
    assert "parameter 'name': got nothing, want a value" in play.record.error


@construct("lightweight components in their image", "always", "with `--in container`")
def test_python_component_runs_in_its_image(contain, play):
    @dsl.pipeline
    def outer() -> str:
        return read(data=shout(text="in").outputs["data"]).output

    assert contain(outer, mode="container") == "in"
    assert play.task("read").executor == "container"


@construct(
    "`ConcatPlaceholder`",
    "is not filled in: the container gets the JSON text",
    "the same, and the log says so",
)
def test_concatenation_stays_as_it_is(contain):
    @dsl.pipeline
    def outer() -> str:
        return joined(text="b").outputs["said"]

    assert contain(outer) == '{"Concat": ["a", "b"]}'
