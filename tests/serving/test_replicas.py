"""What replicas say of themselves, and how many have taken over a release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from dalsegno import releases
from dalsegno.errors import InfrastructureError, InputError
from dalsegno.serving.replicas import ask_all, ask_status, replicas_of, wait_for_release
from dalsegno.store import Store, digest_of
from tests.model_folder import make_model
from tests.serving.conftest import Promote, Start


def test_replicas_are_counted(promote: Promote, start: Start) -> None:
    promote(0.0)
    urls = [start().url, start().url]
    counts: list[tuple[int, int]] = []
    promote(0.5)
    found = wait_for_release(
        lambda: urls, "titanic", 2, on_count=lambda *count: counts.append(count)
    )
    assert [each.release for each in found] == [2, 2]
    assert found[0].serving["champion"]["release"] == 2
    assert counts[-1] == (2, 2)
    gone = [*urls, "http://127.0.0.1:1"]
    with pytest.raises(InfrastructureError, match=r"got 2 of 3 replicas .*127.0.0.1:1: got"):
        wait_for_release(lambda: gone, "titanic", 2, timeout_seconds=0)
    with pytest.raises(InfrastructureError, match=r"got 0 of 0 replicas on release 2, want all"):
        wait_for_release(list, "titanic", 2, timeout_seconds=0)
    assert ask_all(urls, "other")[1].trouble == "model: got 'other', want one of: titanic"


def test_model_that_fails_its_test_is_refused_and_told(
    store: Store, promote: Promote, start: Start, tmp_path: Path
) -> None:
    promote(0.0)
    server = start()
    made = release_unchecked(store, tmp_path)
    with pytest.raises(InfrastructureError, match=r"release 2 is not served: model .*own example"):
        wait_for_release(lambda: [server.url], "titanic", 2, timeout_seconds=3)
    status = ask_status(server.url, "titanic")
    assert (status.release, status.serving["champion"]["release"]) == (1, 1)
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'dalsegno_endpoint_trouble{endpoint="titanic"} 1.0' in metrics
    assert 'dalsegno_release{endpoint="titanic",role="champion"} 1.0' in metrics
    assert 'dalsegno_swaps_total{endpoint="titanic",outcome="done"} 1.0' in metrics
    assert 'dalsegno_swaps_total{endpoint="titanic",outcome="refused"} 0.0' not in metrics
    assert f"release {made} is not served" in (tmp_path / "server.log").read_text()
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200


def test_names_are_resolved_to_replicas() -> None:
    assert replicas_of("http://127.0.0.1:8080/") == ["http://127.0.0.1:8080"]
    assert replicas_of("http://localhost:8080") == ["http://localhost:8080"]
    with pytest.raises(InputError, match="want http://HOST:PORT"):
        replicas_of("ftp://x")
    with pytest.raises(InfrastructureError, match="want a name with addresses"):
        replicas_of("http://no.such.name.invalid:1")


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
