"""A cluster that answers, and local runs in its clothes."""

from __future__ import annotations

import pytest
import yaml

from dalsegno.cli.pipelines import compile_object
from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from tests.engine import samples
from tests.kfp.answers import ClusterRun
from tests.kfp.kubernetes import FakeKubernetes, serve_kubernetes
from tests.kfp.server import FakeKfp, serve


@pytest.fixture
def kfp():
    """The state of a cluster."""
    return FakeKfp()


@pytest.fixture
def host(kfp):
    """URL of the cluster."""
    with serve(kfp) as url:
        yield url


@pytest.fixture
def api(host):
    """The API of the cluster."""
    return KfpApi(ClusterAccess(host, timeout_seconds=5))


@pytest.fixture
def kubernetes(tmp_path, monkeypatch):
    """The state of a Kubernetes that the current context names."""
    state, path = FakeKubernetes(), tmp_path / "kubeconfig"
    with serve_kubernetes(state) as configuration:
        path.write_text(yaml.safe_dump(configuration))
        place = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        monkeypatch.setattr(place, str(path))
        yield state


@pytest.fixture
def play(run, store):
    """Run a sample here and give it as a cluster would have it."""

    def play(name, arguments=None, **options):
        pipeline = compile_object(getattr(samples, name))
        return ClusterRun.of(run(pipeline, **(arguments or {})), store, pipeline, **options)

    return play
