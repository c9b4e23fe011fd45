"""Pipelines with what the samples of the engine leave out."""

from kfp import dsl

from tests.engine import samples

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def scale(value: float, by: float = 2.0, names: list = [], options: dict = {}) -> dict:  # noqa: B006
    return {"value": value * by, "names": [name.upper() for name in names], **options}


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fill_folder(count: int, folder: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]):
    import os

    for number in range(count):
        os.makedirs(f"{folder.path}/{number % 2}", exist_ok=True)
        with open(f"{folder.path}/{number % 2}/{number}.txt", "w") as file:
            file.write(str(number))
    metrics.log_metric("count", count)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def count_files(folder: dsl.Input[dsl.Dataset], metrics: dsl.Input[dsl.Metrics]) -> int:
    import os

    found = sum(len(files) for _, _, files in os.walk(folder.path))
    assert found == metrics.metadata["count"]
    return found


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def old_style(text: str, data: dsl.OutputPath("Dataset"), number: dsl.OutputPath(int)):
    with open(data, "w") as file:
        file.write(text)
    with open(number, "w") as file:
        file.write(str(len(text)))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read_path(data: dsl.InputPath("Dataset"), number: int) -> str:
    with open(data) as file:
        return f"{file.read()}{number}"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read_environment() -> str:
    import os

    return os.environ["GREETING"]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def empty(nothing: dsl.Output[dsl.Artifact], folder: dsl.Output[dsl.Artifact]):
    import os

    open(nothing.path, "w").close()
    os.makedirs(folder.path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def look_at_empty(nothing: dsl.Input[dsl.Artifact], folder: dsl.Input[dsl.Artifact]) -> str:
    import os

    return f"{os.path.getsize(nothing.path)} {os.listdir(folder.path)}"


@dsl.pipeline
def broad(count: int = 5) -> None:
    filled = fill_folder(count=count)
    count_files(folder=filled.outputs["folder"], metrics=filled.outputs["metrics"])
    scale(value=1.5, names=["a", "b"], options={"n": 1, "deep": {"x": [1, 2.5, True]}})
    scale(value=3.0)
    written = old_style(text="text")
    read_path(data=written.outputs["data"], number=written.outputs["number"])
    read_environment().set_env_variable("GREETING", "hello")
    nothing = empty()
    look_at_empty(nothing=nothing.outputs["nothing"], folder=nothing.outputs["folder"])


@dsl.pipeline
def loops_in_loops() -> None:
    with dsl.ParallelFor([1, 2]) as outer:
        first = samples.add(a=outer, b=1)
        with dsl.ParallelFor([10, 20]) as inner:
            added = samples.add(a=first.output, b=inner)
            with dsl.If(added.output > 12):
                samples.write(text="more than 12")
    with dsl.ParallelFor([{"a": "x", "b": "y"}]) as fields:
        samples.write(text=fields.b)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def keep_in(folder: str) -> str:
    path = f"{folder}/kept.txt"
    with open(path, "w") as file:
        file.write("kept")
    return path


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def leave_children(pid_file: str):
    import os
    import time

    child = os.fork()
    if child == 0:
        time.sleep(300)
    with open(pid_file, "w") as file:
        file.write(str(child))


@dsl.pipeline
def with_children(pid_file: str) -> None:
    leave_children(pid_file=pid_file)


@dsl.pipeline
def formatted(name: str = "x") -> None:
    first = samples.add(a=1, b=1)
    samples.write(text=f"{name}-{first.output}")


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def in_workspace() -> str:
    return keep_in(folder=dsl.WORKSPACE_PATH_PLACEHOLDER).output


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def imported_into_workspace(uri: str) -> str:
    data = dsl.importer(
        artifact_uri=uri, artifact_class=dsl.Dataset, download_to_workspace=True
    ).output
    return read_path(data=data, number=7).output
