"""Components that install packages run in environments that are made once."""

import asyncio
import os
import signal
import subprocess
import sys
import zipfile

import pytest
from kfp import dsl

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine import packages
from dalsegno.engine.packages import Packages, are_installed_here, make_environment, packages_of
from dalsegno.engine.run import run_pipeline
from dalsegno.errors import ConfigurationError, InputError
from dalsegno.runs.record import State

IMAGE = "python:3.11"
SMALL = "iniconfig==2.0.0"  # pure Python, 6 kB; another version than the tests' own


@dsl.component(base_image=IMAGE, packages_to_install=[SMALL])
def version_of(name: str) -> str:
    import sys
    from importlib import metadata

    assert not any("pydantic" in module for module in sys.modules)
    return metadata.version(name)


@dsl.component(base_image=IMAGE, packages_to_install=["no-such-package-anywhere-7f3a"])
def impossible() -> None:
    pass


@dsl.component(
    base_image=IMAGE,
    packages_to_install=["a>1", "b[x]==2; python_version<'4'", "kfp==2.9.0"],
    pip_index_urls=["https://one/simple", "https://two/simple"],
    pip_trusted_hosts=["one"],
    use_venv=True,
)
def many() -> None:
    pass


@dsl.component(base_image=IMAGE, use_venv=True)
def only_kfp() -> None:
    pass


@dsl.component(
    base_image=IMAGE,
    packages_to_install=["a"],
    pip_index_urls=["https://one/simple"],
    kfp_package_path="git+https://example.com/kfp.git@main#egg=kfp&subdirectory=sdk/python",
)
def other_kfp() -> None:
    pass


@dsl.component(base_image=IMAGE, packages_to_install=["--pre"])
def strange() -> None:
    pass


@dsl.pipeline
def installing(name: str = "iniconfig") -> str:
    return version_of(name=name).output


@dsl.pipeline
def installing_nothing() -> None:
    impossible()


def command_of(component) -> list[str]:
    spec = compile_object(component).spec
    (executor,) = spec["deploymentSpec"]["executors"].values()
    return executor["container"]["command"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    uv_cache = subprocess.run(
        [packages._uv_path(), "cache", "dir"], capture_output=True, text=True, check=True
    )
    monkeypatch.setenv("UV_CACHE_DIR", uv_cache.stdout.strip())
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("component", "requirements", "options"),
    [
        pytest.param(version_of, (SMALL,), (), id="one"),
        pytest.param(only_kfp, (), (), id="kfp-alone"),
        pytest.param(
            many,
            ("a>1", "b[x]==2; python_version<'4'"),
            (
                *("--default-index", "https://one/simple", "--index", "https://two/simple"),
                *("--allow-insecure-host", "one"),
            ),
            id="indexes",
        ),
        pytest.param(
            other_kfp, ("a",), ("--default-index", "https://one/simple"), id="kfp-from-git"
        ),
    ],
)
def test_command_says_what_is_installed(component, requirements, options):
    assert packages_of(command_of(component)) == Packages(requirements, options)


def test_option_that_is_not_known_is_refused():
    with pytest.raises(InputError, match="'--pre'"):
        packages_of(command_of(strange))


@pytest.mark.parametrize(
    ("requirement", "is_here"),
    [
        ("pandas", True),
        ("pandas>=1,<99", True),
        ("pandas==0.1", False),
        ("no-such-package", False),
        ("no-such-package; python_version<'3'", True),
        ("pandas @ https://example.com/pandas.whl", False),
        ("not a requirement!", False),
    ],
)
def test_installed_packages_are_recognised(requirement, is_here):
    assert are_installed_here(Packages((requirement,))) is is_here


def test_component_runs_with_its_own_version(store, cache):
    seen = []
    pipeline = compile_object(installing)
    first = run_pipeline(pipeline, {}, store, listener=seen.append)
    assert (first.state, first.error) == (State.SUCCEEDED, None)
    assert first.outputs["parameters"]["Output"] == "2.0.0"
    told = [event.message for event in seen if event.state is State.PENDING]
    assert told == [f"making an environment with {SMALL}"]
    seen.clear()
    again = run_pipeline(pipeline, {}, store, listener=seen.append)
    assert again.state is State.SUCCEEDED
    assert not [event for event in seen if event.state is State.PENDING]


def test_environment_holds_nothing_of_ours(store, cache):
    record = run_pipeline(compile_object(installing), {"name": "pandas"}, store)
    assert "pandas" in record.error
    assert "PackageNotFoundError" in record.error or "No package metadata" in record.error


def test_package_that_is_not_to_be_had_is_one_clear_error(store, cache):
    record = run_pipeline(compile_object(installing_nothing), {}, store)
    assert record.state is State.FAILED
    assert "packages no-such-package-anywhere-7f3a: got no environment" in record.error
    assert "not found in the package registry" in record.error
    assert "\n" not in record.error


ADDRESS = "https://user:hunter2@127.0.0.1:9"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(Packages((SMALL,), ("--default-index", f"{ADDRESS}/simple")), id="index"),
        pytest.param(Packages((f"mine @ {ADDRESS}/mine-1-py3-none-any.whl",)), id="requirement"),
    ],
)
def test_password_in_an_address_is_not_told(cache, wanted):
    told = []
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(make_environment(wanted, told.append))
    assert "127.0.0.1:9" in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value.next_command}{told}"


def test_environment_left_half_made_is_made_anew(cache):
    folder = packages.environments_dir() / Packages((SMALL,)).key
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    python = asyncio.run(make_environment(Packages((SMALL,)), print))
    code = "import iniconfig, kfp.dsl.executor"
    environment = {**os.environ, "_KFP_RUNTIME": "true"}
    assert subprocess.run([python, "-c", code], env=environment, check=False).returncode == 0


def test_stopped_maker_leaves_nothing(cache):
    async def stop_half_way() -> None:
        told = asyncio.Event()
        making = asyncio.create_task(make_environment(Packages((SMALL,)), lambda _: told.set()))
        await told.wait()
        await asyncio.sleep(0)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    asyncio.run(stop_half_way())
    assert [path.suffix for path in packages.environments_dir().iterdir()] == [".lock"]


MAKE = """
import asyncio, sys
from dalsegno.engine.packages import Packages, make_environment
print(asyncio.run(make_environment(Packages((sys.argv[1],)), lambda text: print("made"))))
"""


def test_several_makers_make_one(cache):
    command = [sys.executable, "-P", "-c", MAKE, SMALL]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [maker.communicate()[0] for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert sum(text.count("made") for text in said) == 1


def test_killed_maker_leaves_no_lock(cache):
    command = [sys.executable, "-P", "-u", "-c", MAKE, SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "made\n"
        maker.send_signal(signal.SIGKILL)
    python = asyncio.run(make_environment(Packages((SMALL,)), print))
    assert (python.parent.parent / packages.LIST).read_text() == f"{SMALL}\n"
    assert not list(python.parent.parent.parent.glob("*.partial"))


def test_package_may_bring_a_folder_named_like_a_list(cache, tmp_path):
    wheel = tmp_path / "odd-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("odd-1.data/data/requirements.txt/base.txt", "")
        file.writestr("odd-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr("odd-1.dist-info/WHEEL", tags)
        file.writestr("odd-1.dist-info/RECORD", "")
    wanted = Packages((f"odd @ {wheel.as_uri()}",))
    python = asyncio.run(make_environment(wanted, print))
    assert (python.parent.parent / "requirements.txt").is_dir()
    assert (python.parent.parent / packages.LIST).read_text() == f"{wanted.requirements[0]}\n"
