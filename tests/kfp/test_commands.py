"""The command line against a cluster that answers as the swagger of v2beta1 says."""

from __future__ import annotations

import json

import pytest
from kfp import compiler
from typer.testing import CliRunner

from dalsegno.cli.main import app
from dalsegno.errors import (
    ConfigurationError,
    ConflictError,
    DalsegnoError,
    InfrastructureError,
    InputError,
    NotFoundError,
    TaskFailedError,
)
from tests.kfp.small import adding


@pytest.fixture
def cli(host, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "STORE_URI": store.uri,
        "KFP_HOST": host,
        "KFP_TIMEOUT_SECONDS": "1",
    }.items():
        monkeypatch.setenv(f"DALSEGNO_{name}", value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("dalsegno.cluster.publishing._FIRST_POLL_SECONDS", 0.01)
    monkeypatch.setattr("dalsegno.cluster.transport._FIRST_WAIT_SECONDS", 0.01)
    compiler.Compiler().compile(adding, "adding.yaml")

    def call(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        if isinstance(result.exception, DalsegnoError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return call


def posted(kfp, path):
    return [body for method, at, body in kfp.requests if method == "POST" and at.endswith(path)]


def test_publish_twice_uploads_once(cli, kfp):
    assert "uploaded" in cli("publish", "adding.yaml")
    assert "is there already" in cli("publish", "adding.yaml")
    assert [item["name"] for item in kfp.pipelines] == ["adding"]
    assert len(kfp.versions) == 1
    assert kfp.versions[0]["pipeline_spec"]["pipelineInfo"]["name"] == "adding"
    assert kfp.pipelines[0]["description"] == "Adds two numbers."


def test_publish_finishes_what_another_began(cli, kfp):
    kfp.pipelines.append({"name": "adding", "pipeline_id": "p"})
    cli("publish", "adding.yaml")
    assert kfp.versions[0]["pipeline_id"] == "p"


def test_submit_sends_typed_parameters(cli, kfp):
    printed = cli("submit", "adding.yaml", "-p", "a=3", "--experiment", "mine")
    (run,) = kfp.runs.values()
    assert run["runtime_config"] == {"parameters": {"a": 3}}
    assert run["experiment_id"] == kfp.experiments[0]["experiment_id"]
    assert run["pipeline_version_reference"]["pipeline_version_id"]
    assert f"dalsegno show {run['run_id']}" in printed
    cli("submit", "adding.yaml", "-p", "a=3", "--experiment", "mine")
    assert len(kfp.experiments) == 1


def test_submit_waits_for_the_end(cli, kfp):
    printed = cli("submit", "adding.yaml", "-p", "a=3", "--wait")
    assert [line.strip() for line in printed.splitlines()][-3:] == [
        "pending",
        "running",
        "succeeded",
    ]


def test_failed_run_exits_with_the_replay_command(cli, kfp):
    kfp.next_state = "FAILED"
    with pytest.raises(TaskFailedError, match="failed") as raised:
        cli("submit", "adding.yaml", "-p", "a=3", "--wait")
    assert "dalsegno replay" in raised.value.next_command


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "parameter 'a' of pipeline 'adding': got nothing, want an integer"),
        (["-p", "a=x"], "want"),
        (["-p", "a=1", "-p", "c=2"], r"got parameter 'c'.*want one of \['a', 'b'\]"),
        (["-p", "a"], "want NAME=VALUE"),
    ],
    ids=["missing", "wrong-type", "unknown", "no-value"],
)
def test_bad_parameter_is_refused_before_anything_is_sent(cli, kfp, given, said):
    with pytest.raises(InputError, match=said):
        cli("submit", "adding.yaml", *given)
    assert not kfp.requests


def test_wrong_host_is_one_line(cli):
    with pytest.raises(InfrastructureError, match="got no connection"):
        cli("publish", "adding.yaml", "--host", "http://127.0.0.1:9")


def test_page_in_place_of_an_api_is_named(cli, kfp):
    kfp.faults = ["html"]
    with pytest.raises(ConfigurationError, match=r"got text/html \(200\), want KFP's JSON"):
        cli("publish", "adding.yaml")


def test_expired_token_is_named_and_never_shown(cli, kfp):
    kfp.token = "right"
    with pytest.raises(ConfigurationError, match="got no token"):
        cli("schedules")
    with pytest.raises(ConfigurationError, match="got an expired or wrong token") as raised:
        cli("schedules", "--token", "s3cr3t")
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.next_command == "export DALSEGNO_KFP_TOKEN=…"
    assert "No schedules" in cli("schedules", "--token", "right")


