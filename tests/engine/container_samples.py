"""Container components and the pipelines that tests make of them."""

from typing import List, Optional

from kfp import dsl

IMAGE = "tests"  # mapped to a real image by the tests


def sh(script: str, *args: object) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["sh", "-ec", script, "sh"], args=list(args))


@dsl.container_component
def write(text: str, data: dsl.Output[dsl.Dataset], length: dsl.OutputPath(int)):
    return sh('printf %s "$1" > $2; echo ${#1} > $3', text, data.path, length)


@dsl.container_component
def read(data: dsl.Input[dsl.Dataset], text: dsl.OutputPath(str), where: dsl.OutputPath(str)):
    return sh('cat $1 > $2; printf "%s %s" $1 $4 > $3', data.path, text, where, data.uri)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read_in_python(data: dsl.Input[dsl.Dataset]) -> str:
    return open(data.path).read()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def describe(data: dsl.Input[dsl.Dataset], copy: dsl.Output[dsl.Model], factor: int = 3) -> str:
    import os
    import sys

    with open(copy.path, "w") as file:
        file.write(open(data.path).read() * factor)
    copy.metadata["factor"] = factor
    print("I am in a container, to", sys.stderr.name)
    return f"{data.path} {copy.path} {os.getuid()}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def write_elsewhere(data: dsl.Output[dsl.Dataset]):
    import os

    os.makedirs("/opt/deep")
    with open("/opt/deep/file", "w") as file:
        file.write("from elsewhere")
    data.custom_path = "/opt/deep/file"


@dsl.container_component
def all_types(
    whole: dsl.OutputPath(int),
    real: dsl.OutputPath(float),
    yes: dsl.OutputPath(bool),
    text: dsl.OutputPath(str),
    items: dsl.OutputPath(list),
    fields: dsl.OutputPath(dict),
):
    script = (
        'echo 3 > $1; echo 1.5 > $2; echo true > $3; echo text > $4; echo "[1.0, 2]" > $5;'
        ' echo "{\\"a\\": 1}" > $6'
    )
    return sh(script, whole, real, yes, text, items, fields)


@dsl.container_component
def conditional(seen: dsl.OutputPath(str), given: str, extra: Optional[str] = None):
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-ec", 'out=$1; shift; printf "%s|" "$@" > $out', "sh", seen],
        args=[
            dsl.IfPresentPlaceholder("extra", then=["--extra", extra], else_=["--none"]),
            dsl.ConcatPlaceholder(["a-", given]),
            f"x{given}y",
        ],
    )


@dsl.container_component
def run_script(script: str):
    return sh(script)


@dsl.container_component
def forget(data: dsl.Output[dsl.Dataset], number: dsl.OutputPath(int)):
    return sh('echo "$1 $2"', data.path, number)


@dsl.container_component
def fill(data: dsl.Output[dsl.Dataset]):
    return sh("exec cat /dev/zero > $1", data.path)


@dsl.container_component
def link_out(data: dsl.Output[dsl.Dataset]):
    return sh("mkdir $1; ln -s /etc/hostname $1/inner", data.path)


@dsl.pipeline
def chain(text: str = "hello") -> str:
    written = write(text=text)
    read(data=written.outputs["data"])
    return read_in_python(data=written.outputs["data"]).output


@dsl.pipeline
def whole_in_containers(text: str = "ab") -> str:
    return describe(data=write(text=text).outputs["data"]).outputs["Output"]


@dsl.pipeline
def custom_path() -> str:
    return read_in_python(data=write_elsewhere().outputs["data"]).output


@dsl.pipeline
def types():
    all_types()


@dsl.pipeline
def conditions(extra: Optional[str] = None):
    conditional(given="f")
    conditional(given="g", extra="e")


@dsl.pipeline
def script(script: str):
    run_script(script=script)


@dsl.pipeline
def with_environment(script: str):
    task = run_script(script=script)
    task.set_env_variable("GREETING", "two\nlines").set_env_variable("PATH", "/bin")


@dsl.pipeline
def limited(script: str):
    run_script(script=script).set_memory_limit("32Mi").set_cpu_limit("500m")


@dsl.pipeline
def forgetful():
    forget()


@dsl.pipeline
def filling():
    fill()


@dsl.pipeline
def linking():
    link_out()


@dsl.pipeline
def image_by_parameter(image: str):
    run_script(script="true").set_container_image(image)


@dsl.pipeline
def many(scripts: List[str]):
    with dsl.ParallelFor(scripts) as item:
        run_script(script=item)
