"""Small pipelines on a public image: passing, failing, and a loop of which one iteration fails."""

from kfp import dsl, kubernetes

from pipelines.settings import USER

IMAGE = "python:3.11"
NAMES = ("passing", "failing", "looping")


@dsl.component(base_image=IMAGE)
def write(text: str, data: dsl.Output[dsl.Dataset]) -> int:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["length"] = len(text)
    return len(text)


@dsl.component(base_image=IMAGE)
def parse(data: dsl.Input[dsl.Dataset], base: int = 10) -> int:
    with open(data.path) as file:
        text = file.read()
    print(f"parsing {len(text)} characters")  # noqa: T201 (the log that is read)
    return int(text, base)


def _secure(task):
    kubernetes.set_security_context(task, run_as_user=USER, run_as_non_root=True)
    task.set_env_variable("HOME", "/tmp")  # the user has none, and installs kfp
    task.set_caching_options(False)
    return task


@dsl.pipeline(name="dalsegno-test-passing")
def passing(text: str = "42") -> int:
    written = _secure(write(text=text))
    return _secure(parse(data=written.outputs["data"])).output


@dsl.pipeline(name="dalsegno-test-failing")
def failing(text: str = "forty-two"):
    written = _secure(write(text=text))
    _secure(parse(data=written.outputs["data"]))


@dsl.pipeline(name="dalsegno-test-looping")
def looping():
    with dsl.ParallelFor(["17", "forty-two"]) as text:
        written = _secure(write(text=text))
        _secure(parse(data=written.outputs["data"]))
