"""Small pipelines whose tasks are compared, replayed and resumed."""

from kfp import dsl

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def make(folder: str, table: dsl.Output[dsl.Dataset], report: dsl.Output[dsl.Markdown]) -> str:
    """Copy `table.csv` of a folder that the test changes between runs."""
    import shutil

    shutil.copy(f"{folder}/table.csv", table.path)
    table.metadata["display_name"] = table.path
    with open(table.path) as file:
        table.metadata["rows"] = len(file.readlines()) - 1
    with open(report.path, "w") as file:
        file.write("the same each time\n")
    return table.path


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def average(
    table: dsl.Input[dsl.Dataset], folder: str, column: str, metrics: dsl.Output[dsl.Metrics]
) -> float:
    """Fail where a cell is no number, or where the test asks for it."""
    import csv
    import os

    with open(table.path, newline="") as file:
        cells = [row[column] for row in csv.DictReader(file)]
    if os.path.exists(f"{folder}/other"):
        raise KeyError("other")
    values = [float(cell) for cell in cells]
    metrics.log_metric("count", len(values))
    return sum(values) / len(values)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def note(folder: str, value: float) -> float:
    """Count how often the tasks after the failing one ran."""
    with open(f"{folder}/notes", "a") as file:
        file.write(f"{value}\n")
    return value


@dsl.pipeline(name="averages")
def averages(folder: str, column: str = "age") -> float:
    made = make(folder=folder).set_caching_options(False)  # the folder's content changes
    mean = average(table=made.outputs["table"], folder=folder, column=column)
    mean.set_caching_options(False)
    return note(folder=folder, value=mean.outputs["Output"]).output
