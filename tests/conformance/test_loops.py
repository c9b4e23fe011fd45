import time

import pytest
from kfp import dsl

from tests.conformance.page import construct
from tests.conformance.parts import (
    add,
    component,
    count,
    fail,
    join,
    read,
    read_all,
    say,
    total,
    write,
)


@construct(
    "`ParallelFor` over literals, parameters, outputs",
    "one sub-graph an item; items are JSON values, objects by key",
)
@pytest.mark.parametrize("source", ["literal", "parameter", "output"])
def test_loop_runs_once_an_item(play, source):
    @dsl.pipeline
    def loop(items: list[int] = [1, 2, 3], n: int = 3) -> int:  # noqa: B006
        over = {"literal": [1, 2, 3], "parameter": items, "output": count(n=n).output}[source]
        with dsl.ParallelFor(over) as item:
            plus = add(a=item)
        return total(values=dsl.Collected(plus.output)).output

    assert play.output(loop) == (6 if source == "output" else 9)


@construct("`ParallelFor` over literals, parameters, outputs")
def test_loop_item_is_taken_apart_by_key(play):
    @dsl.pipeline
    def loop() -> int:
        with dsl.ParallelFor([{"a": 1, "b": 2}, {"a": 3, "b": 4}]) as item:
            plus = add(a=item.a, b=item.b)
        return total(values=dsl.Collected(plus.output)).output

    assert play.output(loop) == 10


@construct("`ParallelFor` over literals, parameters, outputs")
def test_empty_loop_collects_nothing(play):
    @dsl.pipeline
    def loop(items: list[int]) -> int:
        with dsl.ParallelFor(items) as item:
            plus = add(a=item)
        return total(values=dsl.Collected(plus.output)).output

    assert play.output(loop, {"items": []}) == 0


@construct(
    "`ParallelFor` over artifacts",
    "the driver refuses it (“artifact iterator not implemented yet”)",
    "one sub-graph an artifact",
)
def test_loop_runs_once_an_artifact(play):
    @component
    def shout(data: dsl.Input[dsl.Dataset]) -> str:
        return open(data.path).read().upper()

    @dsl.pipeline
    def each(files: dsl.Input[list[dsl.Dataset]]) -> str:
        with dsl.ParallelFor(files) as data:
            loud = shout(data=data)
        return join(values=dsl.Collected(loud.output)).output

    @dsl.pipeline
    def loop() -> str:
        with dsl.ParallelFor(["a", "b"]) as letter:
            written = write(text=letter)
        return each(files=dsl.Collected(written.outputs["data"])).output

    assert play.output(loop) == "A,B"


@construct("`parallelism`", "no more iterations at once than it says")
@pytest.mark.parametrize(("limit", "most"), [(1, 1), (0, 3)])
def test_loop_keeps_to_its_parallelism(play, tmp_path, limit, most):
    @component
    def overlap(folder: str, name: int) -> int:
        import os
        import time

        mark = os.path.join(folder, str(name))
        open(mark, "w").close()
        deadline = time.time() + 0.6
        seen = 0
        while time.time() < deadline:
            seen = max(seen, len(os.listdir(folder)))
            time.sleep(0.02)
        os.remove(mark)
        return seen

    @dsl.pipeline
    def loop(folder: str) -> list:
        with dsl.ParallelFor([1, 2, 3], parallelism=limit) as name:
            seen = overlap(folder=folder, name=name)
        return dsl.Collected(seen.output)

    folder = tmp_path / "marks"
    folder.mkdir()
    assert max(play.output(loop, {"folder": str(folder)}, jobs=3)) == most


@construct(
    "`Collected` of parameters and artifacts",
    "a list in the order of the iterations; nested loops are flattened into one list, whatever "
    "the type annotation says",
)
def test_collected_artifacts_are_a_list(play):
    @dsl.pipeline
    def loop() -> str:
        with dsl.ParallelFor(["a", "b", "c"]) as letter:
            written = write(text=letter)
        return read_all(data=dsl.Collected(written.outputs["data"])).output

    assert play.output(loop) == "a,b,c"


@construct("`Collected` of parameters and artifacts")
def test_nested_loops_collect_flat(play):
    @dsl.pipeline
    def loop() -> int:
        with dsl.ParallelFor([1, 2]) as a, dsl.ParallelFor([10, 20]) as b:
            plus = add(a=a, b=b)
        return total(values=dsl.Collected(plus.output)).output

    assert play.output(loop) == 66


@construct("conditions and outputs inside a loop", "an iteration sees its own results")
def test_condition_inside_a_loop_is_of_its_iteration(play):
    @dsl.pipeline
    def loop():
        with dsl.ParallelFor(["yes", "no"]) as answer:
            said = say(text=answer)
            with dsl.If(said.output == "yes"):
                say(text="agreed")

    play(loop)
    states = play.states()
    assert states["for-loop-2-iteration-0/condition-3/say-2"] == "succeeded"
    assert states["for-loop-2-iteration-1/condition-3"] == "skipped"


@construct("a failed iteration", "the others end, the loop has failed")
def test_failed_iteration_fails_the_loop(play):
    @dsl.pipeline
    def loop() -> str:
        with dsl.ParallelFor([1, 2]) as number:
            add(a=number)
            bad = fail()
        return join(values=dsl.Collected(bad.output)).output

    record = play(loop)
    assert record.state == "failed"
    assert play.states()["join"] == "skipped"


@construct("an outer artifact inside a loop", "every iteration gets it")
def test_artifact_from_outside_is_read_in_a_loop(play):
    @dsl.pipeline
    def loop() -> str:
        written = write(text="same")
        with dsl.ParallelFor([1, 2]) as number:
            add(a=number)
            text = read(data=written.outputs["data"])
        return join(values=dsl.Collected(text.output)).output

    assert play.output(loop) == "same,same"


@construct("independent tasks", "side by side, as the cluster has room", "side by side, `--jobs`")
def test_independent_tasks_run_side_by_side(play):
    @component
    def sleep() -> float:
        import time

        time.sleep(0.7)
        return 0.0

    @dsl.pipeline
    def four():
        for _ in range(4):
            sleep()

    started = time.monotonic()
    assert play(four, jobs=4).state == "succeeded"
    assert time.monotonic() - started < 4 * 0.7
