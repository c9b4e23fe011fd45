"""What is loaded ahead of the tasks, and which tasks do not wait for it."""

from kfp import dsl

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.preload import component_sources, heavy_modules, is_heavy
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.record import State
from tests.engine.samples import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def a_last(n: int) -> int:
    import duckdb

    return n + len(duckdb.__name__)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def b_light(n: int) -> int:
    return n


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def c_first() -> int:
    import pandas

    return len(pandas.__name__)


@dsl.pipeline(name="mixed")
def mixed() -> int:
    return a_last(n=b_light(n=c_first().output).output).output


def names(modules: list[str]) -> list[str]:
    return [name for name in modules if name in {"duckdb", "pandas"}]


def test_modules_come_in_the_order_of_the_tasks():
    sources = component_sources(compile_object(mixed))
    seen: set[str] = set()
    assert [names(heavy_modules(source, seen)) for source in sources] == [
        ["pandas"],
        [],
        ["duckdb"],
    ]
    assert [is_heavy(source) for source in sources] == [True, False, True]


def test_light_task_does_not_wait_while_modules_are_loaded(store, monkeypatch):
    cold = []
    play = WarmWorkers.run

    async def run(self, request, *others):
        monkeypatch.setattr(self, "_is_loading", True)  # as if it never ended
        cold.append(request["function"])
        return await play(self, request, *others)

    monkeypatch.setattr(WarmWorkers, "run", run)
    with WarmWorkers() as workers:
        record = run_pipeline(compile_object(mixed), {}, store, workers=workers)
        assert next(workers._ids) == 2  # the others did not come to the forkserver
    assert (record.state, record.outputs["parameters"]["Output"]) == (State.SUCCEEDED, 12)
    assert cold == ["c_first", "b_light", "a_last"]


@dsl.pipeline(name="repeated")
def repeated() -> int:
    return b_light(n=b_light(n=1).output).output


def test_one_component_in_many_tasks_has_a_forkserver(store, monkeypatch):
    asked = []
    monkeypatch.setattr(WarmWorkers, "load", lambda _, sources: asked.extend(sources))
    run_pipeline(compile_object(repeated), {}, store)
    assert asked == component_sources(compile_object(repeated))
