"""Two small pipelines in our own image: one that passes, one whose second task fails."""

from kfp import dsl, kubernetes

from dalsegno import images
from pipelines.settings import USER


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def write(text: str, data: dsl.Output[dsl.Dataset]) -> int:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["length"] = len(text)
    return len(text)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def parse(data: dsl.Input[dsl.Dataset], base: int = 10) -> int:
    with open(data.path) as file:
        text = file.read()
    print(f"parsing {len(text)} characters")  # noqa: T201 (the log that is read)
    return int(text, base)


def _secure(task):
    kubernetes.set_security_context(task, run_as_user=USER, run_as_non_root=True)
    task.set_caching_options(False)
    return task


@dsl.pipeline(name="dalsegno-test-passing")
def passing(text: str = "42") -> int:
    written = _secure(write(text=text))
    return _secure(parse(data=written.outputs["data"])).output


@dsl.pipeline(name="dalsegno-test-failing")
def failing(text: str = "forty-two"):
    with dsl.ParallelFor([1, 2]) as _:
        _secure(write(text="one of two"))
    written = _secure(write(text=text))
    _secure(parse(data=written.outputs["data"]))
