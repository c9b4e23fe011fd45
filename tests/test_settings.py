from __future__ import annotations

import os
from pathlib import Path

import pytest

from dalsegno.errors import ConfigurationError
from dalsegno.settings import Settings, load_settings, open_default_store


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("DALSEGNO_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_default_store_is_a_folder_here(here: Path) -> None:
    settings = load_settings()
    assert settings.store_uri == str(here / ".dalsegno")
    assert settings.mlflow_tracking_uri == f"sqlite:///{here}/.dalsegno/mlflow.db"
    assert open_default_store().uri == settings.store_uri


def test_file_gives_paths_relative_to_itself(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "conf").mkdir()
    (here / "conf/d.toml").write_text('store_uri = "data"\nmlflow_uri = "sqlite:///m.db"\n')
    monkeypatch.setenv("DALSEGNO_CONFIG", "conf/d.toml")
    assert load_settings().store_uri == str(here / "conf/data")
    assert load_settings().mlflow_tracking_uri == f"sqlite:///{here}/conf/m.db"


def test_environment_wins_over_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "dalsegno.toml").write_text('store_uri = "from-file"\ns3_region = "eu"\n')
    assert load_settings().store_uri == str(here / "from-file")
    monkeypatch.setenv("DALSEGNO_STORE_URI", "s3://bucket/prefix/")
    assert load_settings().store_uri == "s3://bucket/prefix"
    assert load_settings().s3_region == "eu"


def test_unknown_key_is_answered_with_the_known(here: Path) -> None:
    (here / "dalsegno.toml").write_text('store_url = "x"\n')
    with pytest.raises(ConfigurationError, match=r"store_url.*s3_endpoint.*mean store_uri\?"):
        load_settings()


def test_unknown_variable_is_answered_with_the_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DALSEGNO_STORE", "x")
    with pytest.raises(ConfigurationError, match=r"DALSEGNO_STORE,.*mean DALSEGNO_STORE_URI\?"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("store_uri = 3", "store_uri"),
        ('s3_secure = "perhaps"', "s3_secure"),
        ('s3_endpoint = "http://x:1"', "host:port"),
        ('s3_access_key = "a"', "both set"),
        ("store_uri", "TOML"),
    ],
)
def test_wrong_value_is_named(here: Path, text: str, named: str) -> None:
    (here / "dalsegno.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=named):
        load_settings()


def test_missing_named_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DALSEGNO_CONFIG", "absent.toml")
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        load_settings()


def test_remote_store_wants_mlflow_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", "gs://bucket")
    settings = load_settings()
    with pytest.raises(ConfigurationError, match="mlflow_uri"):
        _ = settings.mlflow_tracking_uri


def test_child_has_the_same_settings_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "dalsegno.toml").write_text(
        's3_access_key = "me"\ns3_secret_key = "hush"\ns3_secure = false\n'
    )
    parent = load_settings()
    (here / "child").mkdir()
    (here / "child/dalsegno.toml").write_text('s3_endpoint = "other:1"\n')
    monkeypatch.chdir(here / "child")
    for name, value in parent.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == parent
    assert load_settings().environment() == parent.environment()


def test_secret_is_shown_nowhere(here: Path) -> None:
    (here / "dalsegno.toml").write_text('s3_access_key = "me"\ns3_secret_key = "hush"\n')
    settings = load_settings()
    access = settings.s3_access()
    assert access is not None
    assert access.secret_key == "hush"
    assert "hush" not in f"{settings!r} {settings} {access!r} {settings.model_dump_json()}"


def test_wrong_secret_is_not_quoted(here: Path) -> None:
    (here / "dalsegno.toml").write_text('s3_secret_key = "hush"\ns3_secure = "hush"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hush" not in str(caught.value)


def test_settings_without_s3_leave_it_to_the_chain() -> None:
    assert Settings().s3_access() is None
