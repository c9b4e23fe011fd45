import pytest
from kfp import dsl

from tests.conformance.page import construct
from tests.conformance.parts import add, component, fail, read, say, write


@dsl.pipeline
def branches(side: str) -> str:
    given = say(text=side)
    with dsl.If(given.output == "left"):
        left = say(text="went left")
    with dsl.Elif(given.output == "right"):
        right = say(text="went right")
    with dsl.Else():
        other = say(text="went on")
    return say(text=dsl.OneOf(left.output, right.output, other.output)).output


@construct(
    "`If`, `Elif`, `Else`",
    "the driver evaluates the condition as CEL, on values, not on text",
    "the same, by cel-python",
)
@pytest.mark.parametrize(
    ("side", "output"),
    [("left", "went left"), ("right", "went right"), ("it's", "went on"), ("", "went on")],
)
def test_one_branch_runs(play, side, output):
    assert play.output(branches, {"side": side}) == output
    assert sorted(play.states().values()).count("skipped") == 2


@component
def is_more(a: float, b: float) -> bool:
    return a > b


@construct("`If`, `Elif`, `Else`")
@pytest.mark.parametrize(("a", "state"), [(2, "succeeded"), (0.5, "skipped")])
def test_condition_compares_numbers_and_booleans(play, a, state):
    @dsl.pipeline
    def compare(a: float):
        more = is_more(a=a, b=1.0)
        with dsl.If(more.output == True):  # noqa: E712
            with dsl.If(a >= 2):
                say(text="both")

    play(compare, {"a": a})
    assert play.states()["condition-1"] == state if state == "skipped" else True
    ran = [path for path, found in play.states().items() if path.endswith("say")]
    assert bool(ran) == (state == "succeeded")


@construct(
    "`OneOf` of parameters and artifacts",
    "the output of the first branch that completed",
)
@pytest.mark.parametrize("is_left", [True, False])
def test_one_of_artifacts_is_the_branch_that_ran(play, is_left):
    @dsl.pipeline
    def choose(is_left: bool) -> str:
        with dsl.If(is_left == True):  # noqa: E712
            left = write(text="left")
        with dsl.Else():
            right = write(text="right")
        return read(data=dsl.OneOf(left.outputs["data"], right.outputs["data"])).output

    assert play.output(choose, {"is_left": is_left}) == ("left" if is_left else "right")


@dsl.pipeline
def inner(a: int, data: dsl.Input[dsl.Dataset]) -> str:
    add(a=a)
    return read(data=data).output


@construct(
    "nested pipelines",
    "a graph of its own; inputs and outputs pass through, artifacts too",
)
def test_nested_pipeline_takes_artifacts_alone(play):
    @dsl.pipeline
    def only_artifact(data: dsl.Input[dsl.Dataset]) -> str:
        return read(data=data).output

    @dsl.pipeline
    def outer() -> str:
        return only_artifact(data=write(text="deep").outputs["data"]).output

    assert play.output(outer) == "deep"


@construct("nested pipelines")
def test_nested_pipeline_is_addressed_by_path(play):
    @dsl.pipeline
    def outer() -> str:
        return inner(a=1, data=write(text="x").outputs["data"]).output

    assert play.output(outer) == "x"
    assert play.inputs("inner/add") == {"a": 1}


@component
def report(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state} {status.pipeline_task_name} {status.error_message}"


@construct(
    "`ExitHandler`, `PipelineTaskFinalStatus`",
    "the exit task runs whatever became of the rest; state is `COMPLETE` or `FAILED`, the error "
    "is left empty by the driver",
)
@pytest.mark.parametrize(
    ("work", "state"), [(say, "COMPLETE"), (fail, "FAILED")], ids=["good", "bad"]
)
def test_exit_task_is_told_the_state(play, work, state):
    @dsl.pipeline
    def guarded():
        with dsl.ExitHandler(report()):
            work(text="x") if work is say else work()

    record = play(guarded)
    assert record.state == ("succeeded" if work is say else "failed")
    output = play.task("report").executor_output["parameterValues"]["Output"]
    assert output == f"{state} exit-handler-1 None"


@construct("pipeline as exit task", "the whole graph runs after the guarded one, with its status")
def test_pipeline_runs_as_exit_task(play):
    @component
    def state_of(status: dict) -> str:
        return str(status["state"])

    @dsl.pipeline
    def leave(status: dsl.PipelineTaskFinalStatus):
        told = state_of(status=status)
        with dsl.If(told.output == "FAILED"):
            say(text="alarm")

    @dsl.pipeline
    def guarded():
        with dsl.ExitHandler(leave()):
            fail()

    assert play(guarded).state == "failed"
    assert play.states()["leave/condition-1/say"] == "succeeded"


@construct(
    "`ignore_upstream_failure`",
    "the task runs although a task before it failed; its run has failed all the same",
)
def test_ignoring_task_runs_after_failure(play):
    @component
    def go_on(text: str = "default") -> str:
        return text

    @dsl.pipeline
    def careless():
        go_on(text=fail().output).ignore_upstream_failure()

    assert play(careless).state == "failed"
    assert play.task("go-on").executor_output["parameterValues"]["Output"] == "default"


@construct(
    "a failed task",
    "what depends on it does not run; Argo starts no new task in its graph (failFast)",
)
def test_failure_stops_what_depends_on_it(play):
    @dsl.pipeline
    def broken():
        say(text=fail().output)

    record = play(broken)
    assert record.state == "failed"
    assert play.states() == {"fail": "failed", "say": "skipped"}
    assert "boom" in record.error


@construct("`after`", "order without data")
def test_task_waits_for_the_one_it_names(play):
    @component
    def moment() -> float:
        import time

        return time.time()

    @dsl.pipeline
    def ordered():
        first = moment()
        moment().after(first)

    play(ordered, is_caching=False)
    values = [
        play.task(path).executor_output["parameterValues"]["Output"]
        for path in ("moment", "moment-2")
    ]
    assert values[0] < values[1]
