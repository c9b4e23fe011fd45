"""Components that the pipelines of these tests are made of."""

from kfp import dsl

component = dsl.component(base_image="python:3.11", install_kfp_package=False)


@component
def say(text: str) -> str:
    return text


@component
def add(a: int, b: int = 1) -> int:
    return a + b


@component
def total(values: list[int]) -> int:
    return sum(values)


@component
def join(values: list[str]) -> str:
    return ",".join(values)


@component
def count(n: int) -> list[int]:
    return list(range(n))


@component
def fail(message: str = "boom") -> str:
    raise ValueError(message)


@component
def write(text: str, data: dsl.Output[dsl.Dataset]) -> str:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["length"] = len(text)
    return text


@component
def read(data: dsl.Input[dsl.Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@component
def read_all(data: list[dsl.Dataset]) -> str:
    return ",".join(open(item.path).read() for item in data)
