"""Small pipelines, one for each construct that the engine must play."""

from typing import List, NamedTuple, Optional

from kfp import dsl

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def add(a: int, b: int = 1) -> int:
    return a + b


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def count_up(n: int) -> List[int]:
    return list(range(n))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def total(values: List[int]) -> int:
    return sum(values)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def write(text: str, data: dsl.Output[dsl.Dataset]) -> str:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["length"] = len(text)
    return text


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read(data: dsl.Input[dsl.Dataset], suffix: str = "") -> str:
    with open(data.path) as file:
        return f"{file.read()}{suffix}:{data.metadata['length']}"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read_all(data: List[dsl.Dataset]) -> str:
    return ",".join(open(item.path).read() for item in data)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fail(message: str = "boom") -> str:
    print("about to fail")
    raise ValueError(message)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fail_below(marker: str, tries: int) -> int:
    import os

    with open(marker, "a") as file:
        file.write("x")
    done = os.path.getsize(marker)
    if done < tries:
        raise RuntimeError(f"try {done}")
    return done


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def final_state(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state}:{status.pipeline_task_name}"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def types(whole: int, real: float, yes: bool, text: str, items: list, fields: dict) -> NamedTuple(
    "Outputs", [("whole", int), ("kinds", str)]
):
    kinds = [type(value).__name__ for value in (whole, real, yes, text, *items)]
    return (whole, ",".join(kinds + [type(fields["n"]).__name__]))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def optional(a: Optional[int] = None, b: Optional[str] = None, c: str = "default") -> str:
    return f"{a}/{b}/{c}"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def sleep(seconds: float) -> float:
    import time

    start = time.time()
    time.sleep(seconds)
    return start


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def die() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@dsl.pipeline
def chain(a: int = 1) -> int:
    first = add(a=a, b=2)
    return add(a=first.output).output


@dsl.pipeline
def artifacts(text: str = "hello") -> str:
    written = write(text=text)
    return read(data=written.outputs["data"], suffix="!").output


@dsl.pipeline
def branches(a: int = 1) -> str:
    number = add(a=a, b=0)
    with dsl.If(number.output == 1):
        one = write(text="one")
    with dsl.Elif(number.output == 2):
        two = write(text="two")
    with dsl.Else():
        other = write(text="it's other")
    return dsl.OneOf(one.outputs["Output"], two.outputs["Output"], other.outputs["Output"])


@dsl.pipeline
def loops(n: int = 3) -> int:
    numbers = count_up(n=n)
    with dsl.ParallelFor(numbers.output, parallelism=2) as number:
        added = add(a=number, b=10)
    return total(values=dsl.Collected(added.output)).output


@dsl.pipeline
def collected_artifacts() -> str:
    with dsl.ParallelFor(["a", "b", "c"]) as text:
        written = write(text=text)
    return read_all(data=dsl.Collected(written.outputs["data"])).output


@dsl.pipeline
def inner(data: dsl.Input[dsl.Dataset]) -> str:
    return read(data=data).output


@dsl.pipeline
def nested() -> str:
    written = write(text="deep")
    return inner(data=written.outputs["data"]).output


@dsl.pipeline
def exits() -> None:
    last = final_state()
    with dsl.ExitHandler(last):
        fail()
        add(a=1)


@dsl.pipeline
def ignores() -> None:
    failed = fail()
    final_state().after(failed).ignore_upstream_failure()


@dsl.pipeline
def retries(marker: str, tries: int = 3) -> None:
    fail_below(marker=marker, tries=tries).set_retry(3, backoff_duration="0s")


@dsl.pipeline
def failing() -> None:
    first = add(a=1)
    failed = fail().after(first)
    add(a=2).after(failed)


@dsl.pipeline
def dying() -> None:
    die()


@dsl.pipeline
def all_types() -> str:
    return types(
        whole=3, real=1.0, yes=True, text="5", items=[1, 1.0, 2.5, "x", [1]], fields={"n": 1}
    ).outputs["kinds"]


@dsl.pipeline
def all_optional(a: Optional[int] = None, b: Optional[str] = "given") -> str:
    return optional(a=a, b=b).output


@dsl.pipeline
def sleeping(seconds: float = 0.5) -> None:
    for _ in range(4):
        sleep(seconds=seconds)


@dsl.pipeline
def imported(uri: str) -> str:
    found = dsl.importer(
        artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"length": 7}, reimport=False
    )
    return read(data=found.output).output


@dsl.pipeline
def job_name() -> str:
    return write(text=dsl.PIPELINE_JOB_NAME_PLACEHOLDER).outputs["Output"]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def leave_child(pid_file: str, seconds: float) -> None:
    import subprocess
    import time

    child = subprocess.Popen(["sleep", str(seconds)])
    with open(pid_file, "w") as file:
        file.write(str(child.pid))
    time.sleep(seconds)


@dsl.pipeline
def with_child(pid_file: str, seconds: float = 60.0) -> None:
    leave_child(pid_file=pid_file, seconds=seconds)


@dsl.container_component
def shout(text: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="alpine", command=["echo", text])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def import_missing() -> None:
    import no_such_module_anywhere  # noqa: F401


@dsl.pipeline
def with_container() -> None:
    add(a=1)
    shout(text="hello")


@dsl.pipeline
def with_missing_module() -> None:
    import_missing()


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def leave_daemon(pid_file: str, ending: str) -> int:
    import os
    import signal
    import subprocess
    import time

    daemon = subprocess.Popen(["sleep", "300"], start_new_session=True)
    with open(pid_file, "w") as file:
        file.write(str(daemon.pid))
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "forked" and os.fork():
        os._exit(0)
    if ending in ("forked", "stopped"):
        time.sleep(300)
    return 1


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def print_much() -> int:
    for _ in range(1100):
        print("x" * 65535)
    print("the end")
    return 1


@dsl.pipeline
def stopped_daemon(pid_file: str) -> None:
    leave_daemon(pid_file=pid_file, ending="stopped")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read_input() -> str:
    import sys

    return sys.stdin.read()


@dsl.pipeline
def reads_input() -> str:
    return read_input().output
