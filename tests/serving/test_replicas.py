"""What replicas say of themselves, and how many have taken over a release."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import httpx
import pandas as pd
import pytest

from dalsegno import releases
from dalsegno.errors import ConfigurationError, InputError
from dalsegno.serving.access import TOKEN_VARIABLE, own_token
from dalsegno.serving.client import infer
from dalsegno.serving.replicas import read_address, wait_for_replicas
from dalsegno.store import Store, digest_of
from tests.model_folder import make_model
from tests.serving.conftest import Promote, Start


def test_replicas_are_counted(promote: Promote, start: Start) -> None:
    promote(0.0)
    urls = [start().url, start().url]
    counts: list[int] = []
    promote(0.5)
    found = wait_for_replicas(
        urls, "titanic", 2, timeout_seconds=60, on_count=lambda now: counts.append(len(now.ready))
    )
    assert found.is_done
    assert counts[-1] == 2
    gone = wait_for_replicas([*urls, "http://127.0.0.1:1"], "titanic", 2, timeout_seconds=0)
    assert (len(gone.ready), gone.behind) == (2, {"127.0.0.1:1": "ConnectError"})
    other = wait_for_replicas(urls[:1], "other", 1, timeout_seconds=0)
    assert list(other.behind.values()) == ["model: got 'other', want one of: titanic"]
    assert not wait_for_replicas([], "titanic", 2, timeout_seconds=0).is_done


def test_model_that_fails_its_test_is_refused_and_told(
    store: Store, promote: Promote, start: Start, tmp_path: Path
) -> None:
    promote(0.0)
    server = start()
    made = release_unchecked(store, tmp_path)
    found = wait_for_replicas([server.url], "titanic", 2, timeout_seconds=3)
    (said,) = found.behind.values()
    assert re.search(r"release 2 is not served: model .*own example", said)
    status = httpx.get(f"{server.url}/v2/models/titanic/status").json()
    assert (status["release"], status["serving"]["champion"]["release"]) == (1, 1)
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'dalsegno_endpoint_trouble{endpoint="titanic"} 1.0' in metrics
    assert 'dalsegno_release{endpoint="titanic",role="champion"} 1.0' in metrics
    assert 'dalsegno_swaps_total{endpoint="titanic",outcome="done"} 1.0' in metrics
    assert 'dalsegno_swaps_total{endpoint="titanic",outcome="refused"} 0.0' not in metrics
    assert f"release {made} is not served" in (tmp_path / "server.log").read_text()
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200


def test_token_is_shown_to_servers_that_want_one(
    promote: Promote, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(0.0)
    monkeypatch.setenv(TOKEN_VARIABLE, "very secret")
    url = start().url
    without = wait_for_replicas([url], "titanic", 1, timeout_seconds=0)
    assert list(without.behind.values()) == [
        "authorization: got no token, want 'Bearer TOKEN' of a caller that is known"
    ]
    assert wait_for_replicas([url], "titanic", 1, timeout_seconds=0, token=own_token()).is_done
    rows = pd.DataFrame({"sex": ["female"], "age": [30.0]})
    with pytest.raises(InputError, match="got no token"):
        infer(url, "titanic", rows)
    assert infer(url, "titanic", rows, token=own_token())["release"].tolist() == [1]
    with pytest.raises(ConfigurationError, match="want printable ASCII"):
        infer(url, "titanic", rows, token="a\nb")


@pytest.mark.parametrize("url", ["ftp://x", "x:8080", "http://", "http://x:0", "http://x:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="want a URL as http://HOST:PORT"):
        read_address(url)


def release_unchecked(store: Store, tmp_path: Path) -> int:
    """Release a model that fails its self-test, past the checks of `promote`."""
    good = make_model(tmp_path / "good", bias=0.7)
    broken = shutil.copytree(good, tmp_path / "broken")
    example = json.loads((broken / "example.json").read_text())
    example["probability"][0] = 0.0
    (broken / "example.json").write_text(json.dumps(example))
    digest = digest_of(broken).sha256
    store.upload(broken, f"models/sha256/{digest}")
    live = releases.live(store, "titanic")
    assert live is not None
    document = {
        **live.as_json(),
        "number": live.number + 1,
        "model_sha256": digest,
        "model_key": f"models/sha256/{digest}",
    }
    store.create(f"releases/titanic/{live.number + 1}.json", json.dumps(document).encode())
    return live.number + 1
