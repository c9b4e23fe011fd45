"""Two small pipelines: one whose second task fails on what the first wrote, one that adds."""

from kfp import dsl


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def write(data: dsl.Output[dsl.Dataset]):
    with open(data.path, "w") as file:
        file.write("hello")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read(data: dsl.Input[dsl.Dataset]) -> int:
    with open(data.path) as file:
        return int(file.read())


@dsl.pipeline(name="broken-reader")
def broken_reader():
    read(data=write().outputs["data"])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def add(a: int, b: int) -> int:
    return a + b


@dsl.pipeline(name="adding", description="Adds two numbers.")
def adding(a: int, b: int = 1):
    add(a=a, b=b)