def test_wrong_namespace_is_named(cli, kfp):
    kfp.faults = [403]
    with pytest.raises(ConfigurationError, match="namespace elsewhere"):
        cli("schedules", "--namespace", "elsewhere")


@pytest.mark.parametrize("tag", ["2.0.5", "v1.8.0", "2.13.0", "4.1.0"])
def test_server_of_another_time_is_refused(cli, kfp, tag):
    kfp.health["tag_name"] = tag
    with pytest.raises(ConfigurationError, match=r"want 2\.14 to 3"):
        cli("publish", "adding.yaml")
    assert not kfp.pipelines


def test_server_that_does_not_tell_its_version_is_taken(cli, kfp):
    kfp.health["tag_name"] = "unknown"
    assert "uploaded" in cli("publish", "adding.yaml")


def test_reads_are_repeated_after_a_fault(cli, kfp):
    kfp.faults = [503, 500]
    assert "uploaded" in cli("publish", "adding.yaml")


def test_faults_that_stay_end_the_call(cli, kfp):
    kfp.faults = [503] * 20
    with pytest.raises(InfrastructureError, match="got 503"):
        cli("schedules")
    assert len(kfp.requests) == 4


def test_starting_a_run_is_never_repeated(cli, kfp):
    cli("publish", "adding.yaml")
    kfp.requests.clear()
    kfp.faults = []

    def answer(method, path, query, body, ask=kfp.answer):
        return (
            (503, {"message": "later"})
            if path.endswith("/runs")
            else ask(method, path, query, body)
        )

    kfp.answer = answer
    with pytest.raises(InfrastructureError, match="may have been started all the same"):
        cli("submit", "adding.yaml", "-p", "a=1")
    assert len(posted(kfp, "/runs")) == 1


def test_silent_server_costs_one_timeout(cli, kfp):
    kfp.faults = ["hang"]
    with pytest.raises(InfrastructureError, match="got no answer in 1 s"):
        cli("schedules")
    assert len(kfp.requests) == 1


def test_unknown_pipeline_and_run_are_named(cli):
    with pytest.raises(NotFoundError):
        cli("submit", "nothing.yaml")
    with pytest.raises(NotFoundError, match="not found"):
        cli("cancel", "00000000-1111-4000-8000-000000000000")


def test_cancel_and_retry_reach_the_run(cli, kfp):
    cli("submit", "adding.yaml", "-p", "a=1")
    (run_id,) = kfp.runs
    cli("cancel", run_id)
    assert kfp.runs[run_id]["state"] == "CANCELING"
    cli("retry", run_id)
    assert kfp.runs[run_id]["state"] == "RUNNING"


def test_cancelling_twice_is_fine_and_what_has_ended_is_named(cli, kfp):
    cli("submit", "adding.yaml", "-p", "a=1")
    (run_id,) = kfp.runs
    cli("cancel", run_id)
    cli("cancel", run_id)
    kfp.runs[run_id]["state"] = "SUCCEEDED"
    with pytest.raises(InputError, match=r"got one that has ended \(SUCCEEDED\)"):
        cli("cancel", run_id)


def test_run_that_kfp_cannot_describe_ends_the_waiting(cli, kfp):
    def answer(method, path, query, body, ask=kfp.answer):
        if method == "GET" and "/runs/" in path:
            return 200, {"run_id": "r", "error": {"message": "missing pipeline source"}}
        return ask(method, path, query, body)

    kfp.answer = answer
    with pytest.raises(InfrastructureError, match="missing pipeline source"):
        cli("submit", "adding.yaml", "-p", "a=1", "--wait")


@pytest.mark.parametrize("is_ui", [False, True], ids=["api-server", "ui"])
def test_version_is_read_from_either_server(is_ui, cli, kfp):
    kfp.is_ui, kfp.health["tag_name"] = is_ui, "2.13.0"
    with pytest.raises(ConfigurationError, match=r"got version 2\.13"):
        cli("publish", "adding.yaml")


def test_schedule_that_is_gone_already_is_removed(cli, kfp):
    """A DELETE whose answer was lost is sent again, and finds nothing."""
    cli("schedule", "adding.yaml", "-p", "a=1", "--every", "6h")

    def answer(method, path, query, body, ask=kfp.answer):
        code, found = ask(method, path, query, body)
        if method == "DELETE" and code == 200:
            return 503, {"message": "lost"}
        return code, found

    kfp.answer = answer
    assert "removed 1" in cli("unschedule", "adding")


