import pytest

from benchmarks.clean_batches import look, prepare


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scene")
    return scratch, *prepare(scratch)


def test_generated_clean_batches_raise_no_alarm(scene):
    assert [look(*scene, "none", seed).alarms for seed in range(1, 11)] == [[]] * 10


@pytest.mark.parametrize(
    ("scenario", "kind"), [("covariate", "drift"), ("label", "bias"), ("concept", "quality")]
)
def test_generated_changes_raise_their_alarm(scene, scenario, kind):
    found = look(*scene, scenario, 1)
    assert kind in {alarm.kind for alarm in found.alarms}
    assert found.action == "retrain"
