import pytest

from dalsegno.monitoring.policy import Alarm, decide


@pytest.mark.parametrize(
    ("kinds", "released_recently", "action"),
    [
        ([], True, "none"),
        (["drift"], False, "retrain"),
        (["drift"], True, "retrain"),
        (["bias"], False, "retrain"),
        (["quality"], False, "retrain"),
        (["drift", "quality"], True, "roll_back"),
        (["quality", "drift", "data"], True, "freeze"),
    ],
)
def test_alarms_lead_to_one_action(kinds, released_recently, action):
    alarms = [Alarm(kind, "age", got="41", want="30") for kind in kinds]
    assert decide(alarms, released_recently=released_recently) == action