def test_runs_of_the_cluster_are_listed(cli, kfp):
    for _ in range(5):
        cli("submit", "adding.yaml", "-p", "a=1")
    found = json.loads(cli("runs", "--cluster", "--json", "--limit", "4"))
    assert [item["run_id"] for item in found] == list(kfp.runs)[::-1][:4]


def test_schedule_sends_six_fields_and_no_catch_up(cli, kfp):
    printed = cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 6 * * 1-5")
    (body,) = posted(kfp, "/recurringruns")
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 6 * * 1-5"}}
    assert body["no_catchup"] is True
    assert body["max_concurrency"] == "1"
    assert body["runtime_config"] == {"parameters": {"a": 1}}
    assert printed.count("fires") == 3
    listed = cli("schedules")
    assert "0 6 * * 1-5" in listed


def test_catch_up_is_sent_when_asked_for(cli, kfp):
    cli("schedule", "adding.yaml", "-p", "a=1", "--every", "6h", "--catch-up")
    (body,) = posted(kfp, "/recurringruns")
    assert body["no_catchup"] is False
    assert body["trigger"] == {"periodic_schedule": {"interval_second": "21600"}}


def test_schedule_twice_makes_one(cli, kfp):
    call = ("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 6 * * *")
    cli(*call)
    assert "is there already" in cli(*call)
    assert len(kfp.schedules) == 1


def test_other_schedule_of_that_name_wants_update(cli, kfp):
    cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 6 * * *")
    with pytest.raises(ConflictError, match="one of that name already") as raised:
        cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 7 * * *")
    assert "--update" in raised.value.next_command


def test_update_never_has_two_that_fire(cli, kfp):
    cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 6 * * *")
    old = kfp.schedules[0]["recurring_run_id"]
    kfp.requests.clear()
    cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 7 * * *", "--update")
    (left,) = kfp.schedules
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 7 * * *"
    assert left["status"] == "ENABLED"
    steps = [(m, p.rpartition("/")[2]) for m, p, _ in kfp.requests if "recurringruns" in p]
    new = left["recurring_run_id"]
    assert [step for step in steps if step[0] != "GET"] == [
        ("POST", "recurringruns"),
        ("POST", f"{old}:disable"),
        ("POST", f"{new}:enable"),
        ("DELETE", old),
    ]


@pytest.mark.parametrize("broken_at", [1, 2, 3, 4])
def test_broken_update_is_finished_by_the_next(cli, kfp, broken_at):
    cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 6 * * *")
    call = ("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 7 * * *", "--update")
    changes = 0

    def answer(method, path, query, body, ask=kfp.answer):
        nonlocal changes
        changes += method != "GET" and "recurringruns" in path
        if changes >= broken_at:
            return 400, {"message": "pulled the plug"}
        return ask(method, path, query, body)

    whole, kfp.answer = kfp.answer, answer
    with pytest.raises(InputError, match="pulled the plug"):
        cli(*call)
    assert sum(item["status"] == "ENABLED" for item in kfp.schedules) <= 1
    kfp.answer = whole
    cli(*call)
    (left,) = kfp.schedules
    assert left["status"] == "ENABLED"
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 7 * * *"


def test_cluster_of_several_users_gets_an_experiment(cli, kfp):
    kfp.health["multi_user"] = True
    cli("submit", "adding.yaml", "-p", "a=1", "--namespace", "team")
    cli("schedule", "adding.yaml", "-p", "a=1", "--every", "1d", "--namespace", "team")
    (experiment,) = kfp.experiments
    assert (experiment["display_name"], experiment["namespace"]) == ("Default", "team")
    (run,) = kfp.runs.values()
    assert run["experiment_id"] == kfp.schedules[0]["experiment_id"] == experiment["experiment_id"]


def test_unschedule_removes_by_name(cli, kfp):
    cli("schedule", "adding.yaml", "-p", "a=1", "--cron", "0 6 * * *", "--name", "nightly")
    with pytest.raises(NotFoundError, match="known are nightly"):
        cli("unschedule", "daily")
    assert "removed 1 schedule nightly" in cli("unschedule", "nightly")
    assert not kfp.schedules


def test_check_names_what_is_missing_and_how_to_mend_it(cli, kfp, monkeypatch):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/nowhere")
    kfp.health["multi_user"] = True
    result = CliRunner().invoke(app, ["cluster", "check"])
    assert isinstance(result.exception, TaskFailedError)
    lines = result.output.splitlines()
    assert any(line.startswith("ok       version: KFP 2.17") for line in lines)
    place = next(n for n, line in enumerate(lines) if line.startswith("missing  namespace"))
    assert "export DALSEGNO_KFP_NAMESPACE" in lines[place + 1]
