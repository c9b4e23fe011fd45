"""A task is played in its image, with its inputs where the launcher has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.choice import choose_executors
from dalsegno.engine.run import run_pipeline
from dalsegno.errors import InputError, NotFoundError
from dalsegno.replay.container import play_in_container
from dalsegno.replay.log import ignore
from dalsegno.replay.outcome import Replayed
from dalsegno.replay.play import prepare_replay
from dalsegno.replay.recorded import fetch_into
from dalsegno.replay.verdict import Ending, judge
from dalsegno.runs.reader import task_records
from dalsegno.runs.record import RunRecord
from dalsegno.store import Store
from tests.containers import NETWORK, Podman
from tests.engine import container_samples as samples
from tests.engine import samples as processes


@pytest.fixture
def play(podman_engine: Podman, store: Store) -> Callable[..., RunRecord]:
    """Run a pipeline object, its containers made from the tests' image."""

    def run(component: Any, mode: str = "auto", **arguments: Any) -> RunRecord:
        compiled = compile_object(component)
        executors = choose_executors(compiled, mode, {"*": podman_engine.image}, network=NETWORK)
        return run_pipeline(compiled, arguments, store, executors=executors)

    return run


@pytest.fixture
def replay(capsule_of) -> Callable[..., Replayed]:
    """Play a task in a container."""

    def replay_it(address: str, **images: str) -> Replayed:
        return play_in_container(capsule_of(address), images, ignore, network=NETWORK)

    return replay_it


@pytest.mark.parametrize(
    ("pipeline", "mode"),
    [(samples.chain, "auto"), (samples.whole_in_containers, "container"), (samples.types, "auto")],
    ids=["chain", "whole", "types"],
)
def test_every_container_task_reproduces(pipeline, mode, play, replay, capsule_of, store, tmp_path):
    record = play(pipeline, mode)
    tasks = [task for task in task_records(store, record) if task.executor == "container"]
    assert tasks
    for task in tasks:
        address = f"{record.run_id}/{task.task}"
        outcome = replay(address)
        verdict = judge(capsule_of(address), outcome, fetch_into(tmp_path, store))
        assert verdict.ending is Ending.REPRODUCED, (task.task, outcome.error, verdict)


def test_failed_container_fails_again(play, replay, capsule_of, store, tmp_path):
    record = play(samples.script, script="echo before; exit 3")
    outcome = replay(record.run_id)
    assert outcome.exit_code == 3
    assert "before" in outcome.log.read_text()
    verdict = judge(capsule_of(record.run_id), outcome, fetch_into(tmp_path, store))
    assert verdict.ending is Ending.FAILURE_REPRODUCED


def test_exception_of_a_process_is_known_again_in_a_container(
    play, replay, capsule_of, store, tmp_path, podman_engine
):
    record = play(processes.failing, "process")
    outcome = replay(f"{record.run_id}/fail", **{"*": podman_engine.image})
    assert (outcome.error["type"], outcome.error["message"]) == ("ValueError", "boom")
    verdict = judge(capsule_of(f"{record.run_id}/fail"), outcome, fetch_into(tmp_path, store))
    assert verdict.ending is Ending.FAILURE_REPRODUCED, verdict


def test_inputs_of_the_run_cannot_be_changed(play, replay, store):
    record = play(samples.chain)
    before = {item.key: store.get(item.key) for item in store.list(f"runs/{record.run_id}")}
    replay(f"{record.run_id}/read")
    assert {item.key: store.get(item.key) for item in store.list(f"runs/{record.run_id}")} == before


def test_python_component_plays_in_its_image(run, podman_engine, capsule_of):
    from tests.engine import samples as python_samples

    record = run(python_samples.artifacts)
    outcome = play_in_container(
        capsule_of(f"{record.run_id}/read"), {"*": podman_engine.image}, ignore, network=NETWORK
    )
    assert outcome.error is None, outcome.log.read_text()
    assert outcome.parameters == {"Output": "hello!:5"}


def test_image_that_is_gone_leaves_nothing(run, capsule_of, podman_engine):
    from tests.engine import samples as python_samples

    capsule = capsule_of(f"{run(python_samples.artifacts).run_id}/read")
    with pytest.raises(NotFoundError, match="image 'localhost:1/gone': not here") as caught:
        play_in_container(capsule, {"*": "localhost:1/gone"}, ignore, network=NETWORK)
    assert "--in container --image-map localhost:1/gone=IMAGE" in caught.value.next_command
    assert not (capsule.folder / "replays").exists()


def test_container_component_is_no_process(play, capsule_of):
    record = play(samples.chain)
    with pytest.raises(InputError, match="want a lightweight Python component") as caught:
        prepare_replay(capsule_of(f"{record.run_id}/read"))
    assert caught.value.next_command.endswith("--in container")
